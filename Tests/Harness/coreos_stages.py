"""The stages on an image in the shape of Fedora CoreOS's, in a root of its own: what is mounted where, what is labelled,
and what is left for the real root. That it boots is shown by Tests/Boot/coreos.py.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import private_root
import rootfs
from paths import AGENT
from tiers import ALL, only_in

STATE = Path("/run/firstlight")
ROOT = Path("/sysroot")
CONFIG = {
    "ignition": {"version": "3.4.0"},
    "storage": {"files": [{"path": "/usr/local/bin/tool", "mode": 0o755, "contents": {"source": "data:,tool"}},
                          {"path": "/etc/motd", "overwrite": True, "contents": {"source": "data:,hello"}}]},
    "systemd": {"units": [{"name": "var.mount", "enabled": True, "contents": "[Mount]\nWhat=/dev/x\nWhere=/var\n"}]},
    "passwd": {"users": [{"name": "core"}]},
}
LABELS = {
    "etc": "etc_t", "etc/shadow": "shadow_t", "etc/motd": "etc_t", "etc/systemd/system/var.mount": "systemd_unit_t",
    "var": "var_t", "var/lib": "var_lib_t", "var/log": "var_log_t", "var/roothome": "user_home_dir_t",
    "var/home/core": "user_home_dir_t", "var/usrlocal/bin/tool": "bin_t",
}


def stage(name: str) -> None:
    done = subprocess.run([AGENT, "stage", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"{name}: {done.returncode}\n{done.stdout}", file=sys.stderr)
    assert done.returncode == 0, done.stdout


def mounts(path: Path) -> "list[str]":
    """The types of what is mounted there, the last on top."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [words[2] for words in lines if words[1] == str(path)]


def labels() -> "dict[str, str]":
    return {name: os.getxattr(ROOT / name, "security.selinux").decode().split(":")[2] for name in LABELS}


def begin(folder: Path, format: str) -> None:
    with open(rootfs.coreos(format), "rb") as source:
        private_root.enter(folder)
        image = Path("root.image").absolute()
        with open(image, "wb") as target:
            shutil.copyfileobj(source, target)
    ROOT.mkdir(exist_ok=True)
    STATE.mkdir(mode=0o700)
    Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal\n")
    private_root.mount("cmdline", Path("/proc/cmdline"), flags=private_root.BIND)
    record = {"schema": 1, "file": str(image), "offset": 0, "size": image.stat().st_size, "format": format}
    (STATE / "rootfs.json").write_text(json.dumps(record))


def give(config: dict) -> None:
    (STATE / "config.ign").write_text(json.dumps(config))
    (STATE / "config.json").write_text(json.dumps({"schema": 1, "source": "test", "isWhole": True}))


def check_root(format: str, layer: str) -> None:
    for path, kind in {ROOT: format, ROOT / "usr": format, ROOT / "sysroot": format, ROOT / "etc": layer,
                       ROOT / "var": layer}.items():
        assert mounts(path) == [kind], (path, mounts(path))
    for stamp in ("/run/ostree-live", "/run/ostree-booted"):
        assert os.path.exists(stamp), stamp
    assert (ROOT / "sysroot/ostree/repo").is_dir()
    assert not mounts(STATE / "ostree") and not mounts(STATE / "lower"), "something is still mounted"


def in_ram(format: str) -> None:
    stage("root")
    check_root(format, "xfs")
    # After a later stage has ended badly the operator has it done over.
    stage("root")
    check_root(format, "xfs")
    give(CONFIG)
    stage("mount")
    stage("files")
    assert labels() == LABELS, labels()
    assert (ROOT / "var/roothome").stat().st_mode & 0o777 == 0o700
    stage("umount")
    # Else the unit of the config would mount below it.
    assert mounts(ROOT / "var") == [] and mounts(ROOT / "etc") == ["xfs"]


def by_their_setfiles(format: str) -> None:
    """The initramfs has none."""
    private_root.mount("/dev/null", Path(shutil.which("setfiles", path="/usr/sbin:/sbin")), flags=private_root.BIND)
    in_ram(format)


def without_policy(format: str) -> None:
    Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal selinux=0\n")
    stage("root")
    check_root(format, "tmpfs")


def persistent_var(format: str) -> None:
    disk = Path("disk")
    with open(disk, "wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-L", "var", disk], check=True)
    device = subprocess.run(["losetup", "--find", "--show", disk], stdout=subprocess.PIPE, check=True).stdout
    device = device.decode().strip()
    try:
        mount = {"device": device, "format": "xfs", "label": "var", "wipeFilesystem": False, "path": "/var"}
        give({**CONFIG, "storage": {**CONFIG["storage"], "filesystems": [mount]}})
        stage("root")
        stage("disks")
        stage("mount")
        assert mounts(ROOT / "var") == ["xfs", "xfs"], mounts(ROOT / "var")
        (ROOT / "var/lib/sss/mc").mkdir(parents=True)
        stage("mount")
        assert (ROOT / "var/lib/sss").is_dir() and not (ROOT / "var/lib/sss/mc").exists()
        stage("files")
        assert labels() == LABELS, labels()
        stage("umount")
        assert mounts(ROOT / "var") == [], mounts(ROOT / "var")
        private_root.mount(device, Path("/mnt"), "xfs")
        found = {"home/core", "usrlocal/bin/tool", "lib", "log", "roothome"}
        assert all((Path("/mnt") / name).exists() for name in found), os.listdir("/mnt")
        private_root.unmount(Path("/mnt"))
    finally:
        subprocess.run(["losetup", "--detach", device])


CASES = {"squashfs": (in_ram, "squashfs"), "erofs": (in_ram, "erofs"), "setfiles": (by_their_setfiles, "squashfs"),
         "no-policy": (without_policy, "squashfs"), "var": (persistent_var, "squashfs")}


def test(name: str):
    @only_in(ALL)
    def run() -> None:
        private_root.run(Path(__file__), name, f"host.coreos.{name}", timeout=900)

    return run


TESTS = [(name, test(name)) for name in CASES]


if __name__ == "__main__":
    function, kind = CASES[sys.argv[2]]
    begin(Path(sys.argv[1]), kind)
    function(kind)
