"""What is tested of disks on this machine itself: on image files, and on loop devices of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import hostile
import processes
import two_owners
from console import Unmet
from paths import AGENT, LOGS, TREE

HERE = TREE / "Tests" / "Harness"
LAST_LINES = 4
LIMIT = 600

FORMATS = {
    "ext4": ["mkfs.ext4", "-q", "-L", "label"],
    "xfs": ["mkfs.xfs", "-q", "-L", "label"],
    "btrfs": ["mkfs.btrfs", "-q", "-L", "label"],
    "vfat": ["mkfs.vfat", "-n", "LABEL"],
    "swap": ["mkswap", "-q", "-L", "label"],
    "crypto_LUKS": ["cryptsetup", "luksFormat", "-q", "--label", "label", "--pbkdf", "pbkdf2",
                    "--pbkdf-force-iterations", "1000", "--key-file", "/etc/hostname"],
}


def cases() -> None:
    """Those cases of Fixtures/disks that this machine's kernel will do; the guest test disk-cases has the others."""
    _child("cases", HERE / "disk_runs.py", "host")


def plan() -> None:
    """What `plan` says of disks and of a system below --root, before and after it is carried out."""
    _child("plan", HERE / "disk_plan.py")


def probe() -> None:
    """What the agent finds on a device is what blkid finds: every format that a config may name, and LUKS."""
    folder = processes.temporary_folder("probe")
    try:
        for name, maker in FORMATS.items():
            image = folder / f"{name}.img"
            with open(image, "wb") as file:
                file.truncate(512 << 20)
            processes.run([*maker, image])
            found = processes.run([AGENT, "probe", image]).decode()
            json.loads(found)
            for key in ("TYPE", "LABEL", "UUID"):
                value = processes.run(["blkid", "-p", "-o", "value", "-s", key, image]).decode().strip()
                assert value and value in found, f"{name}: {key} {value} is not in {found}"
    finally:
        processes.remove_folder(folder)


def _child(name: str, program: Path, *words: str) -> None:
    """Runs a program of the harness that enters namespaces of its own; what it says is in the log of that name."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"host.disks.{name}.log"
    folder = processes.temporary_folder(name)
    try:
        with open(log, "wb") as output:
            process = processes.start([sys.executable, program, *words, folder], stdin=subprocess.DEVNULL,
                                      stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "AGENT": str(AGENT)})
            try:
                status = process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                status = f"none after {LIMIT} s"
            finally:
                processes.stop(process, grace=0)
    finally:
        processes.remove_folder(folder)
    if status:
        last = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise Unmet("\n".join([f"exit status {status}", *last, f"log: {log.relative_to(TREE)}"]))


TESTS = [*hostile.TESTS, *two_owners.TESTS, ("cases", cases), ("plan", plan), ("probe", probe)]
