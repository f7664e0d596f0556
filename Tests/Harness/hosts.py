"""Host tests: what runs on this machine itself, on the built programs, in namespaces and on image files of its own.

A module of them has `TESTS`, a list of (name, function); a function that returns has passed. It may have `NEEDS`,
the programs that its tests run: {"agent"} where it does not say.
"""

import importlib
import re
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import processes
import recorded
import tiers
from console import Unmet
from outcome import Outcome
from paths import LOGS
from schedule import Job

# What NAME=... calls them, and the module that holds them. A new module is one line here.
MODULES = {
    "harness": "harness_tests",
    "shipped": "shipped",
    "supervision": "supervision",
    "config": "differential",
    "ignition": "dropin",
    "disks": "host_disks",
    "files": "files_stage",
    "network": "fetching",
}
# Their tests wait for clocks more than they compute, and run beside everything else.
WAITING = {"network"}
UNKNOWN = 10  # seconds, of a test whose time was never recorded


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
        began, reason = time.monotonic(), ""
        try:
            self.function()
        except (Unmet, processes.ProgramFailed) as failed:
            reason = str(failed)
        except AssertionError as failed:
            reason = failed_assertion(failed)
        except Exception:
            reason = traceback.format_exc()
        outcome = Outcome(self.title, not reason, time.monotonic() - began, reason, LOGS / f"host.{self.kind}.{self.name}")
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


def slug(title: str) -> str:
    """A name that can be typed: `what Debian's leaves` is what-debians-leaves."""
    return re.sub(r"[^a-z0-9.]+", "-", title.lower().replace("'", "")).strip("-")


def failed_assertion(failed: AssertionError) -> str:
    """Where it stands, what it wanted, what was there."""
    place = traceback.extract_tb(failed.__traceback__)[-1]
    lines = [f"expected: {place.line.removeprefix('assert ')}", f"in:       {Path(place.filename).name}:{place.lineno}"]
    return "\n".join(lines + ([f"found:    {str(failed).strip()}"] if str(failed) else []))
