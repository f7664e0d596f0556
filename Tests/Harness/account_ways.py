"""Users and groups made three ways leave the same: by programs of the initramfs (--root), by those of the target (in a
chroot), and by the agent itself where neither has any. A second run changes nothing: it plans from the tree alone, and
the trees are the same, so it is made once.

What is compared is all of the target: account files and their backups (the day of a password's change aside), homes;
modes, owners, the times of what comes from the skeleton. What cannot be is refused each way, and the agent itself then
leaves everything as it was.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import account_cases
import file_trees
from files_roots import ACCOUNT_PROGRAMS, InRAM, boot, chosen, difference, hide, stage, tell

PROGRAMS = Path("/run/target-usr")
ALL = {**account_cases.CASES, **account_cases.REFUSED}


def copy_programs(names: "list[str]") -> None:
    """The programs with their libraries, as a target's /usr."""
    for name in names:
        program = shutil.which(name)
        assert program, f"{name} is not installed: make setup"
        said = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout
        for file in [program, *re.findall(r"(/\S+) \(0x", said)]:
            place = PROGRAMS / (file if file.startswith("/usr") else "/usr" + file).removeprefix("/usr/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(file), place)


def mount_proc() -> None:
    """Without it C libraries before 2.39 cannot set the mode of a folder of the skeleton: useradd copies no more."""
    for name in ("proc", "dev"):
        (file_trees.ROOT / name).mkdir()
    subprocess.run(["mount", "-t", "proc", "proc", file_trees.ROOT / "proc"], check=True)


def give_programs() -> None:
    mount_proc()
    (file_trees.ROOT / "usr").mkdir()
    subprocess.run(["mount", "--bind", PROGRAMS, file_trees.ROOT / "usr"], check=True)
    for name in file_trees.PROGRAM_FOLDERS[1:]:
        (file_trees.ROOT / name).symlink_to(f"usr/{name}")


def run(name: str, is_twice: bool) -> "tuple[dict | None, str, list[str]]":
    """What one way leaves, what it said where it failed, and what it changed where nothing was to change."""
    passwd, changed = ALL[name]
    file_trees.make(account_cases.target(changed))
    status, said = boot(InRAM(), {"passwd": passwd})
    before = file_trees.listing(whole=True)
    if status == 0:
        status, said = stage("files")
    if status != 0:
        after = file_trees.listing(whole=True)
        # The lock is taken, and stays, as useradd leaves it.
        after.pop("/etc/.pwd.lock", None)
        return None, said, [line for line in difference({**before, "/etc": ""}, {**after, "/etc": ""})]
    once, seen = file_trees.listing(whole=True), file_trees.listing()
    status, said = stage("files") if is_twice else (0, "")
    return seen, said if status else "", difference(once, file_trees.listing(whole=True))


def wrong(name: str, results: "dict[str, dict[str, tuple]]") -> str:
    theirs = results["initramfs"][name][0]
    for way in results:
        seen, said, changed = results[way][name]
        if name in account_cases.REFUSED:
            # shadow's programs have changed this and that when they find out.
            if seen is not None or way == "agent" and changed:
                return "\n".join([f"{way}: expected a refusal that changes nothing", f"found {said!r}", *changed])
        elif seen is None or said or changed:
            return "\n".join([f"{way}: expected to be done, and nothing to do then", f"found {said!r}", *changed])
        elif theirs is not None and seen != theirs:
            return "\n".join([f"{way}: expected what programs of the initramfs leave", *difference(theirs, seen)])
    return ""


def ways() -> int:
    copy_programs(ACCOUNT_PROGRAMS)
    wanted = chosen(list(ALL))
    results = {}
    for way in ("initramfs", "target", "agent"):
        if way == "target":
            hide(ACCOUNT_PROGRAMS)
        begin = give_programs if way == "target" else mount_proc
        found = file_trees.in_own_mounts(lambda name: run(name, way == "agent"), wanted, begin)
        results[way] = dict(zip(wanted, found))
    for name in wanted:
        if name in account_cases.REFUSED:
            print(f"{name}: {results['agent'][name][1]}", file=sys.stderr)
    return tell({name: wrong(name, results) for name in wanted})
