"""The boots part of the bench: kernel to the real root's PID 1 with the demo's config, and without provisioning.

Of what the config costs, loading the kernel's xfs is a part that nobody can leave out: a boot with that alone stands
beside the others. Without KVM it takes the kernel a second of one processor.
"""

import images
from bench_guest import INIT, REAL_ROOT, target
from machine import GIB, Disk, Settings, VirtualMachine
from outcome import say
from paths import kernel_image
from scenario import Scenario

ROUNDS = 7
MEMORY = 1024  # MiB
SHARE = 1.10  # at most, of the same boot without provisioning
ARGUMENTS = f"console=ttyS0 panic=-1 quiet {INIT} rd.shell=0 rd.emergency=poweroff"
TITLES = {"none": "without provisioning", "module": "the same, xfs.ko loaded", "blank": "demo's config, blank disk",
          "kept": "demo's config again"}
HOPELESS = r"Out of memory|Kernel panic|deadlocked on memory|[Nn]o space left|firstlight stopped"


def measure() -> dict:
    say(f"boots: kernel to real root, with and without the demo's config, {ROUNDS} rounds with {MEMORY} MiB of RAM")
    scenario = Scenario(announce=say)
    try:
        initramfs = images.initramfs("generic", rootfs=scenario.image, fast=False)
        image = f"coreos.live.rootfs_url={scenario.server.url}/rootfs.img"
        config = (f"ignition.firstboot ignition.platform.id=metal "
                  f"ignition.config.url={scenario.server.url}/config.ign")
        seconds: "dict[str, list[float]]" = {name: [] for name in TITLES}
        for number in range(1, ROUNDS + 1):
            disk = Disk.blank(scenario.folder / f"disk{number}", 4 * GIB)
            for name, words in {"none": image, "module": f"{image} rd.driver.post=xfs", "blank": f"{image} {config}",
                                "kept": f"{image} {config}"}.items():
                seconds[name].append(_boot(initramfs, words, disk, f"bench.boots.{name}.{number}"))
                say(f"  round {number}  {TITLES[name]:<26} {seconds[name][-1]:5.1f} s")
        return seconds
    finally:
        scenario.clear()


def _boot(initramfs, words: str, disk: Disk, log_name: str) -> float:
    """Seconds from kernel start to the real root's PID 1."""
    settings = Settings(kernel=kernel_image(), processors=2, initrd=[initramfs], arguments=f"{ARGUMENTS} {words}",
                        memory=MEMORY, disks=[disk])
    with VirtualMachine(settings, log_name) as machine:
        machine.start()
        found = machine.console.expect(REAL_ROOT, 240, never=HOPELESS)
        machine.wait_exit(60)
        return float(found[1])


def table(seconds: dict) -> "list[str]":
    """The comparison as people read it, 80 columns.

    The least of each is what a boot costs; all else of a round is what the machine did beside it.
    """
    times = {name: min(each) for name, each in seconds.items()}
    return [f"{title:<34}{times[name]:>10.2f} s" for name, title in TITLES.items()] + [
        "", "To reach",
        *(target(f"{TITLES[name]}, of none", times[name] / times["none"], SHARE, "{:.2f}".format)
          for name in ("blank", "kept"))]
