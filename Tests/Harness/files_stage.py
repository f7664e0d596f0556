"""The files stage on this machine: each case of Fixtures/files on each kind of root, what goes wrong, kills, accounts.

    {"shows": "...",              what the case is about
     "config": {...},             without "ignition"
     "before": {PATH: ENTRY},     the root before, beside its account files; parents stand before what is in them
     "after": {PATH: ENTRY}       all of the root after, or "refused": words of the failure, nothing being changed
     "rewritten": true}           where the config asks for it again at every run, which leaves the same

An ENTRY is what file_trees.py makes. A case does what it says, and a second run changes nothing. What takes Debian's
kernel and real disks is in Tests/Guest/files-kernel.py.

The variable CASE takes the names of some cases: CASE="append-twice way-circle".
"""

import functools
import json
import sys
from pathlib import Path

import account_ways
import file_trees
import files_appends
import files_faults
import files_kills
import files_labels
import private_root
from files_roots import (ACCOUNT_PROGRAMS, InRAM, OnDisk, OverImage, boot, chosen, difference, hide, stage, take_agent,
                         tell)
from paths import FIXTURES

BASE = {
    "/etc": "dir 755 0:0",
    "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000:Core:/home/core:/bin/bash\n",
    "/etc/group": "file 644 0:0 root:x:0:\ncore:x:1000:\nwheel:x:10:core\n",
}
# overlayfs parts the names of one file in the image once it is written to by one of them.
PARTED = {(OverImage, "append-linked"): {"/f": "file 644 0:0 ab", "/g": "file 644 0:0 a"}}


def tree() -> "dict[str, str]":
    """The root but for what every case has."""
    return {path: entry for path, entry in file_trees.entries().items()
            if path not in BASE and path != "/etc/.ignition-result.json"}


def same_names(entries: "dict[str, str]") -> "dict[str, str]":
    """The first name in sorted order has the content, as in a listing."""
    result = dict(entries)
    for path, entry in entries.items():
        if entry.startswith("same "):
            first, second = sorted([path, entry[5:]], key=lambda name: (name.count("/"), name))
            result[first], result[second] = entries[entry[5:]], f"same {first}"
    return result


def judge(kind: "InRAM | OverImage", name: str, case: dict) -> str:
    kind.lay(name, {**BASE, **case.get("before", {})})
    status, said = boot(kind, case["config"])
    untouched = file_trees.listing(whole=True)
    if status == 0:
        status, said = stage("files")
    if "refused" in case:
        if status == 0 or case["refused"] not in said:
            return f"expected a refusal with {case['refused']!r}\nfound exit status {status}: {said}"
        wrong = difference(untouched, file_trees.listing(whole=True))
        return "\n".join(["refused, and changed", *wrong]) if wrong else ""
    if status != 0:
        return f"expected exit status 0\nfound {status}: {said}"
    found, wanted = tree(), same_names({**case["after"], **PARTED.get((type(kind), name), {})})
    if found != wanted:
        return "\n".join(difference(wanted, found))
    once = file_trees.listing(whole=True)
    status, said = stage("files")
    if status != 0:
        return f"expected exit status 0 of the second run\nfound {status}: {said}"
    wrong = difference(found, tree()) if "rewritten" in case else difference(once, file_trees.listing(whole=True))
    return "\n".join(["the second run changed", *wrong]) if wrong else ""


def cases(make_kind: "callable", only: "callable" = lambda _case: True) -> int:
    """The cases on one kind of root."""
    every = {file.stem: json.loads(file.read_text()) for file in sorted((FIXTURES / "files").glob("*.json"))}
    complaint = f"expected 200 cases or more in Fixtures/files, found {len(every)}" if len(every) < 200 else ""
    every = {name: case for name, case in every.items() if only(case)}
    wanted = chosen(list(every))
    kind = make_kind({name: {**BASE, **every[name].get("before", {})} for name in wanted})
    troubles = file_trees.in_own_mounts(lambda name: judge(kind, name, every[name]), wanted, kind.begin)
    return tell(dict(zip(wanted, troubles)), complaint)


def without_programs(make_kind: "callable", only: "callable" = lambda _case: True) -> int:
    """As in an initramfs of ours, which has no useradd."""
    hide(ACCOUNT_PROGRAMS)
    return cases(make_kind, only)


def replaces(case: dict) -> bool:
    """Where something gives way; two names of one file cannot be told there before the kernel has forgotten them."""
    text = json.dumps(case)
    return '"hard"' not in text and any(word in text for word in ('"overwrite"', '"mask"', '"shouldExist"'))


JOBS = {
    "cases-over-an-image": lambda: without_programs(OverImage),
    # A unit of another's has mounted it, in a dracut initramfs or under the name `ignition`.
    "cases-over-anothers-overlay": lambda: without_programs(lambda trees: OverImage(trees, xino="off"), replaces),
    "cases-in-ram": lambda: without_programs(lambda _trees: InRAM()),
    "cases-on-a-disk": lambda: without_programs(lambda _trees: OnDisk()),
    "cases-with-useradd": lambda: cases(lambda _trees: InRAM(), lambda case: "passwd" in case["config"]),
    "faults-on-a-disk": files_faults.on_disk,
    "faults-over-an-image": files_faults.over_image,
    "appends": files_appends.appends,
    "kills": files_kills.kills,
    "labels": files_labels.all_ways,
    "accounts": account_ways.ways,
}
TESTS = [(name, functools.partial(private_root.run, Path(__file__), name, f"host.files.{name}", 120)) for name in JOBS]


def main(folder: str, name: str) -> int:
    private_root.enter(Path(folder))
    take_agent()
    if name != "labels":
        hide(["setfiles"])
    return JOBS[name]()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
