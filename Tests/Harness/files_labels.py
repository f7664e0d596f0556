"""SELinux labels by the real setfiles: what the stage makes or changes has the label that the target's policy gives
it, and nothing else gets one; with the initramfs's setfiles and with the target's. A filesystem that keeps no labels
stops nothing.
"""

import os

import account_ways
import file_trees
import private_root
from files_roots import InRAM, OnDisk, boot, chosen, difference, hide, stage, tell

POLICY = {
    "/etc/selinux": "dir 755 0:0", "/etc/selinux/config": "file 644 0:0 SELINUX=enforcing\nSELINUXTYPE=test\n",
    "/etc/selinux/test": "dir 755 0:0", "/etc/selinux/test/contexts": "dir 755 0:0",
    "/etc/selinux/test/contexts/files": "dir 755 0:0",
    "/etc/selinux/test/contexts/files/file_contexts":
        "file 644 0:0 /.* system_u:object_r:root_t:s0\n/etc(/.*)? system_u:object_r:etc_t:s0\n"
        "/srv(/.*)? system_u:object_r:srv_t:s0\n/home/[^/]+ -d system_u:object_r:home_t:s0\n",
}
BEFORE = {
    "/etc": "dir 755 0:0", "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "file 644 0:0 root:x:0:\n", "/home": "dir 755 0:0", "/srv": "dir 755 0:0",
    "/srv/other": "file 644 0:0 somebody's\n", "/srv/log": "file 644 0:0 begin\n",
    "/srv/kept": "file 644 0:0 kept", "/plain": "dir 755 0:0", **POLICY,
}
CONFIG = {
    "storage": {
        "files": [{"path": "/srv/deep/er/file", "contents": {"source": "data:,a"}},
                  {"path": "/srv/kept", "contents": {"source": "data:,kept"}},
                  {"path": "/srv/log", "append": [{"source": "data:,end"}]},
                  {"path": "/plain/file", "contents": {"source": "data:,b"}}],
        "links": [{"path": "/etc/link", "target": "/srv"}]},
    "systemd": {"units": [{"name": "a.service", "contents": "[Unit]\n"}]},
    "passwd": {"groups": [{"name": "crew"}], "users": [{"name": "new"}]},
}
TYPES = {
    "/etc/passwd": "etc_t", "/etc/group": "etc_t", "/etc/passwd-": "etc_t", "/etc/group-": "etc_t",
    "/etc/.pwd.lock": "etc_t", "/etc/link": "etc_t", "/etc/.ignition-result.json": "etc_t", "/etc/systemd": "etc_t",
    "/etc/systemd/system": "etc_t", "/etc/systemd/system/a.service": "etc_t", "/home/new": "home_t",
    "/srv/deep": "srv_t", "/srv/deep/er": "srv_t", "/srv/deep/er/file": "srv_t", "/srv/log": "srv_t",
    "/plain/file": "root_t",
}


def labels() -> "dict[str, str]":
    found = {}
    for inside in file_trees.entries():
        path = file_trees.ROOT / inside[1:]
        if "security.selinux" in file_trees.attributes(path):
            found[inside] = os.getxattr(path, "security.selinux", follow_symlinks=False).decode().rstrip("\0")
    return found


def judge(kind: InRAM, keeps_labels: bool) -> str:
    kind.lay("root", BEFORE)
    if not keeps_labels:
        private_root.mount("none", file_trees.ROOT / "plain", "ramfs", "mode=755")
    boot(kind, CONFIG)
    status, said = stage("files")
    if not keeps_labels:
        wanted = {path: kind for path, kind in TYPES.items() if path != "/plain/file"}
    else:
        wanted = TYPES
    found = labels()
    if not keeps_labels:
        private_root.unmount(file_trees.ROOT / "plain")
    if status:
        return f"expected exit status 0\nfound {status}: {said}"
    return "\n".join(difference({path: f"system_u:object_r:{kind}:s0" for path, kind in wanted.items()}, found))


def all_ways() -> int:
    hide(account_ways.ACCOUNT_PROGRAMS)
    account_ways.copy_programs(["setfiles"])
    troubles = {}
    for name in chosen(["initramfs", "initramfs-no-labels", "target", "target-on-disk"]):
        kind = OnDisk() if name.endswith("disk") else InRAM()

        def begin(kind: InRAM = kind, name: str = name) -> None:
            kind.begin()
            if name.startswith("target"):
                hide(["setfiles"])
                account_ways.give_programs()

        troubles[name], = file_trees.in_own_mounts(lambda name: judge(kind, "no-labels" not in name), [name], begin)
    return tell(troubles)
