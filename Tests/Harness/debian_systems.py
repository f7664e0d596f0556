"""Debian systems as folders, in which an initramfs is built as their administrators would: with the lines of the
documentation. This machine stays as it is, and what one build leaves no other one sees."""

import fcntl
import re
import shutil
from pathlib import Path

import images
import packages
import processes
import rootfs
from paths import AGENT, TREE, cache_folder, recipe_key

# What a dracut image of any kind takes from the system it is built in; debootstrap has to be told of a logind.
PACKAGES = """
    btrfs-progs busybox ca-certificates cpio dbus dosfstools dracut-core dracut-network e2fsprogs iproute2
    iputils-arping isc-dhcp-client kmod libpam-systemd mdadm network-manager procps systemd systemd-sysv udev xfsprogs
    zstd
""".split()
RELEASES = {"bookworm": "059", "trixie": "106"}  # and their dracut

# What a chroot needs for apt, and against daemons.
APT_WORKS = r"""
cp resolv.conf /etc/resolv.conf
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
"""

# $1: the system, $2: a folder for what changes of it, $3: what it sees as /build; the rest runs there.
INSIDE = """
mkdir -p "$2"/upper "$2"/work "$2"/root
mount -t overlay -o lowerdir="$1",upperdir="$2"/upper,workdir="$2"/work overlay "$2"/root
mkdir -p "$2"/root/build "$2"/root/usr/lib/modules
mount --bind /lib/modules "$2"/root/usr/lib/modules
mount --bind /dev "$2"/root/dev
mount -t proc proc "$2"/root/proc
mount --bind "$3" "$2"/root/build
exec chroot "$2"/root bash -euc "cd /build; $4"
"""

# The same on this machine's own system, whose /usr alone is another. Modules may be mounted into that.
HERE = """
mkdir -p "$1"/upper "$1"/work "$1"/modules
mount --bind /lib/modules "$1"/modules
mount -t overlay -o lowerdir=/usr,upperdir="$1"/upper,workdir="$1"/work overlay /usr
mount --bind "$1"/modules /usr/lib/modules
cd "$2"
exec bash -euc "$3"
"""


def system(release: str, announce=print) -> Path:
    """The folder of a Debian release with dracut; takes one or two minutes where it is not cached."""
    options = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
    return _system(release, recipe_key(*PACKAGES, "1"), options, announce)


def clean_system(release: str, announce=print) -> Path:
    """The folder of a Debian release as it is installed, without anything else."""
    return _system(release, "clean", [], announce)


def _system(release: str, key: str, options: "list[str]", announce) -> Path:
    folder = cache_folder() / "systems" / f"{release}-{key}"
    folder.parent.mkdir(exist_ok=True)
    # Tests with another kernel run in processes of their own.
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            announce(f"building a Debian system, {release} (once, two minutes)")
            half = folder.with_suffix(".half")
            processes.run(["rm", "-rf", "--one-file-system", half])
            # What it mounts in there ends with it.
            processes.run(["unshare", "--mount", "debootstrap", *options, release, half], timeout=1800)
            half.rename(folder)
    return folder


def documented(name: str, page: str = "docs/dracut.md") -> str:
    """The lines of a page below the mark of that name."""
    found = re.search(rf"<!-- {name} -->\n```\n(.*?)```\n", (TREE / page).read_text(), re.DOTALL)
    assert found, f"{page} has no lines marked {name}"
    return found[1]


class Workshop:
    """A folder like that of this repository after `make agent`, with stamps for a root image."""

    def __init__(self, bench, name: str, image: "Path | None", version: str = images.VERSION,
                 filesystem: "Path | None" = None) -> None:
        """`filesystem` is what the image holds, where it is to be checked as a second initrd."""
        self.folder = bench.folder / name
        self.changes = bench.folder / f"{name}.changes"
        self.folder.mkdir()
        self.changes.mkdir()
        for part in ("dracut", "Sources/InitramfsTools"):
            shutil.copytree(TREE / part, self.folder / part)
        (self.folder / "out").mkdir()
        shutil.copy2(AGENT, self.folder / "out")
        stamps = self.folder / "stamps/etc"
        stamps.mkdir(parents=True)
        (stamps / "coreos-live-initramfs").write_text(f"{version}\n")
        if image:
            (stamps / "coreos-live-want-rootfs").write_bytes(images.stream_hash(image))
        if filesystem:
            (stamps / "firstlight-want-image").write_bytes(images.stream_hash(filesystem))

    def run(self, lines: str, release: "str | None" = None, timeout: float = 1800, system=system) -> None:
        """Runs lines in a Debian release, or in this machine's own system."""
        if release:
            words = [INSIDE, "bash", system(release), self.changes, self.folder, lines]
        else:
            words = [HERE, "bash", self.changes, self.folder, lines]
        processes.run(["unshare", "--mount", "bash", "-euc", *words], timeout=timeout)

    def install_packages(self, lines: str, release: str) -> None:
        """Runs lines in a clean Debian release, in which apt works and packages start no daemons."""
        for package in packages.built():
            place = self.folder / "out/deb" / package.name
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(package, place)
        shutil.copyfile("/etc/resolv.conf", self.folder / "resolv.conf")
        self.run(f"{APT_WORKS}{lines}", release, system=clean_system)

    def file(self, name: str) -> Path:
        return self.folder / name


def dracut_image(bench, release: "str | None", add: str = "", omit: str = "", before: "dict | None" = None,
                 root: "Path | None" = None, filesystem: "Path | None" = None) -> Path:
    """The documented lines in a Debian release, or in this machine's, with more modules or fewer.

    `before` are modules of others, which are there first; `filesystem` is what the root image holds.
    """
    workshop = Workshop(bench, "dracut", root or images.root_image(rootfs.tiny()), filesystem=filesystem)
    options = f"--add 'firstlight {add}'" + (f" --omit '{omit}'" if omit else "")
    lines = documented("dracut").replace("--add firstlight", options)
    for folder, files in (before or {}).items():
        place = workshop.file("others") / folder
        place.mkdir(parents=True)
        for file, content in files.items():
            (place / file).write_text(content)
            (place / file).chmod(0o755)
    if before:
        lines = "cp -r others/. /usr/lib/dracut/modules.d/\n" + lines
    workshop.run(lines, release)
    return workshop.file("dracut.img")


def initramfs_tools_image(bench, before: str = "", root: "Path | None" = None, edit=lambda lines: lines,
                          name: str = "initramfs-tools") -> Path:
    """The documented lines in this machine's system."""
    workshop = Workshop(bench, name, root or images.root_image(rootfs.tiny()))
    workshop.run(before + edit(documented("initramfs-tools")))
    return workshop.file("initramfs-tools.img")
