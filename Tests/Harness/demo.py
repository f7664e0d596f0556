"""The demo: a machine boots from RAM, provisions itself, and finds its data again at the next boot."""

import os
import sys
import time

import images
import processes
import speed
from console import Unmet
from outcome import say, shown, working
from scenario import PASSWORD, USER, Boot, Scenario, ConsoleLine, check_boot, check_reuse
from paths import LOGS

COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main(interactive: bool = False) -> int:
    began = time.monotonic()
    scenario = machine = None
    try:
        scenario = Scenario(announce=say)
        initrd = [images.initramfs("generic", rootfs=scenario.image, fast=False)]
        introduce(scenario, initrd[0])

        heading("First boot: the disk is blank")
        machine = scenario.machine(initrd, "demo.first")
        with working("first boot"):
            first = scenario.boot(machine, tell=tell)
        check_boot(first, 1)
        close(first)
        machine.stop()

        heading("Second boot: same command line, same config, same disk")
        machine = scenario.machine(initrd, "demo.second")
        if interactive:
            return hand_to_the_reader(scenario, machine, first)
        with working("second boot"):
            second = scenario.boot(machine, tell=tell)
        check_boot(second, 2)
        check_reuse(first, second)
        close(second)

        heading("Side by side")
        for line in comparison(scenario, first, second):
            say(line)
        say(f"\nNothing was wiped, and the data is there. {time.monotonic() - began:.0f} s in all.")
        say(f"Console logs: {shown(LOGS)}/demo.first.console and demo.second.console")
        return 0
    except (Unmet, processes.ProgramFailed) as failed:
        say("\nThe demo failed.")
        for line in str(failed).splitlines():
            say(f"  {line}")
        if machine:
            say("The console's last lines:")
            for line in machine.last_lines():
                say(f"  | {line}")
            say(f"The whole console: {shown(machine.console.log)}")
        return 1
    finally:
        if machine:
            machine.stop()
        if scenario:
            scenario.clear()


def introduce(scenario: Scenario, initramfs) -> None:
    heading("Firstlight demo")
    say("A virtual machine with 1 GiB of RAM and a blank disk of 4 GiB. nginx serves it")
    say(f"  rootfs.img   {mib(scenario.image)}  Debian 12 with systemd and SSH, as squashfs")
    say(f"  config.ign   {scenario.config.stat().st_size / 1024:5.1f} KiB  /var on the disk, a user, a file, a unit")
    say(f"and the boot loader gives it Debian's kernel and an initramfs of {mib(initramfs).strip()} with")
    say("drivers for real hardware. The kernel command line, for both boots:")
    for word in scenario.arguments.split():
        say(f"  {word}")
    if speed.factor() > 1.2:
        say(f"This machine is slow or busy: time limits are {speed.factor():.1f} times the usual.")


def hand_to_the_reader(scenario: Scenario, machine, first: Boot) -> int:
    """The second boot on the reader's own terminal."""
    say(f"It is yours. Log in as {bold(USER)} with the password {bold(PASSWORD)}; `cat /var/lib/diary` shows both boots.")
    say(f"Leave with {bold('sudo poweroff')}, or at once with {bold('Ctrl-A X')}.\n")
    machine.start(interactive=True)
    status = machine.wait_interactive()
    say("")
    after = Boot()
    scenario.look_at_disk(after)
    if (after.table, after.filesystem) != (first.table, first.filesystem):
        say("The disk no longer holds the table and the filesystem of the first boot.")
    else:
        say("The disk holds the table and the filesystem of the first boot.")
    say(f"Console log: {shown(machine.console.log)}")
    return status


def tell(text: str, line: ConsoleLine) -> None:
    """One line of the agent's story as it comes; a transfer's progress stays on one line of a terminal."""
    if not line.is_progress:
        say(("\r\x1b[K" if COLOURS else "") + text)
    elif COLOURS:
        say(f"\r\x1b[K{text}", end="")


def close(found: Boot) -> None:
    """What the real root did, after the agent's story."""
    say(f"{found.diary_at:6.1f} s  {bold('Debian is up')}: its unit has written to /var, SSH lets {USER} in with the key")
    say("          /var/lib/diary:")
    for line in found.diary:
        say(f"            {line}")


def comparison(scenario: Scenario, first: Boot, second: Boot) -> "list[str]":
    """The table at the end. What was created and what reused is read from the disk, not from the console."""
    partition = first.table.partitions[0]
    both = (first, second)

    def row(title: str, one: str, other: str) -> str:
        return f"  {title:<12} {one:<32} {other}"

    def fetched(boot: Boot) -> str:
        done, start = boot.first("rootfs", "MiB from"), boot.first("network")
        size = scenario.image.stat().st_size / (1 << 20)
        return f"{size:.1f} MiB in {done.seconds - start.seconds:.1f} s" if done and start else f"{size:.1f} MiB"

    def verified(boot: Boot) -> str:
        return "sha256 right" if boot.first("rootfs", "sha256 right") else "NOT SAID"

    def handed_over(boot: Boot) -> str:
        return f"after {boot.story[-1].seconds:.1f} s" if boot.story else "NOT SAID"

    return [
        row("", "first boot", "second boot"),
        row("fetched", *map(fetched, both)),
        row("verified", *map(verified, both)),
        row("created", f"GPT, \"{partition.label}\", xfs {partition.count / (2 << 20):.1f} GiB", "nothing"),
        row("reused", "nothing", "table, partition, filesystem"),
        row("xfs UUID", first.filesystem.uuid[:18] + "...", "the same"),
        row("handed over", *map(handed_over, both)),
        row("Debian up", *(f"after {boot.diary_at:.1f} s" for boot in both)),
        row("RAM left", *(f"{boot.answers['free']} of {1024} MiB" for boot in both)),
        row("in /var", *(f"{len(boot.diary)} line{'s' * (len(boot.diary) > 1)}" for boot in both)),
    ]


def heading(text: str) -> None:
    say(f"\n{bold(text)}\n" + ("" if COLOURS else "-" * len(text) + "\n"), end="")


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if COLOURS else text


def mib(path) -> str:
    return f"{path.stat().st_size / (1 << 20):5.1f} MiB"
