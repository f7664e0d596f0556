#!/usr/bin/python3
# disks: 1x24M virtio
# limit: 600
"""What goes wrong while the real root is written: a clear error, nothing half-written, what was there is still there;
and where the cause is gone, the next run does it all. On a real ext4, that is full, has no inodes, is read-only.
"""
import base64
import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import file_trees  # noqa: E402

AGENT, DISK = os.path.abspath(shutil.copy(os.environ["AGENT"], "agent")), os.environ["DISK0"]
ROOT, STATE = file_trees.ROOT, Path("/run/firstlight")
PROGRAMS = ["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel"]
BEFORE = {
    "/etc": "dir 755 0:0", "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/sh\n",
    "/etc/shadow": "file 640 0:0 root:*:19000:0:99999:7:::\n", "/etc/group": "file 644 0:0 root:x:0:\n",
    "/etc/gshadow": "file 640 0:0 root:*::\n", "/etc/skel": "dir 755 0:0", "/etc/skel/.profile": "file 644 0:0 p\n",
    "/home": "dir 755 0:0", "/srv": "dir 755 0:0", "/srv/keep": "file 640 5:6 precious\n", "/srv/log": "file 600 0:0 begin\n",
}


def zeros(mebibytes):
    packed = base64.b64encode(gzip.compress(bytes(mebibytes << 20))).decode()
    return {"source": f"data:;base64,{packed}", "compression": "gzip"}


BIG, TOO_BIG = zeros(4), zeros(30)
SMALL = {"source": "data:,small"}
UNREACHABLE = {"source": "http://127.0.0.1:1/x"}
UNCHANGED = "Nothing was written to any disk."


def files(*entries, **more):
    return {"storage": {"files": list(entries), **more}}


def fill():
    """Leaves no block free, as an ordinary user and as root."""
    with open(ROOT / "filling", "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1024):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
        os.fsync(file.fileno())


def take_inodes():
    (ROOT / "taken").mkdir()
    number = 0
    try:
        while True:
            (ROOT / "taken" / str(number)).touch()
            number += 1
    except OSError:
        pass


def empty():
    for name in ("filling", "taken"):
        path = ROOT / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remount(how):
    subprocess.run(["mount", "-o", f"remount,{how}", ROOT], check=True)


FULL, NONE = "No space left on device", lambda: None
ACCOUNTS = {"passwd": {"groups": [{"name": "crew"}], "users": [{"name": "new", "groups": ["crew"]}]}}
# Name: the config, what is done to the root before, words of the failure, what mends it; None: nothing does.
CASES = {
    "full-new-file": (files({"path": "/srv/new", "contents": BIG}), fill, [FULL, "/srv/new", "Make room"], empty),
    "full-halfway": (files({"path": "/srv/new", "contents": TOO_BIG}), NONE, [FULL, "Make room"], None),
    "full-overwritten-file": (files({"path": "/srv/keep", "overwrite": True, "contents": BIG}), fill, [FULL, "/srv/keep"],
                              empty),
    "full-append": (files({"path": "/srv/log", "append": [BIG]}), fill, [FULL, "/srv/log"], empty),
    "full-unit": ({"systemd": {"units": [{"name": "a.service", "contents": "[Unit]\n" * 1000}]}}, fill, [FULL], empty),
    "full-accounts": (ACCOUNTS, fill, [FULL, "groupadd"], empty),
    "full-directory": (files(directories=[{"path": "/srv/" + "d" * 200}]), fill, [FULL], empty),
    "no-inodes-file": (files({"path": "/srv/new", "contents": SMALL}), take_inodes, [FULL, "/srv/new"], empty),
    "no-inodes-overwritten": (files({"path": "/srv/keep", "overwrite": True, "contents": SMALL}), take_inodes,
                              [FULL, "/srv/keep"], empty),
    "no-inodes-append": (files({"path": "/srv/log", "append": [SMALL]}), take_inodes, [FULL, "/srv/log"], empty),
    "no-inodes-link": (files(links=[{"path": "/srv/link", "target": "x" * 200}]), take_inodes, [FULL, "/srv/link"], empty),
    "no-inodes-directory": (files(directories=[{"path": "/srv/a/b/c"}]), take_inodes, [FULL, "/srv/a"], empty),
    "no-inodes-accounts": (ACCOUNTS, take_inodes, [FULL, "groupadd"], empty),
    "read-only-file": (files({"path": "/srv/new", "contents": SMALL}), lambda: remount("ro"),
                       ["Read-only file system", "/srv/new", "must be writable"], lambda: remount("rw")),
    "read-only-overwritten": (files({"path": "/srv/keep", "overwrite": True, "contents": SMALL}), lambda: remount("ro"),
                              ["Read-only file system", "/srv/keep"], lambda: remount("rw")),
    "read-only-append": (files({"path": "/srv/log", "append": [SMALL]}), lambda: remount("ro"),
                         ["Read-only file system", "/srv/log"], lambda: remount("rw")),
    "read-only-mode": (files({"path": "/srv/keep", "mode": 0o600}), lambda: remount("ro"),
                       ["Read-only file system", "/srv/keep"], lambda: remount("rw")),
    "read-only-accounts": (ACCOUNTS, lambda: remount("ro"), ["Read-only file system", "groupadd"], lambda: remount("rw")),
    "name-too-long": (files({"path": "/srv/" + "n" * 256, "contents": SMALL}), NONE, ["File name too long", "n" * 256], None),
    "name-just-right": (files({"path": "/srv/" + "n" * 255, "contents": SMALL}), NONE, None, None),
    "folder-name-too-long": (files({"path": f"/srv/{'n' * 256}/f", "contents": SMALL}), NONE, ["File name too long"], None),
    "no-such-user": (files({"path": "/srv/keep", "overwrite": True, "contents": SMALL, "user": {"name": "nobody"}}), NONE,
                     ["/srv/keep is to belong to nobody, but there is no such user", "passwd.users"], None),
    "no-such-group": (files({"path": "/srv/new", "contents": SMALL, "group": {"name": "nobody"}}), NONE,
                      ["the group nobody, but there is no such group"], None),
    "no-such-user-for-keys": ({"passwd": {"users": [{"name": "root", "sshAuthorizedKeys": ["k"]}]}}, NONE,
                              ["the home directory of root, /root, is not there"], None),
    "unreachable": (files({"path": "/srv/new", "contents": UNREACHABLE}), NONE,
                    ["writing /srv/new", "127.0.0.1", "storage.files[0]"], None),
    "unreachable-overwritten": (files({"path": "/srv/keep", "overwrite": True, "contents": UNREACHABLE}), NONE,
                                ["writing /srv/keep", "127.0.0.1"], None),
    "unreachable-over-folder": (files({"path": "/etc/skel", "overwrite": True, "contents": UNREACHABLE}), NONE,
                                ["writing /etc/skel", "127.0.0.1"], None),
    "unreachable-below-new-folders": (files({"path": "/srv/a/b/new", "contents": UNREACHABLE}), NONE,
                                      ["writing /srv/a/b/new", "127.0.0.1"], None),
    "unreachable-append": (files({"path": "/srv/log", "append": [SMALL, UNREACHABLE]}), NONE, ["/srv/log", "127.0.0.1"], None),
    "wrong-hash": (files({"path": "/srv/keep", "overwrite": True, "contents": {
        **SMALL, "verification": {"hash": "sha256-" + "0" * 64}}}), NONE, ["/srv/keep", "sha256"], None),
}


def stage(config):
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(mode=0o700)
    whole = {"ignition": {"version": "3.4.0", "timeouts": {"httpTotal": 2}}, **config}
    (STATE / "config.ign").write_text(json.dumps(whole))
    (STATE / "config.json").write_text(json.dumps({"source": "config.ign", "isWhole": True}))
    done = subprocess.run([AGENT, "stage", "files"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, " ".join(done.stdout.split())


def changed(before):
    """What is not as it was; of folders the times alone may be others, and the lock of the accounts stays."""
    after = file_trees.listing()
    after.pop("/etc/.pwd.lock", None)
    return file_trees.differing(before, after)


def outcome(config):
    """What the config leaves where nothing goes wrong."""
    file_trees.make(BEFORE)
    status, said = stage(config)
    assert status == 0, said
    return file_trees.listing()


def judge(name):
    config, spoil, words, mend = CASES[name]
    wanted = outcome(config) if mend else None
    file_trees.make(BEFORE)
    spoil()
    before = file_trees.listing()
    status, said = stage(config)
    print(f"{name}: {said}", flush=True)
    if words is None:
        return said if status else ""
    if status == 0 or not all(word in said for word in [*words, UNCHANGED]):
        return f"status {status}, wanted {words}: {said}"
    wrong = changed(before)
    if mend:
        mend()
        status, said = stage(config)
        wrong += [f"after the cause is gone: {said}"] if status else file_trees.differing(wanted, file_trees.listing())
    return "; ".join(wrong)


def main():
    began = time.monotonic()
    subprocess.run(["mkfs.ext4", "-q", "-N", "128", "-m", "0", DISK], check=True)
    ROOT.mkdir(exist_ok=True)
    subprocess.run(["mount", DISK, ROOT], check=True)
    (ROOT / "lost+found").rmdir()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal\n")
    subprocess.run(["mount", "--bind", "cmdline", "/proc/cmdline"], check=True)
    for program in PROGRAMS:
        os.rename(f"/usr/sbin/{program}", f"/usr/sbin/.hidden-{program}")
    try:
        wrong = {name: judge(name) for name in CASES if not sys.argv[1:] or name in sys.argv[1:]}
    finally:
        for program in PROGRAMS:
            os.rename(f"/usr/sbin/.hidden-{program}", f"/usr/sbin/{program}")
        subprocess.run(["umount", ROOT], check=True)
    print(f"{len(wrong)} cases, {sum(map(bool, wrong.values()))} wrong, {time.monotonic() - began:.0f} s")
    for name, trouble in wrong.items():
        if trouble:
            print(f"{name}: {trouble}", flush=True)
    assert not any(wrong.values())


main()
