"""Trees of a target root in a few words a path, made and listed; and workers that each have a root of their own.

An entry is `dir MODE OWNER`, `file MODE OWNER TEXT`, `link OWNER TARGET`, `fifo MODE OWNER` or `same PATH`, another
name of that file; None is nothing.
"""

import ctypes
import errno
import hashlib
import os
import pickle
import re
import shutil
import stat
import subprocess
import time
import traceback
from pathlib import Path

ROOT = Path("/sysroot")
LONG_AGO = 1_000_000_000
CLONE_NEWNS = 0x00020000
# What a target has of programs, and what the kernel shows in it, is not part of what is compared.
PROGRAM_FOLDERS = ("usr", "lib", "lib64", "bin", "sbin")
KEPT = (*PROGRAM_FOLDERS, "proc", "dev")


def make(entries: "dict[str, str | None]") -> None:
    """Empties the root, then makes the entries; parents stand before what is in them."""
    for path in ROOT.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    there = {path: entry for path, entry in entries.items() if entry is not None}
    for name, entry in sorted(there.items(), key=lambda one: one[1].startswith("same ")):
        make_one(ROOT / name[1:], entry)


def make_one(path: Path, entry: str) -> None:
    kind, *words = entry.split(" ", {"file": 3, "link": 2, "same": 1}.get(entry.split(" ")[0], -1))
    if kind == "same":
        os.link(ROOT / words[0][1:], path)
        return
    if kind == "dir":
        path.mkdir()
    elif kind == "file":
        path.write_text(words[2])
    elif kind == "link":
        path.symlink_to(words[1])
    elif kind == "fifo":
        os.mkfifo(path)
    os.lchown(path, *map(int, words[0 if kind == "link" else 1].split(":")))
    if kind != "link":
        path.chmod(int(words[0], 8))
    os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def entries() -> "dict[str, str]":
    """All that is below the root, in the words that make it; of a file with several names the first one has it."""
    found: "dict[str, str]" = {}
    names: "dict[int, str]" = {}
    for folder, folders, files in os.walk(ROOT):
        if Path(folder) == ROOT:
            folders[:] = [name for name in folders if name not in KEPT]
            files = [name for name in files if name not in KEPT]
        folders.sort()
        for name in sorted(folders + files):
            path = Path(folder) / name
            status, inside = path.lstat(), "/" + str(path.relative_to(ROOT))
            owner, mode = f"{status.st_uid}:{status.st_gid}", f"{stat.S_IMODE(status.st_mode):o}"
            if stat.S_ISDIR(status.st_mode):
                found[inside] = f"dir {mode} {owner}"
            elif stat.S_ISLNK(status.st_mode):
                found[inside] = f"link {owner} {os.readlink(path)}"
            elif not stat.S_ISREG(status.st_mode):
                found[inside] = f"fifo {mode} {owner}"
            elif status.st_nlink > 1 and names.setdefault(status.st_ino, inside) != inside:
                found[inside] = f"same {names[status.st_ino]}"
            else:
                found[inside] = f"file {mode} {owner} {content(path)}"
    return found


def listing(whole: bool = False) -> "dict[str, str]":
    """The entries with their attributes, and which files are as old as they were made; `whole` adds what tells one run
    from the next."""
    found = entries()
    for inside in found:
        path = ROOT / inside[1:]
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_mtime == LONG_AGO:
            found[inside] += " old"
        for attribute in attributes(path):
            found[inside] += f" {attribute}={os.getxattr(path, attribute, follow_symlinks=False)!r}"
        if whole:
            found[inside] += f" inode {status.st_ino} at {status.st_mtime_ns}"
    return found


def attributes(path: Path) -> "list[str]":
    """None where the kernel's squashfs has none."""
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError as reason:
        if reason.errno != errno.EOPNOTSUPP:
            raise
        return []


def content(path: Path) -> str:
    """The text of a file; days and times of this run aside, and long ones by their hash."""
    data = path.read_bytes()
    if path.name.startswith("shadow"):
        data = re.sub(rb"(?m)^([^:\n]*:[^:\n]*):%d:" % (time.time() // 86400), rb"\1:today:", data)
    elif path.name == ".ignition-result.json":
        data = re.sub(rb'"(provisioningDate)": "[^"]*"', rb'"\1": "now"', data)
    return data.decode(errors="replace") if len(data) < 4000 else f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()}"


def differing(one: "dict[str, str]", other: "dict[str, str]") -> "list[str]":
    return [f"{path}\n        {one.get(path)!r}\n        {other.get(path)!r}"
            for path in sorted({**one, **other}) if one.get(path) != other.get(path)]


def in_own_mounts(job: "callable", items: list, begin: "callable" = lambda: None) -> list:
    """The results of `job` on each item, in order, two at a time: each worker has a root, a /run/firstlight and a
    working folder of its own. `begin` runs in each before its first; one that fails says what it had until then."""
    workers = 2
    here = Path.cwd()
    # Without multiprocessing: it wants a /dev/shm, which this guest may not have.
    children = []
    for number in range(workers):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                _begin_worker(number, begin)
                with open(here / f"results-{number}", "wb") as file:
                    for item in items[number::workers]:
                        pickle.dump(job(item), file)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    failed = [child for child in children if os.waitpid(child, 0)[1] != 0]
    assert not failed, "a worker failed"
    files = [open(here / f"results-{number}", "rb") for number in range(workers)]
    return [pickle.load(files[index % workers]) for index in range(len(items))]


def _begin_worker(number: int, begin: "callable") -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    ROOT.mkdir(exist_ok=True)
    own = Path("/run/firstlight")
    own.mkdir(exist_ok=True)
    for folder in (ROOT, own):
        # Not writable for all: links of others are not followed in such a folder.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "root", folder], check=True)
    here = Path(f"worker-{number}").absolute()
    here.mkdir(exist_ok=True)
    os.chdir(here)
    Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal\n")
    subprocess.run(["mount", "--bind", "cmdline", "/proc/cmdline"], check=True)
    begin()
