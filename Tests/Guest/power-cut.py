#!/usr/bin/python3
# init: systemd
# limit: 1500
"""The power goes in the middle of the disks stage, at many moments: the next run ends where an uninterrupted one does.

dm-log-writes keeps every write of the stage in order. A moment is what was written before it, or, as a disk with a
cache loses it, what was written before the last flush and some of the writes after.
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_cases  # noqa: E402

AGENT = os.environ["AGENT"]
SCRATCH = Path.cwd()
SECTOR = 512
MOMENTS = 16
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8

KEY = {"source": "data:,correct%20horse"}
LUKS_OPTIONS = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
                "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "256k"]
ONE = {"number": 1, "start": 1, "size": 20, "label": "one", "holds": "ext4:backup"}

CASES = {
    "a blank disk": {
        "before": {"size": 512},
        "config": {
            "disks": [{"device": "@a", "wipeTable": True, "partitions": [
                {"label": "e", "sizeMiB": 16}, {"label": "v", "sizeMiB": 20}, {"label": "s", "sizeMiB": 8},
                {"label": "l", "sizeMiB": 24}, {"label": "b", "sizeMiB": 24}, {"label": "x", "sizeMiB": 320}]}],
            "luks": [{"name": "vault", "device": "@a4", "label": "vault", "keyFile": KEY, "options": LUKS_OPTIONS}],
            "filesystems": [
                {"device": "@a1", "format": "ext4", "label": "e"}, {"device": "@a2", "format": "vfat", "label": "V"},
                {"device": "@a3", "format": "swap", "label": "s"}, {"device": "/dev/mapper/vault", "format": "ext4"},
                {"device": "@a5", "format": "btrfs", "label": "b", "options": ["--mixed"]},
                {"device": "@a6", "format": "xfs", "label": "x"}]},
        "after": {"gpt": [
            {"number": 1, "start": 1, "size": 16, "label": "e", "holds": "ext4:e"},
            {"number": 2, "start": 17, "size": 20, "label": "v", "holds": "vfat:V"},
            {"number": 3, "start": 37, "size": 8, "label": "s", "holds": "swap:s"},
            {"number": 4, "start": 45, "size": 24, "label": "l", "holds": "luks:vault"},
            {"number": 5, "start": 69, "size": 24, "label": "b", "holds": "btrfs:b"},
            {"number": 6, "start": 93, "size": 320, "label": "x", "holds": "xfs:x"}]}},
    "a disk in use for years": {
        "before": {"size": 64, "gpt": [ONE, {"number": 2, "start": 21, "size": 10, "label": "two", "holds": "swap:two"}]},
        "config": {
            "disks": [{"device": "@a", "partitions": [
                {"number": 1, "label": "one"}, {"number": 2, "shouldExist": False, "wipePartitionEntry": True},
                {"number": 3, "label": "new", "startMiB": 21, "sizeMiB": 30}]}],
            "filesystems": [{"device": "@a1", "format": "ext4"},
                            {"device": "@a3", "format": "vfat", "label": "NEW", "wipeFilesystem": True}]},
        "after": {"gpt": [ONE, {"number": 3, "start": 21, "size": 30, "label": "new", "holds": "vfat:NEW"}]}},
    "a table in another's place": {
        "before": {"size": 64, "mbr": [{"number": 1, "start": 1, "size": 20, "holds": "ext4:backup"}]},
        "config": {"disks": [{"device": "@a", "wipeTable": True, "partitions": [{"label": "one", "sizeMiB": 20},
                                                                               {"label": "two"}]}],
                   "filesystems": [{"device": "@a1", "format": "ext4", "label": "backup"},
                                   {"device": "@a2", "format": "swap", "label": "two"}]},
        "after": {"gpt": [{**ONE, "guid": "new"}, {"number": 2, "first": 21 * 2048, "count": 131039 - 21 * 2048, "label": "two",
                                "holds": "swap:two"}]}},
}

CHECKS = {"ext4": ["e2fsck", "-fn"], "vfat": ["fsck.fat", "-n"], "xfs": ["xfs_repair", "-n"],
          "btrfs": ["btrfs", "check"]}


def stage(config: dict, loop: disk_cases.Loop) -> "tuple[int, str]":
    storage = disk_cases.put_devices(config, {"a": loop})
    Path("/config.ign").write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": storage}))
    shutil.rmtree("/run/firstlight", ignore_errors=True)
    said = ""
    for name in ("fetch", "disks"):
        done = subprocess.run([AGENT, "stage", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said += done.stdout
        if done.returncode:
            break
    for mapped in Path("/dev/mapper").iterdir():
        if mapped.name == "vault":
            subprocess.run(["cryptsetup", "close", mapped.name], check=True)
    loop.flush()
    return done.returncode, said


def recorded(case: dict, image: Path) -> "list[tuple[int, int, bytes]]":
    """Sector, flags and data of every write of the stage to the disk, in order."""
    log = SCRATCH / "log"
    with open(log, "wb") as file:
        file.truncate(2 << 30)
    below, beside = disk_cases.Loop(image, SECTOR), disk_cases.Loop(log, SECTOR)
    sectors = case["before"]["size"] * 2048
    subprocess.run(["dmsetup", "create", "cut", "--table", f"0 {sectors} log-writes {below.path} {beside.path}"], check=True)
    loop = disk_cases.Loop(Path("/dev/mapper/cut"), SECTOR, direct=True)
    try:
        status, said = stage(case["config"], loop)
        assert status == 0, said
    finally:
        loop.detach()
        subprocess.run(["udevadm", "settle"], check=True)
        subprocess.run(["dmsetup", "remove", "--retry", "cut"], check=True)
        below.detach()
        beside.detach()
    return list(entries(log))


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


def at(moment: int, writes: list, keeps_all: bool, chance: random.Random) -> "list[tuple[int, bytes]]":
    """What has reached the disk when the power goes after that many writes."""
    flushed = max((index for index in range(moment) if writes[index][1] & FLUSH), default=0)
    return [(position, data) for index, (position, flags, data) in enumerate(writes[:moment])
            if data and (keeps_all or index < flushed or flags & FUA or chance.random() < 0.5)]


def judge(name: str, case: dict) -> "list[str]":
    old, made = SCRATCH / "old", SCRATCH / "made"
    disk_cases.build(case["before"], old, SECTOR, SCRATCH, {})
    subprocess.run(["cp", "--sparse=always", old, made], check=True)
    writes = recorded(case, made)
    wrong = checked(case, old, made)
    assert not wrong, wrong
    chance, failures = random.Random(1), []
    moments = sorted(chance.sample(range(1, len(writes)), min(MOMENTS, len(writes) - 1)))
    for index, moment in enumerate(moments):
        new = SCRATCH / "new"
        subprocess.run(["cp", "--sparse=always", old, new], check=True)
        keeps_all = index % 2 == 0
        with open(new, "r+b") as file:
            for position, data in at(moment, writes, keeps_all, chance):
                file.seek(position)
                file.write(data)
        loop = disk_cases.Loop(new, SECTOR)
        try:
            status, said = stage(case["config"], loop)
        finally:
            loop.detach()
        wrong = [f"the stage exited with {status}: {said}"] if status else checked(case, old, new)
        label = f"{name}, after {moment} of {len(writes)} writes" + ("" if keeps_all else ", some of the last ones lost")
        print(f"{'failed' if wrong else 'ok':6} {label}", *wrong, sep="\n      ", flush=True)
        failures += [label] if wrong else []
    return failures


def checked(case: dict, old: Path, new: Path) -> "list[str]":
    wrong = disk_cases.differences(case["after"], case["before"], old, new, SECTOR)
    part = SCRATCH / "part"
    for entry in case["after"]["gpt"]:
        check = CHECKS.get(entry["holds"].split(":")[0])
        if not check or wrong:
            continue
        first, count = disk_cases.sectors_of(entry, SECTOR)
        subprocess.run(["dd", f"if={new}", f"of={part}", "bs=1M", f"skip={first * SECTOR}", f"count={count * SECTOR}",
                        "iflag=skip_bytes,count_bytes", "conv=sparse", "status=none"], check=True)
        done = subprocess.run([*check, part], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            wrong.append(f"{' '.join(check)} objects to partition {entry['number']}: {done.stdout[-500:]}")
        part.unlink()
    return wrong


def main() -> int:
    subprocess.run(["modprobe", "-a", "loop", "dm-log-writes", "dm-crypt", "vfat", "btrfs", "xfs", "ext4"], check=True)
    Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal rd.timeout=2\n")
    subprocess.run(["mount", "--bind", "cmdline", "/proc/cmdline"], check=True)
    failures = [failure for name, case in CASES.items() for failure in judge(name, case)]
    print("\n".join(["failed:", *failures]) if failures else "every moment ended as it should")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
