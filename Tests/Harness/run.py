#!/usr/bin/python3
"""Runs the tests that need more than a process: on the shipped programs, with real servers, in a guest, by booting.

    python3 Tests/Harness/run.py all [--unit-report FILE]
    python3 Tests/Harness/run.py network|guest|boot [NAME...]
    python3 Tests/Harness/run.py power-cut
    python3 Tests/Harness/run.py list
    python3 Tests/Harness/run.py demo [--interactive]
    python3 Tests/Harness/run.py bench [NAME...]
"""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench
import boot
import demo
import differential
import dropin
import fetching
import guest
import hostile
import images
import processes
import shipped
import supervision
from outcome import Outcome
from paths import LOGS

# A machine under emulation keeps about one processor busy.
AT_ONCE = 2
POWER_CUTS = 670  # 509 of them of the run that keeps and creates


def main() -> int:
    parser = argparse.ArgumentParser(description="Tests, demo and bench of Firstlight.")
    commands = parser.add_subparsers(dest="command", required=True)
    everything = commands.add_parser("all", help="shipped programs, network, guest and boot tests")
    everything.add_argument("--unit-report", type=Path, help='{"passed": n, "failed": n} to add to the sum')
    kinds = {"network": "fetching from real servers", "guest": "tests inside a virtual machine", "boot": "whole boots"}
    for name, text in kinds.items():
        commands.add_parser(name, help=text).add_argument("names", nargs="*", metavar="NAME")
    commands.add_parser("power-cut", help="the power-cut test at more than 500 moments")
    commands.add_parser("list", help="every test with what it shows")
    commands.add_parser("demo", help="two boots and their story").add_argument("--interactive", action="store_true")
    commands.add_parser("bench", help="side by side with dracut, the floor and Debian's ignition").add_argument(
        "names", nargs="*", metavar="NAME", help=", ".join(bench.PARTS))
    arguments = parser.parse_args()

    processes.stop_on_signals()
    if arguments.command == "list":
        return list_tests()
    if arguments.command == "demo":
        return demo.main(arguments.interactive)
    if arguments.command == "bench":
        return bench.main(arguments.names)
    if arguments.command == "power-cut":
        return tell(power_cuts(), None)
    outcomes = []
    if arguments.command == "all":
        outcomes += check("shipped", shipped.TESTS) + check("config", differential.TESTS)
        outcomes += check("supervision", supervision.TESTS)
        outcomes += check("ignition", dropin.TESTS)
        outcomes += check("disks", hostile.TESTS)
    names = getattr(arguments, "names", [])

    def wanted(kind: str, tests: list) -> list:
        return chosen(tests, names) if arguments.command in ("all", kind) else []

    outcomes += check("network", [(test.name, test.run) for test in wanted("network", fetching.tests())])
    guests, boots = wanted("guest", guest.guest_tests()), wanted("boot", boot.boot_tests())
    if guests or boots:
        outcomes += run_machines(guests, boots)
    return tell(outcomes, getattr(arguments, "unit_report", None))


def chosen(tests: list, names: "list[str]") -> list:
    """The tests of those names, or all of them."""
    known = {test.name: test for test in tests}
    wanted = [name.replace("_", "-") for name in names]
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"no such test: {', '.join(unknown)}; `list` shows them all")
    return [known[name] for name in wanted] if names else tests


def check(kind: str, tests: list) -> "list[Outcome]":
    """Checks on the built programs that need no guest, one after the other."""
    outcomes = []
    for name, test in tests:
        began, reason = time.monotonic(), ""
        try:
            test()
        except Exception as failed:
            reason = f"{type(failed).__name__}: {failed}"
        outcomes.append(Outcome(f"{kind} {name}", not reason, time.monotonic() - began, reason))
        outcomes[-1].announce()
    return outcomes


def run_machines(guests: list, boots: list) -> "list[Outcome]":
    """Guest and boot tests, two machines at a time."""
    LOGS.mkdir(parents=True, exist_ok=True)
    images.forget_old_images()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(guest.run_together, part) for part in guest.boots(guests)]
        running += [pool.submit(lambda test=test: [boot.run(test)]) for test in boots]
        return [outcome for future in running for outcome in future.result()]


def power_cuts() -> "list[Outcome]":
    """The guest test power-cut at many more moments, parted among several machines."""
    LOGS.mkdir(parents=True, exist_ok=True)

    def part(number: int) -> "list[Outcome]":
        test = guest.GuestTest.read(guest.FOLDER / "power-cut.py")
        test.name, test.limit = f"power-cut-{number}", 9000
        test.variables = {"MOMENTS": str(POWER_CUTS), "PART": f"{number}/{AT_ONCE}"}
        return guest.run_together([test])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [outcome for outcomes in pool.map(part, range(1, AT_ONCE + 1)) for outcome in outcomes]


def tell(outcomes: "list[Outcome]", unit_report: "Path | None") -> int:
    """The failures' names once more and the sum, as the last line."""
    passed = sum(outcome.passed for outcome in outcomes)
    failed = len(outcomes) - passed
    for outcome in outcomes:
        if not outcome.passed:
            print(f"failed: {outcome.name}" + (f", logs: {outcome.logs}*" if outcome.logs else ""))
    if unit_report:
        try:
            counts = json.loads(unit_report.read_text())
            passed, failed = passed + counts["passed"], failed + counts["failed"]
        except (OSError, ValueError, KeyError) as reason:
            print(f"failed: unit tests; no report in {unit_report}: {reason}")
            failed += 1
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def list_tests() -> int:
    for kind, tests in {"shipped": shipped.TESTS, "supervision": supervision.TESTS, "config": differential.TESTS, "ignition": dropin.TESTS,
                        "disks": hostile.TESTS}.items():
        for name, _ in tests:
            print(f"{kind} {name}")
    for test in fetching.tests():
        print(f"network {test.name}")
    for test in guest.guest_tests():
        print(f"guest {test.name}")
    for test in sorted(boot.boot_tests(), key=lambda test: test.name):
        print(f"boot {test.name}  {test.title}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
