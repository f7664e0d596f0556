"""The harness on itself: what it tells of a failure, in which order it works, how it parts guest tests."""

import subprocess
import threading
import time
from pathlib import Path

import guest
import hosts
import images
import outcome
import processes
import scenario
import schedule
import speed
import whereabouts
from console import Console, Unmet, told_twice
from guest import GuestTest
from outcome import Outcome
from schedule import Job

NEEDS: "set[str]" = set()


def a_failure_is_told_in_ten_lines() -> None:
    folder = processes.temporary_folder("told")
    try:
        reason = "expected: " + "word " * 60 + "\nfound:    " + "\n".join(f"line {number}" for number in range(50))
        failed = Outcome("boot x", False, 1, reason, folder / "boot.x", [f"console {number}" for number in range(15)])
        lines = [f"FAILED {failed.name}"] + failed.told()
        assert len(lines) <= 10, lines
        assert all(len(line) <= 125 for line in lines), lines
        assert lines[1].strip().startswith("expected: word") and lines[-1].strip().startswith("logs: "), lines
        assert "console 14" in lines[-2] and any("lines more" in line for line in lines), lines
        whole = (folder / "boot.x.failure").read_text()
        assert "line 49" in whole and "console 0" in whole, whole
        assert Outcome("boot x", True, 1).told() == []
    finally:
        processes.remove_folder(folder)


def an_assertion_tells_what_was_expected_and_found() -> None:
    def wrong() -> None:
        assert 1 + 1 == 3, "two"

    try:
        wrong()
    except AssertionError as failed:
        lines = hosts.failed_assertion(failed).splitlines()
    assert lines[0] == 'expected: 1 + 1 == 3, "two"' and lines[2] == "found:    two", lines

    output = ["$ something", "Traceback (most recent call last):", '  File "/a/luks.py", line 7, in <module>', "    main()",
              '  File "/a/luks.py", line 5, in main', "    assert a == b, text", "           ^^^^^^",
              "AssertionError: first", "second"]
    assert guest.explained(output) == (
        "expected: a == b, text\nin:       luks.py:5\nfound:    first\nsecond", ["$ something"]), guest.explained(output)
    assert guest.explained(["no traceback"]) is None


def a_console_tells_what_it_waited_for() -> None:
    folder = processes.temporary_folder("console")
    try:
        program = subprocess.Popen(["sh", "-c", "echo one; sleep 0.3; echo Kernel panic; sleep 60"], stdout=subprocess.PIPE,
                                   start_new_session=True)
        console = Console(folder / "log")
        console.follow(program.stdout)
        assert unmet(console, "^two$", 0.05, what="the second line") == (
            f"expected: the second line\nfound:    not within {speed.told(0.05)}")
        assert unmet(console, "^two$", 30, never="Kernel panic") == (
            "expected: the console to show '^two$'\nfound:    'Kernel panic'")
        processes._signal(program, 9)
        console.wait_closed(10)
        assert unmet(console, "^two$", 30).endswith("found:    the machine ended without it")
        program.wait()
    finally:
        processes.remove_folder(folder)


def what_is_told_twice_is_found() -> None:
    once = ["   0.5 s  config    http://a/config.ign, spec 3.4.0", "config: it is whole", "", ""]
    assert not told_twice(once)
    broken = ["  12.1 s  rootfs    the older root image", "                    is booted"]
    assert told_twice([*once, "config: http://a/config.ign, spec 3.4.0"]) == ["config: http://a/config.ign, spec 3.4.0"]
    assert told_twice([*broken, "rootfs: the older root image is booted"]) == ["rootfs: the older root image is booted"]


def unmet(console: Console, *words, **options) -> str:
    try:
        console.expect(*words, **options)
    except Unmet as failed:
        return str(failed)
    raise AssertionError("it was there")


def the_demo_names_the_step_it_waited_for() -> None:
    boot = scenario.Boot()
    assert "first line of the agent" in scenario.awaited(boot)
    boot.story.append(scenario.ConsoleLine(5.1, "rootfs", "94.4 MiB from http://a/rootfs.img"))
    assert "last line is of 5.1 s: rootfs 94.4 MiB" in scenario.awaited(boot), scenario.awaited(boot)
    boot.diary.append("boot 1")
    assert "diary.service to end" in scenario.awaited(boot)


def the_longest_come_first_and_nothing_before_what_it_needs() -> None:
    order, lock = [], threading.Lock()

    def does(name: str, passed: bool = True):
        def run() -> "list[Outcome]":
            with lock:
                order.append(name)
            return [Outcome(name, passed, 0.02)]
        return run

    build = Job("build", 5, does("build"))
    broken = Job("broken", 90, does("broken", passed=False))
    jobs = [Job("short", 1, does("short"), [build]), Job("long", 50, does("long"), [build]), build, broken,
            Job("hopeless", 7, does("hopeless"), [broken], tests=["one", "two"]),
            Job("waits", 3, does("waits"), [build], waits=True)]
    told: "list[str]" = []
    found = {each.name: each for each in schedule.carry_out(jobs, told.append, at_once=1)}
    assert [name for name in order if name != "waits"] == ["broken", "build", "long", "short"], order
    assert order.index("build") < order.index("waits"), order
    assert found["one"].reason == found["two"].reason == "not run, for broken failed", found
    assert not found["two"].passed and found["short"].passed
    assert len(told) == 1 and "2 tests: not run" in told[0], told

    def raises() -> "list[Outcome]":
        raise LookupError("of the harness itself")

    only, = Job("raises", 1, raises).outcomes(told.append)
    assert not only.passed and "of the harness itself" in only.reason and "LookupError" in told[1], told


def guest_tests_share_machines_by_time_and_disks() -> None:
    def test(name: str, seconds: float, disks: int = 0, init: str = "systemd") -> GuestTest:
        made = _Timed(name, Path(name), [(1, "virtio")] * disks, init)
        made.known = seconds
        return made

    most = guest.MACHINE_SECONDS
    parts = guest.machines([test("a", most / 3), test("b", most * 2), test("c", most / 2), test("d", most / 4),
                            test("e", 1, disks=guest.DISKS_PER_MACHINE), test("f", 2, disks=1), test("g", 3, init="shell")])
    names = [[each.name for each in part] for part in parts]
    assert names == [["b"], ["c", "a", "f"], ["d", "e"], ["g"]], names


class _Timed(GuestTest):
    known = 0.0

    @property
    def seconds(self) -> float:
        return self.known


def a_silent_machines_log_is_found_in_its_memory() -> None:
    banner = b"Linux version 6.1.0-9-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP"
    memory = b"\0" * 5000 + banner + b"\0" * 100 + banner + b"\0\x01\x02\0Command line: console=ttyS0\0\0\x03tsc: Fast TSC\0\0"
    assert whereabouts.log_in(memory)[-2:] == ["Command line: console=ttyS0", "tsc: Fast TSC"], whereabouts.log_in(memory)
    assert whereabouts.log_in(b"\0" * 500) == ["the kernel has not begun its log"]


def the_kernel_is_unpacked_where_qemu_can_start_it() -> None:
    kernel = images.unpacked_kernel().read_bytes()
    assert kernel[:4] == b"\x7fELF" and images.PVH_NOTE.search(kernel), kernel[:64]
    assert not images._payload(bytes(4096)) and not images._payload(b"\1" * 4096)


def every_test_is_of_a_tier_and_named_once() -> None:
    import boot
    import other_kernel
    tests = hosts.host_tests() + guest.guest_tests() + boot.boot_tests() + other_kernel.again(boot.boot_tests())
    titles = [test.title for test in tests]
    assert len(titles) == len(set(titles)), sorted(titles)
    assert all(test.needs <= {"agent", "tool"} for test in tests)
    assert "guest guestlib" not in titles


def limits_follow_the_machine() -> None:
    assert 1 <= speed.factor() <= speed.MOST
    assert speed.limit(10) == 10 * speed.factor()
    deadline = speed.Deadline(0.01)
    time.sleep(0.02 * speed.factor())
    assert deadline.rest() == 0
    # The text that says so is whole.
    assert outcome.cut(["a", "b", "c"], 2) == ["a", "... and 2 lines more"]


TESTS = [(test.__name__.replace("_", "-"), test) for test in (
    a_failure_is_told_in_ten_lines,
    an_assertion_tells_what_was_expected_and_found,
    a_console_tells_what_it_waited_for,
    what_is_told_twice_is_found,
    the_demo_names_the_step_it_waited_for,
    the_longest_come_first_and_nothing_before_what_it_needs,
    guest_tests_share_machines_by_time_and_disks,
    a_silent_machines_log_is_found_in_its_memory,
    the_kernel_is_unpacked_where_qemu_can_start_it,
    every_test_is_of_a_tier_and_named_once,
    limits_follow_the_machine,
)]
