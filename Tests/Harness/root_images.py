#!/usr/bin/python3
"""Makes the small root images that the unit tests take apart, with the tools that make the large ones.

    python3 Tests/Harness/root_images.py FOLDER

tiny.squashfs and tiny.erofs hold one short file; rootfs-*.img are what Fedora CoreOS makes around such an image.
"""

import subprocess
import sys
import tempfile
from pathlib import Path


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    # Beside what it makes: a file is moved within one filesystem only.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tree = Path(scratch, "tree")
        tree.mkdir()
        (tree / "greeting").write_text("hello\n")
        for maker in (["mksquashfs", tree, f"{scratch}/root.squashfs", "-all-root", "-quiet"],
                      ["mkfs.erofs", "--all-root", f"{scratch}/root.erofs", tree]):
            subprocess.run(maker, check=True, stdout=subprocess.DEVNULL)
        Path(scratch, "etc").mkdir()
        Path(scratch, "etc/coreos-live-rootfs").write_text("40.20240101.0\n")
        Path(scratch, "fedora-metal.osmet").write_text("packed\n")
        for kind in ("squashfs", "erofs"):
            names = [f"root.{kind}", "etc", "etc/coreos-live-rootfs", "fedora-metal.osmet"]
            archive = subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=scratch, check=True,
                                     input="\n".join(names).encode(), stdout=subprocess.PIPE).stdout
            (folder / f"rootfs-{kind}.img").write_bytes(archive)
            Path(scratch, f"root.{kind}").rename(folder / f"tiny.{kind}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
