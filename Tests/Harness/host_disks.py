"""What is tested of disks on this machine itself: on image files, and on loop devices of them."""

import os
import subprocess
import sys
from pathlib import Path

import hostile
import processes
from console import Unmet
from paths import AGENT, LOGS, TREE

HERE = TREE / "Tests" / "Harness"
LAST_LINES = 4
LIMIT = 600


def cases() -> None:
    """Those cases of Fixtures/disks that this machine's kernel will do; the guest test disk-cases has the others."""
    _child("cases", HERE / "disk_runs.py", "host")


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


TESTS = [*hostile.TESTS, ("cases", cases)]
