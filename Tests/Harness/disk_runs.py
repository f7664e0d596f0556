#!/usr/bin/python3
"""Carries out the cases of Fixtures/disks (disk_cases.py tells their form), two at a time, each where its kernel is.

    python3 Tests/Harness/disk_runs.py host|guest FOLDER

Most of them need block devices, ext4, xfs and btrfs, and run on this machine: on loop devices of sparse files, in a
mount namespace whose /run is a filesystem of its own. The others need device-mapper, md, vfat, udev's links or a
kernel that reads partition tables by itself, and run in a guest. `needs_guest` parts them, each case to one side.

$CASE=NAME[,NAME...] runs those alone; a guest can run any. $AGENT is the agent. With every change ($TIER is `test`) a
guest leaves out what it would only show once more.
"""

import ctypes
import json
import multiprocessing
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
import uuid
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

import disk_cases
import disk_images
from loops import Loop
import tiers

TREE = Path(__file__).resolve().parents[2]
FOLDER = TREE / "Fixtures" / "disks"
AGENT = os.environ.get("AGENT", str(TREE / "out" / "firstlight"))
AT_ONCE = 2
STATE, SYSTEM_CONFIG = Path("/run/firstlight"), Path("/run/ignition")
# Their plan is a unit test's, and what carries it out is another case's: the ones that take a guest longest.
ONCE_MORE = {
    "backup-lost-repaired", "edited-4096", "gpt-without-mbr-erased", "luks-foreign-wiped", "luks-kept-by-label",
    "luks-other-label", "luks-other-uuid", "luks-version-1-wiped", "luks-whole-disk", "luks-with-filesystem",
    "luks-without-key-slot", "primary-lost-repaired", "protective-mbr-lost-and-change", "raid-degraded", "resized-4096",
    "wipe-table-lost-gpt",
}
COMMAND_LINE = "ignition.firstboot ignition.platform.id=metal rd.timeout=2\n"


# --- Which case, where -----------------------------------------------------------------------------------


def needs_guest(case: dict) -> bool:
    """Whether a case depends on what a kernel of any kind may lack."""
    config, disks = case["config"], case["before"].values()
    mapped = "luks" in config or "raid" in config
    by_link = "/dev/disk/" in json.dumps(config)
    # What the kernel makes of these tables is part of what they show.
    read_by_kernel = case.get("sector", 512) != 512 or any("mbr" in disk or "lacks" in disk for disk in disks)
    vfat_is_kept = case.get("plan") == 0 and any(
        filesystem.get("format") == "vfat" for filesystem in config.get("filesystems", []))
    return mapped or by_link or read_by_kernel or vfat_is_kept


def is_alone(case: dict) -> bool:
    """Whether a case has names that the whole machine shares: of arrays, and below /dev/disk."""
    return "raid" in case["config"] or "/dev/disk/" in json.dumps(case["config"])


def chosen(place: str, names: "list[str]") -> "dict[str, dict]":
    """The cases that are run in this place: `host` or `guest`."""
    cases = disk_cases.load(FOLDER)
    if not names:
        left_out = ONCE_MORE if (place, os.environ.get("TIER")) == ("guest", tiers.EVERY_CHANGE) else ()
        return {name: case for name, case in cases.items()
                if needs_guest(case) == (place == "guest") and name not in left_out}
    if unknown := [name for name in names if name not in cases]:
        raise SystemExit(f"no such case in Fixtures/disks: {', '.join(unknown)}")
    if place == "host" and (others := [name for name in names if needs_guest(cases[name])]):
        raise SystemExit(f"they need a guest: make guest-test NAME=disk-cases CASE={','.join(others)}")
    return {name: cases[name] for name in names}


# --- A worker --------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """What a worker has of its own."""

    folder: Path
    scans: bool  # whether it gives devices their partitions, since the kernel may not
    made: dict  # contents, which are slow to make; no two workers share a UUID


here: "Worker | None" = None


def start_worker(place: str, scratch: str) -> None:
    global here
    here = Worker(enter(place, scratch), place == "host", {})


def enter(place: str, scratch: str) -> Path:
    """A mount namespace with a state of the agent's own, so that stages run side by side; a folder in it, in RAM."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000):  # CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    folder = Path(scratch) / str(os.getpid())
    folder.mkdir()
    _mount("--make-rprivate", "/")
    _mount("-t", "tmpfs", "scratch", folder)
    if place == "host":
        _mount("-t", "tmpfs", "run", "/run")
    for own in (STATE, SYSTEM_CONFIG):
        own.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "own", own)
    (folder / "cmdline").write_text(COMMAND_LINE)
    _mount("--bind", folder / "cmdline", "/proc/cmdline")
    return folder


def _mount(*words) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


class PartitionScan(threading.Thread):
    """Gives a loop device the partitions that its GPT names, as most kernels do by themselves.

    It takes none away: the agent tells the kernel which have gone.
    """

    BLKPG, ADD = 0x1269, 1

    def __init__(self, loop: Loop, file: Path) -> None:
        super().__init__(daemon=True)
        self.loop, self.file, self.ended = loop, file, threading.Event()
        self.folder = Path("/sys/class/block") / Path(loop.path).name
        self.scan()
        self.start()

    def run(self) -> None:
        while not self.ended.wait(0.01):
            self.scan()

    def end(self) -> None:
        self.ended.set()
        self.join()

    def scan(self) -> None:
        for number, start, size in self.table():
            if not (self.folder / f"{self.folder.name}p{number}").exists():
                # struct blkpg_partition and struct blkpg_ioctl_arg of linux/blkpg.h
                partition = ctypes.create_string_buffer(struct.pack("<qqi132x", start, size, number))
                argument = struct.pack("<iiixxxxQ", self.ADD, 0, 152, ctypes.addressof(partition))
                try:
                    ioctl(self.loop.descriptor, self.BLKPG, argument)
                except OSError:
                    pass  # beyond the end, overlapping, or there by now

    def table(self) -> "list[tuple[int, int, int]]":
        """Number, first byte and bytes of each partition of a whole table; UEFI specification 2.10, chapter 5."""
        with open(self.file, "rb") as disk:
            sector, header = disk.read(512), bytearray(disk.read(512))
            if sector[450:451] != b"\xee" or sector[510:] != b"\x55\xaa" or header[:8] != b"EFI PART":
                return []
            length, stored = struct.unpack_from("<II", header, 12)
            start, count, width, entries_sum = struct.unpack_from("<QIII", header, 72)
            header[16:20] = bytes(4)
            if zlib.crc32(header[:length]) != stored or count * width > disk_images.MIB:
                return []
            disk.seek(start * 512)
            entries = disk.read(count * width)
        if zlib.crc32(entries) != entries_sum:
            return []
        found = []
        for number in range(count):
            entry = entries[number * width:(number + 1) * width]
            first, last = struct.unpack_from("<QQ", entry, 32)
            if uuid.UUID(bytes=entry[:16]).int and first <= last:
                found.append((number + 1, first * 512, (last + 1 - first) * 512))
        return found


# --- A case ----------------------------------------------------------------------------------------------


def agent(*words: str) -> "tuple[int, str]":
    done = subprocess.run([AGENT, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.returncode, done.stdout


def stage(case: dict) -> "tuple[int, str]":
    """The stages that concern disks, from a fresh boot's state; the status, and what was told and logged."""
    for file in STATE.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    status, said = agent("stage", "fetch")
    if status == 0:
        status, more = agent("stage", "disks")
        said += more
    if case["config"].get("raid"):
        for array in Path("/sys/block").glob("md*"):
            subprocess.run(["udevadm", "settle"], check=True)
            subprocess.run(["mdadm", "--quiet", "--stop", f"/dev/{array.name}"], check=True)
    for volume in case["config"].get("luks", []):
        if Path("/dev/mapper", volume["name"]).exists():
            subprocess.run(["cryptsetup", "close", volume["name"]], check=True)
    return status, said + (STATE / "log").read_text()


def renamed(case: dict) -> dict:
    """The case with names of its own for its LUKS volumes, wherever it has them."""
    text = json.dumps(case)
    for name in {volume["name"] for volume in case["config"].get("luks", [])}:
        text = re.sub(rf"\b{re.escape(name)}\b", f"{name}{os.getpid()}", text)
    return json.loads(text)


def judge(case: dict) -> "list[str]":
    """What is wrong with what the agent makes of a case, the most telling first."""
    case, sector, letters = renamed(case), case.get("sector", 512), list(case["before"])
    olds = {letter: here.folder / f"old-{letter}" for letter in letters}
    news = {letter: here.folder / f"new-{letter}" for letter in letters}
    for letter in letters:
        disk_cases.build(case["before"][letter], olds[letter], sector, here.folder, here.made)
        subprocess.run(["cp", "--sparse=always", olds[letter], news[letter]], check=True)
    wrong = plan_files(case, news)
    loops: "dict[str, Loop]" = {}
    scans, others = [], []
    try:
        for letter in letters:
            loops[letter] = Loop(news[letter], sector)
            if here.scans:
                scans.append(PartitionScan(loops[letter], news[letter]))
        others += [Loop(Path(disk_cases.put_devices(name, loops)), 512) for name in case.get("looped", [])]
        for letter in case.get("read_only", []):
            loops[letter].set_read_only()
        return wrong + carry_out(case, sector, olds, news, loops)
    finally:
        for other in others:
            other.detach()
        for scan in scans:
            scan.end()
        for loop in loops.values():
            loop.set_read_only(False)
            loop.detach()


def write_config(config: dict, devices: "dict[str, Loop | Path]") -> Path:
    storage = disk_cases.put_devices(config, devices)
    file = SYSTEM_CONFIG / "user.ign"
    file.write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": storage}, indent=1))
    return file


def plan_files(case: dict, images: "dict[str, Path]") -> "list[str]":
    """`plan` for the image files themselves, which know tables and no partitions of their own."""
    if case["config"].keys() != {"disks"} or case.get("sector", 512) != 512:
        return []
    before = {letter: disk_images.digest(file) for letter, file in images.items()}
    config = write_config(case["config"], images)
    status, said = agent("plan", "--config", str(config))
    wanted = 1 if "refused" in case else case["plan"]
    wrong = [] if status == wanted else [f"plan for image files exited with {status}, wanted {wanted}", said]
    if before != {letter: disk_images.digest(file) for letter, file in images.items()}:
        wrong.append("plan wrote to an image file")
    return wrong


def carry_out(case: dict, sector: int, olds: dict, news: dict, loops: dict) -> "list[str]":
    def digests() -> dict:
        for loop in loops.values():
            loop.flush()
        return {letter: disk_images.digest(file) for letter, file in news.items()}

    config = write_config(case["config"], loops)
    before, wrong = digests(), []
    status, said = agent("plan", "--config", str(config))
    wanted = 1 if "refused" in case else case["plan"]
    if status != wanted:
        wrong.append(f"plan exited with {status}, wanted {wanted}: {said}")
    if digests() != before:
        wrong.append("plan wrote to a disk")
    status, said = stage(case)
    wrong += [f"nothing says /{pattern}/" for pattern in case.get("says", []) + case.get("refused", [])
              if not re.search(pattern, said, re.S)]
    if disk_images.KEY in said:
        wrong.append("the key is in the log")
    if "refused" in case:
        if status == 0:
            wrong.append("the stage succeeded")
        if digests() != before:
            wrong.append("a refused config was partly carried out")
        return wrong + ([said] if wrong else [])
    if status != 0:
        return wrong + [f"the stage exited with {status}", said]
    once = digests()
    for letter, disk in case["after"].items():
        wrong += [f"{letter}: {text}" for text in disk_cases.differences(
            disk, case["before"][letter], olds[letter], news[letter], sector)]
    if case.get("rewritten"):
        return wrong + ([said] if wrong else [])
    status, more = stage(case)
    if status != 0:
        wrong.append(f"the second run exited with {status}: {more}")
    if digests() != once:
        wrong.append("the second run wrote to a disk")
    return wrong + ([said, more] if wrong else [])


# --- All of them -----------------------------------------------------------------------------------------


def judged(name: str, case: dict) -> "tuple[str, float, list[str]]":
    began = time.monotonic()
    try:
        wrong = judge(case)
    except Exception as fault:
        wrong = [f"{type(fault).__name__}: {fault}"]
    return name, time.monotonic() - began, wrong


def run_all(place: str, cases: "dict[str, dict]", scratch: str) -> "dict[str, list[str]]":
    """Tells of each case how it fares; what is wrong with it, for all that were run."""
    found: "dict[str, list[str]]" = {}
    for alone in (False, True):
        part = {name: case for name, case in cases.items() if is_alone(case) == alone}
        with ProcessPoolExecutor(1 if alone else AT_ONCE, multiprocessing.get_context("fork"), start_worker,
                                 (place, scratch)) as pool:
            for done in as_completed([pool.submit(judged, *each) for each in part.items()]):
                name, seconds, found[name] = done.result()
                state = "failed" if found[name] else "ok"
                print(f"{state:6} {seconds:5.1f} s  {name}", *found[name], sep="\n      ", flush=True)
    return found


def main(place: str, scratch: str) -> int:
    here_and_there = [*chosen("host", []), *(ONCE_MORE | chosen("guest", []).keys())]
    if sorted(here_and_there) != sorted(file.stem for file in FOLDER.iterdir()):
        raise SystemExit("a file of Fixtures/disks is run nowhere, or twice")
    cases = chosen(place, re.findall(r"[^,\s]+", os.environ.get("CASE", "")))
    found = run_all(place, cases, scratch)
    failed = {name: wrong for name, wrong in found.items() if wrong}
    # One that nobody ran must not pass for one that is as it should be.
    failed.update({name: ["it was not run"] for name in cases if name not in found})
    for name, wrong in list(failed.items())[:3]:
        print(f"{name}: {wrong[0].splitlines()[0]}")
    names = ", ".join(failed)
    print(f"{len(failed)} of {len(cases)} cases failed: {names}" if failed else f"{len(cases)} cases, each as it says")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
