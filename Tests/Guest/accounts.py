#!/usr/bin/python3
# limit: 600
"""Users and groups made three ways leave the same: by programs of the initramfs (--root), by those of the target (in a
chroot), and by the agent itself where neither has any. A second run changes nothing: it plans from the tree alone, and
the trees are the same, so it is made once.

What is compared is all of the target: account files and their backups (the day of a password's change aside), homes,
mailboxes, records of logins; modes, owners, the times of what comes from the skeleton. What cannot be is refused each
way, and the agent itself then leaves everything as it was.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import account_cases  # noqa: E402
import file_trees  # noqa: E402

STATE, PROGRAMS = Path("/run/firstlight"), Path("/run/target-usr")
AGENT = os.path.abspath(shutil.copy(os.environ["AGENT"], "agent"))
NAMES = ["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel"]
ALL = {**account_cases.CASES, **account_cases.REFUSED}


def stage():
    done = subprocess.run([AGENT, "stage", "files"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, " ".join(done.stdout.split())


def hide(isHidden):
    """Takes the programs from the initramfs, which here is the guest's own root, or gives them back."""
    for name in NAMES:
        shown, hidden = Path("/usr/sbin") / name, Path("/usr/sbin") / f".hidden-{name}"
        if isHidden and shown.exists():
            shown.rename(hidden)
        elif not isHidden and hidden.exists():
            hidden.rename(shown)


def copy_programs():
    """The programs with their libraries, as a target's /usr."""
    for name in NAMES:
        program = f"/usr/sbin/{name}"
        said = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout
        for file in [program, *re.findall(r"(/\S+) \(0x", said)]:
            place = PROGRAMS / (file if file.startswith("/usr") else "/usr" + file).removeprefix("/usr/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(file), place)


def mount_proc():
    """Without it C libraries before 2.39 cannot set the mode of a folder of the skeleton, and useradd copies no more."""
    for name in ("proc", "dev"):
        (file_trees.ROOT / name).mkdir()
    subprocess.run(["mount", "-t", "proc", "proc", file_trees.ROOT / "proc"], check=True)


def give_programs():
    mount_proc()
    (file_trees.ROOT / "usr").mkdir()
    subprocess.run(["mount", "--bind", PROGRAMS, file_trees.ROOT / "usr"], check=True)
    for name in file_trees.PROGRAM_FOLDERS[1:]:
        (file_trees.ROOT / name).symlink_to(f"usr/{name}")


def run(name, isTwice):
    """What one way leaves, what it said where it failed, and what it changed where nothing was to change."""
    passwd, changed = ALL[name]
    file_trees.make(account_cases.target(changed))
    (STATE / "config.ign").write_text(json.dumps({"ignition": {"version": "3.6.0"}, "passwd": passwd}))
    (STATE / "config.json").write_text(json.dumps({"source": "config.ign", "isWhole": True}))
    before = file_trees.listing(whole=True)
    status, said = stage()
    if status != 0:
        after = file_trees.listing(whole=True)
        # The lock is taken, and stays, as useradd leaves it.
        after.pop("/etc/.pwd.lock", None)
        return None, said, [one for one in file_trees.differing(before, after) if not one.startswith("/etc\n")]
    once, seen = file_trees.listing(whole=True), file_trees.listing()
    status, said = stage() if isTwice else (0, "")
    return seen, said if status else "", file_trees.differing(once, file_trees.listing(whole=True))


def main():
    began = time.monotonic()
    copy_programs()
    wanted = [name for name in ALL if not sys.argv[1:] or name in sys.argv[1:]]
    results = {}
    try:
        for way in ("initramfs", "target", "agent"):
            hide(way != "initramfs")
            begin = give_programs if way == "target" else mount_proc
            found = file_trees.in_own_mounts(lambda name: run(name, way == "agent"), wanted, begin)
            results[way] = dict(zip(wanted, found))
            print(f"{way}: {len(wanted)} cases, {time.monotonic() - began:.0f} s", flush=True)
    finally:
        hide(False)
    wrong = []
    for name in wanted:
        theirs = results["initramfs"][name][0]
        for way in results:
            seen, said, changed = results[way][name]
            if name in account_cases.REFUSED:
                # shadow's programs have changed this and that when they find out.
                if seen is not None or way == "agent" and changed:
                    wrong.append(f"{name}: {way}: {said or 'not refused'} {changed}")
            elif seen is None or said or changed:
                wrong.append(f"{name}: {way}: {said} {changed}")
            elif theirs is not None and seen != theirs:
                wrong.append("\n    ".join([f"{name}: {way}", *file_trees.differing(seen, theirs)]))
        if name in account_cases.REFUSED:
            print(f"{name}: {results['agent'][name][1]}")
    print(f"{len(wanted)} cases three ways, {len(wrong)} wrong, {time.monotonic() - began:.0f} s")
    print("\n".join(wrong), flush=True)
    assert not wrong and len(account_cases.CASES) >= 40


main()
