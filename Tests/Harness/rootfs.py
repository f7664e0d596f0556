"""The root filesystems that tests, demo and bench boot.

`debian` is a real one: debootstrap's smallest Debian 12 with systemd and an SSH server, about
99 MB of squashfs; `coreos` is the same as what ostree deploys. `tiny` is busybox and one script
that prints what it finds, about 1 MB, for the many tests that only ask whether and how the real
root is reached. All are made from Fixtures/rootfs and cached outside the tree by their recipe.
`small` has this machine's systemd and busybox, about 9 MB, for the many that ask whether systemd
comes up: it does in seconds, where Debian takes a minute.
"""

import collections
import os
import re
import shutil
import threading
from pathlib import Path

import processes
from paths import FIXTURES, cache_folder, kernel_version, recipe_key

RECIPES = FIXTURES / "rootfs"
BUSYBOX = Path("/bin/busybox")
_building: "dict[str, threading.Lock]" = collections.defaultdict(threading.Lock)


def debian(announce=print) -> Path:
    """The real root filesystem, a squashfs image; takes about a minute where it is not cached."""

    def build(folder: Path, image: Path) -> None:
        announce("building the Debian root filesystem (once, about a minute)")
        _debootstrap(folder, [RECIPES / "debian"])
        squashfs(folder, image)

    return _cached("debian", _debian_key(), build)


def coreos(format: str = "squashfs", announce=print) -> Path:
    """A Debian that ostree deploys, in Fedora CoreOS's shape, with an SELinux policy: `squashfs` or `erofs`."""
    recipe = RECIPES / "coreos"
    key = recipe_key(recipe / "packages", recipe / "setup", recipe / "make", _debian_key(), kernel_version(), "1")

    def build(folder: Path, image: Path) -> None:
        announce("building the root filesystem in Fedora CoreOS's shape (once, about three minutes)")
        if format == "erofs":
            packed = coreos("squashfs", announce)
            processes.run(["unsquashfs", "-force", "-quiet", "-no-progress", "-dest", folder, packed])
            erofs(folder, image)
        else:
            _debootstrap(folder, [RECIPES / "debian", recipe])
            processes.run([recipe / "make", "root", folder, kernel_version(), image], timeout=1800)

    return _cached(f"coreos-{format}", key, build)


def _debootstrap(folder: Path, recipes: "list[Path]") -> None:
    """The smallest Debian with the packages of some recipes, their files, and set up as they say, in that order."""
    packages = ",".join(name for recipe in recipes for name in (recipe / "packages").read_text().split())
    processes.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", folder],
        timeout=1800,
    )
    for recipe in recipes:
        if (recipe / "files").exists():
            shutil.copytree(recipe / "files", folder, dirs_exist_ok=True, symlinks=True)
        shutil.copy2(recipe / "setup", folder / "setup")
        processes.run(["chroot", folder, "/setup"])
        (folder / "setup").unlink()


def debian_is_cached() -> bool:
    return _place("debian", _debian_key()).exists()


def _debian_key() -> str:
    return recipe_key(RECIPES / "debian", "debootstrap minbase bookworm 1")


def tiny(format: str = "squashfs") -> Path:
    """The test root, a `squashfs` or `erofs` image."""
    recipe = RECIPES / "tiny"

    def build(folder: Path, image: Path) -> None:
        shutil.copytree(recipe, folder, dirs_exist_ok=True)
        for name in ["bin", "dev", "home", "proc", "root", "run", "sys", "tmp", "usr", "var"]:
            (folder / name).mkdir(exist_ok=True)
        for name in ["usr/bin", "usr/sbin", "etc/systemd/system", "var/lib"]:
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "tmp").chmod(0o1777)
        (folder / "root").chmod(0o700)
        shutil.copy2(BUSYBOX, folder / "bin/busybox")
        for applet in processes.run([BUSYBOX, "--list"]).decode().split():
            if applet not in ("busybox", "init"):
                os.symlink("busybox", folder / "bin" / applet)
        (erofs if format == "erofs" else squashfs)(folder, image)

    return _cached(f"tiny-{format}", recipe_key(recipe, BUSYBOX, "1"), build)


# Of systemd: what brings up a system of nothing but itself, and what powers it off.
PROGRAMS = ["/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-shutdown", "/usr/bin/systemctl", "/usr/sbin/sfdisk"]
UNITS = ["basic.target", "emergency.target", "final.target", "local-fs-pre.target", "local-fs.target",
         "multi-user.target", "network.target", "paths.target", "poweroff.target", "reboot.target", "shutdown.target",
         "slices.target", "sockets.target", "swap.target", "sysinit.target", "systemd-poweroff.service",
         "systemd-reboot.service", "timers.target", "umount.target"]


def small() -> Path:
    """A root of systemd, busybox and sfdisk, a squashfs image."""
    units = Path("/usr/lib/systemd/system")
    recipe = RECIPES / "tiny" / "etc"

    def build(folder: Path, image: Path) -> None:
        for name in ["dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/lib/systemd/system",
                     "usr/lib64", "usr/local/bin", "usr/sbin", "var/lib"]:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name in ["bin", "lib", "lib64", "sbin"]:
            (folder / name).symlink_to(f"usr/{name}")
        (folder / "tmp").chmod(0o1777)
        shutil.copytree(recipe, folder / "etc", dirs_exist_ok=True)
        for program in PROGRAMS:
            wanted = re.findall(r"(/\S+) \(0x", processes.run(["ldd", program]).decode())
            for file in [program, *wanted]:
                target = folder / file[1:]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
        for name in UNITS:
            shutil.copy2(units / name, folder / "usr/lib/systemd/system" / name)
        (folder / "usr/lib/systemd/system/default.target").symlink_to("multi-user.target")
        (folder / "usr/sbin/init").symlink_to("../lib/systemd/systemd")
        shutil.copy2(BUSYBOX, folder / "usr/bin/busybox")
        for applet in processes.run([BUSYBOX, "--list"]).decode().split():
            if applet not in ("busybox", "init", "poweroff", "reboot", "halt"):
                (folder / "usr/bin" / applet).symlink_to("busybox")
        squashfs(folder, image)

    key = recipe_key(recipe, BUSYBOX, *map(Path, PROGRAMS), " ".join(UNITS), "1")
    return _cached("small", key, build)


def squashfs(folder: Path, image: Path) -> None:
    processes.run(["mksquashfs", folder, image, "-comp", "zstd", "-quiet", "-no-progress"])


def erofs(folder: Path, image: Path) -> None:
    processes.run(["mkfs.erofs", "-zlz4hc", image, folder])


def _place(name: str, key: str) -> Path:
    return cache_folder() / "rootfs" / f"{name}-{key}.img"


def _cached(name: str, key: str, build) -> Path:
    """The image of this name and key from the cache, built first where it is missing."""
    image = _place(name, key)
    with _building[name]:
        if image.exists():
            return image
        image.parent.mkdir(exist_ok=True)
        scratch = processes.temporary_folder(name)
        folder = scratch / "root"
        folder.mkdir()
        build(folder, scratch / "image")
        # Renamed into place at the end: an interrupted build leaves nothing half made.
        half = image.with_suffix(f".{os.getpid()}")
        shutil.copyfile(scratch / "image", half)
        half.rename(image)
        # Another tree may still be using an older one.
        images = sorted(image.parent.glob(f"{name}-*.img"), key=lambda each: each.stat().st_mtime)
        for older in images[:-3]:
            older.unlink()
        processes.remove_folder(scratch)
    return image
