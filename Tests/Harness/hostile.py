"""Hostile disks: headers of tables, volumes, arrays and filesystems, flipped, overwritten, truncated; from a seed.

`images(count)` makes them; what they are for may be seen in Tests/Guest/hostile-disks.py and in `planned()` below,
which has the agent plan for each of 2,000 image files: an error or a correct plan, never a crash, never a write.
"""

import hashlib
import json
import random
import struct
import subprocess
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import disk_cases
import disk_images
import processes
from paths import AGENT

MIB = 1 << 20
COUNT = 2100
SIGNATURES = {"ext4": "ext4", "vfat": "vfat", "swap": "swap", "btrfs": "btrfs", "xfs": "xfs"}

# Name: MiB, what stands on it, the ranges in which its headers are.
BASES = {
    "gpt": (8, None, [(512, 34 * 512), (8 * MIB - 33 * 512, 33 * 512), (0, 512)]),
    "mbr": (8, None, [(0, 512), (4 * MIB, 512)]),
    "ext4": (8, "ext4:old", [(1024, 1024), (4096, 4096)]),
    "xfs": (16, "xfs:old", [(0, 512), (512, 1536)]),
    "btrfs": (24, "btrfs:old", [(65536, 4096)]),
    "vfat": (8, "vfat:OLD", [(0, 512), (512, 1024)]),
    "swap": (8, "swap:old", [(1024, 512), (4086, 10)]),
    "luks": (8, "luks:old", [(0, 4096), (4096, 12288), (16384, 4096)]),
    "luks1": (8, "luks1", [(0, 592)]),
    "md12": (8, None, [(4096, 512)]),
    "md10": (8, None, [(8 * MIB - 8192, 512)]),
    "md090": (8, None, [(8 * MIB - 65536, 4096)]),
    "lvm": (8, "lvm", [(512, 512)]),
    "two": (16, "ext4:old xfs-head", [(0, 512), (1024, 1024)]),
}


class Image:
    """A sparse image: its size and the pieces that are not zero."""

    def __init__(self, name: str, size: int, pieces: "list[tuple[int, bytes]]") -> None:
        self.name, self.size, self.pieces = name, size, pieces

    def write(self, file: Path) -> None:
        with open(file, "wb") as image:
            for position, data in self.pieces:
                image.seek(position)
                image.write(data)
            image.truncate(self.size)


def bases(scratch: Path) -> "dict[str, Image]":
    made = {}
    for name, (size, holds, _) in BASES.items():
        file = scratch / "base"
        disk = {"size": size, **({"holds": holds} if holds else {})}
        if name == "gpt":
            disk["gpt"] = [{"number": 1, "start": 1, "size": 2, "label": "one", "holds": "ext4:old"},
                           {"number": 2, "start": 3, "size": 1, "label": "two", "holds": "swap:old"},
                           {"number": 7, "start": 5, "size": 2, "label": "three"}]
        if name == "mbr":
            disk["mbr"] = [{"number": 1, "start": 1, "size": 2, "holds": "ext4:old"}]
        disk_cases.build(disk, file, 512, scratch, {})
        if name == "mbr":  # an extended partition, and a logical one in it
            _write(file, 446 + 16, struct.pack("<B3sB3sII", 0, b"\0\2\0", 5, b"\xff\xff\xff", 8192, 8192))
            _write(file, 4 * MIB + 446, struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x83, b"\xff\xff\xff", 2048, 4096))
            _write(file, 4 * MIB + 510, b"\x55\xaa")
        if name in ("md12", "md10"):
            _write(file, 4096 if name == "md12" else 8 * MIB - 8192, disk_images.raid_member(8 * MIB, "any:data", "1.2" if name == "md12" else "1.0"))
        if name == "md090":
            _write(file, 8 * MIB - 65536, struct.pack("<IIIIIIIIII", 0xA92B4EFC, 0, 90, 0, 0, 7, 0, 1, 4096, 2))
        made[name] = Image(name, size * MIB, disk_images.extents(file))
    return made


def _write(file: Path, position: int, data: bytes) -> None:
    with open(file, "r+b") as image:
        image.seek(position)
        image.write(data)


# --- What is done to them -------------------------------------------------------------------------------


def images(count: int, scratch: Path, seed: int = 1, names: "Sequence[str]" = tuple(BASES)) -> "list[Image]":
    originals = bases(scratch)
    chance = random.Random(seed)
    return [_spoiled(originals[names[index % len(names)]], chance) for index in range(count)]


def _spoiled(base: Image, chance: random.Random) -> Image:
    kind = chance.choice(["bits", "bits", "bytes", "numbers", "numbers", "zeros", "ones", "truncated", "random"])
    name = f"{base.name} with {kind}"
    if kind == "truncated":
        size = chance.choice([0, 1, 511, 512, 1024, 4096, 17 * 512, 65536, chance.randrange(base.size),
                              chance.randrange(base.size // 512) * 512, base.size - 512])
        return Image(name, size, [(at, data[:size - at]) for at, data in base.pieces if at < size])
    pieces = list(base.pieces)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        start, length = chance.choice(BASES[base.name][2])
        block = bytearray(_read(pieces, start, length))
        _spoil(block, kind, chance)
        if chance.random() < 0.5:
            _seal(base, block, start)
        pieces.append((start, bytes(block)))
    if base.name == "gpt" and chance.random() < 0.5:
        pieces += _gpt_sealed(pieces, base.size)
    return Image(name, base.size, pieces)


def _spoil(block: bytearray, kind: str, chance: random.Random) -> None:
    if kind == "bits":
        for _ in range(chance.choice([1, 2, 8, 64])):
            block[chance.randrange(len(block))] ^= 1 << chance.randrange(8)
    elif kind == "numbers":
        for _ in range(chance.choice([1, 3])):
            width = chance.choice([2, 4, 8])
            at = chance.randrange(len(block) // width) * width
            value = chance.choice([0, 1, 2, (1 << 8 * width) - 1, (1 << 8 * width - 1) - 1, 1 << 8 * width - 1,
                                   chance.randrange(1 << 8 * width)])
            block[at:at + width] = value.to_bytes(width, "little")[:len(block) - at]
    else:
        first = chance.randrange(len(block)) if kind != "random" else 0
        last = chance.randrange(first, len(block)) + 1 if kind != "random" else len(block)
        fill = {"zeros": bytes(last - first), "ones": b"\xff" * (last - first)}
        block[first:last] = fill.get(kind) or chance.randbytes(last - first)


def _read(pieces: "list[tuple[int, bytes]]", start: int, length: int) -> bytes:
    block = bytearray(length)
    for at, data in pieces:
        first, last = max(at, start), min(at + len(data), start + length)
        if first < last:
            block[first - start:last - start] = data[first - at:last - at]
    return bytes(block)


# Half of them with right checksums, so that what is behind these is reached.


def _seal(base: Image, block: bytearray, start: int) -> None:
    if base.name in ("md12", "md10"):
        block[:] = disk_images.raid_sealed(block)
    if base.name == "luks" and start == 0:
        whole = bytearray(_read(base.pieces, 0, 16384))
        whole[:4096] = block
        whole[448:512] = bytes(64)
        block[448:480] = hashlib.sha256(whole).digest()


def _gpt_sealed(pieces: "list[tuple[int, bytes]]", size: int) -> "list[tuple[int, bytes]]":
    sealed = []
    for header_at, table_at in ((512, 1024), (size - 512, size - 33 * 512)):
        header = bytearray(_read(pieces, header_at, 512))
        count, width = struct.unpack_from("<II", header, 80)
        if count * width <= 128 * 128:
            struct.pack_into("<I", header, 88, zlib.crc32(_read(pieces, table_at, count * width)))
        header[16:20] = bytes(4)
        length = struct.unpack_from("<I", header, 12)[0]
        if length <= 512:
            struct.pack_into("<I", header, 16, zlib.crc32(header[:length]))
        sealed.append((header_at, bytes(header)))
    return sealed


# --- Plans for image files --------------------------------------------------------------------------------


def config(image: Image, device: str, chance: random.Random) -> "tuple[str, dict]":
    """What is wanted of the device: a word for it and the storage section."""
    partitions = [{"number": 1, "label": "one", "sizeMiB": 2}, {"label": "new", "sizeMiB": 1}]
    volume = {"name": "vault", "device": device, "keyFile": {"source": "data:,wrong"}}
    kind = image.name.split()[0]
    wants = {
        "partitions": {"disks": [{"device": device, "partitions": partitions}]},
        "a new table": {"disks": [{"device": device, "wipeTable": True, "partitions": partitions}]},
        "a filesystem": {"filesystems": [{"device": device, "format": SIGNATURES.get(kind, "ext4")}]},
        "a new filesystem": {"filesystems": [{"device": device, "format": "swap", "wipeFilesystem": True}]},
        "a volume": {"luks": [volume]},
        "a new volume": {"luks": [{**volume, "wipeVolume": True}]},
    }
    likely = {"gpt": "partitions", "mbr": "partitions", "luks": "a volume", "luks1": "a volume"}
    word = likely.get(kind, "a filesystem") if chance.random() < 0.6 else chance.choice(list(wants))
    return word, wants[word]


def complaint(image: Image, word: str, status: int, said: str, found: str) -> "str | None":
    """What is wrong with the answer to a plan; `found` is what libblkid has to say of the device."""
    if status not in (0, 1, 2, 3):
        return f"exit status {status}: {said[-500:]}"
    if "new " not in word and status == 3:
        return f"a plan that destroys, and nobody asked to: {said}"
    if word == "a filesystem":
        wanted = SIGNATURES.get(image.name.split()[0], "ext4")
        allowed = {"": (2, 1), wanted: (0, 1), "several": (0, 1)}.get(found, (1,))
        if status not in allowed:
            return f"exit status {status} where {found or 'nothing'} is and {wanted} is wanted: {said}"
    if word == "a volume" and found and status != 1:
        return f"exit status {status} where {found} is and no key opens it: {said}"
    if word == "partitions" and status in (0, 2) and (entries := _whole_table(image)):
        plan = json.loads(said)["disks"][0]["partitions"]
        kept = {(each["number"], each["start"], each["sectors"]) for each in plan
                if each["action"] == "keep" and each["start"] < image.size // 512 and each["sectors"]}
        if kept != entries:
            return f"it keeps {sorted(kept)} where there are {sorted(entries)}"
    return None


def _whole_table(image: Image) -> "set[tuple[int, int, int]]":
    """Number, start and length of each partition that begins on the disk, by the first copy of a GPT where that
    copy is sound."""
    header = bytearray(_read(image.pieces, 512, 512))
    length, stored = struct.unpack_from("<II", header, 12)
    own, = struct.unpack_from("<Q", header, 24)
    start, count, width, sum_of_table = struct.unpack_from("<QIII", header, 72)
    header[16:20] = bytes(4)
    if header[:8] != b"EFI PART" or own != 1 or not 92 <= length <= 512 or zlib.crc32(header[:length]) != stored:
        return set()
    if start >= image.size // 512 or width < 128 or count * width > MIB:
        return set()
    table = _read(image.pieces, start * 512, count * width)
    if zlib.crc32(table) != sum_of_table:
        return set()
    found = set()
    for number in range(count):
        entry = table[number * width:(number + 1) * width]
        first, last = struct.unpack_from("<QQ", entry, 32)
        if entry[:16] != bytes(16) and first <= last and first < image.size // 512:
            found.add((number + 1, first, last + 1 - first))
    return found


def planned() -> None:
    """At least 2,000 images, a process each: what would be done to them, and that nothing is."""
    folder = processes.temporary_folder("hostile")
    try:
        work = list(enumerate(images(COUNT, folder)))
        with ThreadPoolExecutor(2) as pool:
            wrong = [text for text in pool.map(lambda each: _judged(*each, folder), work) if text]
        assert not wrong, "\n".join([f"{len(wrong)} of {len(work)}:"] + wrong[:20])
    finally:
        processes.remove_folder(folder)


def _judged(number: int, image: Image, folder: Path) -> "str | None":
    file, text = folder / f"{number}.img", folder / f"{number}.ign"
    image.write(file)
    before = disk_images.digest(file)
    word, storage = config(image, str(file), random.Random(number))
    text.write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": storage}))
    try:
        done = subprocess.run([AGENT, "plan", "--json", "--config", text], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60)
        found = disk_cases.signatures(file, 0, image.size).split(":")[0] if image.size else ""
        wrong = complaint(image, word, done.returncode, done.stdout.decode(errors="replace"), found)
        if disk_images.digest(file) != before:
            wrong = "it was written to"
        return wrong and f"image {number}, {image.name}, {word}: {wrong}"
    except subprocess.TimeoutExpired:
        return f"image {number}, {image.name}, {word}: no answer after a minute"
    finally:
        file.unlink()
        text.unlink()


TESTS = [("hostile-disks", planned)]
