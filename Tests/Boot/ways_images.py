"""Images of every kind from the firmware on. The real root has systemd, and the kernel arguments are the guide's."""

import images
import processes
import rootfs
from boot import boot_test, facts
from console import Unmet
from debian_systems import Workshop, documented
from machine import MIB, Disk
from tiers import ALL
from ways import BootServer, done, has_checked_hash

LIMIT = 600  # of a machine that starts all of systemd twice, or loads an image by TFTP


def small_image():
    return images.root_image(rootfs.small())


# --- An image of initramfs-tools that boots either way ---------------------------------------------

INSTALLED = """#!/bin/sh
{
echo "@fact init $(cat /proc/1/comm)"
while read -r device folder type _; do [ "$folder" != / ] || echo "@fact root $device $type"; done </proc/mounts
echo "@fact firstlight $(ls -d /run/firstlight 2>/dev/null)"
echo "@fact end"
} <>/dev/console >&0 2>&0
systemctl poweroff
"""
INSTALLED_UNIT = ("[Unit]\nDescription=Tell what is there\nAfter=basic.target\n\n[Service]\nType=oneshot\n"
                  "ExecStart=/usr/local/bin/installed\n")
WITHOUT = 'rm conf/conf.d/firstlight\nmkinitramfs -d "$PWD/conf" -o without.img "$kernel"\n'


def installed_system(bench) -> Disk:
    """A disk with an installed system: an ext4 of systemd and what tells that it is up."""
    tree, place = bench.folder / "installed", bench.folder / "installed.disk"
    processes.run(["unsquashfs", "-quiet", "-no-progress", "-dest", tree, rootfs.small()])
    (tree / "usr/local/bin/installed").write_text(INSTALLED)
    (tree / "usr/local/bin/installed").chmod(0o755)
    units = tree / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (units / "installed.service").write_text(INSTALLED_UNIT)
    (units / "multi-user.target.wants/installed.service").symlink_to("../installed.service")
    disk = Disk.blank(place, 128 * MIB)
    processes.run(["mkfs.ext4", "-q", "-d", tree, place])
    return disk


@boot_test(tier=ALL)
def initramfs_tools_either_way(bench):
    """An image with FIRSTLIGHT=y boots the installed system as before, and from RAM with boot=firstlight."""
    workshop = Workshop(bench, "initramfs-tools", small_image())
    # All but the image that boots by Firstlight alone.
    lines = documented("initramfs-tools").split("FIRSTLIGHT_STAMPS")[0]
    workshop.run(lines + documented("initramfs-tools-either") + WITHOUT)
    initramfs, disk = workshop.file("either.img"), installed_system(bench)
    server = BootServer(bench, "pxelinux", initramfs=initramfs, arguments="boot=firstlight")
    machine = server.boot(disks=[disk])
    done(machine, LIMIT)
    has_checked_hash(machine)
    for name in ("either.img", "without.img"):
        found = facts(bench.boot("root=/dev/vda rw", initrd=[workshop.file(name)], disks=[disk], network=False), LIMIT)
        if (found["init"], found["root"], found["firstlight"]) != (["systemd"], ["/dev/vda ext4"], [""]):
            raise Unmet(f"the installed system by {name}", str(found))
    # Of an image without the agent it says what is missing.
    machine = bench.boot("boot=firstlight root=/dev/vda", initrd=[workshop.file("without.img")], disks=[disk],
                         network=False)
    machine.console.expect(r"^firstlight stopped: this image does not hold the agent\.$", LIMIT, never=r"not found")
    machine.console.expect(r"FIRSTLIGHT=y", 10)
    machine.wait_exit(60)
