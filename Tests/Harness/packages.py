"""The Debian packages of the built programs: that they are well made. That they boot is shown by
Tests/Boot/initramfs_makers.py."""

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

import processes
from paths import AGENT, OUT, TOOL, TREE
from tiers import ALL, only_in

NEEDS = {"agent", "tool"}
NAMES = ["firstlight", "firstlight-dracut-ignition", "firstlight-image"]
# What is packed, besides the programs.
SOURCES = ["dracut/50firstlight", "Sources/InitramfsTools", "Sources/Manual", "Sources/Packaging", "Makefile"]


def built() -> "list[Path]":
    """The packages, by their names: made where there are none of these programs yet."""
    with open(OUT / "deb.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = made(OUT / "deb")
        files = [AGENT, TOOL, *(file for name in SOURCES for file in [TREE / name, *(TREE / name).rglob("*")])]
        if not found or min(map(_changed, found)) < max(map(_changed, files)):
            shutil.rmtree(OUT / "deb", ignore_errors=True)
            # The programs are there, and others are running them.
            processes.run(["make", "--no-print-directory", "-o", "agent", "-o", "tool", "deb"], cwd=TREE, timeout=600)
            found = made(OUT / "deb")
    assert list(map(_name, found)) == NAMES, found
    return found


def made(folder: Path) -> "list[Path]":
    return sorted(folder.glob("*.deb"), key=_name)


def _name(package: Path) -> str:
    return package.name.split("_")[0]


def _changed(file: Path) -> float:
    return file.stat().st_mtime


@only_in(ALL)
def debians_checker_has_no_objections() -> None:
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *map(str, built())],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:]


@only_in(ALL)
def the_same_programs_make_the_same_packages() -> None:
    built()
    folder = processes.temporary_folder("packages")
    try:
        found = []
        for name in ("one", "other"):
            processes.run(["python3", TREE / "Sources/Packaging/deb.py", OUT, folder / name], timeout=600)
            found.append({file.name: file.read_bytes() for file in made(folder / name)})
        assert len(found[0]) == len(NAMES) and found[0] == found[1], "other bytes"
    finally:
        processes.remove_folder(folder)


@only_in(ALL)
def what_is_packed_is_what_the_tree_has() -> None:
    agent, dropin, tool = [processes.run(["dpkg-deb", "--contents", file]).decode() for file in built()]
    module = sorted(file.name for file in (TREE / "dracut/50firstlight").iterdir())
    assert sorted(re.findall(r"/modules.d/50firstlight/(\S+)$", agent, re.MULTILINE)) == module, agent
    for name in ("hooks", "scripts"):
        assert f"./usr/share/initramfs-tools/{name}/firstlight\n" in agent, agent
    assert re.search(r"30ignition/ignition -> \S*bin/firstlight$", dropin, re.MULTILINE), dropin
    # Under its other names the tool is what people know.
    for name in ("coreos-installer", "butane"):
        assert re.search(rf"bin/{name} -> firstlight-image$", tool, re.MULTILINE), tool
    for listed in (agent, dropin, tool):
        owners = {line.split()[1] for line in listed.splitlines()}
        assert owners == {"root/root"}, owners


TESTS = [(function.__name__.replace("_", " "), function) for function in (
    debians_checker_has_no_objections, the_same_programs_make_the_same_packages, what_is_packed_is_what_the_tree_has)]
