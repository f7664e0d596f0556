"""The dracut part of the bench: Firstlight in a dracut image, provisioning a blank disk, beside dracut's own live
image, which provisions nothing. Both are dracut 059 with systemd, and fetch the same squashfs in the same run, in turn."""

import json
from statistics import median
from types import SimpleNamespace

import disks
import images
import peers
import processes
import rootfs
from bench_guest import INIT, REAL_ROOT, target
from boot import put
from console import Unmet
from debian_systems import Workshop, documented
from machine import GIB, Disk, Settings, VirtualMachine
from outcome import say
from paths import kernel_image
from servers import Nginx

ROUNDS = 3
MEMORY = 1024  # MiB
TIME = 1.0  # at most this share of dracut's
ARGUMENTS = f"console=ttyS0 panic=-1 quiet {INIT}"
HOPELESS = r"Out of memory|Kernel panic|deadlocked on memory|[Nn]o space left|firstlight stopped|emergency mode"
UNIT = "[Unit]\nDescription=Nothing\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
CONFIG = {
    "ignition": {"version": "3.4.0"},
    "storage": {
        "disks": [{"device": "/dev/vda", "wipeTable": True, "partitions": [{"label": "var"}]}],
        "filesystems": [{"device": "/dev/disk/by-partlabel/var", "format": "xfs", "label": "var", "path": "/var"}],
        "files": [{"path": f"/etc/bench/{number}", "contents": {"source": "data:,bench%0A"}} for number in range(10)],
    },
    "passwd": {"users": [{"name": "bench", "groups": ["sudo"], "sshAuthorizedKeys": ["ssh-ed25519 AAAA bench"]}]},
    "systemd": {"units": [{"name": "bench.service", "enabled": True, "contents": UNIT}]},
}
NAMES = {"firstlight": "Firstlight", "dracut": "dmsquash-live"}


def measure() -> dict:
    filesystem = rootfs.debian(announce=say)
    image = images.root_image(filesystem)
    folder = processes.temporary_folder("bench-dracut")
    server = Nginx(folder)
    try:
        put(filesystem, folder / "root.squashfs")
        put(image, folder / "rootfs.img")
        put(json.dumps(CONFIG), folder / "config.ign")
        workshop = Workshop(SimpleNamespace(folder=folder), "workshop", image)
        say("building a dracut initramfs with Firstlight, about a minute")
        workshop.run(documented("dracut"))
        systems = {
            "firstlight": (workshop.file("dracut.img"),
                           f"coreos.live.rootfs_url={server.url}/rootfs.img ignition.firstboot "
                           f"ignition.platform.id=metal ignition.config.url={server.url}/config.ign "
                           "rd.shell=0 rd.emergency=poweroff"),
            "dracut": (peers.dracut(announce=say), peers.dracut_arguments(f"{server.url}/root.squashfs")),
        }
        figures = {name: {"seconds": [], "initramfs_bytes": initramfs.stat().st_size}
                   for name, (initramfs, _) in systems.items()}
        say(f"{ROUNDS} rounds in turn, 2 processors under emulation, a blank disk each")
        for number in range(1, ROUNDS + 1):
            for name, (initramfs, arguments) in systems.items():
                disk = Disk.blank(folder / f"disk.{name}.{number}", 4 * GIB)
                seconds = _boot(name, number, initramfs, arguments, disk)
                figures[name]["seconds"].append(seconds)
                say(f"  round {number}  {NAMES[name]:<14} {seconds:5.1f} s")
        return figures
    finally:
        server.stop()
        processes.remove_folder(folder)


def _boot(name, number, initramfs, arguments, disk) -> float:
    """Seconds from kernel start to the real root's PID 1."""
    settings = Settings(kernel=kernel_image(), processors=2, initrd=[initramfs], memory=MEMORY, disks=[disk],
                        arguments=f"{ARGUMENTS} {arguments}")
    with VirtualMachine(settings, f"bench.dracut.{name}.{number}") as machine:
        machine.start()
        found = machine.console.expect(REAL_ROOT, 300, never=HOPELESS,
                                       what=f"{NAMES[name]} to reach the real root")
        if name == "firstlight" and [one.label for one in disks.table(disk.path).partitions] != ["var"]:
            raise Unmet("a partition \"var\" in the disk's table", "another table")
        return float(found[1])


def table(figures: dict) -> "list[str]":
    """The comparison as people read it, 80 columns."""
    times = {name: median(each["seconds"]) for name, each in figures.items()}
    return [
        f"{'':<26}" + "".join(f"{title:>16}" for title in NAMES.values()),
        f"{'kernel to real root':<26}" + "".join(f"{times[name]:>14.1f} s" for name in NAMES),
        f"{'initramfs':<26}" + "".join(f"{figures[name]['initramfs_bytes'] / 1e6:>13.1f} MB" for name in NAMES),
        "", "To reach",
        target("time, provisioning, of dracut's", times["firstlight"] / times["dracut"], TIME, "{:.2f}".format)]
