"""The files stage killed right before each of its system calls that change something: the next run ends as one that
nobody stopped. On a disk that persists, in turn as the next boot and as another try of the same one.
"""

import collections
import re
import subprocess
import sys
from pathlib import Path

import account_cases
import file_trees
from files_roots import ACCOUNT_PROGRAMS, AGENT, OnDisk, boot, chosen, difference, hide, is_whole, stage, tell

STOPPED_AT = Path("/run/stopped-at")
# Each at least once, or this is not the test that it was written to be.
CALLS = {"openat", "write", "fsync", "fchmod", "fchownat", "mkdirat", "linkat", "symlinkat", "renameat", "unlinkat",
         "fsetxattr"}

BASE = {
    "/etc": "dir 755 0:0",
    "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000:Core:/home/core:/bin/bash\n",
    "/etc/group": "file 644 0:0 root:x:0:\ncore:x:1000:\nwheel:x:10:core\n",
    "/home": "dir 755 0:0", "/home/core": "dir 700 1000:1000",
    **{f"/log{n}": "file 600 0:0 begin" for n in range(3)}, "/log0-too": "same /log0",
    **{f"/over{n}": "file 644 0:0 old" for n in range(4)},
}
FILES = {
    "storage": {
        "files": [{"path": f"/d{n % 3}/f{n}", "mode": 0o640, "contents": {"source": f"data:,{n}"}} for n in range(10)]
        + [{"path": f"/log{n}", "append": [{"source": "data:,one"}, {"source": "data:,two"}]} for n in range(3)]
        + [{"path": f"/over{n}", "overwrite": True, "contents": {"source": "data:,new"}} for n in range(4)],
        "directories": [{"path": f"/d{n}", "mode": 0o750, "user": {"id": 1000}} for n in range(3)],
        "links": [{"path": f"/l{n}", "target": "/d0"} for n in range(3)]
        + [{"path": f"/h{n}", "target": f"/d{n}/f{n}", "hard": True} for n in range(3)]},
    "systemd": {"units": [{"name": "a.service", "enabled": True, "contents": "[Unit]\n"}]},
    "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 A"]}]},
}
# What makes, changes and removes the most.
ACCOUNTS = ["user-with-everything", "present-with-another-home-and-id", "gone", "group-present-with-another-id"]
# Name: the config and the root before.
SCENARIOS = {"files": (FILES, BASE)}
SCENARIOS.update({f"accounts/{name}": ({"passwd": passwd}, account_cases.target(changed))
                  for name, (passwd, changed) in account_cases.CASES.items() if name in ACCOUNTS})
_known: "dict[str, tuple]" = {}


def seen() -> "dict[str, str]":
    """All of the root but what a kill may leave of the account files: a backup is of what was there last, and a lock of
    a process that is gone is for the next who wants it."""
    return {path: entry for path, entry in file_trees.listing().items()
            if not re.fullmatch(r"/etc/[a-z]+(-|\.lock)", path)}


def undisturbed(kind: OnDisk, name: str) -> "tuple[dict, dict, int]":
    """The root before and after a run that nobody stops, and how many calls that has."""
    if name not in _known:
        config, before = SCENARIOS[name]
        kind.lay(name, before)
        status, said = boot(kind, config)
        assert status == 0, said
        untouched = seen()
        said = stopped(0)
        assert said.startswith("ended 0, "), f"{name}: {said}"
        _known[name] = untouched, seen(), int(said.split()[2])
    return _known[name]


def stopped(number: int) -> str:
    done = subprocess.run([STOPPED_AT, str(number), AGENT, "stage", "files"], stdout=subprocess.PIPE, check=True,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.splitlines()[-1]


def killed(kind: OnDisk, name: str, number: int) -> "tuple[str, bool, str]":
    """The call that it was killed before, whether it was halfway, and what is wrong after the next run."""
    config, before = SCENARIOS[name]
    untouched, wanted, _ = undisturbed(kind, name)
    kind.lay(name, before)
    boot(kind, config)
    call = stopped(number)
    left = seen()
    if number % 2:
        boot(kind, config)
    status, said = stage("files")
    wrong = difference(wanted, seen())
    if status:
        wrong.insert(0, f"expected exit status 0\nfound {status}: {said}")
    if wrong:
        wrong.insert(0, f"after a kill {call}, which left other than before: {', '.join(changed(untouched, left))}")
    return call, left not in (untouched, wanted), "\n".join(wrong)


def changed(before: "dict[str, str]", after: "dict[str, str]") -> "list[str]":
    return [path for path in sorted({**before, **after}) if before.get(path) != after.get(path)]


def kills() -> int:
    hide(ACCOUNT_PROGRAMS)
    source = Path(__file__).with_name("stopped_at.c")
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", STOPPED_AT, source], check=True)
    kind = OnDisk()
    names = chosen(list(SCENARIOS))
    counts = file_trees.in_own_mounts(lambda name: undisturbed(kind, name)[2], names, kind.begin)
    # Every call; of the accounts, which are begun alike, every other one.
    moments = [(name, number) for name, count in zip(names, counts)
               for number in range(1, count + 1, 1 if name == "files" or not is_whole() else 2)]
    results = file_trees.in_own_mounts(lambda moment: killed(kind, *moment), moments, kind.begin)
    calls = collections.Counter(call for call, _, _ in results)
    halfway = sum(is_halfway for _, is_halfway, _ in results)
    print(f"{len(results)} kills, {halfway} of them halfway: {dict(calls)}", file=sys.stderr)
    complaint = ""
    missed = sum(count for call, count in calls.items() if not call.startswith("before "))
    if is_whole() and (missed > len(results) // 50 or halfway < len(results) // 2):
        complaint = f"expected to stop every run, most of them halfway; found {missed} not stopped, {halfway} halfway"
    if is_whole() and (never := CALLS - {call.removeprefix("before ") for call in calls}):
        complaint = f"expected kills before each of these calls, found none before {', '.join(sorted(never))}"
    return tell({f"{name}, call {number}": text for (name, number), (_, _, text) in zip(moments, results)}, complaint)
