#!/usr/bin/python3
# limit: 900
"""Hostile disks as the kernel sees them: what `plan` tries of them is read-only and ends, whatever their headers say.

Image files are planned for by the thousand on the build machine; here are those parts of planning that need block
devices: opening with the right key, mounting read-only, starting arrays. Several devices go into each plan.
"""
import json
import os
import random
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_cases  # noqa: E402
import hostile  # noqa: E402

AGENT = os.environ["AGENT"]
SCRATCH = Path.cwd()
IMAGES, AT_ONCE = 280, 4
SEED = 2


def wanted(image: hostile.Image, number: int, loop: disk_cases.Loop) -> "tuple[str, dict]":
    kind = image.name.split()[0]
    if kind in ("gpt", "mbr"):
        return "disks", {"device": loop.path, "partitions": [{"number": 1, "label": "one"}]}
    if kind in ("luks", "luks1"):
        return "luks", {"name": f"v{number}", "device": loop.path, "keyFile": {"source": "data:,correct%20horse"}}
    if kind in ("md12", "md10", "md090"):
        return "raid", {"name": "data", "level": "raid1", "devices": [loop.path]}
    return "filesystems", {"device": loop.path, "format": hostile.SIGNATURES.get(kind, "ext4")}


def main() -> int:
    subprocess.run(["modprobe", "-a", "loop", "dm-crypt", "raid1", "vfat", "btrfs", "xfs", "ext4"], check=True)
    work = hostile.images(IMAGES, SCRATCH, SEED)
    # Arrays of one name cannot share a config, so neither do images of one base.
    random.Random(SEED).shuffle(work)
    failed = 0
    for first in range(0, len(work), AT_ONCE):
        failed += together(work[first:first + AT_ONCE])
    said = subprocess.run(["dmesg"], stdout=subprocess.PIPE, text=True).stdout
    for line in said.splitlines():
        if "BUG:" in line or "Oops" in line:
            print(line)
            failed += 1
    print(f"{len(work)} images, {failed} failed")
    return 1 if failed else 0


def together(part: "list[hostile.Image]") -> int:
    storage: "dict[str, list]" = {}
    loops, files = [], []
    for number, image in enumerate(part):
        image.size = max(image.size // 512 * 512, 512)
        files.append(SCRATCH / f"image{number}")
        image.write(files[-1])
        loops.append(disk_cases.Loop(files[-1], 512))
        section, entry = wanted(image, number, loops[-1])
        if section != "raid" or section not in storage:
            storage.setdefault(section, []).append(entry)
    try:
        before = [disk_cases.digest(file) for file in files]
        wrong = []
        # Together, and each section alone: the first one that cannot be read hides the others.
        for config in [storage] + ([{name: each} for name, each in storage.items()] if len(storage) > 1 else []):
            Path("config").write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": config}))
            done = subprocess.run([AGENT, "plan", "--config", "config"], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=60)
            if done.returncode not in (0, 1, 2):
                wrong.append(f"exit status {done.returncode}: {done.stdout.decode(errors='replace')[-800:]}")
        for loop in loops:
            loop.flush()
        wrong += [f"{image.name}: written to" for file, image, digest in zip(files, part, before)
                  if disk_cases.digest(file) != digest]
        left = [name for name in os.listdir("/dev/mapper") if name != "control"]
        left += [line for line in Path("/proc/mdstat").read_text().splitlines() if line.startswith("md")]
        if left:
            wrong.append(f"left behind: {left}")
    finally:
        for loop in loops:
            loop.detach()
    names = ", ".join(image.name for image in part)
    print(f"{'failed' if wrong else 'ok':6} {names}", *wrong, sep="\n      ", flush=True)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
