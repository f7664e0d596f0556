"""A root of its own for a test that writes everywhere: this machine's, with every change kept in RAM.

`run` starts a script of the harness in namespaces of its own (mounts, processes, network); `enter`, which the script
calls first, exchanges its root for an overlay of the machine's. Nothing that it does there reaches a file of the
machine, and all of it is gone with its last process, be that killed: mounts, loop devices and servers with it.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import processes
import speed
from paths import LOGS, TREE

LIBC = ctypes.CDLL(None, use_errno=True)
READ_ONLY, REMOUNT, BIND, RECURSIVE = 0x1, 0x20, 0x1000, 0x4000
# Lines of a failure; all there is to know stands in its log, which hosts.py names.
MOST_LINES = 8


def run(script: Path, name: str, log_name: str, timeout: float) -> None:
    """Runs `python3 SCRIPT FOLDER NAME` as root of namespaces of its own. What it prints is why it failed; what it
    writes to standard error is its log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{log_name}.log"
    folder = processes.temporary_folder("root")
    said, status = b"", None
    try:
        with open(log, "wb") as errors:
            process = processes.start(
                ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                 sys.executable, script, folder, name],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
            try:
                said, _ = process.communicate(timeout=speed.limit(timeout))
                status = process.returncode
            except subprocess.TimeoutExpired:
                pass
            finally:
                processes.stop(process, grace=0)
    finally:
        processes.remove_folder(folder)
    if status == 0:
        return
    lines = said.decode(errors="replace").splitlines() or log.read_text(errors="replace").splitlines()[-4:]
    if status is None:
        lines.insert(0, f"not done after {speed.told(timeout)}")
    lines = [line if len(line) <= 300 else line[:297] + "..." for line in lines]
    raise processes.ProgramFailed("\n".join(lines[:MOST_LINES]))


def enter(folder: Path) -> None:
    """Exchanges the root of this process for an overlay of the machine's; /run is empty, and the working folder is in
    there. Of the machine only devices, and a tree that lies on another filesystem than /, are the real ones, the tree
    read-only."""
    mount("tmpfs", folder, "tmpfs", "mode=755")
    root = folder / "root"
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    mount("overlay", root, "overlay", f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work")
    needed = [TREE, Path("/usr/bin"), Path(sys.executable)]
    for point in mount_points():
        if point != Path("/") and any(point in (path, *path.parents) for path in needed):
            inside = root / point.relative_to("/")
            mount(point, inside, flags=BIND)
            mount("none", inside, flags=BIND | REMOUNT | READ_ONLY)
    for name in ("proc", "sys", "dev"):
        mount(f"/{name}", root / name, flags=BIND | RECURSIVE)
    # What is logged here is none of the machine's business.
    for device in ("dev/kmsg", "dev/console"):
        if (root / device).exists():
            mount("/dev/null", root / device, flags=BIND)
    mount("tmpfs", root / "run", "tmpfs", "mode=755")
    os.chroot(root)
    scratch = Path("/run/scratch")
    scratch.mkdir()
    os.chdir(scratch)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def mount_points() -> "list[Path]":
    """Outer ones before those in them."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted({Path(line.split()[4].encode().decode("unicode_escape")) for line in lines})


def mount(what: "str | Path", where: Path, kind: str = "none", options: str = "", flags: int = 0) -> None:
    """mount(2), which takes less time than its program."""
    words = [os.fsencode(word) for word in (what, where, kind)]
    if LIBC.mount(*words, ctypes.c_ulong(flags), options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {what} on {where}: {os.strerror(ctypes.get_errno())}")


def unmount(where: Path) -> None:
    if LIBC.umount2(os.fsencode(where), 0) != 0:
        raise OSError(ctypes.get_errno(), f"cannot unmount {where}: {os.strerror(ctypes.get_errno())}")
