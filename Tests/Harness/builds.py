"""What is built before and beside the tests, by the Makefile's own verbs; each says what it did in one line."""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path

import processes
import recorded
import rootfs
from outcome import Outcome, say, shown, working
from paths import LOGS, OUT, TREE
from schedule import Job

PROGRAMS, UNIT_TESTS, ROOT = "build programs", "unit tests", "build root filesystem"
FUZZ_TARGETS = "fuzz targets compile"
XUNIT = OUT / "unit.xml"
# Unit tests may wait: everything else needs the programs.
LESS_URGENT = ["nice", "-n", "5"]


def programs() -> Job:
    """Both programs. Nearly all tests need them."""
    return Job(PROGRAMS, recorded.seconds(PROGRAMS, 240), _programs)


def unit_tests() -> Job:
    return Job(UNIT_TESTS, recorded.seconds(UNIT_TESTS, 400), _unit_tests)


def debian_root() -> "Job | None":
    """debootstrap, which needs none of our programs and waits for disk and network, where it is not in the cache."""
    if rootfs.debian_is_cached():
        return None

    def build() -> "list[Outcome]":
        began = time.monotonic()
        rootfs.debian(announce=say)
        return [_built(ROOT, began)]

    return Job(ROOT, recorded.seconds(ROOT, 100), build, waits=True)


def make(*targets: str) -> None:
    """Brings targets up to date, in the sight of whoever waits for them."""
    with working(f"make {' '.join(targets)}"):
        process = processes.start(_make(*targets), cwd=TREE, stdin=subprocess.DEVNULL)
        process.wait()
        processes.stop(process, grace=0)
    if process.returncode:
        raise SystemExit(f"make {' '.join(targets)} failed")


def _make(*targets: str) -> "list[str]":
    return ["make", "--no-print-directory", *targets]


def _programs() -> "list[Outcome]":
    began, log = time.monotonic(), LOGS / "programs"
    if failure := _logged(_make("programs"), log):
        return [failure.of(PROGRAMS, began)]
    return [_built(PROGRAMS, began)]


def _unit_tests() -> "list[Outcome]":
    began, log = time.monotonic(), LOGS / "unit-tests"
    failure = _logged(LESS_URGENT + _make("test-unit"), log)
    outcomes = _unit_outcomes(log)
    for outcome in outcomes:
        if not outcome.passed:
            outcome.announce()
    if failure and all(outcome.passed for outcome in outcomes):
        # They do not build, or crashed.
        return outcomes + [failure.of(UNIT_TESTS, began)]
    seconds, passed = time.monotonic() - began, sum(outcome.passed for outcome in outcomes)
    say(f"{'FAILED' if failure else 'ok    '} {seconds:6.1f} s  {UNIT_TESTS}: {passed} of {len(outcomes)} passed")
    return outcomes + [Outcome(UNIT_TESTS, True, seconds, is_test=False)] + _fuzz_targets()


def _fuzz_targets() -> "list[Outcome]":
    """Whether the fuzz targets, which nobody builds with every change, still go with the parsers."""
    began, log = time.monotonic(), LOGS / "fuzz-targets"
    failure = _logged(LESS_URGENT + [sys.executable, str(TREE / "Tests/Fuzz/fuzz.py"), "--check"], log)
    if failure:
        return [failure.of(FUZZ_TARGETS, began, is_test=True)]
    outcome = Outcome(FUZZ_TARGETS, True, time.monotonic() - began)
    outcome.announce()
    return [outcome]


def _unit_outcomes(log: Path) -> "list[Outcome]":
    """One for each test of the runner's xUnit file. They run all at once, so that the time of one says nothing."""
    if not XUNIT.exists():
        return []
    outcomes = []
    for case in xml.etree.ElementTree.parse(XUNIT).iter("testcase"):
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if case.find("skipped") is None:
            name = f"unit {case.get('classname', '')}.{case.get('name', '')}"
            reason = "" if problem is None else (problem.get("message") or problem.text or "failed").strip()
            outcomes.append(Outcome(name, problem is None, 0, reason, None if problem is None else log))
    return outcomes


def _built(name: str, began: float) -> Outcome:
    outcome = Outcome(name, True, time.monotonic() - began, is_test=False)
    outcome.announce()
    return outcome


class _Failure:
    """A command that failed, and the end of what it wrote."""

    def __init__(self, reason: str, log: Path) -> None:
        self.reason, self.log = reason, log

    def of(self, name: str, began: float, is_test: bool = False) -> Outcome:
        lines = Path(f"{self.log}.log").read_text(errors="replace").splitlines()
        telling = [line for line in lines if "error:" in line] or lines
        outcome = Outcome(name, False, time.monotonic() - began, self.reason, self.log, telling[-6:], is_test=is_test)
        outcome.announce()
        return outcome


def _logged(command: "list[str]", log: Path) -> "_Failure | None":
    """Runs a command into LOG.log; what went wrong, or `None`."""
    LOGS.mkdir(parents=True, exist_ok=True)
    file = Path(f"{log}.log")
    with open(file, "wb") as output:
        process = processes.start(command, cwd=TREE, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT, env={**os.environ, "TERM": "dumb"})
        process.wait()
        processes.stop(process, grace=0)
    if process.returncode == 0:
        return None
    return _Failure(f"`{' '.join(command)}` exited with {process.returncode}, see {shown(file)}", log)
