"""Kernels beside the installed one: that of Debian's next release, whose modules are compressed.

Its package is fetched by apt and unpacked, never installed, into the cache outside the tree. Where it comes from is this
system's own entry in apt's sources, with the name of the other release in the place of this one's.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import processes
from console import Unmet
from outcome import say
from paths import cache_folder

RELEASE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FOLDER = "kernels"


@dataclass
class Kernel:
    """A kernel that is not installed: what firmware starts, and the folder of its modules."""

    version: str
    image: Path
    modules: Path


def of_next_release(announce=say) -> Kernel:
    """Debian 13's kernel; fetching it takes about a minute where it is not cached."""
    place = cache_folder() / FOLDER / RELEASE
    if not place.exists():
        announce(f"fetching the kernel of Debian's {RELEASE} (once, about a minute)")
        _fetch(place)
    image, = (place / "boot").glob("vmlinuz-*")
    version = image.name.removeprefix("vmlinuz-")
    return Kernel(version, image, place / "usr/lib/modules" / version)


def _fetch(place: Path) -> None:
    scratch = processes.temporary_folder("kernel")
    try:
        apt = _prepare_apt(scratch)
        listing = processes.run(["apt-cache", "depends", "--important", "linux-image-amd64"], env=apt).decode()
        package = re.search(r"Depends: (linux-image-\S+)", listing)
        if not package:
            raise Unmet(f"a kernel that linux-image-amd64 of {RELEASE} stands for", listing)
        processes.run(["apt-get", "-qq", "download", package[1]], env=apt, cwd=scratch, timeout=600)
        root = scratch / "root"
        archive, = scratch.glob("*.deb")
        processes.run(["dpkg-deb", "--extract", archive, root], timeout=300)
        # depmod runs when the package is installed, and looks below /lib.
        if not (root / "lib").exists():
            (root / "lib").symlink_to("usr/lib")
        version, = os.listdir(root / "lib/modules")
        processes.run(["depmod", "-b", root, version], timeout=300)
        place.parent.mkdir(parents=True, exist_ok=True)
        half = place.with_name(f".{place.name}.{os.getpid()}")
        shutil.copytree(root, half, symlinks=True)
        try:
            half.rename(place)
        except OSError:
            # Another test was first.
            processes.remove_folder(half)
    finally:
        processes.remove_folder(scratch)


def _prepare_apt(scratch: Path) -> "dict[str, str]":
    """The environment in which apt knows the other release, and nothing else."""
    folder = scratch / "apt"
    for name in ("sources.list.d", "lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "sources.list.d" / "debian.sources").write_text(_sources())
    configuration = folder / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{folder}/sources.list.d";\n'
        f'Dir::State::lists "{folder}/lists";\nDir::Cache "{folder}/cache";\nDir::State::status "/dev/null";\n'
        'APT::Sandbox::User "";\n')
    environment = {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C"}
    processes.run(["apt-get", "-qq", "update"], env=environment, timeout=600)
    return environment


def _sources() -> str:
    """This system's entry for its own release, rewritten for the other one."""
    system = Path("/etc/os-release").read_text()
    codename = re.search(r"^VERSION_CODENAME=\"?(\w+)", system, re.MULTILINE)
    if not codename:
        raise Unmet("a VERSION_CODENAME in /etc/os-release", system)
    for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for entry in re.split(r"\n\s*\n", file.read_text()):
            if re.search(rf"^Suites:(.*\s)?{codename[1]}(\s|$)", entry, re.MULTILINE):
                entry = re.sub(r"(?m)^Types:.*$", "Types: deb", entry)
                return re.sub(r"(?m)^Suites:.*$", f"Suites: {RELEASE}", entry) + "\n"
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))]:
        for line in file.read_text().splitlines() if file.exists() else []:
            if entry := re.match(rf"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{codename[1]}\s+(\S+)", line):
                return f"Types: deb\nURIs: {entry[1]}\nSuites: {RELEASE}\nComponents: {entry[2]}\nSigned-By: {KEYRING}\n"
    raise Unmet(f"an entry for {codename[1]} in apt's sources", "none")
