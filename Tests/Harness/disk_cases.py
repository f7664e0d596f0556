"""Disk cases: disks before, a config, and disks after, each a file in Fixtures/disks.

    {"shows": "...",                       what the case is about
     "sector": 512,                        bytes of a logical sector, 512 or 4096
     "before": {"a": DISK, ...},           disks by letter
     "config": {"disks": [...], ...},      storage of the config; "@a" is disk a, "@a1" its partition 1
     "plan": 2,                            exit status of `plan`: 0 nothing to do, 2 changes, 3 destroys
     "says": ["..."],                      patterns that the console must show
     "read_only": ["a"],                   disks that cannot be written to
    "looped": ["@a1"],                    partitions that a loop device is made of
    "after": {"a": DISK, ...}}            or "refused": ["pattern", ...]: a stop with not one byte changed

A DISK has a `size` in MiB and `gpt`, `mbr` (lists of partitions) or `holds`; what is `over` it is written last, past
all that. A partition has `number`, `start` and `size` in MiB (or `first` and `count` in sectors), `label`, `type`,
`guid`, `attributes`, `holds`. After the stage a partition's bytes are those of before wherever `holds` and its sectors
are; `"bytes": "new"` (or "any") says otherwise, and `"guid": "new"` that it is none of before. A `holds` is a word for
each signature, with a label: `ext4:backup`.

The stage runs twice; the second run must change no byte outside the partitions in `"rewritten"`.
"""

import errno
import fcntl
import hashlib
import json
import os
import random
import re
import struct
import subprocess
import time
import uuid
import zlib
from pathlib import Path

import disks

MIB = 1 << 20
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
KEY = "correct horse"
CHEAP_KEY = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
SMALL_HEADER = ["--luks2-metadata-size", "16k", "--luks2-keyslots-size", "256k"]
# mkfs.xfs refuses filesystems under 300 MB unless it believes that it is being tested.
SMALL_XFS = {"TEST_DIR": "x", "TEST_DEV": "x", "QA_CHECK_FS": "1"}
# Bytes from which on mkfs needs no help: ext4 has blocks of 4 KiB, xfs and btrfs have room for what they keep.
SMALL = {"ext4": 512 << 20, "xfs": 300 << 20, "btrfs": 256 << 20}
SECTOR_COUNT_UNITS = 512
# Words of `holds` that are no signature.
UNSEEN = ("noise", "tar", "unfinished", "file", "data", "broken", "longer", "erased", "role", "level", "array",
          "inside")


# --- Contents ----------------------------------------------------------------------------------------


def content(spec: str, size: int, sector: int, scratch: Path) -> "list[tuple[int, bytes]]":
    """What `spec` says, made for an area of `size` bytes, as pieces that are not zero."""
    file = scratch / "content"
    file.unlink(missing_ok=True)
    with open(file, "wb") as image:
        image.truncate(size)
    words = spec.split()
    for word in words:
        kind, _, label = word.partition(":")
        _make(kind, label, file, sector)
    pieces = extents(file)
    file.unlink()
    return pieces


def _make(kind: str, label: str, file: Path, sector: int) -> None:
    named = ["-L", label] if label else []
    # Where there is room, filesystems are as their makers make them.
    size = file.stat().st_size
    if kind == "ext4":
        _run("mkfs.ext4", "-F", *(["-b", "4096"] if size < SMALL["ext4"] else []), *named, file)
    elif kind == "xfs":
        small = size < SMALL["xfs"] or sector != 512
        _run("mkfs.xfs", "-f", *(["-s", f"size={sector}"] if small else []), *named, file,
             environment=SMALL_XFS if small else None)
    elif kind == "btrfs":
        _run("mkfs.btrfs", "-f", *(["--mixed"] if size < SMALL["btrfs"] else []), *named, file)
    elif kind == "vfat":
        _run("mkfs.fat", "-S", sector, *(["-n", label] if label else []), file)
    elif kind == "swap":
        _run("mkswap", "-q", *named, file)
    elif kind in ("luks", "luks1"):
        version = ["--type", "luks1" if kind == "luks1" else "luks2", "--pbkdf-force-iterations", "1000", "--batch-mode"]
        if kind == "luks":
            version += ["--pbkdf", "pbkdf2", *SMALL_HEADER] + (["--label", label] if label else [])
        _run("cryptsetup", "luksFormat", *version, "--key-file", "-", file, input=KEY.encode())
    elif kind == "raid":  # the first of two members of a raid1 that is called so
        _write(file, 4096, raid_member(file.stat().st_size, label))
    elif kind in ("role", "level", "array"):  # what is different about the member that is there
        with open(file, "rb") as image:
            block = bytearray(image.read(4096 + 512)[4096:])
        if kind == "role":
            struct.pack_into("<I", block, 160, int(label))
            block[168] = int(label)  # a device has a UUID of its own
        elif kind == "level":
            struct.pack_into("<i", block, 72, int(label))
        else:
            block[16:32] = label.encode().ljust(16)[:16]
        _write(file, 4096, raid_sealed(block))
    elif kind == "inside":  # an ext4 where the member's data begins
        inner = file.with_suffix(".inner")
        with open(inner, "wb") as image:
            image.truncate(file.stat().st_size - MIB)
        _make("ext4", label, inner, sector)
        for position, data in extents(inner):
            _write(file, MIB + position, data)
        inner.unlink()
    elif kind == "erased":  # every key slot of the LUKS volume that is there
        _run("cryptsetup", "luksErase", "--batch-mode", file)
    elif kind == "squashfs":
        empty = file.with_suffix(".d")
        empty.mkdir(exist_ok=True)
        made = file.with_suffix(".sqfs")
        _run("mksquashfs", empty, made, "-quiet", "-no-progress", "-noappend")
        _write(file, 0, made.read_bytes())
    elif kind == "ntfs":
        head = bytearray(512)
        head[0:11], head[11:13], head[13], head[21] = b"\xeb\x52\x90NTFS    ", b"\x00\x02", 8, 0xF8
        struct.pack_into("<QQQbxxxbxxxQ", head, 40, 20479, 4, 1000, -10, 1, 0x1122334455667788)
        head[510:512] = b"\x55\xaa"
        _write(file, 0, bytes(head))
        record = bytearray(1024)
        record[0:4] = b"FILE"
        _write(file, 4 * 8 * 512, bytes(record) * 4)
    elif kind == "lvm":
        label_sector = bytearray(512)
        label_sector[0:8], label_sector[24:32] = b"LABELONE", b"LVM2 001"
        struct.pack_into("<Q", label_sector, 8, 1)
        struct.pack_into("<I", label_sector, 20, 32)
        label_sector[32:64] = b"0123456789abcdefghijklmnopqrstuv"
        struct.pack_into("<I", label_sector, 16, _crc_lvm(bytes(label_sector[20:])))
        _write(file, 512, bytes(label_sector))
    elif kind == "mbr":
        entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x83, b"\xff\xff\xff", 2048, 4096)
        _write(file, 446, entry + bytes(48) + b"\x55\xaa")
    elif kind == "xfs-head":  # the first sector of an xfs over what is there: two signatures
        other = file.with_suffix(".xfs")
        with open(other, "wb") as image:
            image.truncate(file.stat().st_size)
        _make("xfs", label, other, sector)
        with open(other, "rb") as image:
            _write(file, 0, image.read(512))
        other.unlink()
    elif kind == "broken":  # what the kernel needs to mount the ext4 that is there
        _write(file, 4096, os.urandom(8192))
    elif kind == "data":  # nothing that anybody knows
        _write(file, 65536, hashlib.sha512(label.encode()).digest() * 512)
    elif kind == "longer":  # than its area: an ext4 that says so
        with open(file, "r+b") as image:
            image.seek(1024)
            block = bytearray(image.read(1024))
            struct.pack_into("<I", block, 4, struct.unpack_from("<I", block, 4)[0] * 2)
            struct.pack_into("<I", block, 1020, ~zlib_crc32c(bytes(block[:1020])) & 0xFFFFFFFF)
            image.seek(1024)
            image.write(block)
    elif kind in OWNERS:  # what says that a whole disk is somebody's
        for position, data in OWNERS[kind](file.stat().st_size):
            _write(file, position, data)
    elif kind == "noise":  # as a volume without a header reads
        _write(file, 0, random.Random(label).randbytes(file.stat().st_size))
    elif kind == "tar":
        _write(file, 0, b"name".ljust(257, b"\0") + b"ustar\0")
    elif kind == "unfinished":  # the mark that a vfat bears until it is whole
        _write(file, file.stat().st_size - 512, b"firstlight: a filesystem is being made here\n".ljust(512, b"\0"))
    elif kind == "file":  # an entry in the root directory of the vfat that is there, and its cluster
        with open(file, "rb") as image:
            head = image.read(512)
        step, reserved, tables, per_table = (*struct.unpack_from("<H", head, 11), *struct.unpack_from("<HB", head, 14),
                                             struct.unpack_from("<H", head, 22)[0] or struct.unpack_from("<I", head, 36)[0])
        _write(file, reserved * step + 6, b"\xff\xff\xff\x0f")
        _write(file, (reserved + tables * per_table) * step + 32, b"FILE       ".ljust(32, b" "))
    elif kind == "gpt4096":  # a table of a disk with other sectors
        write_gpt(file, file.stat().st_size, 4096, [{"number": 1, "start": 1, "size": 4, "guid": LINUX}], [])
    else:
        raise ValueError(f"nobody knows how to make {kind}")


def _zfs(label: int) -> "list[tuple[int, bytes]]":
    """The first name of a label's list, and five uberblocks."""
    names = struct.pack(">BBHIIIII7sx", 1, 1, 0, 0, 1, 36, 32, 7, b"version")
    return [(label + (16 << 10), names)] + [(label + (128 << 10) + block * 1024, struct.pack("<QQ", 0xBAB10C, 28))
                                           for block in range(4, 9)]


def _zfs_labels(size: int) -> "list[int]":
    end = size >> 18 << 18
    return [0, 256 << 10, end - (512 << 10), end - (256 << 10)]


# By name: what stands where on a disk of that size, as its maker leaves it.
OWNERS = {
    "raid090": lambda size: [((size >> 16 << 16) - 65536,
                              struct.pack("<10I", 0xA92B4EFC, 0, 90, 0, 0, 7, 0, 1, ((size >> 16 << 16) - 65536) >> 10, 2))],
    "raid10": lambda size: [((size // 512 - 16) // 8 * 8 * 512, raid_member(size, "any:data", "1.0"))],
    "isw": lambda size: [((size // 512 - 2) * 512, b"Intel Raid ISM Cfg Sig. 1.1.00")],
    "drbd": lambda size: [(size - 4096 + 56, bytes.fromhex("100000018374026b"))],
    "ceph": lambda size: [(0, b"bluestore block device\n")],
    "zfs": lambda size: [piece for label in _zfs_labels(size) for piece in _zfs(label)],
    "zfs-end": lambda size: _zfs(_zfs_labels(size)[3]),
    "bcachefs": lambda size: [(4096 + 24, bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef"))],
    "luks-mark": lambda size: [(0, b"LUKS\xba\xbe\0\1" + b"a" * 160)],
    "btrfs-mark": lambda size: [(65536 + 64, b"_BHRfS_M")],
    "geom": lambda size: [(size - 512, b"GEOM::MIRROR")],
}


def raid_member(size: int, name: str, format: str = "1.2") -> bytes:
    """struct mdp_superblock_1: clean, the first of two members of a raid1, its data from 1 MiB on."""
    total = size // SECTOR_COUNT_UNITS
    block = bytearray(512)
    struct.pack_into("<IIII16s32s", block, 0, 0xA92B4EFC, 1, 0, 0, b"\x11" * 16, name.encode())
    data, place = (2048, 8) if format == "1.2" else (0, (total - 16) // 8 * 8)
    length = (min(total, place if format == "1.0" else total) - data) // 128 * 128
    struct.pack_into("<QiiQII", block, 64, 1700000000, 1, 0, length, 0, 2)
    struct.pack_into("<QQQ", block, 128, data, length, place)
    struct.pack_into("<I16s", block, 160, 0, b"\0" + b"\x22" * 15)
    struct.pack_into("<QQQ", block, 192, 1700000000, 17, 0xFFFFFFFFFFFFFFFF)
    struct.pack_into("<I", block, 220, 128)
    block[256:512] = b"\xff" * 256
    struct.pack_into("<HH", block, 256, 0, 1)
    return raid_sealed(block)


def raid_sealed(block: bytearray) -> bytes:
    roles = min(struct.unpack_from("<I", block, 220)[0], 128)
    block[216:220] = bytes(4)
    total = sum(struct.unpack_from(f"<{(256 + 2 * roles) // 4}I", block, 0))
    struct.pack_into("<I", block, 216, (total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF)
    return bytes(block)


def zlib_crc32c(data: bytes) -> int:
    """CRC-32C without its last inversion, as ext4 keeps it of its superblock."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _crc_lvm(data: bytes) -> int:
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _run(*words, input: "bytes | None" = None, environment: "dict[str, str] | None" = None) -> None:
    done = subprocess.run([str(word) for word in words], input=input, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stdout.decode(errors='replace')}")


def _write(file: Path, position: int, data: bytes) -> None:
    with open(file, "r+b") as image:
        image.seek(position)
        image.write(data)


def extents(file: Path) -> "list[tuple[int, bytes]]":
    """The parts of a sparse file that hold data and are not all zero."""
    pieces = []
    for start, end in _data_ranges(file):
        with open(file, "rb") as image:
            image.seek(start)
            data = image.read(end - start)
        if data != bytes(len(data)):
            pieces.append((start, data))
    return pieces


def _data_ranges(file: Path) -> "list[tuple[int, int]]":
    ranges, position = [], 0
    descriptor = os.open(file, os.O_RDONLY)
    try:
        while True:
            try:
                start = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return ranges
                raise
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
            ranges.append((start, position))
    finally:
        os.close(descriptor)


def digest(file: Path, start: int = 0, end: "int | None" = None) -> str:
    """Of a range of a sparse file; zeros count for nothing, holes or not."""
    end = file.stat().st_size if end is None else end
    found, block, many, zeros = hashlib.sha256(), 4096, MIB, bytes(4096)
    done = start  # a whole number of blocks from the start
    with open(file, "rb") as image:
        for first, last in _data_ranges(file):
            position = max(done, start + (max(first, start) - start) // block * block)
            while position < min(last, end):
                image.seek(position)
                data = image.read(min(many, end - position))
                # Most of what is long is all zeros. Compared, that is told a hundred times faster than stripped.
                for at in range(0, len(data), block) if data != bytes(len(data)) else ():
                    piece = data[at:at + block]
                    if piece != zeros[:len(piece)]:
                        found.update(struct.pack("<Q", (position + at - start) // block) + piece)
                position += many
                done = position
    return found.hexdigest()


# --- Tables --------------------------------------------------------------------------------------------


def write_gpt(file: Path, size: int, sector: int, partitions: "list[dict]", lacks: "list[str]") -> None:
    """A GPT as libfdisk and sgdisk write it; `lacks` names what is then lost of it: primary, backup, mbr."""
    total, entries = size // sector, bytearray(128 * 128)
    for entry in partitions:
        first, count = sectors_of(entry, sector)
        label = entry.get("label", "").encode("utf-16-le").ljust(72, b"\0")
        struct.pack_into("<16s16sQQQ72s", entries, (entry["number"] - 1) * 128,
                         uuid.UUID(entry.get("type", LINUX)).bytes_le, uuid.UUID(entry["guid"]).bytes_le,
                         first, first + count - 1, entry.get("attributes", 0), label)
    length = len(entries) // sector

    def header(own: int, other: int, table: int) -> bytes:
        fields = [b"EFI PART", 0x10000, 92, 0, 0, own, other, 2 + length, total - length - 2,
                  uuid.UUID("00000000-1111-4222-8333-444444444444").bytes_le, table, 128, 128, zlib.crc32(entries)]
        packed = struct.pack("<8sIIIIQQQQ16sQIII", *fields)
        fields[3] = zlib.crc32(packed)
        return struct.pack("<8sIIIIQQQQ16sQIII", *fields).ljust(sector, b"\0")

    if "mbr" not in lacks:
        entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(total - 1, 0xFFFFFFFF))
        _write(file, 446, entry + bytes(48) + b"\x55\xaa")
    if "primary" not in lacks:
        _write(file, sector, header(1, total - 1, 2) + entries)
    if "backup" not in lacks:
        _write(file, (total - length - 1) * sector, bytes(entries) + header(total - 1, 1, total - length - 1))


def write_mbr(file: Path, sector: int, partitions: "list[dict]") -> None:
    table = bytearray(66)
    for entry in partitions:
        first, count = sectors_of(entry, sector)
        struct.pack_into("<B3sB3sII", table, (entry["number"] - 1) * 16, 0, b"\0\2\0", 0x83, b"\xff\xff\xff", first, count)
    table[64:66] = b"\x55\xaa"
    _write(file, 446, bytes(table))


def sectors_of(entry: dict, sector: int) -> "tuple[int, int]":
    first = entry.get("first", entry.get("start", 0) * MIB // sector)
    return first, entry.get("count", entry.get("size", 0) * MIB // sector)


def give_guids(disk: dict) -> None:
    """To partitions of which the case does not say them."""
    for index, entry in enumerate(disk.get("gpt", [])):
        entry.setdefault("guid", f"aaaaaaaa-0000-4000-8000-{index + 1:012}")


def build(disk: dict, file: Path, sector: int, scratch: Path, made: dict) -> None:
    """The image of a disk as it is before. `made` keeps contents, which are slow to make."""
    size = disk["size"] * MIB
    file.unlink(missing_ok=True)
    with open(file, "wb") as image:
        image.truncate(size)
    areas = [(0, size, disk.get("holds"))]
    for entry in disk.get("gpt", []) + disk.get("mbr", []):
        first, count = sectors_of(entry, sector)
        areas.append((first * sector, count * sector, entry.get("holds")))
    for start, length, spec in areas:
        if not spec:
            continue
        key = (spec, length, sector)
        if key not in made:
            made[key] = content(spec, length, sector, scratch)
        for position, data in made[key]:
            _write(file, start + position, data)
    give_guids(disk)
    if "gpt" in disk:
        write_gpt(file, size, sector, disk["gpt"], disk.get("lacks", []))
    if "mbr" in disk:
        write_mbr(file, sector, disk["mbr"])
    if "over" in disk:
        for position, data in content(disk["over"], size, sector, scratch):
            _write(file, position, data)


# --- What is there -------------------------------------------------------------------------------------


def signatures(file: Path, start: int, length: int) -> str:
    """In the words of `holds`, by libblkid as the system has it."""
    words = []
    said = subprocess.run(["blkid", "-p", "-o", "export", "--offset", str(start), "--size", str(length), file],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if said.returncode == 8:
        return "several"
    found = dict(line.split("=", 1) for line in said.stdout.splitlines() if "=" in line)
    kind = found.get("TYPE", "")
    names = {"crypto_LUKS": "luks1" if found.get("VERSION") == "1" else "luks", "linux_raid_member": "raid"}
    if kind:
        label = found.get("LABEL", "").replace("\\ ", " ")
        words.append(names.get(kind, kind) + (f":{label}" if label else ""))
    return " ".join(words)


def whole(old: Path, new: Path) -> dict:
    """What of the image `new`, made from `old`, is told of a disk without partitions."""
    return {"same": digest(old) == digest(new), "holds": signatures(new, 0, new.stat().st_size)}


def partitioned(old: Path, new: Path, sector: int) -> dict:
    """What of the image `new`, made from `old`, is told of a disk with a GPT: in the words of a case, in sectors; and
    whether the bytes of a partition are those that were there."""
    try:
        table = disks.table(new, sector)
    except ValueError as error:
        return {"lacks": str(error)}
    found = []
    for partition in table.partitions:
        start, length = partition.first * SECTOR_COUNT_UNITS, partition.count * SECTOR_COUNT_UNITS
        same = digest(old, start, start + length) == digest(new, start, start + length)
        found.append({
            "number": partition.number, "first": start // sector, "count": length // sector, "label": partition.label,
            "type": partition.type, "guid": partition.guid, "holds": signatures(new, start, length),
            "bytes": "old" if same else "new"})
    return {"gpt": found}


def differences(wanted: dict, before: dict, old: Path, new: Path, sector: int) -> "list[str]":
    """In what the image `new`, made from `old`, is not the disk `wanted`."""
    found = partitioned(old, new, sector) if "gpt" in wanted else whole(old, new)
    return differing(wanted, before, found, sector)


def differing(wanted: dict, before: dict, found: dict, sector: int) -> "list[str]":
    """In what a disk of which `whole` or `partitioned` tell is not the disk `wanted`."""
    if "gpt" not in wanted:
        if wanted.get("same"):
            return [] if found["same"] else ["the disk changed"]
        known = " ".join(word for word in wanted.get("holds", "").split() if word.split(":")[0] not in UNSEEN)
        return [] if found["holds"] == known else [f"the disk holds {found['holds'] or 'nothing'}"]
    if "gpt" not in found:
        return [found["lacks"]]
    wrong = []
    numbers = {partition["number"]: partition for partition in found["gpt"]}
    expected = {entry["number"]: entry for entry in wanted["gpt"]}
    if numbers.keys() != expected.keys():
        wrong.append(f"it has the partitions {sorted(numbers)}, wanted {sorted(expected)}")
    for number in sorted(numbers.keys() & expected.keys()):
        entry, partition = expected[number], numbers[number]
        first, count = sectors_of(entry, sector)
        facts = {"first": first, "count": count, "label": entry.get("label", ""), "type": entry.get("type", LINUX)}
        earlier = next((other for other in before.get("gpt", []) if other["number"] == number), None)
        if entry.get("guid") == "new":
            if earlier and partition["guid"] == earlier["guid"]:
                wrong.append(f"partition {number} has its old GUID")
        elif guid := entry.get("guid") or (earlier or {}).get("guid"):
            facts["guid"] = guid.lower()
        wrong += [f"partition {number}: {name} is {partition[name]}, wanted {want}"
                  for name, want in facts.items() if partition[name] != want]
        held, holds = partition["holds"], entry.get("holds", "")
        known = " ".join(word for word in holds.split() if word.split(":")[0] not in UNSEEN)
        if held != (known if len(known.split()) < 2 else "several"):
            wrong.append(f"partition {number} holds {held or 'nothing'}, wanted {known or 'nothing'}")
        stays = [other for other in before.get("gpt", []) + before.get("mbr", [])
                 if sectors_of(other, sector) == (first, count) and other.get("holds", "") == holds]
        if stays and entry.get("bytes") not in ("new", "any") and partition["bytes"] != "old":
            wrong.append(f"the bytes of partition {number} changed")
        if entry.get("bytes") == "new" and partition["bytes"] == "old":
            wrong.append(f"the bytes of partition {number} are the old ones")
    return wrong


# --- Loop devices ----------------------------------------------------------------------------------------

LOOP_CONFIGURE, LOOP_CTL_GET_FREE, LOOP_CLR_FD = 0x4C0A, 0x4C82, 0x4C01
BLKROSET = 0x125D
LO_FLAGS_AUTOCLEAR, LO_FLAGS_PARTSCAN, LO_FLAGS_DIRECT_IO = 4, 8, 16


class Loop:
    """An image as a block device with partitions; losetup(8) without its process."""

    def __init__(self, file: Path, sector: int, direct: bool = False) -> None:
        backing = os.open(file, os.O_RDWR)
        flags = LO_FLAGS_PARTSCAN | LO_FLAGS_AUTOCLEAR  # none is left behind by a test that was killed
        config = bytearray(304)  # struct loop_config: fd, block_size, struct loop_info64
        struct.pack_into("<II", config, 0, backing, sector)
        struct.pack_into("<I", config, 8 + 52, flags | (LO_FLAGS_DIRECT_IO if direct else 0))
        try:
            # A free one may be taken, or still looked at, by the time it is asked for: losetup(8) tries again, too.
            for _ in range(100):
                self.path = f"/dev/loop{self.free()}"
                self.descriptor = os.open(self.path, os.O_RDWR)
                try:
                    fcntl.ioctl(self.descriptor, LOOP_CONFIGURE, bytes(config))
                    return
                except OSError as reason:
                    os.close(self.descriptor)
                    if reason.errno != errno.EBUSY:
                        raise
                time.sleep(0.05)
            raise TimeoutError(f"no loop device for {file}: all are busy")
        finally:
            os.close(backing)

    def __str__(self) -> str:
        return self.path

    @staticmethod
    def free() -> int:
        control = os.open("/dev/loop-control", os.O_RDWR)
        try:
            return fcntl.ioctl(control, LOOP_CTL_GET_FREE)
        finally:
            os.close(control)

    def set_read_only(self, read_only: bool = True) -> None:
        """To be taken back: whoever gets the device next would find it so."""
        fcntl.ioctl(self.descriptor, BLKROSET, struct.pack("<i", read_only))

    def flush(self) -> None:
        os.fsync(self.descriptor)

    def detach(self) -> None:
        self.flush()
        fcntl.ioctl(self.descriptor, LOOP_CLR_FD)
        os.close(self.descriptor)


def put_devices(value, devices: "dict[str, Loop | Path]"):
    """The config with the devices, or images of them, in place of `@a` and `@a1`."""
    def device(match: "re.Match") -> str:
        name, number = str(devices[match[1]]), match[2]
        return name + ("p" if number and name[-1].isdigit() else "") + number

    return json.loads(re.sub(r"@([a-z])(\d*)", device, json.dumps(value)))


def load(folder: Path, names: "list[str]" = ()) -> "dict[str, dict]":
    files = sorted(folder.glob("*.json"))
    cases = {file.stem: json.loads(file.read_text()) for file in files if not names or file.stem in names}
    for disk in (disk for case in cases.values() for disk in case["before"].values()):
        give_guids(disk)
    return cases


def run_all(cases: "dict[str, dict]", judge) -> int:
    """Tells of each case how it fares by `judge(case, made)`, which returns what is wrong; the exit status."""
    made, failed = {}, []
    subprocess.run(["modprobe", "-a", "loop", "dm-crypt", "vfat", "btrfs", "xfs", "ext4"], check=True)
    for name, case in cases.items():
        began = time.monotonic()
        try:
            wrong = judge(case, made)
        except Exception as fault:
            wrong = [f"{type(fault).__name__}: {fault}"]
        print(f"{'failed' if wrong else 'ok':6} {time.monotonic() - began:5.1f} s  {name}", *wrong, sep="\n      ", flush=True)
        failed += [name] if wrong else []
    print(f"{len(cases)} cases, {len(failed)} failed: {' '.join(failed)}" if failed else f"{len(cases)} cases, all as they say")
    return 1 if failed or not cases else 0
