#!/usr/bin/python3
# init: systemd
# limit: 1500
# tier: all
"""Debian's Ignition on those cases of Fixtures/disks that say how it fares: the same disks after, or a refusal too."""
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_cases  # noqa: E402

IGNITION = "/usr/lib/dracut/modules.d/30ignition/ignition"
FOLDER = Path(os.environ["TREE"]) / "Fixtures" / "disks"
SCRATCH = Path.cwd()


def judge(case: dict, made: dict) -> "list[str]":
    sector = case.get("sector", 512)
    images = {letter: (SCRATCH / f"old-{letter}", SCRATCH / f"new-{letter}") for letter in case["before"]}
    for letter, (old, new) in images.items():
        disk_cases.build(case["before"][letter], old, sector, SCRATCH, made)
        subprocess.run(["cp", "--sparse=always", old, new], check=True)
    loops = {letter: disk_cases.Loop(new, sector) for letter, (_, new) in images.items()}
    try:
        # What its fetch stage leaves for the others.
        config = {"ignition": {"version": "3.4.0-experimental"}, "storage": disk_cases.put_devices(case["config"], loops)}
        Path("cache").write_text(json.dumps(config))
        subprocess.run(["udevadm", "settle"], check=True)
        done = subprocess.run(
            [IGNITION, "--stage=disks", "--platform=file", "--root=/mnt", "--config-cache=cache", "--log-to-stdout"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180)
    finally:
        for loop in loops.values():
            loop.detach()
    if not case["reference"]:
        return [] if done.returncode else ["it did not refuse", done.stdout]
    if done.returncode:
        return [f"it exited with {done.returncode}", done.stdout]
    return [f"{letter}: {text}" for letter, disk in case["after"].items() for text in disk_cases.differences(
        disk, case["before"][letter], *images[letter], sector)]


def main() -> int:
    cases = disk_cases.load(FOLDER, sys.argv[1:])
    return disk_cases.run_all({name: case for name, case in cases.items() if "reference" in case}, judge)


if __name__ == "__main__":
    sys.exit(main())
