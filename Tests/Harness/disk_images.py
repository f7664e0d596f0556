"""Disk images: what a disk or a partition may hold, made by the programs that make it, or written byte for byte; and
tables of partitions."""

import errno
import hashlib
import os
import random
import struct
import subprocess
import uuid
import zlib
from pathlib import Path

MIB = 1 << 20
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
KEY = "correct horse"
SMALL_HEADER = ["--luks2-metadata-size", "16k", "--luks2-keyslots-size", "256k"]
# mkfs.xfs refuses filesystems under 300 MB unless it believes that it is being tested.
SMALL_XFS = {"TEST_DIR": "x", "TEST_DEV": "x", "QA_CHECK_FS": "1"}
# Bytes from which on mkfs needs no help: ext4 has blocks of 4 KiB, xfs and btrfs have room for what they keep.
SMALL = {"ext4": 512 << 20, "xfs": 300 << 20, "btrfs": 256 << 20}
SECTOR_COUNT_UNITS = 512


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
        write(file, 4096, raid_member(file.stat().st_size, label))
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
        write(file, 4096, raid_sealed(block))
    elif kind == "inside":  # an ext4 where the member's data begins
        inner = file.with_suffix(".inner")
        with open(inner, "wb") as image:
            image.truncate(file.stat().st_size - MIB)
        # Each member of a mirror has the same bytes, whenever it is made.
        same = "-U 0a1b2c3d-0000-4000-8000-000000000002 -E hash_seed=0a1b2c3d-0000-4000-8000-000000000003".split()
        _run("mkfs.ext4", "-F", "-b", "4096", *same, "-L", label, inner, environment={"E2FSPROGS_FAKE_TIME": "1700000000"})
        for position, data in extents(inner):
            write(file, MIB + position, data)
        inner.unlink()
    elif kind == "erased":  # every key slot of the LUKS volume that is there
        _run("cryptsetup", "luksErase", "--batch-mode", file)
    elif kind == "squashfs":
        empty = file.with_suffix(".d")
        empty.mkdir(exist_ok=True)
        made = file.with_suffix(".sqfs")
        _run("mksquashfs", empty, made, "-quiet", "-no-progress", "-noappend")
        write(file, 0, made.read_bytes())
    elif kind == "ntfs":
        head = bytearray(512)
        head[0:11], head[11:13], head[13], head[21] = b"\xeb\x52\x90NTFS    ", b"\x00\x02", 8, 0xF8
        struct.pack_into("<QQQbxxxbxxxQ", head, 40, 20479, 4, 1000, -10, 1, 0x1122334455667788)
        head[510:512] = b"\x55\xaa"
        write(file, 0, bytes(head))
        record = bytearray(1024)
        record[0:4] = b"FILE"
        write(file, 4 * 8 * 512, bytes(record) * 4)
    elif kind == "lvm":
        label_sector = bytearray(512)
        label_sector[0:8], label_sector[24:32] = b"LABELONE", b"LVM2 001"
        struct.pack_into("<Q", label_sector, 8, 1)
        struct.pack_into("<I", label_sector, 20, 32)
        label_sector[32:64] = b"0123456789abcdefghijklmnopqrstuv"
        struct.pack_into("<I", label_sector, 16, _crc_lvm(bytes(label_sector[20:])))
        write(file, 512, bytes(label_sector))
    elif kind == "mbr":
        entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x83, b"\xff\xff\xff", 2048, 4096)
        write(file, 446, entry + bytes(48) + b"\x55\xaa")
    elif kind == "xfs-head":  # the first sector of an xfs over what is there: two signatures
        other = file.with_suffix(".xfs")
        with open(other, "wb") as image:
            image.truncate(file.stat().st_size)
        _make("xfs", label, other, sector)
        with open(other, "rb") as image:
            write(file, 0, image.read(512))
        other.unlink()
    elif kind == "broken":  # what the kernel needs to mount the ext4 that is there
        write(file, 4096, os.urandom(8192))
    elif kind == "data":  # nothing that anybody knows
        write(file, 65536, hashlib.sha512(label.encode()).digest() * 512)
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
            write(file, position, data)
    elif kind == "noise":  # as a volume without a header reads
        write(file, 0, random.Random(label).randbytes(file.stat().st_size))
    elif kind == "tar":
        write(file, 0, b"name".ljust(257, b"\0") + b"ustar\0")
    elif kind == "unfinished":  # the mark that a vfat bears until it is whole
        write(file, file.stat().st_size - 512, b"firstlight: a filesystem is being made here\n".ljust(512, b"\0"))
    elif kind == "file":  # an entry in the root directory of the vfat that is there, and its cluster
        with open(file, "rb") as image:
            head = image.read(512)
        step, reserved, tables, per_table = (*struct.unpack_from("<H", head, 11), *struct.unpack_from("<HB", head, 14),
                                             struct.unpack_from("<H", head, 22)[0] or struct.unpack_from("<I", head, 36)[0])
        write(file, reserved * step + 6, b"\xff\xff\xff\x0f")
        write(file, (reserved + tables * per_table) * step + 32, b"FILE       ".ljust(32, b" "))
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
    "promise": lambda size: [((size // 512 - 63) * 512, b"Promise Technology, Inc.")],
    "ddf": lambda size: [((size // 512 - 257) * 512, b"\xde\x11\xde\x11" + b"a" * 28 + b"01.02.00")],
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


def write(file: Path, position: int, data: bytes) -> None:
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
        write(file, 446, entry + bytes(48) + b"\x55\xaa")
    if "primary" not in lacks:
        write(file, sector, header(1, total - 1, 2) + entries)
    if "backup" not in lacks:
        write(file, (total - length - 1) * sector, bytes(entries) + header(total - 1, 1, total - length - 1))


def write_mbr(file: Path, sector: int, partitions: "list[dict]") -> None:
    table = bytearray(66)
    for entry in partitions:
        first, count = sectors_of(entry, sector)
        struct.pack_into("<B3sB3sII", table, (entry["number"] - 1) * 16, 0, b"\0\2\0",
                         0xEE if entry.get("protects") else 0x83, b"\xff\xff\xff", first, count)
    table[64:66] = b"\x55\xaa"
    write(file, 446, bytes(table))


def sectors_of(entry: dict, sector: int) -> "tuple[int, int]":
    first = entry.get("first", entry.get("start", 0) * MIB // sector)
    return first, entry.get("count", entry.get("size", 0) * MIB // sector)
