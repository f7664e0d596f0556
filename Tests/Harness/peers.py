"""What the bench compares with: dracut's live image, and the floor no initramfs can be faster than."""

from pathlib import Path

import processes
from cpio import Archive
from modules import add_modules
from paths import cache_folder, kernel_version, modules_folder, recipe_key
from rootfs import BUSYBOX

# What the floor needs on this virtual machine and nothing else: eleven modules with dependencies.
FLOOR_MODULES = ["virtio_pci", "virtio_net", "loop", "squashfs", "overlay"]

# The hash and the address come on the kernel command line, so that one image serves every run.
FLOOR_INIT = """#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
read -r line </proc/cmdline
for word in $line; do
    case $word in
    floor.url=*) url=${word#*=} ;;
    floor.sha256=*) sha256=${word#*=} ;;
    esac
done
for module in %s; do insmod $module; done
ip link set eth0 up
udhcpc -i eth0 -n -q -f -t 20 -T 1 -s /dhcp >/dev/null
mount -t tmpfs -o size=90%% media /media
wget -q -O /media/root.squashfs "$url" || exec sh
echo "$sha256  /media/root.squashfs" | sha256sum -c -s || exec sh
mount -t squashfs -o loop,ro /media/root.squashfs /below
mount -t tmpfs above /above
mkdir /above/upper /above/work
mount -t overlay -o lowerdir=/below,upperdir=/above/upper,workdir=/above/work root /sysroot
mount --move /proc /sysroot/proc
mount --move /sys /sysroot/sys
mount --move /dev /sysroot/dev
init=/sbin/init
for word in $line; do case $word in init=*) init=${word#*=} ;; esac; done
exec switch_root -c /dev/console /sysroot $init
"""

FLOOR_DHCP = """#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
ip route add default via "$router"
"""

DRACUT = [
    "--force", "--no-hostonly", "--no-hostonly-cmdline", "--no-early-microcode", "--zstd",
    "--add", "dmsquash-live livenet network-legacy",
    # With systemd-networkd in the image livenet never fetches (dracut 059).
    "--omit", "systemd-networkd systemd-network-management network-manager connman ignition",
]
DRACUT_NM = [word.replace("network-legacy", "network-manager") if "livenet" in word
             else word.replace("network-manager", "network-legacy") for word in DRACUT]

# Its module takes NetworkManager from the machine that it runs on: from an overlay of this one, in which Debian's
# packages are installed, and which is gone when the image is made.
IN_OVERLAY = """set -e
work=$1 target=$2; shift 2
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
for name in proc sys dev; do mount --rbind "/$name" "$work/root/$name"; done
mount --bind "$target" "$work/root/mnt"
printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d"
chmod 755 "$work/root/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive
chroot "$work/root" apt-get -qq install --no-install-recommends -y network-manager dbus
mkdir "$work/root/srv/conf"
chroot "$work/root" dracut "$@"
"""


def floor() -> Path:
    """The initramfs of the floor: busybox, the virtio modules, and a script of forty lines."""
    version = kernel_version()
    image = cache_folder() / "peers" / f"floor-{recipe_key(FLOOR_INIT, FLOOR_DHCP, version, BUSYBOX)}.img"
    if not image.exists():
        archive = Archive()
        for name in ["dev", "proc", "sys", "media", "below", "above", "sysroot"]:
            archive.folder(name)
        archive.device("dev/console", 5, 1)
        archive.copy(BUSYBOX, "bin/busybox")
        for applet in processes.run([BUSYBOX, "--list"]).decode().split():
            if applet != "busybox":
                archive.link(f"bin/{applet}", "busybox")
        order = add_modules(archive, FLOOR_MODULES, version)
        archive.file("init", FLOOR_INIT % " ".join(order), 0o755)
        archive.file("dhcp", FLOOR_DHCP, 0o755)
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(processes.run(["zstd", "-19", "-c"], input=archive.finished()))
    return image


def floor_arguments(url: str, sha256: str) -> str:
    return f"floor.url={url} floor.sha256={sha256}"


def dracut(announce=print) -> Path:
    """dracut's generic live initramfs; takes about a minute where it is not cached."""
    version = kernel_version()
    program = processes.run(["dpkg-query", "-W", "-f", "${Version}", "dracut-core"]).decode()
    image = cache_folder() / "peers" / f"dracut-{recipe_key(' '.join(DRACUT), program, version)}.img"
    if not image.exists():
        announce("building dracut's initramfs (once, about a minute)")
        image.parent.mkdir(parents=True, exist_ok=True)
        half = image.with_suffix(".half")
        # Debian's drop-ins speak of the building machine; an empty folder leaves them out.
        empty = processes.temporary_folder("dracut")
        processes.run(["dracut", *DRACUT, "--confdir", empty, "--kver", version,
                       "--kmoddir", modules_folder(version), half], timeout=1200)
        half.rename(image)
        processes.remove_folder(empty)
    return image


def dracut_network_manager(announce=print) -> Path:
    """The same with NetworkManager in the place of network-legacy; takes some minutes where it is not cached."""
    version = kernel_version()
    program = processes.run(["dpkg-query", "-W", "-f", "${Version}", "dracut-core"]).decode()
    image = cache_folder() / "peers" / f"dracut-nm-{recipe_key(' '.join(DRACUT_NM), IN_OVERLAY, program, version)}.img"
    if not image.exists():
        announce("building dracut's initramfs with NetworkManager (once, some minutes)")
        image.parent.mkdir(parents=True, exist_ok=True)
        work, target = processes.temporary_folder("dracut-nm"), processes.temporary_folder("dracut-nm-image")
        processes.run(["unshare", "--mount", "sh", "-c", IN_OVERLAY, "sh", work, target, *DRACUT_NM, "--confdir", "/srv/conf",
                       "--kver", version, "--kmoddir", modules_folder(version), "/mnt/image"], timeout=1800)
        half = image.with_suffix(".half")
        half.write_bytes((target / "image").read_bytes())
        half.rename(image)
        for folder in (work, target):
            processes.remove_folder(folder)
    return image


def dracut_arguments(url: str) -> str:
    # A plain squashfs as the root wants overlayfs said; sysroot.mount then fails once and dracut's
    # mount hook does it (dracut 059).
    return (f"root=live:{url} rd.live.image rd.live.overlay.overlayfs=1 ip=dhcp rd.neednet=1 "
            "rd.shell=0 rd.emergency=poweroff")
