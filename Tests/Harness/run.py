#!/usr/bin/python3
"""Runs the tests: on the built programs, with real servers, in a guest, by booting; and what is to be looked at.

    python3 Tests/Harness/run.py test|all [--record]     every change, or everything; unit tests too
    python3 Tests/Harness/run.py host|guest|boot [NAME...]
    python3 Tests/Harness/run.py boot --kernel debian13 [NAME...]
    python3 Tests/Harness/run.py power-cut
    python3 Tests/Harness/run.py rack
    python3 Tests/Harness/run.py list
    python3 Tests/Harness/run.py demo [--interactive]
    python3 Tests/Harness/run.py bench [NAME...]

What a test needs built is built first, and nothing else. Tests/Harness/tiers.py tells `test` from `all`.
"""

import argparse
import os
import resource
import sys
import time

import bench
import boot
import builds
import demo
import guest
import hosts
import images
import oracle_runs
import other_kernel
import processes
import rack
import recorded
import speed
import tiers
from outcome import Outcome, say, watch_silence
from paths import LOGS
from schedule import AT_ONCE, NOT_RUN, Job, carry_out

POWER_CUTS = 670  # 509 of them of the run that keeps and creates
SLOWEST = 10


def main() -> int:
    parser = argparse.ArgumentParser(description="Tests, demo and bench of Firstlight.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {"test": "what every change has to pass", "all": "every test"}.items():
        commands.add_parser(name, help=text).add_argument(
            "--record", action="store_true", help="write down how long each test took")
    kinds = {"host": "tests on this machine", "guest": "tests inside a virtual machine", "boot": "whole boots"}
    for name, text in kinds.items():
        these = commands.add_parser(name, help=text)
        these.add_argument("names", nargs="*", metavar="NAME")
        if name == "boot":
            these.add_argument("--kernel", choices=other_kernel.KERNELS, help="with this kernel, not the installed one")
    commands.add_parser("power-cut", help="the power-cut test at more than 500 moments")
    commands.add_parser("rack", help="a boot server and three machines, for a day")
    commands.add_parser("list", help="every test with what it shows")
    commands.add_parser("demo", help="two boots and their story").add_argument("--interactive", action="store_true")
    commands.add_parser("bench", help="side by side with dracut, the floor and Debian's ignition").add_argument(
        "names", nargs="*", metavar="NAME", help=", ".join(bench.PARTS))
    arguments = parser.parse_args()

    if arguments.command == "list":
        return list_tests()
    processes.stop_on_signals()
    LOGS.mkdir(parents=True, exist_ok=True)
    images.forget_old_images()
    speed.factor()  # before anything else keeps the processors busy
    if not getattr(arguments, "interactive", False):
        watch_silence()
    if arguments.command == "demo":
        return demo.main(arguments.interactive)
    if arguments.command == "bench":
        return bench.main(arguments.names)
    if arguments.command == "power-cut":
        return power_cuts()
    if arguments.command == "rack":
        return rack.main()
    if arguments.command in kinds:
        return named(arguments.command, arguments.names, getattr(arguments, "kernel", None))
    return everything(tiers.ALL if arguments.command == "all" else tiers.EVERY_CHANGE, arguments.record)


def everything(tier: str, record: bool) -> int:
    """All tests of a tier. The programs and the unit tests are built side by side; then machines and checks run
    beside what is left of the unit tests."""
    began = time.monotonic()
    say(f"time limits: {speed.factor():.1f} times those of the machine on which they were set")

    def of_tier(tests: list) -> list:
        return [test for test in tests if tier == tiers.ALL or test.tier == tiers.EVERY_CHANGE]

    programs = builds.programs()
    jobs = [programs, builds.unit_tests()]
    jobs += guest.jobs(of_tier(guest.guest_tests()), [programs], tier)
    jobs += [test.job([programs]) for test in of_tier(hosts.host_tests()) + of_tier(boot.boot_tests())]
    if tier == tiers.ALL:
        jobs += [test.job([programs]) for test in other_kernel.again(boot.boot_tests())]
        jobs += oracle_runs.jobs(oracle_runs.names())
        jobs.append(rack.job([programs]))
    if root := builds.debian_root():
        jobs.append(root)
    outcomes = carry_out(jobs)
    if record:
        recorded.record(outcomes)
    tell_times(outcomes, time.monotonic() - began)
    return tell(outcomes)


def named(command: str, names: "list[str]", kernel: "str | None") -> int:
    """The tests of one command and of these names, after what they need is built; boots with another kernel."""
    tests = chosen({"host": hosts.host_tests, "guest": guest.guest_tests, "boot": boot.boot_tests}[command](), names)
    if kernel:
        tests = [other_kernel.OtherKernelTest(test, kernel) for test in tests]
    if needed := {program for test in tests for program in test.needs}:
        builds.make(*sorted(needed))
    if command == "guest":
        return tell(carry_out(guest.jobs(tests, [], tiers.ALL)))
    return tell(carry_out([test.job([]) for test in tests]))


def chosen(tests: list, names: "list[str]") -> list:
    """The tests of those names, or all of them; of host tests a kind is a name too."""
    found = []
    for name in (name.replace("_", "-") for name in names):
        these = [test for test in tests if name in (test.name, getattr(test, "kind", None), test.title)]
        if not these:
            raise SystemExit(f"no such test: {name}; `make list-tests` shows them all")
        found += these
    return found if names else tests


def power_cuts() -> int:
    """The guest test power-cut at many more moments, parted among several machines."""
    builds.make("agent")

    def part(number: int) -> "list[Outcome]":
        test = guest.GuestTest.read(guest.FOLDER / "power-cut.py")
        test.name, test.limit = f"power-cut-{number}", 9000
        test.variables = {"MOMENTS": str(POWER_CUTS), "PART": f"{number}/{AT_ONCE}"}
        return guest.run_together([test], tiers.ALL)

    numbers = range(1, AT_ONCE + 1)
    return tell(carry_out([Job(f"power cuts, part {number}", 4800, lambda number=number: part(number)) for number in numbers]))


def tell_times(outcomes: "list[Outcome]", seconds: float) -> None:
    """What the time went to: how busy the processors were, which kinds of work, the tests that took longest."""
    kinds: "dict[str, list[float]]" = {}
    for outcome in outcomes:
        if outcome.seconds:
            kind = outcome.name if not outcome.is_test else outcome.name.split()[0]
            kinds.setdefault(kind, []).append(outcome.seconds)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = used.ru_utime + used.ru_stime
    say(f"\nin all {minutes(seconds).strip()}; processors worked {minutes(worked).strip()}, "
        f"{worked / seconds:.1f} of {os.cpu_count()} at a time; of that, each for itself:")
    for kind, each in sorted(kinds.items(), key=lambda item: -sum(item[1])):
        say(f"  {minutes(sum(each))}  {kind}" + (f", {len(each)} times" if len(each) > 1 else ""))
    tests = sorted((outcome for outcome in outcomes if outcome.is_test), key=lambda outcome: -outcome.seconds)
    say(f"\nthe {SLOWEST} slowest tests:")
    for outcome in tests[:SLOWEST]:
        say(f"  {outcome.seconds:6.1f} s  {outcome.name}")


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60:3}:{int(seconds) % 60:02} min"


def tell(outcomes: "list[Outcome]") -> int:
    """The failures once more, where a long log is read from its end, and the sum as the last line."""
    counted = [outcome for outcome in outcomes if outcome.counts]
    passed = sum(outcome.passed for outcome in counted)
    failed = len(counted) - passed
    for outcome in counted:
        if not outcome.passed and not outcome.reason.startswith(NOT_RUN):
            say(outcome.text)
    say(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def list_tests() -> int:
    for test in hosts.host_tests() + guest.guest_tests() + boot.boot_tests():
        only = "  (make test-all)" if test.tier == tiers.ALL else ""
        print(f"{test.title}{only}  {getattr(test, 'description', '')}".rstrip())
    for test in other_kernel.again(boot.boot_tests()):
        print(f"{test.title}  (make test-all)  {test.description}")
    for name in oracle_runs.names():
        print(f"{oracle_runs.title(name)}  (make test-all, make test-oracles)")
    print(f"{rack.TITLE}  (make test-all, make test-rack)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
