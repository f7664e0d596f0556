"""Host tests: what runs on this machine itself, on the built programs, in namespaces and on image files of its own.

A module of them has `TESTS`, a list of (name, function); a function that returns has passed. It may have `NEEDS`,
the programs that its tests run: {"agent"} where it does not say. Each test runs in a process of its own, so that
two of them keep two processors busy, and what one does to itself reaches no other.
"""

import atexit
import importlib
import re
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import processes
import recorded
import speed
import tiers
from console import Unmet
from outcome import Outcome
from paths import LOGS
from schedule import Job

# What NAME=... calls them, and the module that holds them. A new module is one line here.
MODULES = {
    "harness": "harness_tests",
    "shipped": "shipped",
    "docs": "docs",
    "supervision": "supervision",
    "config": "differential",
    "butane": "butane",
    "ignition": "dropin",
    "oracles": "oracles",
    "image-making": "image_making",
    "disks-reference": "disk_reference",
    "files-reference": "files_reference",
    "disks": "host_disks",
    "files": "files_stage",
    "coreos": "coreos_stages",
    "network": "fetching",
    "networks": "networks",
    "networks-hostile": "hostile_networks",
    "media": "media_commands",
    "media-options": "media_options",
    "packages": "packages",
}
# Their tests wait for clocks more than they compute, and run beside everything else.
WAITING = {"network", "networks", "networks-hostile"}
UNKNOWN = 10  # seconds, of a test whose time was never recorded
LIMIT = 1800  # seconds after which a test is ended


@dataclass
class HostTest:
    kind: str
    name: str
    function: object
    needs: "set[str]"

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def tier(self) -> str:
        return tiers.of(self.function)

    def run(self) -> Outcome:
        began, logs = time.monotonic(), LOGS / f"host.{self.kind}.{self.name}"
        told, printed = Path(f"{logs}.failure"), Path(f"{logs}.output")
        told.unlink(missing_ok=True)
        with open(printed, "wb") as output:
            process = processes.start([sys.executable, __file__, self.kind, self.name, told],
                                      stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            try:
                status = process.wait(speed.limit(LIMIT))
            except subprocess.TimeoutExpired:
                status = f"not done within {speed.told(LIMIT)}"
            processes.stop(process)
        lines = printed.read_text(errors="replace").splitlines()
        reason = told.read_text() if told.exists() else f"exit status {status}" if status else ""
        outcome = Outcome(self.title, not reason, time.monotonic() - began, reason, logs, lines[-15:])
        outcome.announce()
        return outcome

    def job(self, after: "list[Job]") -> Job:
        return Job(self.title, recorded.seconds(self.title, UNKNOWN), lambda: [self.run()], after,
                   waits=self.kind in WAITING)


def host_tests() -> "list[HostTest]":
    found = []
    for kind, name in MODULES.items():
        module = importlib.import_module(name)
        needs = getattr(module, "NEEDS", {"agent"})
        found += [HostTest(kind, slug(title), function, needs) for title, function in module.TESTS]
    return found


def failure_of(function) -> str:
    """Runs a test; what went wrong, or nothing."""
    try:
        function()
    except (Unmet, processes.ProgramFailed) as failed:
        return str(failed)
    except AssertionError as failed:
        return failed_assertion(failed)
    except Exception:
        return traceback.format_exc()
    return ""


def slug(title: str) -> str:
    """A name that can be typed: `what Debian's leaves` is what-debians-leaves."""
    return re.sub(r"[^a-z0-9.]+", "-", title.lower().replace("'", "")).strip("-")


def failed_assertion(failed: AssertionError) -> str:
    """Where it stands, what it wanted, what was there."""
    place = traceback.extract_tb(failed.__traceback__)[-1]
    lines = [f"expected: {place.line.removeprefix('assert ')}", f"in:       {Path(place.filename).name}:{place.lineno}"]
    return "\n".join(lines + ([f"found:    {str(failed).strip()}"] if str(failed) else []))


def main(kind: str, name: str, told: str) -> int:
    """One test, in this process; what went wrong goes to the file `told`."""
    atexit.register(processes.stop_everything)
    function, = [function for title, function in importlib.import_module(MODULES[kind]).TESTS if slug(title) == name]
    if reason := failure_of(function):
        Path(told).write_text(reason)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
