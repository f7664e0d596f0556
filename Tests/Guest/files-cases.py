#!/usr/bin/python3
# limit: 1200
"""Every case of Fixtures/files: the files stage does what the case says, and a second run changes nothing.

    {"shows": "...",              what the case is about
     "config": {...},             without "ignition"
     "before": {PATH: ENTRY},     the root before, beside its account files; parents stand before what is in them
     "after": {PATH: ENTRY}       all of the root after, or "refused": words of the failure, nothing being changed
     "rewritten": true}           where the config asks for it again at every run, which leaves the same

An ENTRY is what Tests/Harness/file_trees.py makes. Then the stage is killed at 200 moments, and has to end as a run that nobody stopped.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(os.environ["TREE"])
sys.path.insert(0, str(TREE / "Tests/Harness"))
import file_trees  # noqa: E402
from file_trees import ROOT, differing, listing  # noqa: E402

STATE = Path("/run/firstlight")
# From RAM, not over 9p: it is started a thousand times.
AGENT = os.path.abspath(shutil.copy(os.environ["AGENT"], "agent"))
# How often each of two workers kills it.
TIMES = 100
BASE = {
    "/etc": "dir 755 0:0",
    "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000:Core:/home/core:/bin/bash\n",
    "/etc/group": "file 644 0:0 root:x:0:\ncore:x:1000:\nwheel:x:10:core\n",
}


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


def prepare(config: dict, before: "dict[str, str]") -> None:
    file_trees.make({**BASE, **before})
    # A folder of each worker's own is mounted there.
    for path in STATE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (STATE / "config.ign").write_text(json.dumps({"ignition": {"version": "3.6.0"}, **config}))
    (STATE / "config.json").write_text(json.dumps({"source": "config.ign", "isWhole": True}))


def stage() -> "tuple[int, str]":
    done = subprocess.run([AGENT, "stage", "files"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, " ".join(done.stdout.split())


def judge(case: dict) -> str:
    prepare(case["config"], case.get("before", {}))
    untouched = listing(whole=True)
    status, said = stage()
    if "refused" in case:
        if status == 0 or case["refused"] not in said:
            return f"status {status}: {said}"
        wrong = differing(untouched, listing(whole=True))
        return "\n    ".join(["refused, and changed", *wrong]) if wrong else ""
    if status != 0:
        return said
    found, wanted = tree(), same_names(case["after"])
    if found != wanted:
        return "\n    ".join(["found and wanted", *differing(found, wanted)])
    once = listing(whole=True)
    status, said = stage()
    if status != 0:
        return f"the second run: {said}"
    wrong = differing(found, tree()) if "rewritten" in case else differing(once, listing(whole=True))
    return "\n    ".join(["the second run changed", *wrong]) if wrong else ""


def killed(seed: int) -> int:
    """Stopped anywhere and run again, the stage leaves what it leaves when nobody stops it. How often it was halfway."""
    config = {
        "storage": {
            "files": [{"path": f"/d{n % 5}/f{n}", "mode": 0o640, "contents": {"source": f"data:,{n}"}} for n in range(25)]
            + [{"path": f"/log{n}", "append": [{"source": "data:,one"}, {"source": "data:,two"}]} for n in range(10)]
            + [{"path": f"/over{n}", "overwrite": True, "contents": {"source": "data:,new"}} for n in range(10)],
            "directories": [{"path": f"/d{n}", "mode": 0o750, "user": {"id": 1000}} for n in range(5)],
            "links": [{"path": f"/l{n}", "target": "/d0"} for n in range(5)]
            + [{"path": f"/h{n}", "target": f"/d{n}/f{n}", "hard": True} for n in range(5)]},
        "systemd": {"units": [{"name": "a.service", "enabled": True, "contents": "[Unit]\n"}]},
        "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 A"]}]},
    }
    before = {"/home": "dir 755 0:0", "/home/core": "dir 700 1000:1000"}
    before.update({f"/log{n}": "file 600 0:0 begin" for n in range(10)})
    before.update({f"/over{n}": "file 644 0:0 old" for n in range(10)})
    prepare(config, before)
    untouched = tree()
    assert stage()[0] == 0
    wanted = tree()
    made = sorted(wanted.keys() - before.keys())
    halfway = 0
    dice = random.Random(seed)
    for _ in range(TIMES):
        prepare(config, before)
        agent = subprocess.Popen([AGENT, "stage", "files"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # A moment is what has been made by then, which no load of the machine moves.
        last = ROOT / dice.choice(made)[1:]
        while agent.poll() is None and not os.path.lexists(last):
            pass
        agent.kill()
        agent.wait()
        halfway += tree() not in (untouched, wanted)
        status, said = stage()
        assert status == 0, said
        assert tree() == wanted, differing(tree(), wanted)
    return halfway


def main() -> None:
    began = time.monotonic()
    cases = {file.stem: json.loads(file.read_text()) for file in sorted((TREE / "Fixtures/files").glob("*.json"))}
    wanted = [name for name in cases if not sys.argv[1:] or name in sys.argv[1:]]
    troubles = file_trees.in_own_mounts(lambda name: judge(cases[name]), wanted)
    for name, trouble in zip(wanted, troubles):
        if trouble:
            print(f"{name}: {trouble}", flush=True)
    failures = sum(map(bool, troubles))
    print(f"{len(wanted)} cases, {failures} failed, {time.monotonic() - began:.0f} s", flush=True)
    assert len(cases) >= 150 and failures == 0
    halfway = sum(file_trees.in_own_mounts(killed, [5, 6]))
    print(f"killed {2 * TIMES} times, {halfway} of them halfway, {time.monotonic() - began:.0f} s")
    # One that is killed before it writes, or after, shows nothing.
    assert halfway > TIMES


main()
