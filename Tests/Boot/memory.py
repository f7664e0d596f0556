"""A large root image and little RAM beside it: what is enough, and what is said where it is not."""

import re

import images
import processes
import rootfs
from boot import PROVISION, QUIETLY, STOPPED, boot_test, stopped, tiny_image
from machine import GIB, MIB
from paths import TOOL
from tiers import ALL
from ways import config, done, has_checked_hash

BESIDE = 160  # MiB, all that a machine needs beside such an image
SECONDS = 480
SETTING, OTHER = "/proc/sys/vm/min_free_kbytes", "/proc/sys/vm/lowmem_reserve_ratio"
PROMPT = r"firstlight:\S+# $"
USUAL = 8 << 10  # KiB, less than Linux keeps free for huge pages, more than it keeps without them


class LargeRoot:
    """A server with a root of systemd, 1 GiB as stored, and a config for it; and what boots it."""

    def __init__(self, bench) -> None:
        tree = bench.folder / "tree"
        processes.run(["unsquashfs", "-quiet", "-no-progress", "-dest", tree, rootfs.small()])
        with open(tree / "filler", "xb") as filler:
            filler.truncate(GIB - rootfs.small().stat().st_size)
        filesystem = bench.folder / "large.squashfs"
        processes.run(["mksquashfs", tree, filesystem, "-comp", "zstd", "-no-sparse", "-quiet", "-no-progress",
                       "-action", "uncompressed@name(filler)"])
        image = bench.folder / "large.img"
        processes.run([TOOL, "rootfs", "-o", image, "--version", images.VERSION, filesystem])
        filesystem.unlink()
        self.bench = bench
        self.size = -(-image.stat().st_size // MIB)
        assert self.size >= 1024, f"{self.size} MiB"
        server = bench.nginx({"rootfs.img": image, "config.ign": config(f"echo free $(cat {SETTING})\n")})
        # As users get it by default: with the drivers of every card.
        self.initrd = [images.initramfs("generic", rootfs=image, fast=False)]
        self.arguments = f"{PROVISION} coreos.live.rootfs_url={server.url}/rootfs.img " \
            f"ignition.config.url={server.url}/config.ign"

    def boot(self, memory: int):
        return self.bench.boot(self.arguments, initrd=self.initrd, memory=memory)


@boot_test(tier=ALL)
def image_of_a_gibibyte(bench):
    """A root image of 1 GiB by URL, provisioned, in RAM of its size and 160 MiB."""
    root = LargeRoot(bench)
    machine = root.boot(root.size + BESIDE)
    found = done(machine, SECONDS)
    has_checked_hash(machine)
    # What huge pages want would be missing to this system.
    kept, = (int(line.split()[1]) for line in found["run"] if line.startswith("free "))
    assert kept < USUAL, f"the kernel keeps {kept} KiB free"


@boot_test(tier=ALL)
def a_step_too_little(bench):
    """RAM a step below what such an image needs is refused with both figures; with what is asked for it boots."""
    root = LargeRoot(bench)
    little = root.size + BESIDE - 32
    report = stopped(root.boot(little), r"too little RAM: the root image takes \d+ MiB, the boot \d+ MiB with it, and"
                     r" \d+ MiB are free", timeout=SECONDS)
    more = int(re.search(r"Give the machine (\d+) MiB more RAM", report)[1])
    done(root.boot(little + more), SECONDS)


@boot_test(tier=ALL)
def kernel_keeps_what_it_kept(bench):
    """Where an image is refused for want of RAM, the kernel keeps as much free as before."""
    image = bench.folder / "big.img"
    image.write_bytes(tiny_image().read_bytes())
    with open(image, "r+b") as file:
        file.truncate(700 * MIB)
    server = bench.nginx({"rootfs.img": image})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img rd.break=initqueue", base=QUIETLY,
                         initrd=[images.initramfs()], memory=640)
    console = machine.console
    kept = []
    for _ in range(2):
        console.expect(PROMPT, 120, never=r"Kernel panic")
        machine.type(f"echo kept $(cat {SETTING} {OTHER})\n")
        kept.append(console.expect(r"^kept (.*)\n", 20)[1].split())
        console.expect(PROMPT, 20)
        machine.type("exit\n")
    console.expect(STOPPED, 60)
    assert int(kept[0][0]) > USUAL and kept[0] == kept[1], kept
