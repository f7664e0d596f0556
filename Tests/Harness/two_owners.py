"""Two things on one disk: random pairs on image files (2,000 in `make test-all`), and random configs that want the disk.

No range that has an owner may be written to by a plan that does not say DESTROY and name the owner. What a plan would
write is worked out here from what it says of tables, partitions and filesystems, not by the code that carries it out;
Tests/BlockDevicesTests/PairTests.swift carries plans out and compares bytes.
"""

import json
import random
import struct
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import disk_images
import processes
from paths import AGENT
from tiers import ALL, only_in

MIB = 1 << 20
COUNT, FEW = 2000, 300
SIZE = 80 * MIB
FIRST = 8 * MIB  # of the partition that is there
# Where it ends: before what owners of a disk have at its end, and where most of them have it.
ENDS = (48 * MIB, SIZE - 33 * 512)
# Words of disk_cases for who may own a disk or a partition, and libblkid's name (or ours) for each.
NAMES = {"lvm": "LVM2_member", "raid": "linux_raid_member", "raid090": "linux_raid_member", "raid10": "linux_raid_member",
         "isw": "isw_raid_member", "promise": "promise_fasttrack_raid_member", "ddf": "ddf_raid_member",
         "drbd": "drbd", "ceph": "ceph_bluestore", "zfs": "zfs_member", "zfs-end": "zfs_member",
         "bcachefs": "bcachefs", "luks-mark": "crypto_LUKS", "btrfs-mark": "btrfs", "geom": "geom", "swap": "swap",
         "ext4": "ext4"}
# libblkid looks for fakeraid on whole disks alone.
ON_DISKS_ALONE = ("isw", "promise")
TABLES = [None, [], ["backup"], ["primary"], ["mbr"], ["mbr", "primary"], ["mbr", "backup"]]


class Owner:
    def __init__(self, kind: str, start: int, pieces: "list[tuple[int, bytes]]") -> None:
        self.is_of_disk = start == 0
        self.name = NAMES[kind]
        self.ranges = [(start + at, start + at + len(data)) for at, data in pieces]
        self.pieces = [(start + at, data) for at, data in pieces]


def contents(scratch: Path) -> "dict[tuple[str, int], list[tuple[int, bytes]]]":
    return {(kind, size): disk_images.content(kind, size, 512, scratch)
            for kind in NAMES for size in (SIZE, *(end - FIRST for end in ENDS))}


def make(file: Path, chance: random.Random, made: dict) -> "tuple[str, list[Owner]]":
    """A disk, and who owns what of it; in words."""
    inner, whole = chance.choice([None, *NAMES]), chance.choice([None] * 5 + [*NAMES])
    lacks, end = chance.choice(TABLES), chance.choice(ENDS)
    if inner == "zfs" or inner in ON_DISKS_ALONE:
        inner = None
    with open(file, "wb") as image:
        image.truncate(SIZE)
    owners = []
    if inner:
        owners.append(Owner(inner, FIRST, made[inner, end - FIRST]))
        _put(file, owners[-1])
    if lacks is not None:
        entry = {"number": 1, "start": FIRST // MIB, "count": (end - FIRST) // 512, "label": "var",
                 "guid": "aaaaaaaa-0000-4000-8000-000000000001"}
        disk_images.write_gpt(file, SIZE, 512, [entry], lacks)
    if whole:
        owners.append(Owner(whole, 0, made[whole, SIZE]))
        _put(file, owners[-1])
    if not _has_table(file):  # nobody can know where a partition was
        owners = owners[1:] if inner else owners
    return f"GPT without {lacks}, {inner} in its partition, {whole} on the disk", owners


def _put(file: Path, owner: Owner) -> None:
    with open(file, "r+b") as image:
        for at, data in owner.pieces:
            image.seek(at)
            image.write(data)


def _has_table(file: Path) -> bool:
    with open(file, "rb") as image:
        for at in (512, SIZE - 512):
            image.seek(at)
            header = bytearray(image.read(512))
            stored, = struct.unpack_from("<I", header, 16)
            start, count, width, total = struct.unpack_from("<QIII", header, 72)
            header[16:20] = bytes(4)
            if header[:8] != b"EFI PART" or zlib.crc32(header[:92]) != stored:
                continue
            image.seek(start * 512)
            if zlib.crc32(image.read(count * width)) == total:
                return True
    return False


def want(device: str, chance: random.Random) -> dict:
    partitions = chance.choice([
        [], [{"number": 1, "label": "var"}], [{"label": "new"}], [{"label": "new", "startMiB": 1, "sizeMiB": 4}],
        [{"number": 1, "label": "var", "startMiB": 8, "sizeMiB": chance.choice([20, 60]), "resize": True}],
        [{"number": 1, "label": "other", "wipePartitionEntry": True}],
        [{"number": 1, "label": "var"}, {"number": 2, "label": "more"}],
        [{"number": 1, "shouldExist": False, "wipePartitionEntry": True}]])
    disk = {"device": device, "wipeTable": chance.random() < 0.5, "partitions": partitions}
    wipes = chance.random() < 0.5
    target = chance.choice([device, "/dev/disk/by-partlabel/" + (partitions[0].get("label", "var") if partitions else "var")])
    filesystem = {"device": target, "format": chance.choice(["ext4", "swap", "btrfs"]), "wipeFilesystem": wipes}
    volume = {"name": "v", "device": target, "wipeVolume": wipes}
    wants = [{"disks": [disk]}, {"disks": [disk], "filesystems": [filesystem]}, {"disks": [disk], "luks": [volume]}]
    if target == device:
        wants += [{"filesystems": [filesystem]}, {"luks": [volume]}]
    return chance.choice(wants)


def writes(plan: dict, device: str, owners: "list[Owner]") -> "list[tuple[int, int]]":
    """The ranges that the plan writes to."""
    ranges, partitions = [], {}
    for disk in plan["disks"]:
        if disk["action"] != "keep":
            ranges += [(0, 34 * 512), (SIZE - 33 * 512, SIZE)]
        if disk["action"] in ("replace", "erase"):  # with the marks of whoever owns the whole disk
            ranges += [span for owner in owners if owner.is_of_disk for span in owner.ranges]
        for entry in disk["partitions"]:
            start, end = entry["start"] * 512, (entry["start"] + entry["sectors"]) * 512
            partitions[entry["node"]] = (start, end)
            if entry["zeroed"]:
                ranges.append((start, min(end, start + MIB)))
    for made in plan["filesystems"] + plan["luks"]:
        if made["action"] != "keep":
            ranges.append(partitions.get(made["node"], (0, SIZE)))
    return ranges


def judge(number: int, made: dict, folder: Path) -> "tuple[str, str | None]":
    """What became of it (`refused`, `planned`, `destroys`), and what is wrong."""
    chance = random.Random(number)
    file, text = folder / f"{number}.img", folder / f"{number}.ign"
    words, owners = make(file, chance, made)
    storage = want(str(file), chance)
    text.write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": storage}))
    before = disk_images.digest(file)
    try:
        done = subprocess.run([AGENT, "plan", "--json", "--config", text], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
        told = f"pair {number}: {words}; wanted {json.dumps(storage)}: {said[-1500:]}"
        if disk_images.digest(file) != before:
            return "wrong", f"it was written to; {told}"
        if done.returncode == 1:
            return "refused", None
        if done.returncode not in (0, 2, 3):
            return "wrong", f"exit status {done.returncode}; {told}"
        plan = json.loads(done.stdout)
        named = {mark["type"] for gone in plan["destroyed"] for mark in gone["content"]["signatures"]}
        spans = writes(plan, str(file), owners)
        for owner in owners:
            hit = any(first < end and start < last for first, last in owner.ranges for start, end in spans)
            if hit and owner.name not in named:
                return "wrong", f"{owner.name} is overwritten and not named; {told}"
        return "destroys" if plan["destroyed"] else "planned", None
    finally:
        file.unlink()
        text.unlink()


def few_pairs() -> None:
    """Random pairs of things on one disk: none is overwritten by a plan that does not name it."""
    _judge_all(FEW)


@only_in(ALL)
def pairs() -> None:
    """The same with 2,000 of them."""
    _judge_all(COUNT)


def _judge_all(count: int) -> None:
    folder = processes.temporary_folder("owners")
    try:
        made = contents(folder)
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(lambda number: judge(number, made, folder), range(count)))
        wrong = [text for _, text in outcomes if text]
        assert not wrong, "\n".join([f"{len(wrong)} of {count}:"] + wrong[:20])
        counts = {kind: sum(each == kind for each, _ in outcomes) for kind in ("refused", "planned", "destroys")}
        assert all(each >= count // 20 for each in counts.values()), f"too one-sided to show anything: {counts}"
    finally:
        processes.remove_folder(folder)


TESTS = [("two-owners", few_pairs), ("two-owners-often", pairs)]
