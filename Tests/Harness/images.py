"""Firstlight's own images for tests: made by `out/firstlight-image`, kept while nothing they are made of changes."""

import hashlib
import lzma
import os
import re
import shutil
import threading
from pathlib import Path

import processes
from console import Unmet
from cpio import Archive
from paths import AGENT, OUT, TOOL, kernel_image, recipe_key

FOLDER = OUT / "images"
VERSION = "1.2026.11"  # what the test images call their build
_locks: "dict[str, threading.Lock]" = {}
_lock = threading.Lock()


def root_image(filesystem: Path, version: str = VERSION) -> Path:
    """`rootfs.img` around a squashfs or erofs image."""

    def make(image: Path) -> None:
        processes.run([TOOL, "rootfs", "-o", image, "--version", version, filesystem])

    return kept(f"{filesystem.stem}.rootfs", [_program(TOOL), version, filesystem.name], make)


def initramfs(modules: str = "virtio", rootfs: "Path | None" = None, fast: bool = True, **options) -> Path:
    """An initramfs with the agent, accepting only `rootfs` where one is given.

    Packed fast, since making it would take longer than booting it; `fast=False` packs it as users get it by default.
    Further options are those of `firstlight-image initramfs`: `ca=FILE`, `ignition=FILE`...
    """
    words = ["--modules", modules] + ["--fast"] * fast
    if rootfs:
        words += ["--rootfs", rootfs]
    for name, value in options.items():
        words += [f"--{name}", value]

    def make(image: Path) -> None:
        processes.run([TOOL, "initramfs", "-o", image, "--agent", AGENT, *words])

    contents = [Path(word) for word in words if isinstance(word, Path)]
    parts = [_program(TOOL), _program(AGENT), *map(str, words), *contents, kernel_image().name]
    return kept(f"initramfs.{modules}", parts, make)


def unpacked_kernel() -> Path:
    """Debian's kernel as an ELF file that QEMU starts by itself (PVH); where it holds none, the kernel as it is.

    Unpacking itself takes a kernel half of the time that it takes to get to /init under emulation.
    """
    kernel = kernel_image()

    def make(image: Path) -> None:
        unpacked = _payload(kernel.read_bytes())
        image.write_bytes(unpacked if unpacked and PVH_NOTE.search(unpacked) else kernel.read_bytes())

    return kept("kernel", [kernel, "1"], make)


# An ELF note of Xen's with the address to start at (XEN_ELFNOTE_PHYS32_ENTRY).
PVH_NOTE = re.compile(rb"\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0")


def _payload(kernel: bytes) -> "bytes | None":
    """What a bzImage unpacks, where that is compressed by xz (Documentation/arch/x86/boot.rst in Linux)."""
    start = ((kernel[0x1f1] or 4) + 1) * 512 + int.from_bytes(kernel[0x248:0x24c], "little")
    length = int.from_bytes(kernel[0x24c:0x250], "little")
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(kernel[start:start + length])
    except lzma.LZMAError:
        return None


def stream_hash(image: Path) -> bytes:
    """The hash list of a root image: what an initramfs holds as etc/coreos-live-want-rootfs."""
    chunk = 2 << 20
    lines = [f"stream-hash sha256 {chunk}"]
    with open(image, "rb") as file:
        while data := file.read(chunk):
            lines.append(hashlib.sha256(data).hexdigest())
    return ("\n".join(lines) + "\n").encode()


def iso(folder: Path, label: str, files: "dict[str, Path]", arguments: str) -> Path:
    """A BIOS-bootable ISO (isolinux) that starts images/pxeboot/vmlinuz with initrd.img there."""
    tree = folder / "iso"
    (tree / "isolinux").mkdir(parents=True)
    for name, source in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / name)
    shutil.copyfile("/usr/lib/ISOLINUX/isolinux.bin", tree / "isolinux/isolinux.bin")
    shutil.copyfile("/usr/lib/syslinux/modules/bios/ldlinux.c32", tree / "isolinux/ldlinux.c32")
    (tree / "isolinux/isolinux.cfg").write_text(
        "SERIAL 0 115200\nDEFAULT live\nPROMPT 0\nTIMEOUT 1\nLABEL live\n"
        f"  KERNEL /images/pxeboot/vmlinuz\n  APPEND initrd=/images/pxeboot/initrd.img {arguments}\n")
    image = folder / f"{label}.iso"
    processes.run([
        "xorriso", "-as", "mkisofs", "-quiet", "-V", label, "-J", "-joliet-long", "-R", "-o", image,
        "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat",
        "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", tree])
    return image


def appendix(files: "dict[str, bytes | str]") -> bytes:
    """An archive to append to an initramfs: its files replace those of the same names."""
    archive = Archive()
    for name, data in files.items():
        archive.file(name, data, 0o600)
    return archive.finished()


def kept(name: str, parts: list, make) -> Path:
    """The file of that name and of those parts; `make` writes it where it is not there yet."""
    key = recipe_key(*parts)
    image = FOLDER / f"{name}.{key}"
    with _lock:
        lock = _locks.setdefault(image.name, threading.Lock())
    with lock:
        if not image.exists():
            FOLDER.mkdir(parents=True, exist_ok=True)
            half = FOLDER / f".{image.name}.{os.getpid()}"
            try:
                make(half)
                half.rename(image)
            finally:
                half.unlink(missing_ok=True)
        os.utime(image)
    return image


def forget_old_images(keep: int = 24) -> None:
    """Leaves the images used last, so that a day of rebuilding does not fill the disk."""
    images = sorted(FOLDER.glob("*"), key=lambda p: p.stat().st_mtime, reverse=True)
    for image in images[keep:]:
        image.unlink(missing_ok=True)


def _program(program: Path) -> Path:
    if not program.exists():
        target = "agent" if program == AGENT else "tool"
        raise Unmet(f"{program.relative_to(OUT.parent)} is not there; `make {target}` builds it")
    return program

