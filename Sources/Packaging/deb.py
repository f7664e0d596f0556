#!/usr/bin/python3
"""Makes the Debian packages of the built programs.

    python3 Sources/Packaging/deb.py PROGRAMS FOLDER

PROGRAMS is the folder with firstlight, firstlight-image, man and completions. The packages are of this machine's
kind, and the same input makes the same bytes: files have the date of the last commit, or SOURCE_DATE_EPOCH.

firstlight                   the agent, its dracut module, its hook for initramfs-tools, its man pages
firstlight-image             the image tool
firstlight-dracut-ignition   the agent in the place of Debian's ignition, which is diverted
"""

import gzip
import os
import shutil
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path
from time import gmtime

TREE = Path(__file__).resolve().parents[2]
IGNITION = "usr/lib/dracut/modules.d/30ignition/ignition"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}


class Package:
    """One package: files below a staging folder, and what is said about them."""

    def __init__(self, name: str, staging: Path, **fields: str) -> None:
        self.name, self.fields = name, fields
        self.root = staging / name
        (self.root / "DEBIAN").mkdir(parents=True)
        self.root.chmod(0o755)

    def add(self, source: Path, target: str, mode: int = 0o644) -> None:
        place = self.root / target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        place.chmod(mode)

    def write(self, target: str, data: "bytes | str", mode: int = 0o644) -> None:
        place = self.root / target
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)
        place.chmod(mode)

    def link(self, target: str, to: str) -> None:
        place = self.root / target
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(to)

    def manual(self, page: Path) -> None:
        self.write(f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz", packed(page.read_bytes()))

    def build(self, folder: Path, version: str, architecture: str, time: int) -> Path:
        self.documentation(version, time)
        size = sum(file.stat().st_size for file in self.root.rglob("*") if file.is_file() and not file.is_symlink())
        fields = {"Package": self.name, "Version": version, "Architecture": architecture, "Maintainer": maintainer(),
                  "Installed-Size": str(size // 1024 + 1), "Section": "admin", "Priority": "optional", **self.fields}
        control = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())
        (self.root / "DEBIAN/control").write_text(control)
        self.sums()
        for path in [self.root, *self.root.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
            os.utime(path, (time, time), follow_symlinks=False)
        package = folder / f"{self.name}_{version}_{architecture}.deb"
        # One thread, because the output of several may depend on their number.
        subprocess.run(["dpkg-deb", "--root-owner-group", "--threads-max=1", "-Zxz", "--build", self.root, package],
                       check=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(time)}, stdout=subprocess.DEVNULL)
        return package

    def documentation(self, version: str, time: int) -> None:
        folder = f"usr/share/doc/{self.name}"
        self.write(f"{folder}/copyright", copyright_file(gmtime(time).tm_year))
        entry = (f"{self.name} ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md of the sources.\n\n"
                 f" -- {maintainer()}  {formatdate(time)}\n")
        self.write(f"{folder}/changelog.gz", packed(entry.encode()))

    def overrides(self) -> None:
        """The programs are static, so that they run where there is no library: an initramfs, a host of any age."""
        tags = [f"{self.name}: {tag} *" for tag in (
            "embedded-library", "shared-library-lacks-prerequisites", "statically-linked-binary")]
        self.write(f"usr/share/lintian/overrides/{self.name}", "\n".join(tags) + "\n")

    def sums(self) -> None:
        files = sorted(path for path in self.root.rglob("*")
                       if path.is_file() and not path.is_symlink() and "DEBIAN" not in path.parts)
        told = subprocess.run(["md5sum", *[file.relative_to(self.root) for file in files]], cwd=self.root, check=True,
                              capture_output=True, text=True).stdout
        (self.root / "DEBIAN/md5sums").write_text(told)


def packed(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def copyright_file(year: int) -> str:
    return f"""Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: firstlight

Files: *
Copyright: {year} the authors of Firstlight
License: Apache-2.0
 On Debian systems the text of the Apache License 2.0 is in
 /usr/share/common-licenses/Apache-2.0.
"""


def described(short: str, *lines: str) -> str:
    return "\n ".join([short, *lines])


def agent(programs: Path, staging: Path) -> Package:
    package = Package(
        "firstlight", staging, Recommends="dracut-core (>= 059) | initramfs-tools, ca-certificates, dracut-network, dbus, e2fsprogs, "
        "xfsprogs, btrfs-progs, dosfstools, mdadm", Suggests="busybox-static | busybox",
        Description=described(
            "live boot agent that provisions a machine from RAM",
            "It fetches and verifies a root image, lays a writable layer in RAM over it,",
            "carries out an Ignition config without destroying what that did not ask to",
            "destroy, and hands over to the real root's init. Under dracut it runs as",
            "systemd units: dracut --add firstlight. Under initramfs-tools it makes the",
            "root filesystem: BOOT=firstlight in its configuration, or FIRSTLIGHT=y",
            "there and boot=firstlight on the kernel command line."))
    package.add(programs / "firstlight", "usr/bin/firstlight", 0o755)
    for file in sorted((TREE / "dracut/50firstlight").iterdir()):
        mode = 0o755 if file.suffix == ".sh" else 0o644
        package.add(file, f"usr/lib/dracut/modules.d/50firstlight/{file.name}", mode)
    package.add(TREE / "Sources/InitramfsTools/hooks/firstlight", "usr/share/initramfs-tools/hooks/firstlight", 0o755)
    package.add(TREE / "Sources/InitramfsTools/scripts/firstlight", "usr/share/initramfs-tools/scripts/firstlight")
    for page in ("firstlight.8", "firstlight.cmdline.7"):
        package.manual(programs / "man" / page)
    completions(package, programs, "firstlight")
    package.overrides()
    if (programs / "firstlight.spdx.json").exists():
        package.write("usr/share/doc/firstlight/firstlight.spdx.json.gz",
                      packed((programs / "firstlight.spdx.json").read_bytes()))
    return package


def image_tool(programs: Path, staging: Path) -> Package:
    package = Package(
        "firstlight-image", staging,
        Depends="firstlight, squashfs-tools, zstd, xz-utils",
        Recommends="busybox-static, ca-certificates, xorriso, isolinux, syslinux-common, mtools, dosfstools, shim-signed, "
        "grub-efi-amd64-signed, linux-image-amd64",
        Suggests="erofs-utils, systemd-boot-efi, sbsigntool, skopeo, umoci",
        Description=described(
            "images for the live boot: initramfs, root image, ISO, network",
            "It makes root images of folders and container images, initramfs images, ISOs,",
            "folders to boot from over the network and unified kernel images, and puts",
            "configs and kernel arguments into live ISOs, those of Fedora CoreOS too."))
    package.add(programs / "firstlight-image", "usr/bin/firstlight-image", 0o755)
    # What it is called decides which commands it has; these two are not packages of Debian's.
    for name in ("coreos-installer", "butane"):
        package.link(f"usr/bin/{name}", "firstlight-image")
        package.link(f"usr/share/man/man1/{name}.1.gz", "firstlight-image.1.gz")
    package.manual(programs / "man/firstlight-image.1")
    completions(package, programs, "firstlight-image")
    package.overrides()
    return package


def completions(package: Package, programs: Path, name: str) -> None:
    folder = programs / "completions"
    # It is read by a shell that runs, and no program.
    lines = (folder / f"{name}.bash").read_text().splitlines(keepends=True)
    package.write(f"usr/share/bash-completion/completions/{name}", "".join(lines[lines[0].startswith("#!"):]))
    package.add(folder / f"_{name}", f"usr/share/zsh/vendor-completions/_{name}")
    package.add(folder / f"{name}.fish", f"usr/share/fish/vendor_completions.d/{name}.fish")


def drop_in(version: str, staging: Path) -> Package:
    package = Package(
        "firstlight-dracut-ignition", staging, Depends=f"firstlight (= {version}), ignition",
        Description=described(
            "firstlight instead of Ignition in dracut images",
            "Debian's ignition is diverted: its dracut module and units run firstlight under",
            "the name of Ignition, with its flags, stages and files."))
    package.link(IGNITION, "../../../../bin/firstlight")
    package.write("DEBIAN/preinst", f"""#!/bin/sh
set -e
if [ "$1" = install ] || [ "$1" = upgrade ]; then
    dpkg-divert --quiet --package firstlight-dracut-ignition --add --rename \\
        --divert /{IGNITION}.distrib /{IGNITION}
fi
""", 0o755)
    package.write("DEBIAN/postrm", f"""#!/bin/sh
set -e
if [ "$1" = remove ] || [ "$1" = abort-install ] || [ "$1" = disappear ]; then
    dpkg-divert --quiet --package firstlight-dracut-ignition --remove --rename \\
        --divert /{IGNITION}.distrib /{IGNITION}
fi
""", 0o755)
    return package


def maintainer() -> str:
    """Who packs it, as Debian's tools are told; else who made the last commit."""
    name, address = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    if name and address:
        return f"{name} <{address}>"
    return subprocess.run(["git", "log", "-1", "--format=%an <%ae>"], cwd=TREE, check=True, capture_output=True,
                          text=True).stdout.strip()


def date() -> int:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    told = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=TREE, check=True, capture_output=True, text=True)
    return int(told.stdout)


def main(programs: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    said = subprocess.run([programs / "firstlight", "--version"], check=True, capture_output=True, text=True).stdout
    version = said.split()[1]
    architecture = ARCHITECTURE[os.uname().machine]
    for package in (agent(programs, staging), image_tool(programs, staging), drop_in(version, staging)):
        made = package.build(folder, version, architecture, date())
        print(f"{made}  {made.stat().st_size} bytes")
    shutil.rmtree(staging)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
