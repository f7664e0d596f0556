"""Live images in the shape of Fedora CoreOS's: the three files that it publishes, made of Debian by
Fixtures/rootfs/coreos/make, and the initramfs of ours that `--from` makes of theirs."""

from pathlib import Path

import images
import processes
import rootfs
from paths import AGENT, FIXTURES, TOOL, kernel_version

MAKE = FIXTURES / "rootfs/coreos/make"
VERSION = "41.20261101.3.0"


def published_rootfs(format: str = "squashfs") -> Path:
    """`live-rootfs.img` around a squashfs or an erofs."""
    filesystem = rootfs.coreos(format)
    return images.kept(f"coreos-{format}.rootfs", [MAKE, VERSION, filesystem.name],
                       lambda image: processes.run([MAKE, "rootfs", filesystem, VERSION, image]))


def published_initramfs(format: str = "squashfs", compression: str = "zstd") -> Path:
    """`live-initramfs.img`, without the programs of the original."""
    image = published_rootfs(format)
    return images.kept(f"coreos-{format}.{compression}", [MAKE, VERSION, image.name, kernel_version()],
                       lambda output: processes.run(
                           [MAKE, "initramfs", kernel_version(), image, VERSION, compression, output], timeout=900))


def initramfs(format: str = "squashfs", compression: str = "zstd", **options) -> Path:
    """Ours, made of theirs and nothing else; `options` are those of `firstlight-image initramfs`."""
    original = published_initramfs(format, compression)
    words = ["--fast", *(word for name, value in options.items() for word in (f"--{name}", value))]

    def make(image: Path) -> None:
        processes.run([TOOL, "initramfs", "-o", image, "--agent", AGENT, "--from", original, *words])

    return images.kept(f"coreos-{format}.initramfs", [TOOL, AGENT, original.name, *map(str, words)], make)
