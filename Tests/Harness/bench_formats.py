"""squashfs and erofs as the root of a live system: how large, and how fast they are read from RAM, as a boot does.

The image lies in RAM. It is mounted anew for every figure, so that nothing of it is in the page cache; figures are the
least of the rounds, which go through the formats in turn.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 5
PAGES = 4000  # of 4 KiB, read at random places, as programs are paged in
SQUASHFS = ["-noappend", "-quiet", "-no-progress", "-comp", "zstd"]
FORMATS = {
    "squashfs": ("squashfs, zstd", ["mksquashfs", "{tree}", "{image}", *SQUASHFS]),
    "squashfs-fast": ("squashfs, zstd, --fast", ["mksquashfs", "{tree}", "{image}", *SQUASHFS, "-Xcompression-level", "3"]),
    "squashfs-lz4": ("squashfs, lz4hc", ["mksquashfs", "{tree}", "{image}", "-noappend", "-quiet", "-no-progress",
                                         "-comp", "lz4", "-Xhc"]),
    "erofs": ("erofs, lz4hc", ["mkfs.erofs", "-zlz4hc", "--quiet", "{image}", "{tree}"]),
    "erofs-64k": ("erofs, lz4hc, 64 KiB", ["mkfs.erofs", "-zlz4hc", "-C65536", "--quiet", "{image}", "{tree}"]),
}


def measure() -> dict:
    import processes
    import rootfs
    from outcome import say

    say(f"  squashfs and erofs of Debian's root, read from RAM, {ROUNDS} rounds")
    folder = processes.temporary_folder("bench-formats")
    try:
        said = processes.run(["unshare", "--mount", sys.executable, __file__, rootfs.debian(announce=say), folder],
                             timeout=3600)
        return json.loads(said.decode().splitlines()[-1])
    finally:
        processes.remove_folder(folder)


def table(figures: dict) -> "list[str]":
    """One row a format, 80 columns."""
    lines = [f"{'':<24}{'size':>10}{'packed in':>11}{'all files':>11}{'4 KiB reads':>12}{'names':>9}"]
    for name, (title, _) in FORMATS.items():
        if name not in figures:
            lines.append(f"{title:<24}  not mounted by this kernel")
            continue
        row = figures[name]
        lines.append(f"{title:<24}{row['bytes'] / 1e6:>7.1f} MB{row['pack']:>9.1f} s{row['all']:>9.2f} s"
                     f"{row['random']:>10.2f} s{row['names']:>7.2f} s")
    return lines


# --- In a mount namespace --------------------------------------------------------------------------------


def main(filesystem: Path, folder: Path) -> None:
    run("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", folder)
    tree, place = folder / "tree", folder / "mounted"
    place.mkdir()
    run("unsquashfs", "-quiet", "-no-progress", "-dest", tree, filesystem)
    figures: "dict[str, dict]" = {}
    for name, (_, words) in FORMATS.items():
        image = folder / name
        began = time.monotonic()
        run(*[word.format(tree=tree, image=image) for word in words])
        figures[name] = {"pack": time.monotonic() - began, "bytes": image.stat().st_size}
        if subprocess.run(["mount", "-o", "loop,ro", image, place], stderr=subprocess.DEVNULL).returncode != 0:
            del figures[name]
            continue
        run("umount", place)
    chosen = pages(tree)
    for _ in range(ROUNDS):
        for name in figures:
            for what, read in {"all": read_all, "random": lambda: read_pages(place, chosen), "names": list_all}.items():
                run("mount", "-o", "loop,ro", folder / name, place)
                os.chdir(place)
                began = time.monotonic()
                read()
                took = time.monotonic() - began
                os.chdir("/")
                run("umount", place)
                figures[name][what] = min(took, figures[name].get(what, took))
    print(json.dumps(figures))


def run(*words) -> None:
    subprocess.run([str(word) for word in words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def pages(tree: Path) -> "list[tuple[str, int]]":
    """Places in programs and libraries, the same ones for every format."""
    chance = random.Random(1)
    files = sorted(file for top in ("usr/bin", "usr/sbin", "usr/lib") for file in (tree / top).rglob("*")
                   if file.is_file() and not file.is_symlink() and file.stat().st_size >= 16384)
    found = []
    for _ in range(PAGES):
        file = chance.choice(files)
        found.append((str(file.relative_to(tree)), chance.randrange(file.stat().st_size // 4096) * 4096))
    return found


def read_all() -> None:
    for folder, _, names in os.walk("."):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass


def read_pages(place: Path, chosen: "list[tuple[str, int]]") -> None:
    for name, offset in chosen:
        descriptor = os.open(place / name, os.O_RDONLY)
        # A program that is paged in is not read ahead as a whole.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(descriptor, 4096, offset)
        os.close(descriptor)


def list_all() -> None:
    for folder, _, names in os.walk("."):
        for name in names:
            os.lstat(os.path.join(folder, name))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
