"""Firstlight beside dracut and the floor: same kernel, root filesystem, virtual machine, same run; and its stages
beside Debian's Ignition, in parts with files of their own.

Every system fetches the same squashfs over HTTP from nginx and hands over to the same program of
the real root, which prints the kernel's uptime and powers off. Rounds are interleaved, so that
whatever else the machine does meets all of them.
"""

import hashlib
import json
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import bench_boots
import bench_disks
import bench_dracut
import bench_files
import bench_images
import bench_network
import bench_ram
import bench_validate
import images
import peers
import processes
import rootfs
from bench_guest import INIT, REAL_ROOT, target
from boot import put
from console import Unmet
from machine import Settings, VirtualMachine
from outcome import say
from paths import OUT, kernel_image, kernel_version
from servers import Nginx

ROUNDS = 3
MEMORY = 1024  # MiB, for the timed boots
STEP = 16  # MiB, of the search for the smallest RAM
ARGUMENTS = f"console=ttyS0 panic=-1 quiet {INIT}"
HOPELESS = r"Out of memory|Kernel panic|deadlocked on memory|[Nn]o space left|firstlight stopped"

DRACUT_TIME, FLOOR_TIME, DRACUT_SIZE = 0.25, 1.25, 0.7  # at most this share of each
MEMORY_TARGET, VIRTIO_TARGET = 256, 14_000_000  # MiB, bytes


@dataclass
class System:
    """One way to boot, and what was measured of it."""

    name: str
    title: str
    initramfs: Path
    arguments: str
    least: int  # MiB between which the smallest RAM is searched
    most: int
    patience: float  # seconds after which a boot with little RAM is given up
    seconds: "list[float]" = field(default_factory=list)
    memory: "int | None" = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


SYSTEMS = ["firstlight", "dracut", "floor"]
OTHERS = {"under-dracut": bench_dracut, "boots": bench_boots, "disks": bench_disks, "files": bench_files,
          "validate": bench_validate, "network": bench_network, "images": bench_images,
          "ram": bench_ram}
PARTS = [*SYSTEMS, *OTHERS]


def main(names: "list[str]") -> int:
    names = names or PARTS
    if unknown := set(names) - set(PARTS):
        raise SystemExit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    systems = [name for name in SYSTEMS if name in names]
    status = _boots(systems) if systems else 0
    for name, part in OTHERS.items():
        if name in names:
            status = _beside_ignition(name, part) or status
    say("\nout/bench.json has the figures.")
    return status


def _beside_ignition(name: str, part) -> int:
    try:
        figures = part.measure()
    except Unmet as failed:
        say(f"bench: {failed}")
        return 1
    _keep({name: figures})
    say("\n" + "\n".join(part.table(figures)) + "\n")
    return 0


def _keep(figures: dict) -> None:
    """Puts figures beside those that other parts of the bench have left."""
    file = OUT / "bench.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, **figures}, indent=2) + "\n")


def _boots(names: "list[str]") -> int:
    filesystem = rootfs.debian(announce=say)
    folder = processes.temporary_folder("bench")
    put(filesystem, folder / "root.squashfs")
    server = Nginx(folder)
    try:
        systems = [_system(name, server, filesystem, folder) for name in names]
        say(f"Linux {kernel_version()}, {filesystem.stat().st_size / 1e6:.1f} MB of squashfs over HTTP, 2 processors "
            f"under emulation; {ROUNDS} rounds with {MEMORY} MiB of RAM, then the search for the smallest RAM")
        for number in range(1, ROUNDS + 1):
            for system in systems:
                seconds = _boot(system, MEMORY, f"{number}", 240)
                if seconds is None:
                    raise Unmet(f"{system.title} did not boot; see out/logs/bench.{system.name}.{number}.console")
                system.seconds.append(seconds)
                say(f"  round {number}  {system.title:<12} {seconds:5.1f} s")
        for system in systems:
            system.memory = _smallest_memory(system)
            say(f"  RAM      {system.title:<12} {system.memory} MiB")
        virtio = images.initramfs("virtio", fast=False).stat().st_size if "firstlight" in names else None
        report = _report(systems, virtio, filesystem)
        _keep(report)
        say("\n" + "\n".join(table(report)) + "\n")
        return 0
    except (Unmet, processes.ProgramFailed) as failed:
        say(f"bench: {failed}")
        return 1
    finally:
        server.stop()
        processes.remove_folder(folder)


def _system(name: str, server: Nginx, filesystem: Path, folder: Path) -> System:
    if name == "firstlight":
        # What somebody would serve: the root image, verified against the stamp in the initramfs.
        image = images.root_image(filesystem)
        put(image, folder / "rootfs.img")
        return System(name, "Firstlight", images.initramfs("generic", rootfs=image, fast=False),
                      f"coreos.live.rootfs_url={server.url}/rootfs.img rd.shell=0 rd.emergency=poweroff",
                      128, 512, 60)
    url = f"{server.url}/root.squashfs"
    if name == "dracut":
        return System(name, "dracut", peers.dracut(announce=say), peers.dracut_arguments(url), 256, 768, 150)
    digest = hashlib.sha256(filesystem.read_bytes()).hexdigest()
    return System(name, "floor", peers.floor(), peers.floor_arguments(url, digest), 128, 384, 45)


def _boot(system: System, memory: int, what: str, timeout: float) -> "float | None":
    """Seconds from kernel start to the real root's PID 1, or `None` where it did not get there."""
    settings = Settings(kernel=kernel_image(), processors=2, initrd=[system.initramfs],
                        arguments=f"{ARGUMENTS} {system.arguments}", memory=memory)
    with VirtualMachine(settings, f"bench.{system.name}.{what}") as machine:
        machine.start()
        try:
            found = machine.console.expect(REAL_ROOT, timeout, never=HOPELESS)
            return float(found[1])
        except Unmet:
            return None


def _smallest_memory(system: System) -> int:
    """The smallest amount of RAM, in steps of 16 MiB, with which it boots."""
    low, high = system.least // STEP, system.most // STEP  # low fails or is the least asked about
    while low < high:
        middle = (low + high) // 2
        boots = _boot(system, middle * STEP, f"{middle * STEP}MiB", system.patience) is not None
        low, high = (low, middle) if boots else (middle + 1, high)
    return low * STEP


def _report(systems: "list[System]", virtio: "int | None", filesystem: Path) -> dict:
    return {
        "kernel": kernel_version(),
        "squashfs_bytes": filesystem.stat().st_size,
        "measured": time.strftime("%Y-%m-%d"),
        "virtio_initramfs_bytes": virtio,
        "systems": {
            system.name: {
                "seconds": system.seconds, "median_seconds": system.median,
                "initramfs_bytes": system.initramfs.stat().st_size, "smallest_ram_mib": system.memory,
            } for system in systems
        },
    }


def table(report: dict) -> "list[str]":
    """The comparison as people read it, 80 columns."""
    systems = report["systems"]
    titles = {"firstlight": "Firstlight", "dracut": "dracut", "floor": "floor"}
    head = f"{'':<26}" + "".join(f"{titles[name]:>12}" for name in systems)

    def row(title: str, key: str, text) -> str:
        return f"{title:<26}" + "".join(f"{text(each[key]):>12}" for each in systems.values())

    lines = [
        head,
        row("kernel to real root", "median_seconds", lambda s: f"{s:.1f} s"),
        row("initramfs", "initramfs_bytes", lambda b: f"{b / 1e6:.1f} MB"),
        row("smallest RAM", "smallest_ram_mib", lambda m: f"{m} MiB"),
    ]
    if "firstlight" not in systems:
        return lines
    ours = systems["firstlight"]
    lines += ["", "To reach"]

    def aim(*figures) -> None:
        lines.append(target(*figures))

    if peer := systems.get("dracut"):
        aim("time, of dracut's", ours["median_seconds"] / peer["median_seconds"], DRACUT_TIME, "{:.2f}".format)
    if peer := systems.get("floor"):
        aim("time, of the floor's", ours["median_seconds"] / peer["median_seconds"], FLOOR_TIME, "{:.2f}".format)
    aim("smallest RAM", ours["smallest_ram_mib"], MEMORY_TARGET, "{} MiB".format)
    if peer := systems.get("dracut"):
        aim("initramfs, of dracut's", ours["initramfs_bytes"] / peer["initramfs_bytes"], DRACUT_SIZE, "{:.2f}".format)
    aim("initramfs with --modules virtio", report["virtio_initramfs_bytes"], VIRTIO_TARGET,
        lambda b: f"{b / 1e6:.1f} MB")
    return lines
