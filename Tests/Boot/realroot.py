"""A real root filesystem with systemd: the demo's scenario, with Firstlight as PID 1, under dracut and under
initramfs-tools."""

import hashlib
import uuid

import images
from boot import boot_test
from console import Unmet
from debian_systems import Workshop, documented
from machine import SAME_ADDRESSES, UNDER_LOAD
from scenario import Scenario, check_boot, check_reuse
from tiers import ALL

# Nearly all of their time is that of Debian's own programs.
UNATTENDED = f"{UNDER_LOAD} {SAME_ADDRESSES} rd.shell=0 rd.emergency=poweroff"


def boot_twice(bench, initrd, arguments="", second="", machine_uuid=None):
    """The demo's two boots, the second with more arguments. The machines' logs are the test's."""
    scenario = Scenario()
    try:
        found = []
        for number, words in ((1, arguments), (2, f"{arguments} {second}")):
            with scenario.machine(initrd(scenario), f"{bench.logs}.{number}", words) as machine:
                bench.watch(machine)
                if machine_uuid:
                    machine.settings.extra += ["-uuid", str(machine_uuid)]
                found.append(scenario.boot(machine, limit=900))
            check_boot(found[-1], number)
        check_reuse(*found)
        return found
    finally:
        scenario.clear()


@boot_test()
def debian_twice(bench):
    """Debian with systemd, the guide's persistent /var, a user, a file and units: two boots.

    systemd enables the units at the first, which it takes for one of a new system; the second has a machine-id, and the
    agent has them enabled.
    """
    machine = uuid.uuid4()
    first, second = boot_twice(
        bench, lambda scenario: [images.initramfs("virtio", rootfs=scenario.image, fast=False)],
        UNATTENDED, "firstlight.identity=uuid", machine)
    identifier = bytearray(hashlib.sha256(b"firstlight machine-id " + machine.bytes).digest()[:16])
    identifier[6], identifier[8] = identifier[6] & 0x0f | 0x40, identifier[8] & 0x3f | 0x80
    if not second.diary[-1].endswith(f"machine-id {identifier.hex()[:8]}"):
        raise Unmet(f"the second boot's machine-id {identifier.hex()}, made of the UUID", second.diary[-1])
    if not second.first("plan", "nothing destroyed"):
        raise Unmet("the second boot's plan does not say that nothing is destroyed")
    # The second look tries the filesystem that is kept, and may end after the image where the machine is busy.
    if not first.answers["order"].startswith("disks are planned"):
        raise Unmet("the disks planned before the image has come", first.answers["order"])


@boot_test(tier=ALL)
def dracut_twice(bench):
    """The same with the agent's stages as units of a dracut initramfs."""
    boot_twice(bench, lambda scenario: [made(bench, scenario.image, "dracut")], UNATTENDED)


@boot_test(tier=ALL)
def initramfs_tools_twice(bench):
    """The same in an initramfs of initramfs-tools, where there is no systemd before the real root's."""
    boot_twice(bench, lambda scenario: [made(bench, scenario.image, "initramfs-tools")], UNATTENDED)


def made(bench, image, name):
    """What the lines of docs/dracut.md make, run as they stand there; this machine stays as it is."""
    if not (bench.folder / name).exists():
        Workshop(bench, name, image).run(documented(name))
    return bench.folder / name / f"{name}.img"
