"""Packages of Debian 13, unpacked and not installed: what this Debian has only in an older version."""

import shutil
import threading
from pathlib import Path

import processes
from paths import cache_folder

SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_lock = threading.Lock()


def unpacked(package: str) -> Path:
    """The folder with the files of a package, from the mirror that apt uses here; kept once it is there."""
    folder = cache_folder() / "packages" / f"{SUITE}-{package}"
    with _lock:
        if not folder.exists():
            scratch = processes.temporary_folder(package)
            for name in ["lists/partial", "cache/archives/partial", "files"]:
                (scratch / name).mkdir(parents=True)
            (scratch / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {SUITE} main\n")
            settings = [f"Etc::sourcelist={scratch}/sources.list", "Etc::sourceparts=-",
                        f"State::lists={scratch}/lists", f"Cache={scratch}/cache"]
            apt = ["apt-get", "-q", *(word for setting in settings for word in ("-o", f"Dir::{setting}"))]
            processes.run([*apt, "update"])
            processes.run([*apt, "download", package], cwd=scratch)
            [file] = scratch.glob("*.deb")
            processes.run(["dpkg-deb", "-x", file, scratch / "files"])
            folder.parent.mkdir(exist_ok=True)
            shutil.move(scratch / "files", folder)
            processes.remove_folder(scratch)
    return folder


def mirror() -> str:
    """Where apt has this system's own packages from: the first address in its lists that serves `bookworm`."""
    listed = processes.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]).decode()
    for line in listed.splitlines():
        address, release, component = line.rsplit(" ", 2)
        if (release, component) == ("bookworm", "main"):
            return address
    raise processes.ProgramFailed("apt has no list of bookworm's main packages; `apt-get update` fetches it")
