"""What goes wrong while the real root is written: a clear error, nothing half-written, what was there is still there;
and where the cause is gone, the next run does it all. On a real ext4 that is full, has no inodes, is read-only; and
over an image, where the RAM to write in is full.
"""

import base64
import gzip
import os
import shutil
import subprocess
import sys

import file_trees
from files_roots import ACCOUNT_PROGRAMS, OnDisk, OverImage, boot, chosen, difference, hide, stage, tell

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
    with open(file_trees.ROOT / "filling", "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1024):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
        os.fsync(file.fileno())


def take_inodes():
    (file_trees.ROOT / "taken").mkdir()
    number = 0
    try:
        while True:
            (file_trees.ROOT / "taken" / str(number)).touch()
            number += 1
    except OSError:
        pass


def empty():
    for name in ("filling", "taken"):
        path = file_trees.ROOT / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remount(how):
    subprocess.run(["mount", "-o", f"remount,{how}", file_trees.ROOT], check=True)


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
    "no-such-user-for-keys": ({"passwd": {"users": [{"name": "root", "noCreateHome": True, "sshAuthorizedKeys": ["k"]}]}},
                              NONE,
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


def run(kind, config):
    """A boot with the config: the exit status and the words of the stage that failed, or of the last one."""
    status, said = boot(kind, {**config, "ignition": {"timeouts": {"httpTotal": 2}}}, "3.4.0")
    return (status, said) if status else stage("files")


def changed(before):
    """What is not as it was; of folders the times alone may be others, and the lock of the accounts stays."""
    after = file_trees.listing()
    after.pop("/etc/.pwd.lock", None)
    return difference(before, after)


def judge(kind, name):
    config, spoil, words, mend = CASES[name]
    wanted = None
    if mend:
        kind.lay("root", BEFORE)
        status, said = run(kind, config)
        if status != 0:
            return f"expected exit status 0 where nothing is wrong\nfound {status}: {said}"
        wanted = file_trees.listing()
    kind.lay("root", BEFORE)
    spoil()
    before = file_trees.listing()
    status, said = run(kind, config)
    print(f"{name}: {said}", file=sys.stderr, flush=True)
    if words is None:
        return f"expected exit status 0\nfound {status}: {said}" if status else ""
    # A word that no line of the console has room for is broken there.
    whole = "".join(said.split())
    if status == 0 or not all(word in (whole if len(word) > 80 else said) for word in [*words, UNCHANGED]):
        return f"expected a failure with {[*words, UNCHANGED]}\nfound exit status {status}: {said}"
    wrong = changed(before)
    if mend:
        mend()
        status, said = stage("files")
        wrong += difference(wanted, file_trees.listing())
        if status:
            wrong.insert(0, f"expected exit status 0 when the cause is gone\nfound {status}: {said}")
    return "\n".join(wrong)


def judge_all(kind, names):
    hide(ACCOUNT_PROGRAMS)
    wanted = chosen(names)
    return tell(dict(zip(wanted, file_trees.in_own_mounts(lambda name: judge(kind, name), wanted, kind.begin))))


def on_disk():
    return judge_all(OnDisk("24M", "-N", "128", "-m", "0"), list(CASES))


def over_image():
    """What is written to goes up first, which takes room too; a folder takes none."""
    names = [name for name in CASES if name.startswith(("full", "no-inodes")) and name != "full-directory"]
    return judge_all(OverImage({"root": BEFORE}, "size=24m,nr_inodes=128"), names)
