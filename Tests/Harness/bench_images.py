"""The images part of the bench: the tool beside what people use for the same: mksquashfs, xorriso, cp, cat, dracut.

Both of a pair do the same work on the same files, each of them first in every other round; figures are the least of
the rounds. Images that are changed lie in RAM where there is room, so that nobody's disk is timed. The tool syncs what
it has written, and so cp and cat are followed by sync, which costs nothing there and much on a disk.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import bench_formats
import images
import peers
import processes
import rootfs
from bench_guest import target
from outcome import say
from paths import AGENT, TOOL, kernel_image, kernel_version, modules_folder

ROUNDS = 3
COPY_ROUNDS = 9  # of what takes a second, and is measured to a few hundredths of it
GIB = 1 << 30
LINES = 2000  # of the Butane config
# At most this share of the other's time.
RATIOS = {"rootfs": 1.1, "iso": 1.1, "customize": 1.1, "wrap": 1.1, "initramfs": 1.0, "cached": 0.25}
IN_PLACE, BUTANE = 0.050, 0.050  # seconds


def measure() -> dict:
    say("firstlight-image beside mksquashfs, xorriso, cp, cat and dracut")
    with room() as folder:
        figures = {**making(folder), **changing(folder), **translating(folder)}
    return {**figures, "initramfs": initramfs(), "formats": bench_formats.measure()}


@contextlib.contextmanager
def room():
    """A folder in RAM for five copies of a gigabyte; on disk where the machine has less."""
    base = Path("/dev/shm")
    folder = processes.temporary_folder("bench-images")
    place = folder
    if base.is_dir() and shutil.disk_usage(base).free > 6 * GIB:
        place = base / folder.name
        place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        processes.remove_folder(folder)


def seconds(*words, **options) -> float:
    began = time.monotonic()
    subprocess.run([str(word) for word in words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   **options)
    return time.monotonic() - began


def pair(name: str, ours, theirs, rounds: int = ROUNDS) -> "dict[str, dict]":
    """The least seconds of each, in turn; both are functions that return seconds."""
    found = {"ours": [], "theirs": []}
    sides = {"ours": ours, "theirs": theirs}
    for number in range(rounds):
        for side in sorted(sides, reverse=number % 2 == 1):
            found[side].append(sides[side]())
    best = {side: min(some) for side, some in found.items()}
    say(f"  {name:<12} {best['ours']:7.2f} s beside {best['theirs']:7.2f} s")
    return {name: best}


def making(folder: Path) -> dict:
    """Root images and ISOs made of the same parts."""
    tree = folder / "tree"
    processes.run(["unsquashfs", "-quiet", "-no-progress", "-dest", tree, rootfs.debian(announce=say)])
    root = images.root_image(rootfs.debian())
    boot = images.initramfs(rootfs=root)
    count = iter(range(1000))

    def own_root() -> float:
        return seconds(TOOL, "rootfs", tree, "-o", folder / f"{next(count)}.img", "--version", "1",
                       stderr=subprocess.DEVNULL)

    def their_root() -> float:
        image = folder / f"{next(count)}.squashfs"
        return (seconds("mksquashfs", tree, image, "-comp", "zstd", "-quiet", "-no-progress")
                + seconds("sha256sum", image))

    figures = pair("rootfs", own_root, their_root, 2)

    def own_iso() -> float:
        return seconds(TOOL, "iso", "-o", folder / f"{next(count)}.iso", "--kernel", kernel_image(), "--initramfs",
                       boot, "--rootfs", root, stderr=subprocess.DEVNULL)

    def their_iso() -> float:
        place = folder / str(next(count))
        return seconds("bash", "-euc", SHELL_ISO, "bash", place, kernel_image(), boot, root,
                       stderr=subprocess.DEVNULL)

    figures |= pair("iso", own_iso, their_iso)
    shutil.rmtree(tree)
    return figures


# What a script does for an ISO that BIOS and UEFI boot; as `firstlight-image iso`, it hashes the root image.
SHELL_ISO = """
mkdir -p $1/isolinux $1/images/pxeboot
cp $2 $1/images/pxeboot/vmlinuz
cp $3 $1/images/pxeboot/initrd.img
cp $4 $1/images/pxeboot/rootfs.img
sha256sum $4
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 $1/isolinux/
echo "DEFAULT live" >$1/isolinux/isolinux.cfg
mkfs.fat -C $1/images/efiboot.img 8192
MTOOLS_SKIP_CHECK=1 mmd -i $1/images/efiboot.img ::/EFI ::/EFI/BOOT
MTOOLS_SKIP_CHECK=1 mcopy -i $1/images/efiboot.img /usr/lib/shim/shimx64.efi.signed ::/EFI/BOOT/BOOTX64.EFI
MTOOLS_SKIP_CHECK=1 mcopy -i $1/images/efiboot.img /usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed ::/EFI/BOOT/grubx64.efi
xorriso -as mkisofs -quiet -V LIVE -J -joliet-long -R -o $1.iso -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table -eltorito-alt-boot -e images/efiboot.img -no-emul-boot \
    -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin -isohybrid-gpt-basdat $1
"""


def changing(folder: Path) -> dict:
    """An ISO of a gigabyte and a PXE initramfs, customized."""
    tree, root = folder / "big", folder / "big.squashfs"
    (tree / "sbin").mkdir(parents=True)
    (tree / "sbin/init").write_bytes(b"")
    piece = os.urandom(1 << 20)
    with open(tree / "data", "wb") as file:
        for _ in range(1024):
            file.write(piece[file.tell() >> 20:] + piece[:file.tell() >> 20])
    processes.run(["mksquashfs", tree, root, "-noD", "-quiet", "-no-progress"], timeout=600)
    shutil.rmtree(tree)
    image, iso = folder / "big.img", folder / "big.iso"
    processes.run([TOOL, "rootfs", root, "-o", image, "--version", "1"], timeout=600)
    root.unlink()
    boot = images.initramfs()
    processes.run([TOOL, "iso", "-o", iso, "--kernel", kernel_image(), "--initramfs", boot, "--rootfs", image],
                  timeout=600)
    image.unlink()
    config = folder / "config.ign"
    config.write_text(json.dumps({"ignition": {"version": "3.4.0"}, "storage": {"files": [
        {"path": f"/etc/{number}", "contents": {"source": "data:,text"}} for number in range(100)]}}))
    words = ["--live-ignition", config, "--live-karg-append", "quiet"]
    copy = folder / "copy.iso"

    def in_place() -> float:
        return min(seconds(TOOL, "iso", "customize", "--force", *words[:2], iso) for _ in range(3))

    figures = {"in_place": in_place()}
    say(f"  in place     {figures['in_place'] * 1000:7.0f} ms for {iso.stat().st_size / GIB:.2f} GiB")
    processes.run([TOOL, "iso", "reset", iso])

    def fresh(*command) -> float:
        copy.unlink(missing_ok=True)
        return seconds(*command)

    figures |= pair("customize", lambda: fresh(TOOL, "iso", "customize", *words, "-o", copy, iso),
                    lambda: fresh("sh", "-c", 'cp --reflink=never --sparse=never "$0" "$1" && sync "$1"', iso, copy),
                    COPY_ROUNDS)
    copy.unlink()
    initrd = folder / "initrd"
    live = images.initramfs(rootfs=images.root_image(rootfs.tiny()))
    with open(initrd, "wb") as file:
        # As large as an initramfs with its root image behind it.
        file.write(live.read_bytes())
        archive = images.appendix({"large": os.urandom(256 << 20)})
        file.write(bytes(-file.tell() % 4) + archive)
    wrapped = folder / "wrapped"
    processes.run([TOOL, "pxe", "ignition", "wrap", "-i", config, "-o", wrapped])
    figures |= pair("wrap", lambda: fresh(TOOL, "pxe", "customize", *words[:2], "-o", copy, initrd),
                    lambda: fresh("sh", "-c", 'cat "$0" "$1" >"$2" && sync "$2"', initrd, wrapped, copy), COPY_ROUNDS)
    return figures


def translating(folder: Path) -> dict:
    """A Butane config of 2,000 lines."""
    lines = ["variant: fcos", "version: 1.5.0", "storage:", "  files:"]
    while len(lines) < LINES - 10:
        number = len(lines)
        lines += [f"    - path: /etc/bench/{number}", "      mode: 0644", "      overwrite: true", "      contents:",
                  "        inline: |", f"          a line of text in file {number}", "          and another"]
    config = folder / "config.bu"
    config.write_text("\n".join(lines) + "\n")
    best = min(seconds(TOOL, "butane", "--strict", config) for _ in range(9))
    say(f"  butane       {best * 1000:7.0f} ms for {len(lines)} lines")
    return {"butane": best}


def initramfs() -> dict:
    """A generic initramfs, packed as it is by default, beside dracut's; and with its modules packed before."""
    folder = processes.temporary_folder("bench-initramfs")
    try:
        caches = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        call = [TOOL, "initramfs", "--agent", AGENT, "-o"]
        empty = folder / "empty"
        empty.mkdir()
        dracut = ["dracut", *peers.DRACUT, "--confdir", empty, "--kver", kernel_version(), "--kmoddir",
                  modules_folder(kernel_version()), folder / "dracut.img"]
        found = {"theirs": seconds(*dracut, stderr=subprocess.DEVNULL)}
        found["ours"] = seconds(*call, folder / "first.img", env=caches, stderr=subprocess.DEVNULL)
        found["cached"] = seconds(*call, folder / "second.img", env=caches, stderr=subprocess.DEVNULL)
        for name, file in {"bytes": "first.img", "their_bytes": "dracut.img"}.items():
            found[name] = (folder / file).stat().st_size
        assert (folder / "first.img").read_bytes() == (folder / "second.img").read_bytes(), "packed before, other bytes"
        say(f"  initramfs    {found['ours']:7.2f} s, {found['cached']:.2f} s with its modules packed before, beside "
            f"{found['theirs']:.2f} s")
        return found
    finally:
        processes.remove_folder(folder)


def table(figures: dict) -> "list[str]":
    """The comparison as people read it, 80 columns."""
    titles = {"rootfs": "rootfs / mksquashfs, sha256sum", "iso": "iso / xorriso and shell",
              "customize": "iso customize -o / cp", "wrap": "pxe customize / cat"}
    lines = [f"{'':<36}{'ours':>12}{'theirs':>12}"]
    made = figures["initramfs"]
    rows = {**{title: figures[name] for name, title in titles.items()}, "initramfs / dracut --no-hostonly": made}
    for title, both in rows.items():
        lines.append(f"{title:<36}{both['ours']:>10.2f} s{both['theirs']:>10.2f} s")
    lines.append(f"{'initramfs, bytes':<36}{made['bytes'] / 1e6:>9.1f} MB{made['their_bytes'] / 1e6:>9.1f} MB")
    lines += ["", "To reach"]
    for name, title in titles.items():
        lines.append(target(title, figures[name]["ours"] / figures[name]["theirs"], RATIOS[name], "{:.2f}".format))
    lines.append(target("initramfs, of dracut's time", made["ours"] / made["theirs"], RATIOS["initramfs"],
                        "{:.2f}".format))
    lines.append(target("the same with packed modules", made["cached"] / made["theirs"], RATIOS["cached"],
                        "{:.2f}".format))
    lines.append(target("iso customize in place, 1 GiB", figures["in_place"], IN_PLACE, lambda s: f"{s * 1000:.0f} ms"))
    lines.append(target("butane, 2,000 lines", figures["butane"], BUTANE, lambda s: f"{s * 1000:.0f} ms"))
    return lines + ["", *bench_formats.table(figures["formats"])]
