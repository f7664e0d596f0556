#!/usr/bin/python3
# limit: 800
"""The power goes in the middle of the disks stage, at many moments: the next run ends where an uninterrupted one does.

dm-log-writes keeps every write of the stage in order. A moment is what was written before it, or, as a disk with a
cache loses it, what was written before the last flush and some of the writes after, or only the last of them. What is
to be kept must have its old bytes after it, and everything new must pass its checker.

$MOMENTS is how many there are over all cases, 10 where it is not set, or 25 where $TIER is `all`; $PART says which of
them: 2/4 is the second quarter. So few are just before and just after flushes, where most is at stake; with a hundred
or more they are spread over all writes. `make test-powercut` has 500 of the first case, the one that keeps and creates,
and some of the others.
"""
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_cases  # noqa: E402
import disk_images  # noqa: E402
from loops import Loop  # noqa: E402

SCRATCH = Path.cwd()
SECTOR = 512
WORKERS = 2
MANY = 100  # moments of a case, from which on they are spread over all writes
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8

KEY = {"source": "data:,correct%20horse"}
LUKS_OPTIONS = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
                "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "256k"]
ONE = {"number": 1, "start": 1, "size": 20, "label": "one", "holds": "ext4:backup"}
RAW = {"number": 2, "start": 21, "size": 4, "label": "raw", "holds": "data:of-somebody"}
SAFE = {"number": 3, "start": 25, "size": 20, "label": "safe", "holds": "luks:safe"}

# `share`: of all moments; `inside`: LUKS volumes that hold a filesystem with data before.
CASES = {
    "kept beside new": {
        "share": 0.76,
        "before": {"size": 616, "gpt": [
            ONE, RAW, SAFE, {"number": 4, "start": 45, "size": 8, "label": "old", "holds": "swap:old"}]},
        "inside": [3],
        "config": {
            "disks": [{"device": "@a", "partitions": [
                {"number": 1, "label": "one"}, {"number": 3, "label": "safe"},
                {"number": 4, "shouldExist": False, "wipePartitionEntry": True},
                {"number": 5, "label": "e", "startMiB": 45, "sizeMiB": 16}, {"number": 6, "label": "v", "sizeMiB": 20},
                {"number": 7, "label": "s", "sizeMiB": 8}, {"number": 8, "label": "l", "sizeMiB": 24},
                {"number": 9, "label": "b", "sizeMiB": 128}, {"number": 10, "label": "x", "sizeMiB": 320}]}],
            "luks": [{"name": "safe", "device": "@a3", "label": "safe", "keyFile": KEY},
                     {"name": "vault", "device": "@a8", "label": "vault", "keyFile": KEY, "options": LUKS_OPTIONS}],
            "filesystems": [
                {"device": "@a1", "format": "ext4"}, {"device": "/dev/mapper/safe", "format": "ext4", "label": "inside"},
                {"device": "@a5", "format": "ext4", "label": "e", "wipeFilesystem": True},
                {"device": "@a6", "format": "vfat", "label": "V"}, {"device": "@a7", "format": "swap", "label": "s"},
                {"device": "/dev/mapper/vault", "format": "ext4"},
                {"device": "@a9", "format": "btrfs", "label": "b"},
                {"device": "@a10", "format": "xfs", "label": "x"}]},
        "after": {"gpt": [
            ONE, RAW, SAFE, {"number": 5, "start": 45, "size": 16, "label": "e", "holds": "ext4:e"},
            {"number": 6, "start": 61, "size": 20, "label": "v", "holds": "vfat:V"},
            {"number": 7, "start": 81, "size": 8, "label": "s", "holds": "swap:s"},
            {"number": 8, "start": 89, "size": 24, "label": "l", "holds": "luks:vault"},
            {"number": 9, "start": 113, "size": 128, "label": "b", "holds": "btrfs:b"},
            {"number": 10, "start": 241, "size": 320, "label": "x", "holds": "xfs:x"}]}},
    "a blank disk": {
        "share": 0.12,
        "before": {"size": 552},
        "config": {
            "disks": [{"device": "@a", "wipeTable": True, "partitions": [
                {"label": "e", "sizeMiB": 16}, {"label": "l", "sizeMiB": 24}, {"label": "b", "sizeMiB": 128},
                {"label": "x", "sizeMiB": 320}]}],
            "luks": [{"name": "vault", "device": "@a2", "label": "vault", "keyFile": KEY, "options": LUKS_OPTIONS}],
            "filesystems": [
                {"device": "@a1", "format": "ext4", "label": "e"}, {"device": "/dev/mapper/vault", "format": "ext4"},
                {"device": "@a3", "format": "btrfs", "label": "b"},
                {"device": "@a4", "format": "xfs", "label": "x"}]},
        "after": {"gpt": [
            {"number": 1, "start": 1, "size": 16, "label": "e", "holds": "ext4:e"},
            {"number": 2, "start": 17, "size": 24, "label": "l", "holds": "luks:vault"},
            {"number": 3, "start": 41, "size": 128, "label": "b", "holds": "btrfs:b"},
            {"number": 4, "start": 169, "size": 320, "label": "x", "holds": "xfs:x"}]}},
    "a table in another's place": {
        "share": 0.06,
        "before": {"size": 64, "mbr": [{"number": 1, "start": 1, "size": 20, "holds": "ext4:backup"}]},
        "config": {"disks": [{"device": "@a", "wipeTable": True, "partitions": [{"label": "one", "sizeMiB": 20},
                                                                               {"label": "two"}]}],
                   "filesystems": [{"device": "@a1", "format": "ext4", "label": "backup"},
                                   {"device": "@a2", "format": "swap", "label": "two"}]},
        "after": {"gpt": [{**ONE, "guid": "new"}, {"number": 2, "first": 21 * 2048, "count": 131039 - 21 * 2048, "label": "two",
                                "holds": "swap:two"}]}},
    "a volume in another's place": {
        "share": 0.06,
        "before": {"size": 48, "gpt": [ONE, {"number": 2, "start": 21, "size": 24, "label": "two", "holds": "ext4:old"}]},
        "config": {"luks": [{"name": "vault", "device": "@a2", "label": "vault", "keyFile": KEY, "wipeVolume": True,
                             "options": LUKS_OPTIONS}],
                   "filesystems": [{"device": "/dev/mapper/vault", "format": "swap"}]},
        "after": {"gpt": [ONE, {"number": 2, "start": 21, "size": 24, "label": "two", "holds": "luks:vault"}]}},
}

CHECKS = {"ext4": ["e2fsck", "-fn"], "vfat": ["fsck.fat", "-n"], "xfs": ["xfs_repair", "-n"],
          "btrfs": ["btrfs", "check"]}
# What of the writes since the last flush has arrived, and how that is told.
ALL, SOME, LAST = "", ", some of the last ones lost", ", of the last ones only one there"
_attaching = threading.Lock()


def attached(file: Path, direct: bool = False) -> Loop:
    with _attaching:
        return Loop(file, SECTOR, direct=direct)


def run(*words) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Worker:
    """A folder and names of volumes of its own, so that stages run side by side."""

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, SCRATCH / name
        self.folder.mkdir()
        # Under this name its state is where the command line says.
        self.agent = self.folder / "ignition"
        self.agent.symlink_to(os.environ["AGENT"])

    def mapped(self, volume: str) -> str:
        return f"/dev/mapper/{volume}-{self.name}"

    def stage(self, case: dict, loop: Loop, look) -> "list[str]":
        """What is wrong after the stage by `look`, which sees its volumes open; or that it failed."""
        storage = disk_cases.put_devices(case["config"], {"a": loop})
        for volume in storage.get("luks", []):
            volume["name"] += f"-{self.name}"
        for filesystem in storage["filesystems"]:
            if filesystem["device"].startswith("/dev/mapper/"):
                filesystem["device"] += f"-{self.name}"
        (self.folder / "config").write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": storage}))
        state = self.folder / "state"
        state.unlink(missing_ok=True)
        done = run(self.agent, "--stage=disks", "--platform=metal", "--root=/mnt", "--log-to-stdout",
                   f"--config-cache={self.folder}/config", f"--state-file={state}")
        try:
            return [f"the stage exited with {done.returncode}: {done.stdout}"] if done.returncode else look()
        finally:
            for volume in case["config"].get("luks", []):
                if os.path.exists(self.mapped(volume["name"])):
                    subprocess.run(["cryptsetup", "close", self.mapped(volume["name"])], check=True)
            loop.flush()

    def recorded(self, case: dict, image: Path) -> "list[tuple[int, int, bytes]]":
        """Position, flags and data of every write of the stage to the disk, in order."""
        log = self.folder / "log"
        with open(log, "wb") as file:
            file.truncate(1 << 30)
        below, beside = attached(image), attached(log)
        cut = f"cut-{self.name}"
        table = f"0 {case['before']['size'] * 2048} log-writes {below.path} {beside.path}"
        subprocess.run(["dmsetup", "create", cut, "--table", table], check=True)
        loop = attached(Path("/dev/mapper", cut), direct=True)
        try:
            wrong = self.stage(case, loop, lambda: [])
            assert not wrong, wrong
        finally:
            loop.detach()
            subprocess.run(["dmsetup", "remove", "--retry", cut], check=True)
            below.detach()
            beside.detach()
        writes = [part for entry in entries(log) for part in parted(*entry)]
        log.unlink()
        return writes

    def converges(self, case: dict, old: Path, writes: "list[tuple[int, bytes]]") -> "list[str]":
        """What is wrong after one more run on a disk where just these writes have arrived."""
        new = self.folder / "new"
        subprocess.run(["cp", "--sparse=always", old, new], check=True)
        with open(new, "r+b") as file:
            for position, data in writes:
                file.seek(position)
                file.write(data)
        loop = attached(new)
        try:
            wrong = self.stage(case, loop, lambda: self.checked(case, loop))
        finally:
            loop.detach()
        return wrong or disk_cases.differences(case["after"], case["before"], old, new, SECTOR)

    def checked(self, case: dict, loop: Loop) -> "list[str]":
        """What the checkers of its filesystems have to say."""
        wrong = []
        for entry in case["config"]["filesystems"]:
            check = CHECKS.get(entry["format"])
            if not check:
                continue
            device = entry["device"].replace("@a", loop.path + "p")
            if device.startswith("/dev/mapper/"):
                device = self.mapped(Path(device).name)
            done = run(*check, device)
            if done.returncode:
                wrong.append(f"{' '.join(check)} objects to {entry['device']}: {done.stdout[-500:]}")
        return wrong


def entries(log: Path):
    """- SeeAlso: drivers/md/dm-log-writes.c, struct log_write_super and struct log_write_entry."""
    with open(log, "rb") as file:
        magic, version, count, size = struct.unpack("<QQQI", file.read(28))
        assert magic == 0x6A736677736872, hex(magic)
        position = size
        for _ in range(count):
            file.seek(position)
            sector, sectors, flags, length = struct.unpack("<QQQQ", file.read(32))
            position += size
            data = b""
            if not flags & (DISCARD | MARK):
                file.seek(position)
                data = file.read(sectors * size)
                position += sectors * size
            elif flags & DISCARD:
                data = bytes(sectors * size)
            elif length:
                position += size
            yield sector * size, flags, data


def parted(position: int, flags: int, data: bytes) -> "list[tuple[int, int, bytes]]":
    """A write in up to eight parts of whole blocks: the power may go in the middle of it, too."""
    blocks = max(len(data) // 4096, 1)
    size = -(-blocks // min(blocks, 8)) * 4096
    starts = range(0, max(len(data), 1), size)
    return [(position + start, flags if start == 0 else flags & ~FLUSH, data[start:start + size]) for start in starts]


def at(moment: int, writes: list, there: str, chance: random.Random) -> "list[tuple[int, bytes]]":
    """What has reached the disk when the power goes after that many writes."""
    # A flush is for what came before it; its own data may still be lost.
    flushed = max((index for index in range(moment) if writes[index][1] & FLUSH), default=0)
    last = max((index for index in range(moment) if writes[index][2]), default=0)

    def arrives(index: int, flags: int) -> bool:
        if there == ALL or index < flushed or flags & FUA:
            return True
        return index == last if there == LAST else chance.random() < 0.5

    return [(position, data) for index, (position, flags, data) in enumerate(writes[:moment])
            if data and arrives(index, flags)]


def fill(image: Path, number: int) -> None:
    """A filesystem with a file in it, inside the volume that is there."""
    loop = attached(image)
    try:
        subprocess.run(["cryptsetup", "open", "--key-file", "-", f"{loop.path}p{number}", "fill"],
                       input=disk_images.KEY.encode(), check=True)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-L", "inside", "/dev/mapper/fill"], check=True)
            Path("inside").mkdir(exist_ok=True)
            subprocess.run(["mount", "/dev/mapper/fill", "inside"], check=True)
            Path("inside/letters").write_bytes(random.Random(7).randbytes(1 << 20))
            subprocess.run(["umount", "inside"], check=True)
        finally:
            subprocess.run(["cryptsetup", "close", "fill"], check=True)
    finally:
        loop.detach()


def shares(total: int) -> "dict[str, int]":
    """How many moments each case has; one at least, and the first case what the others leave."""
    counts = {name: max(int(total * case["share"]), 1) for name, case in CASES.items()}
    first = next(iter(counts))
    counts[first] += total - sum(counts.values())
    return counts


def spread(count: int, writes: list, part: int, parts: int) -> "list[tuple[int, str]]":
    """Moments over all writes, and what has arrived of those since the last flush."""
    count = min(count, len(writes) - 1)
    moments = [1 + index * (len(writes) - 1) // count for index in range(part - 1, count, parts)]
    return [(moment, (ALL, SOME, ALL, LAST)[index % 4]) for index, moment in enumerate(moments)]


def at_flushes(count: int, writes: list, part: int, parts: int) -> "list[tuple[int, str]]":
    """The same just before flushes, part of what they are for lost, and just after them, in turn.

    Flushes are parted into runs of the same length, and of each run the one counts that has the most writes since
    the flush before it.
    """
    flushes = [index for index, (_, flags, _) in enumerate(writes) if flags & FLUSH and index]
    at_stake = {flush: flush - before for before, flush in zip([0, *flushes], flushes)}
    count = min(count, len(flushes))
    runs = [flushes[index * len(flushes) // count:(index + 1) * len(flushes) // count] for index in range(count)]
    chosen = [max(run, key=at_stake.get) for run in runs]
    ways = [(0, SOME), (1, ALL), (0, LAST)]
    moments = [(flush + ways[index % 3][0], ways[index % 3][1]) for index, flush in enumerate(chosen)]
    return moments[part - 1::parts]


def judge(name: str, case: dict, count: int, workers: "list[Worker]") -> "tuple[int, list[str]]":
    part, parts = (int(word) for word in os.environ.get("PART", "1/1").split("/"))
    old, made = SCRATCH / "old", SCRATCH / "made"
    disk_cases.build(case["before"], old, SECTOR, SCRATCH, {})
    for number in case.get("inside", []):
        fill(old, number)
    subprocess.run(["cp", "--sparse=always", old, made], check=True)
    writes = workers[0].recorded(case, made)
    wrong = disk_cases.differences(case["after"], case["before"], old, made, SECTOR)
    assert not wrong, wrong
    chance, failures = random.Random(part), []
    moments = (spread if count >= MANY else at_flushes)(count, writes, part, parts)
    flushes = sum(bool(flags & FLUSH) for _, flags, _ in writes)
    print(f"{name}: {len(writes)} writes, {flushes} flushes, {len(moments)} moments", flush=True)
    jobs = [(moment, there, at(moment, writes, there, chance)) for moment, there in moments]
    idle = list(workers)

    def one(job: tuple) -> "list[str]":
        moment, there, arrived = job
        began, worker = time.monotonic(), idle.pop()
        try:
            wrong = worker.converges(case, old, arrived)
        finally:
            idle.append(worker)
        label = f"{name}, after {moment} of {len(writes)} writes{there}"
        lines = [f"{'failed' if wrong else 'ok':6} {time.monotonic() - began:5.1f} s  {label}", *wrong]
        print("\n      ".join(lines), flush=True)
        return [label] if wrong else []

    with ThreadPoolExecutor(len(workers)) as pool:
        for found in pool.map(one, jobs):
            failures += found
    return len(moments), failures


def main() -> int:
    os.environ["DM_DISABLE_UDEV"] = "1"  # there is none here to make the nodes
    subprocess.run(["modprobe", "-a", "loop", "dm-log-writes", "dm-crypt", "vfat", "btrfs", "xfs", "ext4"], check=True)
    workers = [Worker(f"w{number}") for number in range(WORKERS)]
    moments, failures = 0, []
    total = int(os.environ.get("MOMENTS") or (25 if os.environ.get("TIER") == "all" else 10))
    for (name, case), share in zip(CASES.items(), shares(total).values()):
        count, found = judge(name, case, share, workers)
        moments, failures = moments + count, failures + found
    print("\n".join(["failed:", *failures]) if failures else f"{moments} moments, each ended as it should")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
