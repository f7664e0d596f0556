#!/usr/bin/python3
"""Runs Debian's Ignition on every case again, and compares what it leaves with Fixtures/oracles.

    python3 Tests/Harness/oracle_runs.py [--record] [NAME...]

With --record, what it leaves now is kept. Where it asks systemd or takes devices, it runs in a guest.
"""

import argparse
import json
import sys
import time

import differential
import dropin
import files_reference
import guest
import oracles
import processes
import recorded
import speed
from outcome import Outcome, say, watch_silence
from paths import LOGS, TREE
from schedule import Job, carry_out

FOLDER = TREE / "Tests" / "Oracles"
HOST = {differential.ORACLE: differential.fresh, dropin.ORACLE: dropin.fresh, files_reference.ORACLE: files_reference.fresh}
GUEST = {"disks": FOLDER / "disks.py", "units": FOLDER / "units.py",
         "disks-stage": guest.FOLDER / "disks-stage.py", "drop-in": guest.FOLDER / "drop-in.py"}
# What shares a machine, so that two end together.
MACHINES = [["disks"], ["units", "disks-stage", "drop-in"]]
UNKNOWN = 60  # seconds, of an oracle whose time was never recorded


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares Fixtures/oracles with what Debian's Ignition leaves.")
    parser.add_argument("--record", action="store_true", help="keep what it leaves now")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in names()]:
        raise SystemExit(f"no such oracle: {', '.join(unknown)}; there are {', '.join(names())}")
    processes.stop_on_signals()
    LOGS.mkdir(parents=True, exist_ok=True)
    speed.factor()
    watch_silence()
    outcomes = [outcome for outcome in carry_out(jobs(arguments.names or names(), arguments.record)) if outcome.counts]
    failed = sum(not outcome.passed for outcome in outcomes)
    say(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


def names() -> "list[str]":
    return [*HOST, *GUEST]


def jobs(wanted: "list[str]", record: bool = False) -> "list[Job]":
    """One for each machine, and for each of those that run here. They need nothing that is built."""

    def job(part: "list[str]", run: "callable") -> Job:
        titles = [title(name) for name in part]
        seconds = sum(recorded.seconds(each, UNKNOWN) for each in titles)
        return Job(", ".join(titles), seconds, lambda: run(part, record), tests=titles)

    parts = [part for machine in MACHINES if (part := [name for name in machine if name in wanted])]
    return [job(part, on_a_machine) for part in parts] + [job([name], here) for name in HOST if name in wanted]


def title(name: str) -> str:
    return f"oracle {name}"


def here(part: "list[str]", record: bool) -> "list[Outcome]":
    return [judged(name, HOST[name], record) for name in part]


def on_a_machine(part: "list[str]", record: bool) -> "list[Outcome]":
    tests = []
    for name in part:
        test = guest.GuestTest.read(GUEST[name])
        test.name, test.variables = f"oracle-{name}", {"ORACLE": "1"}
        tests.append(test)
    ran = {outcome.name: outcome for outcome in guest.run_together(tests)}
    outcomes = []
    for name, test in zip(part, tests):
        outcome = ran.pop(test.title)
        if outcome.passed:
            file = LOGS / f"guest.{test.name}" / f"{name}.json"
            outcome = judged(name, lambda file=file: json.loads(file.read_text()), record, outcome.seconds)
        outcomes.append(outcome)
    return [*ran.values(), *outcomes]


def judged(name: str, fresh: "callable", record: bool, seconds: float = 0) -> Outcome:
    """Whether Ignition left what is recorded; it took so many seconds already."""
    began, reason = time.monotonic(), ""
    try:
        oracles.judge(name, fresh(), record)
    except Exception as failed:
        reason = str(failed) or repr(failed)
    outcome = Outcome(title(name), not reason, seconds + time.monotonic() - began, reason, LOGS / f"oracles.{name}")
    outcome.announce()
    return outcome


if __name__ == "__main__":
    sys.exit(main())
