"""Reads disk images as files: tables and superblocks, without mounting anything."""

import errno
import os
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Partition:
    number: int
    label: str
    first: int  # sectors of 512 bytes
    count: int
    type: str
    guid: str


@dataclass(frozen=True)
class Table:
    guid: str
    partitions: "list[Partition]"


@dataclass(frozen=True)
class XFS:
    label: str
    uuid: str


def has_no_data(path: Path) -> bool:
    """Whether a sparse file was never written to."""
    with open(path, "rb") as file:
        try:
            os.lseek(file.fileno(), 0, os.SEEK_DATA)
        except OSError as error:
            return error.errno == errno.ENXIO
    return False


def table(path: Path, sector: int = 512) -> Table:
    """The GPT of a disk image; ValueError where there is none. UEFI specification 2.10, chapter 5."""
    with open(path, "rb") as file:
        file.seek(sector)
        header = file.read(92)
        if header[:8] != b"EFI PART":
            raise ValueError(f"{path.name} has no GPT")
        (start,), (count, size) = struct.unpack_from("<Q", header, 72), struct.unpack_from("<II", header, 80)
        found = []
        for index in range(count):
            file.seek(start * sector + index * size)
            entry = file.read(size)
            if entry[:16] == bytes(16):
                continue
            first, last = struct.unpack_from("<QQ", entry, 32)
            label = entry[56:128].decode("utf-16-le").rstrip("\0")
            scale = sector // 512
            found.append(Partition(index + 1, label, first * scale, (last + 1 - first) * scale,
                                   _guid(entry[:16]), _guid(entry[16:32])))
        return Table(_guid(header[56:72]), found)


def xfs(path: Path, partition: Partition) -> XFS:
    """Label and UUID of the XFS in a partition. XFS Algorithms & Data Structures, "Superblocks"."""
    with open(path, "rb") as file:
        file.seek(partition.first * 512)
        block = file.read(512)
    if block[:4] != b"XFSB":
        raise ValueError(f"partition {partition.number} of {path.name} holds no xfs")
    return XFS(block[108:120].rstrip(b"\0").decode(), str(uuid.UUID(bytes=block[32:48])))


def _guid(raw: bytes) -> str:
    return str(uuid.UUID(bytes_le=raw))
