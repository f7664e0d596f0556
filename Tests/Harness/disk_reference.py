"""Debian's Ignition on those cases of Fixtures/disks that say how it fares (`reference`): it leaves the same disks, or
refuses too. What it leaves is recorded (oracles.py); Tests/Oracles/disks.py has it made.
"""

import json
import re
import subprocess
from pathlib import Path

import disk_cases
from loops import Loop
import oracles
from paths import FIXTURES

ORACLE = "disks"
ARGUMENTS = ["--stage=disks", "--platform=file", "--root=/mnt", "--config-cache=cache", "--log-to-stdout"]
VERSION = "3.4.0-experimental"
LAST_WORDS = "CRITICAL : Ignition failed: "


def load() -> "dict[str, dict]":
    return {name: case for name, case in disk_cases.load(FIXTURES / "disks").items() if "reference" in case}


def as_cases(cases: "dict[str, dict]") -> "dict[str, object]":
    """What an outcome depends on: what the case says of it is left out."""
    return {name: {"arguments": ARGUMENTS, "version": VERSION, "sector": case.get("sector", 512), "before": case["before"],
                   "config": case["config"]} for name, case in cases.items()}


def fares_as_the_cases_say() -> None:
    cases = load()
    assert len(cases) >= 100, f"only {len(cases)} cases"
    left = oracles.load(ORACLE, oracles.ENGINE, as_cases(cases))
    oracles.agree([f"{name}: {text}" for name, case in cases.items() for text in wrong(case, left[name])], len(cases))


def wrong(case: dict, left: dict) -> "list[str]":
    """In what Debian's did not do what the case says of it."""
    if not case["reference"]:
        return [] if "refused" in left else ["Debian's did not refuse"]
    if "refused" in left:
        return [f"Debian's refused: {left['refused']}"]
    return [f"{letter}: {text}" for letter, disk in case["after"].items() for text in disk_cases.differing(
        disk, case["before"][letter], left[letter], case.get("sector", 512))]


# --- In a guest ------------------------------------------------------------------------------------------


def leave_theirs() -> None:
    """Records what Debian's leaves. Arrays, volumes and udev take a guest, and so does what it waits for devices with."""
    subprocess.run(["modprobe", "-a", "loop", "dm-crypt", "vfat", "btrfs", "xfs", "ext4"], check=True)
    cases, made, left = load(), {}, {}
    for name, case in cases.items():
        left[name] = theirs(case, made)
        print(f"{name}: {json.dumps(left[name])}", *wrong(case, left[name]), sep="\n    ", flush=True)
    oracles.leave(ORACLE, oracles.ENGINE, as_cases(cases), left)


def theirs(case: dict, made: dict) -> dict:
    sector, scratch = case.get("sector", 512), Path.cwd()
    images = {letter: (scratch / f"old-{letter}", scratch / f"new-{letter}") for letter in case["before"]}
    for letter, (old, new) in images.items():
        disk_cases.build(case["before"][letter], old, sector, scratch, made)
        subprocess.run(["cp", "--sparse=always", old, new], check=True)
    loops = {letter: Loop(new, sector) for letter, (_, new) in images.items()}
    names = {str(loop.path): f"@{letter}" for letter, loop in loops.items()}
    try:
        # What its fetch stage leaves for the others.
        config = {"ignition": {"version": VERSION}, "storage": disk_cases.put_devices(case["config"], loops)}
        Path("cache").write_text(json.dumps(config))
        subprocess.run(["udevadm", "settle"], check=True)
        done = subprocess.run([oracles.ENGINE, *ARGUMENTS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=300)
    finally:
        for loop in loops.values():
            loop.detach()
    if done.returncode:
        return {"refused": reason(done.stdout, names)}
    return {letter: {**disk_cases.whole(old, new), **tidy(disk_cases.partitioned(old, new, sector), case)}
            for letter, (old, new) in images.items()}


def tidy(found: dict, case: dict) -> dict:
    """Without GUIDs that are made up."""
    known = json.dumps(case).lower()
    for partition in found.get("gpt", []):
        if partition["guid"] not in known:
            partition["guid"] = "new"
    return found


def reason(said: str, names: "dict[str, str]") -> str:
    """Why it refused: its last words, with the disks' letters for their devices."""
    line = next((line for line in said.splitlines() if line.startswith(LAST_WORDS)), said[-300:])
    for device, name in names.items():
        line = re.sub(rf"(/run/ignition/dev_aliases)?{device}(?!\d)(?:p(?=\d))?", name, line)
    return line.removeprefix(LAST_WORDS)


TESTS = [("debians-fares-as-the-cases-say", fares_as_the_cases_say)]
