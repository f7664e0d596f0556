"""Images of every kind from the firmware on: an initramfs that dracut or initramfs-tools has made, and an older root
image in the place of a broken one. The real root has systemd, and the kernel arguments are the guide's."""

import re

import images
import processes
import rootfs
from boot import boot_test, facts
from console import Unmet
from debian_systems import RELEASES, Workshop, documented, dracut_image, initramfs_tools_image
from machine import MIB, Disk
from tiers import ALL
from ways import PLAIN_CARD, UEFI, BootServer, done, has_checked_hash

LIMIT = 600  # of a machine that starts all of systemd twice, or loads an image by TFTP
UEFI_LIMIT = 900


def small_image():
    return images.root_image(rootfs.small())


# --- dracut and initramfs-tools --------------------------------------------------------------------


def _register(release, firmware):
    def test(bench):
        initramfs = dracut_image(bench, release, "systemd-networkd", root=small_image())
        server = BootServer(bench, {"BIOS": "ipxe ipxe-script", "UEFI": "grub"}[firmware], initramfs=initramfs)
        is_uefi = firmware == "UEFI"
        settings = {"card": PLAIN_CARD, **UEFI} if is_uefi else {}
        machine = server.boot(**settings)
        done(machine, UEFI_LIMIT if is_uefi else LIMIT, is_uefi)
        has_checked_hash(machine)

    version = RELEASES[release]
    loader = {"BIOS": "iPXE", "UEFI": "GRUB"}[firmware]
    test.__name__ = f"dracut_{version}_by_{loader.lower()}"
    test.__doc__ = f"{loader} boots an initramfs of dracut {version} by the guide's recipe, from {firmware} firmware on"
    boot_test(tier=ALL)(test)


_register("bookworm", "BIOS")
_register("trixie", "UEFI")


@boot_test(tier=ALL)
def dracut_busybox_by_pxelinux(bench):
    """PXELINUX boots dracut's initramfs without systemd; the root image is its second initrd, and brings systemd."""
    initramfs = dracut_image(bench, None, "busybox network-legacy", "systemd", root=small_image(),
                             filesystem=rootfs.small())
    machine = BootServer(bench, "pxelinux pxelinux-second-initrd", initramfs=initramfs).boot()
    done(machine, LIMIT)
    has_checked_hash(machine)


@boot_test(tier=ALL)
def initramfs_tools_by_pxelinux(bench):
    """PXELINUX boots an initramfs of initramfs-tools with the network folder's own menu."""
    initramfs = initramfs_tools_image(bench, root=small_image())
    machine = BootServer(bench, "pxelinux", initramfs=initramfs).boot()
    done(machine, LIMIT)
    has_checked_hash(machine)


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


# --- An older root image ---------------------------------------------------------------------------


@boot_test(tier=ALL)
def older_image_from_the_firmware(bench):
    """iPXE boots, the new root image is broken on the server, and the older one runs with the config applied."""
    image, old = small_image(), images.root_image(rootfs.small(), version="1.2026.10")
    server = BootServer(
        bench, "ipxe ipxe-script", initramfs=images.initramfs(rootfs=image, **{"fallback-rootfs": old}),
        edit=lambda text: text.replace("/rootfs.img ", "/rootfs.img firstlight.fallback_url=${base}/old.img "))
    live = server.folder / "live"
    broken = bytearray(image.read_bytes())
    broken[len(broken) // 2] ^= 1
    (live / "rootfs.img").unlink()
    (live / "rootfs.img").write_bytes(broken)
    (live / "old.img").symlink_to(old)
    machine = server.boot()
    done(machine, LIMIT)
    assert server.asked()[-2:] == ["/live/rootfs.img", "/live/old.img"], server.asked()
    assert re.search(r"warning +the OLDER root image is booted in its place", machine.console.unwrapped)
