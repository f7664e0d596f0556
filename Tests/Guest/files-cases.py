#!/usr/bin/python3
# limit: 900
"""Every case of Fixtures/files: the files stage does what the case says, and a second run changes nothing.

    {"shows": "...",              what the case is about
     "config": {...},             without "ignition"
     "before": {PATH: ENTRY},     the root before, beside its account files; parents stand before what is in them
     "after": {PATH: ENTRY}       all of the root after, or "refused": words of the failure, nothing being changed
     "rewritten": true}           where the config asks for it again at every run, which leaves the same

An ENTRY is `dir MODE OWNER`, `file MODE OWNER TEXT`, `link OWNER TARGET`, `fifo MODE OWNER` or `same PATH`, another
name of that file. Then the stage is killed at 200 moments, and has to end as a run that nobody stopped.
"""
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(os.environ["TREE"])
SYSROOT = Path("/sysroot")
STATE = Path("/run/firstlight")
# From RAM, not over 9p: it is started a thousand times.
AGENT = shutil.copy(os.environ["AGENT"], "agent")
AGENT = os.path.abspath(AGENT)
PASSWD = "root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000:Core:/home/core:/bin/bash\n"
GROUP = "root:x:0:\ncore:x:1000:\nwheel:x:10:core\n"
OURS = {"/etc", "/etc/passwd", "/etc/group", "/etc/.ignition-result.json"}


def make(path: Path, entry: str) -> None:
    kind, *words = entry.split(" ", {"file": 3, "link": 2, "same": 1}.get(entry.split(" ")[0], -1))
    if kind == "same":
        os.link(SYSROOT / words[0][1:], path)
        return
    owner = words[0] if kind == "link" else words[1]
    if kind == "dir":
        path.mkdir()
    elif kind == "file":
        path.write_text(words[2])
    elif kind == "link":
        path.symlink_to(words[1])
    elif kind == "fifo":
        os.mkfifo(path)
    os.lchown(path, *map(int, owner.split(":")))
    if kind != "link":
        path.chmod(int(words[0], 8))


def tree(times: bool = False) -> "dict[str, str]":
    """What is below the real root, described as the cases do; with inodes and times for a comparison of runs."""
    found: "dict[str, str]" = {}
    names: "dict[int, str]" = {}
    for folder, folders, files in os.walk(SYSROOT):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(folder) / name
            status = path.lstat()
            inside = "/" + str(path.relative_to(SYSROOT))
            owner, mode = f"{status.st_uid}:{status.st_gid}", f"{stat.S_IMODE(status.st_mode):o}"
            if stat.S_ISDIR(status.st_mode):
                entry = f"dir {mode} {owner}"
            elif stat.S_ISLNK(status.st_mode):
                entry = f"link {owner} {os.readlink(path)}"
            elif not stat.S_ISREG(status.st_mode):
                entry = f"fifo {mode} {owner}"
            elif status.st_nlink > 1 and not times:
                first = names.setdefault(status.st_ino, inside)
                entry = f"file {mode} {owner} {path.read_text()}" if first == inside else f"same {first}"
            else:
                entry = f"file {mode} {owner} {path.read_text()}"
            if times:
                entry += f" inode {status.st_ino} at {status.st_mtime_ns}"
            if times or inside not in OURS:
                found[inside] = entry
    return found


def same_names(entries: "dict[str, str]") -> "dict[str, str]":
    """The first name in sorted order has the content, as in a listing."""
    result = dict(entries)
    for path, entry in entries.items():
        if entry.startswith("same "):
            first, second = sorted([path, entry[5:]], key=lambda name: (name.count("/"), name))
            result[first], result[second] = entries[entry[5:]], f"same {first}"
    return result


def prepare(config: dict, before: "dict[str, str]") -> None:
    for path in SYSROOT.iterdir():
        path.unlink() if path.is_symlink() or not path.is_dir() else shutil.rmtree(path)
    make(SYSROOT / "etc", "dir 755 0:0")
    make(SYSROOT / "etc/passwd", f"file 644 0:0 {PASSWD}")
    make(SYSROOT / "etc/group", f"file 644 0:0 {GROUP}")
    rest = dict(before)
    for path in [p for p in rest if not rest[p].startswith("same ")] + [p for p in rest if rest[p].startswith("same ")]:
        make(SYSROOT / path[1:], rest[path])
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(mode=0o700)
    (STATE / "config.ign").write_text(json.dumps({"ignition": {"version": "3.6.0"}, **config}))
    (STATE / "config.json").write_text(json.dumps({"source": "config.ign", "isWhole": True}))


def stage() -> "tuple[int, str]":
    done = subprocess.run([AGENT, "stage", "files"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, " ".join(done.stdout.split())


def judge(case: dict) -> str:
    prepare(case["config"], case.get("before", {}))
    untouched = tree(times=True)
    status, said = stage()
    if "refused" in case:
        if status == 0 or case["refused"] not in said:
            return f"status {status}: {said}"
        return "" if tree(times=True) == untouched else f"refused, and changed: {tree()}"
    if status != 0:
        return said
    found, wanted = tree(), same_names(case["after"])
    if found != wanted:
        return f"found {found}\n     wanted {wanted}"
    once = tree(times=True)
    status, said = stage()
    if status != 0:
        return f"the second run: {said}"
    twice = tree(times=True)
    if "rewritten" in case:
        return "" if tree() == found else f"the second run: {tree()}"
    return "" if once == twice else f"the second run changed {sorted(set(once.items()) ^ set(twice.items()))}"


def killed(times: int) -> None:
    """Stopped anywhere and run again, the stage leaves what it leaves when nobody stops it."""
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
    assert stage()[0] == 0
    wanted = tree()
    made = sorted(wanted.keys() - before.keys())
    halfway = 0
    dice = random.Random(5)
    for _ in range(times):
        prepare(config, before)
        untouched = tree()
        agent = subprocess.Popen([AGENT, "stage", "files"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # A moment is what has been made by then, which no load of the machine moves.
        last = SYSROOT / dice.choice(made)[1:]
        while agent.poll() is None and not os.path.lexists(last):
            pass
        agent.kill()
        agent.wait()
        halfway += tree() not in (untouched, wanted)
        status, said = stage()
        assert status == 0, said
        assert tree() == wanted, sorted(set(tree().items()) ^ set(wanted.items()))
    print(f"killed {times} times, {halfway} of them halfway")
    # One that is killed before it writes, or after, shows nothing.
    assert halfway > times // 2


SYSROOT.mkdir(exist_ok=True)
# As a root is: in a folder that anybody writes to, links of others are not followed.
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "root", SYSROOT], check=True)
Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal\n")
subprocess.run(["mount", "--bind", "cmdline", "/proc/cmdline"], check=True)
began = time.monotonic()
cases = sorted((TREE / "Fixtures/files").glob("*.json"))
failures = 0
for file in cases:
    trouble = judge(json.loads(file.read_text()))
    if trouble:
        failures += 1
        print(f"{file.stem}: {trouble}", flush=True)
print(f"{len(cases)} cases, {failures} failed, {time.monotonic() - began:.0f} s", flush=True)
assert len(cases) >= 150 and failures == 0
killed(200)
sys.exit(0)
