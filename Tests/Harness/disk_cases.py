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

A DISK has a `size` in MiB and `gpt`, `mbr` (lists of partitions; both: a hybrid MBR, one of whose entries `protects`)
or `holds`; what is `over` it is written last, past
all that. A partition has `number`, `start` and `size` in MiB (or `first` and `count` in sectors), `label`, `type`,
`guid`, `attributes`, `holds`. After the stage a partition's bytes are those of before wherever `holds` and its sectors
are; `"bytes": "new"` (or "any") says otherwise, and `"guid": "new"` that it is none of before. A `holds` is a word for
each signature, with a label: `ext4:backup`.

The stage runs twice; the second run must change no byte outside the partitions in `"rewritten"`.
"""

import json
import re
import subprocess
import time
from pathlib import Path

import disks
from disk_images import LINUX, MIB, SECTOR_COUNT_UNITS, content, digest, sectors_of, write, write_gpt, write_mbr
from loops import Loop

# Words of `holds` that are not a signature.
UNSEEN = ("noise", "tar", "unfinished", "file", "data", "broken", "longer", "erased", "role", "level", "array",
          "inside")


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
            write(file, start + position, data)
    give_guids(disk)
    if "gpt" in disk:
        write_gpt(file, size, sector, disk["gpt"], disk.get("lacks", []))
    if "mbr" in disk:
        write_mbr(file, sector, disk["mbr"])
    if "over" in disk:
        for position, data in content(disk["over"], size, sector, scratch):
            write(file, position, data)


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
