"""The RAM part of the bench: the least with which each way boots as far as the real root's PID 1, in steps of 16 MiB.

Each way boots the demo's root with the demo's config, once without and once with its disk, and the tiny root without a
config. What `firstlight-image check` tells of the same files stands beside it. Where a way has too little, the boot is
to say so: how a step less ended is told, too.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import images
import processes
import rootfs
from bench_guest import INIT, target
from boot import put
from console import Unmet
from machine import GIB, MIB, Disk, Settings, VirtualMachine
from outcome import say
from paths import TOOL, kernel_image
from scenario import Scenario

STEP = 16  # MiB
MOST = 4096  # MiB that any of them may take
SPARE = 48  # MiB, at most, that what is told may be more than what is needed
WAYS = {"url": "from a URL", "tftp": "from a URL, by TFTP", "initrd": "loaded with the initramfs",
        "ramfs": "the same with rootfstype=ramfs", "iso": "on an ISO, mounted", "fromram": "on an ISO, fromram"}
SHORT = {"url": "URL", "tftp": "TFTP", "initrd": "loaded", "ramfs": "loaded, ramfs", "iso": "ISO",
         "fromram": "ISO, fromram"}
CASES = {"tiny": "tiny, no config", "files": "demo, no disk", "disk": "demo, with disk"}
# What `check` calls the way, and of what.
TOLD = {"url": ("live", "from a URL"), "tftp": ("live", "from a URL"),
        "initrd": ("live", "loaded with the initramfs"),
        "ramfs": ("live", "loaded with the initramfs, with rootfstype=ramfs"),
        "iso": ("live.iso", "from the medium"), "fromram": ("live.iso", "with coreos.liveiso.fromram")}
ARGUMENTS = "console=ttyS0 panic=-1 quiet rd.shell=0 rd.emergency=poweroff"
CONFIG = "ignition.firstboot ignition.platform.id=metal ignition.config.url="
LABEL = "RAM"
# The kernel's last words may stand in the line.
REACHED = r"bench: real root|^@fact end$"
REFUSED = r"^firstlight stopped: .*too little RAM"
HOPELESS = r"Out of memory|Kernel panic|deadlocked on memory|[Nn]o space left|firstlight stopped"
SECONDS = 240  # of one boot; the slowest, by TFTP, takes half of it


@dataclass
class Root:
    """A root image, what boots it, and how much of each way is told of it, in MiB."""

    folder: Path
    initramfs: Path
    image: Path
    arguments: str
    told: "dict[str, int]"


def measure(ways: "list[str]" = [*WAYS]) -> dict:
    """The MiB of each way and case, and of those told; `ways` are some of them."""
    say(f"RAM: the least of each way, in steps of {STEP} MiB")
    scenario = Scenario(announce=say)
    try:
        folder = scenario.folder / "www"
        roots = {"tiny": _root(folder / "tiny", images.root_image(rootfs.tiny()), ""),
                 "demo": _root(folder / "demo", scenario.image, INIT)}
        put(json.dumps(_without_disks(json.loads(scenario.config.read_text()))), folder / "files.ign")
        url = scenario.server.url
        configs = {"tiny": "", "files": f"{CONFIG}{url}/files.ign", "disk": f"{CONFIG}{url}/config.ign"}
        figures: dict = {}
        for way in ways:
            figures[way] = {}
            steps = 0
            for case, config in configs.items():
                name = "tiny" if case == "tiny" else "demo"
                root = roots[name]
                boots = _Boots(way, case, root, config, f"{url}/{name}", scenario.folder)
                # A way that takes more than is told is likely to do so with another root.
                least = _smallest(boots, root.told[way], steps)
                steps = (least - root.told[way]) // STEP
                figures[way][case] = {"least": least, "told": root.told[way], "below": boots.ended[least - STEP]}
                say(f"  {WAYS[way]:<32}{CASES[case]:<18}{least:>5} MiB; told {root.told[way]} MiB; "
                    f"with {STEP} MiB less: {boots.ended[least - STEP]}")
        return figures
    finally:
        scenario.clear()


def _root(folder: Path, image: Path, arguments: str) -> Root:
    """The files of every way, in folders as `network-boot` and `iso` make them."""
    initramfs = images.initramfs("generic", rootfs=image, fast=False)
    live = folder / "live"
    live.mkdir(parents=True)
    for name, file in {"vmlinuz": kernel_image(), "initramfs.img": initramfs, "rootfs.img": image}.items():
        # By TFTP nobody gets what is behind a link that leads out of the folder.
        put(file.read_bytes() if name == "rootfs.img" else file, live / name)
    _iso(folder / "live.iso", live, "")
    told = {}
    for way, (file, name) in TOLD.items():
        found = json.loads(processes.run([TOOL, "check", "--json", folder / file]))["ram"]
        told[way] = -(-found[name] // MIB)
    return Root(folder, initramfs, image, arguments, told)


def _iso(file: Path, live: Path, arguments: str) -> Path:
    processes.run([TOOL, "iso", "-o", file, "--label", LABEL, "--kargs", f"{ARGUMENTS} {arguments}".strip(),
                   "--kernel", live / "vmlinuz", "--initramfs", live / "initramfs.img",
                   "--rootfs", live / "rootfs.img"])
    return file


def _without_disks(config: dict) -> dict:
    """The demo's config without what needs its disk."""
    storage = {name: value for name, value in config["storage"].items() if name not in ("disks", "filesystems")}
    units = [unit for unit in config["systemd"]["units"] if unit["name"] != "var.mount"]
    return {**config, "storage": storage, "systemd": {**config["systemd"], "units": units}}


class _Boots:
    """Boots one way with as much RAM as is asked for; `ended` tells how each went."""

    def __init__(self, way: str, case: str, root: Root, config: str, url: str, folder: Path) -> None:
        self.way, self.case, self.folder = way, case, folder
        self.ended: "dict[int, str]" = {}
        words = f"{root.arguments} {config}".strip()
        if way in ("iso", "fromram"):
            words += " coreos.liveiso.fromram" * (way == "fromram")
            self.settings = {"boot": "cdrom", "cdrom": _iso(folder / f"{way}.{case}.iso", root.folder / "live", words)}
            return
        initrd = [root.initramfs]
        if way == "url":
            words += f" coreos.live.rootfs_url={url}/live/rootfs.img"
        elif way == "tftp":
            words += " coreos.live.rootfs_url=tftp://10.0.2.2/rootfs.img"
        else:
            initrd.append(root.image)
            words += " rootfstype=ramfs" * (way == "ramfs")
        self.settings = {"kernel": kernel_image(), "initrd": initrd, "arguments": f"{ARGUMENTS} {words}",
                         "tftp": root.folder / "live"}

    def reach(self, memory: int) -> bool:
        """Whether the real root's PID 1 runs with so many MiB."""
        if memory not in self.ended:
            self.ended[memory] = self._boot(memory)
        return self.ended[memory] == "boots"

    def _boot(self, memory: int) -> str:
        disks = []
        if self.case == "disk":
            disk = self.folder / "blank"
            disk.unlink(missing_ok=True)
            disks = [Disk.blank(disk, 4 * GIB)]
        settings = Settings(processors=2, memory=memory, disks=disks, **self.settings)
        with VirtualMachine(settings, f"bench.ram.{self.way}.{self.case}.{memory}MiB") as machine:
            machine.start()
            try:
                machine.console.expect(REACHED, SECONDS, never=HOPELESS)
                return "boots"
            except Unmet:
                machine.console.wait_quiet(1)
                text = machine.console.text
                if re.search(REFUSED, text, re.MULTILINE):
                    return "refused"
                found = re.search(HOPELESS, text)
                return found[0] if found else "nothing is said"


def _smallest(boots: _Boots, told: int, steps: int) -> int:
    """The least MiB with which it boots, some steps from what is told; one step less has been tried and does not.

    The search begins `steps` steps from what is told.
    """

    def reach(number: int) -> bool:
        memory = told + number * STEP
        if memory > MOST:
            raise Unmet(f"{boots.way} to boot with {MOST} MiB")
        return memory > 0 and boots.reach(memory)

    width = 1
    if reach(steps):
        high, low = steps, steps - width
        while reach(low):
            width *= 2
            high, low = low, low - width
    else:
        low, high = steps, steps + width
        while not reach(high):
            width *= 2
            low, high = high, high + width
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reach(middle) else (middle, high)
    return told + high * STEP


def table(figures: dict) -> "list[str]":
    """The least RAM as people read it, 80 columns, and whether what is told of it is true."""
    lines = [f"{'MiB until the real root runs':<30}" + "".join(f"{title:>16}" for title in CASES.values())]
    for way, found in figures.items():
        lines.append(f"{WAYS[way]:<30}" + "".join(f"{found[case]['least']:>16}" for case in CASES))
    lines += ["", "To reach"]
    for way, found in figures.items():
        lacking = max(each["least"] - each["told"] for each in found.values())
        lines.append(target(f"{SHORT[way]}, told too little", lacking, 0, "{} MiB".format))
        spare = max(each["told"] - each["least"] for each in found.values())
        lines.append(target(f"{SHORT[way]}, told too much", spare, SPARE, "{} MiB".format))
        # Without its limit the kernel itself runs out of RAM, before anybody else is there to tell.
        silent = sum(each["below"] != "refused" for each in found.values() if way != "ramfs")
        lines.append(target(f"{SHORT[way]}, less is not refused", silent, 0, "{}".format))
    return lines
