#!/usr/bin/python3
# disks: 2x256M virtio, 1x64M virtio
# init: udev
# limit: 300
"""The config's filesystems while files are written: mounted by depth, on points made and labelled, never outside the
real root; unmounted in reverse order, also after a failure; LUKS volumes stay open."""
import ctypes
import json
import shutil
import threading
from pathlib import Path

from guestlib import (
    AGENT, CHEAP_KEY, CONFIG, DISKS, STATE, close, command_line, configure, folded, forget, run, settle)

ONE, TWO, THREE = DISKS
ROOT, OUTSIDE = Path("/sysroot"), Path("/outside")
LIBC, AT_FDCWD, RENAME_EXCHANGE = ctypes.CDLL(None), -100, 2


def stage(name, fails=None):
    """Runs a stage with a umask that must not matter; one that fails says so in these words."""
    done = run("sh", "-c", f"umask 077; exec {AGENT} stage {name}", check=fails is None)
    said = folded(done.stdout)
    assert fails is None or (done.returncode != 0 and fails in said), said


def config(filesystems, **more):
    """A new boot with this config, up to its disks."""
    settle()
    forget()
    configure(storage={"filesystems": filesystems, **more})
    stage("fetch")
    stage("disks")


def mounted():
    """What is mounted below the real root, in order: where, type and options."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [(target.removeprefix(str(ROOT)), kind, options.split(","))
            for _, target, kind, options, *_ in lines if target.startswith(f"{ROOT}/")]


def points():
    return [target for target, *_ in mounted()]


def filesystem(device, path, **more):
    return {"device": device, "format": "ext4", "path": path, **more}


def depth_options_and_points():
    """A filesystem below another, in the config before it; on a point in RAM, on one in the filesystem above."""
    filesystems = [
        filesystem(TWO, "/var/lib/data", label="inner", mountOptions=["noatime", "nodev", "ro"]),
        filesystem(ONE, "/var", label="outer", mountOptions=["nosuid"]),
        {"device": THREE, "format": "swap", "label": "swap"},
    ]
    for boot in (1, 2):
        config(filesystems, files=[{"path": "/var/file", "contents": {"source": "data:,a"}}])
        stage("mount")
        assert [(target, kind) for target, kind, _ in mounted()] == [("/var", "ext4"), ("/var/lib/data", "ext4")]
        (_, _, outer), (_, _, inner) = mounted()
        assert "nosuid" in outer and "rw" in outer, outer
        assert {"noatime", "nodev", "ro"} <= set(inner), inner
        assert Path("/proc/swaps").read_text().count("\n") == 1, "swap is the real root's to turn on"
        # Made with the mode and the owner of a folder of root's, in the filesystem that is mounted above.
        for path in ("/var/lib",):
            status = (ROOT / path[1:]).stat()
            assert (status.st_mode, status.st_uid, status.st_gid) == (0o40755, 0, 0), oct(status.st_mode)
        record = json.loads((STATE / "mounts.json").read_text())
        made = ["/var"] if boot == 1 else []
        assert record["mounted"] == ["/var", "/var/lib/data"], record
        assert record["folders"] == made + (["/var/lib", "/var/lib/data"] if boot == 1 else []), record
        stage("mount")
        assert len(points()) == 2, "mounted once more on top"
        stage("files")
        stage("finish")
        assert not (STATE / "config.ign").exists()
        stage("umount")
        assert points() == [] and json.loads((STATE / "mounts.json").read_text())["mounted"] == []
        stage("umount")
        # What was written is below the first filesystem, and nothing below its point.
        assert list((ROOT / "var").iterdir()) == []
        run("mount", ONE, "/mnt")
        assert Path("/mnt/file").read_text() == "a" and list(Path("/mnt/lib/data").iterdir()) == []
        run("umount", "/mnt")


def labels():
    """With a policy in the real root, a new point is labelled at once, and a filesystem with nothing in it. By a
    program that tells what it was given; what the real one does, Tests/Harness/files_labels.py tells."""
    Path("/usr/sbin/setfiles").unlink(missing_ok=True)
    (ROOT / "etc/selinux/test/contexts/files").mkdir(parents=True)
    (ROOT / "etc/selinux/test/contexts/files/file_contexts").write_text("/.* system_u:object_r:root_t:s0\n")
    (ROOT / "etc/selinux/config").write_text("SELINUXTYPE=test\n")
    (ROOT / "bin").mkdir()
    (ROOT / "usr/sbin").mkdir(parents=True)
    shutil.copy("/bin/busybox", ROOT / "bin/busybox")
    tool = ROOT / "usr/sbin/setfiles"
    tool.write_text('#!/bin/busybox sh\n{ /bin/busybox tr "\\0" " "; echo; } >>/labelled\n')
    tool.chmod(0o755)
    config([filesystem(ONE, "/new/deep", wipeFilesystem=True, label="x"), filesystem(TWO, "/other", label="inner")])
    stage("mount")
    # The other filesystem was made by an earlier boot and is empty all the same.
    assert (ROOT / "labelled").read_text().split() == ["/other", "/other", "/new", "/new/deep"]
    stage("umount")
    # One that fails once it is mounted does not stay mounted either.
    tool.write_text("#!/bin/busybox sh\nexit 7\n")
    stage("mount", fails="setfiles")
    assert points() == [] and json.loads((STATE / "mounts.json").read_text())["mounted"] == []
    shutil.rmtree(ROOT / "etc/selinux")


def after_failures():
    """One that cannot be mounted takes the others down again; the files stage's failure leaves them to be unmounted."""
    both = [filesystem(ONE, "/a", label="x"), filesystem(TWO, "/a/b", label="inner", mountOptions=["nonsense=1"])]
    config(both)
    stage("mount", fails=f"cannot mount {TWO} on /sysroot/a/b")
    assert points() == [] and json.loads((STATE / "mounts.json").read_text())["mounted"] == []

    del both[1]["mountOptions"]
    (ROOT / "taken").write_text("b")
    config(both, files=[{"path": "/taken", "contents": {"source": "data:,a"}}])
    stage("mount")
    stage("files", fails='line 1 is "b", wanted "a"')
    assert points() == ["/a", "/a/b"]
    with open(ROOT / "a/b/busy", "w"):
        stage("umount", fails="cannot unmount /sysroot/a/b")
        assert points() == ["/a", "/a/b"]
    stage("umount")
    assert points() == []


def names_that_lead_elsewhere():
    """What was planned is mounted, wherever its name leads by now: by the stage, and under the name `ignition`."""
    name, wanted = Path("/dev/disk/by-label/x"), [filesystem("/dev/disk/by-label/x", "/a", label="x")]

    def source():
        return [line.split()[0] for line in Path("/proc/self/mounts").read_text().splitlines()
                if line.split()[1] == f"{ROOT}/a"]

    def lead_to(node):
        name.unlink()
        name.symlink_to(node)

    config(wanted)
    lead_to(TWO)
    stage("mount")
    assert source() == [ONE], f"{source()} is mounted, {ONE} was planned"
    stage("umount")
    lead_to(ONE)

    ignition = Path("ignition").absolute()
    ignition.symlink_to(AGENT)
    Path("cache").write_text(CONFIG.read_text())

    def original(stage):
        run(ignition, f"--stage={stage}", "--platform=metal", f"--root={ROOT}", "--log-to-stdout", "--config-cache=cache",
            "--state-file=state")

    original("disks")
    lead_to(TWO)
    original("mount")
    assert source() == [ONE], f"{source()} is mounted, {ONE} was planned"
    original("umount")
    lead_to(ONE)


def links_lead_nowhere():
    """A link on the way is refused, and one that comes and goes while it is looked at catches nobody."""
    shutil.rmtree(OUTSIDE, ignore_errors=True)
    OUTSIDE.mkdir()
    (ROOT / "home").symlink_to(OUTSIDE)
    config([filesystem(ONE, "/srv", label="x"), filesystem(TWO, "/home/core", label="inner")])
    stage("mount", fails="/sysroot/home is a symbolic link")
    assert points() == [] and list(OUTSIDE.iterdir()) == []

    # The folder is exchanged for the link again and again.
    (ROOT / "race").mkdir()
    (ROOT / "link").symlink_to(OUTSIDE)
    ended = threading.Event()

    def exchange():
        names = [str(ROOT / name).encode() for name in ("race", "link")]
        while not ended.is_set():
            assert LIBC.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0

    attacker = threading.Thread(target=exchange)
    attacker.start()
    outcomes = set()
    config([filesystem(ONE, "/race/x/y", label="x")])
    try:
        for _ in range(25):
            done = run(AGENT, "stage", "mount", check=False)
            outcomes.add(done.returncode)
            everywhere = Path("/proc/self/mounts").read_text()
            assert list(OUTSIDE.iterdir()) == [] and f" {OUTSIDE}" not in everywhere, "led out of the real root"
            while any(line.split()[0] == ONE for line in everywhere.splitlines()):
                target = next(line.split()[1] for line in everywhere.splitlines() if line.split()[0] == ONE)
                run("umount", target, check=False)
                everywhere = Path("/proc/self/mounts").read_text()
    finally:
        ended.set()
        attacker.join()
    # Neither always refused nor never: the exchange did come in between.
    print(f"exit statuses: {outcomes}", flush=True)
    assert len(outcomes) == 2


def volumes_stay_open():
    """A filesystem in a LUKS volume: unmounted, with the volume open for the real root."""
    run("wipefs", "-aq", THREE)
    config([{"device": "/dev/mapper/vault", "format": "ext4", "label": "v", "path": "/vault"}],
           luks=[{"name": "vault", "device": THREE, "options": CHEAP_KEY}])
    stage("mount")
    assert points() == ["/vault"]
    stage("files")
    stage("umount")
    assert points() == [] and Path("/dev/mapper/vault").exists()
    close("vault")


def several_devices():
    """A btrfs over two devices that nobody has told the kernel of."""
    run("mkfs.btrfs", "-q", "-f", "-L", "pair", "-d", "raid1", "-m", "raid1", ONE, TWO)
    for boot in (1, 2):
        config([filesystem(ONE, "/pair", label="pair", format="btrfs")])
        run("btrfs", "device", "scan", "--forget")
        stage("mount")
        assert points() == ["/pair"]
        stage("umount")
    run("wipefs", "-aq", ONE, TWO)


def what_is_left():
    """A config that somebody put into /run goes too; the report may be read by anybody, the log by root."""
    CONFIG.unlink()
    forget()
    user = Path("/run/ignition/user.ign")
    user.parent.mkdir(exist_ok=True)
    user.write_text('{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "/left"}]}}')
    for name in ("fetch", "disks", "mount", "files", "finish"):
        stage(name)
    assert not user.exists() and (ROOT / "left").exists()
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in [STATE, *STATE.iterdir()]}
    assert modes == {"firstlight": "0o755", "log": "0o600", "report.json": "0o644", "written.json": "0o600"}, modes


ROOT.mkdir(exist_ok=True)
run("mount", "-t", "tmpfs", "-o", "mode=755", "root", ROOT)
(ROOT / "etc").mkdir()
try:
    with command_line():
        depth_options_and_points()
        labels()
        after_failures()
        names_that_lead_elsewhere()
        links_lead_nowhere()
        volumes_stay_open()
        several_devices()
        what_is_left()
finally:
    run("umount", "-R", ROOT, check=False)
    shutil.rmtree(OUTSIDE, ignore_errors=True)
