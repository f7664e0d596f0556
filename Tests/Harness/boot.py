"""Boot tests: a whole boot, and what it must say and leave behind.

A test is a function in Tests/Boot marked `@boot_test()`; it is given a `Workbench`: servers, disks,
machines, all of which go away with the test. Its docstring is what `list` shows. `@boot_test(tier=ALL)`
runs it in `make test-all` only: what another boot and a test of the values show as well.
Most boot the tiny root filesystem, which prints what it finds as `@fact` lines and powers off;
`facts` waits for them. An expectation that does not come true raises `Unmet`.
"""

import base64
import importlib.util
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import images
import processes
import recorded
import rootfs
import tiers
from console import Unmet
from hosts import failure_of
from machine import GIB, UNDER_LOAD, Disk, Settings, VirtualMachine
from outcome import Outcome
from paths import LOGS, TREE
from schedule import Job
from servers import FaultServer, Nginx
from site_network import Site

FOLDER = TREE / "Tests" / "Boot"
# Under systemd the lines of a unit have the time and the unit's name in front.
STOPPED = r"^(\[[ .0-9]+\] firstlight\[\d+\]: )?firstlight stopped: .*$"
BROKEN = r"Kernel panic|" + STOPPED

# On a serial console, kernel messages only when they are errors; no one is there to use a shell.
QUIETLY = f"console=ttyS0 loglevel=3 panic=-1 {UNDER_LOAD}"
UNATTENDED = f"{QUIETLY} rd.shell=0 rd.emergency=poweroff"
PROVISION = "ignition.firstboot ignition.platform.id=metal"

UNKNOWN = 20  # seconds, of a test whose time was never recorded

_registered: "dict[str, BootTest]" = {}


@dataclass
class BootTest:
    name: str
    description: str
    tier: str
    function: object
    needs = {"agent", "tool"}

    @property
    def title(self) -> str:
        return f"boot {self.name}"

    def job(self, after: "list[Job]") -> Job:
        return Job(self.title, recorded.seconds(self.title, UNKNOWN), lambda: [run(self)], after)


def boot_test(tier: str = tiers.EVERY_CHANGE):
    """Marks a function as a boot test of that tier."""

    def mark(function):
        description = (function.__doc__ or "").strip().splitlines()[0].rstrip(".")
        name = function.__name__.replace("_", "-")
        _registered[name] = BootTest(name, description, tiers.known(tier), function)
        return function

    return mark


def boot_tests() -> "list[BootTest]":
    """Every boot test of Tests/Boot."""
    if not _registered:
        for file in sorted(FOLDER.glob("*.py")):
            specification = importlib.util.spec_from_file_location(f"boot_{file.stem}", file)
            specification.loader.exec_module(importlib.util.module_from_spec(specification))
    return sorted(_registered.values(), key=lambda test: test.name)


def run(test: BootTest, logs: str = "") -> Outcome:
    """Runs it; `logs` is what the names of its logs begin with, boot.NAME otherwise."""
    began = time.monotonic()
    bench = Workbench(test, logs or f"boot.{test.name}")
    try:
        reason = failure_of(lambda: test.function(bench))
        lines = bench.last_lines() if reason else []
    finally:
        bench.clear()
    outcome = Outcome(test.title, not reason, time.monotonic() - began, reason, LOGS / bench.logs, lines)
    outcome.announce()
    return outcome


class Workbench:
    """Everything a boot test puts together. All of it ends when the test does."""

    def __init__(self, test: BootTest, logs: str) -> None:
        self.name, self.logs = test.name, logs
        self.folder = processes.temporary_folder(test.name)
        self.folder.chmod(0o755)
        self._machines: "list[VirtualMachine]" = []
        self._servers: "list[Nginx | FaultServer | Site]" = []
        self._disks = 0

    def nginx(self, files: "dict[str, Path | str | bytes]", **options) -> Nginx:
        """A real web server with these files."""
        root = self.folder / f"www{len(self._servers)}"
        root.mkdir()
        for name, content in files.items():
            put(content, root / name)
        server = Nginx(root, **options)
        self._servers.append(server)
        return server

    def site(self, *others: str) -> Site:
        """A network of the test's own, as the guide's."""
        site = Site(*others)
        self._servers.append(site)
        return site

    def serve(self, server: Nginx) -> Nginx:
        """Counts a server that was made elsewhere among the test's own."""
        self._servers.append(server)
        return server

    def faulty(self, files: "dict[str, Path]", faults: "dict | None" = None, **options) -> FaultServer:
        """A server that goes wrong as told; see servers.py."""
        server = FaultServer(files, faults, **options)
        self._servers.append(server)
        return server

    def disk(self, size: int = 4 * GIB, **options) -> Disk:
        """A blank disk."""
        self._disks += 1
        return Disk.blank(self.folder / f"disk{self._disks}", size, **options)

    def config(self, name: str = "config.ign", version: str = "3.4.0", **sections) -> Path:
        """An Ignition config as a file."""
        path = self.folder / name
        path.write_text(json.dumps({"ignition": {"version": version}, **sections}, indent=2))
        return path

    def boot(self, arguments: str = "", *, base: str = UNATTENDED, script: str = "",
             **settings) -> VirtualMachine:
        """Starts a machine; `script` runs in the tiny root once it is reached."""
        words = f"{base} {arguments}"
        if script:
            words += " " + run_argument(script)
        if len(words) > 2040:
            raise Unmet("a kernel command line of at most 2040 bytes", f"{len(words)} bytes")
        number = len(self._machines) + 1
        log_name = self.logs + (f".{number}" if number > 1 else "")
        machine = VirtualMachine(Settings(arguments=words, **settings), log_name)
        self._machines.append(machine)
        machine.start()
        return machine

    def watch(self, machine: VirtualMachine) -> None:
        """Counts a machine that was made elsewhere among the test's own."""
        self._machines.append(machine)

    def last_lines(self) -> "list[str]":
        return self._machines[-1].last_lines() if self._machines else []

    def clear(self) -> None:
        for machine in self._machines:
            machine.stop()
        for server in reversed(self._servers):
            server.stop()
        processes.remove_folder(self.folder)


def put(content: "Path | str | bytes", target: Path) -> None:
    """Makes a file of a text, or one that leads to another."""
    if isinstance(content, Path):
        target.symlink_to(content)
    else:
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def run_argument(script: str) -> str:
    """The kernel argument that makes the tiny root run a script."""
    return f"tiny.run={base64.b64encode(script.encode()).decode()}"


def tiny_image() -> Path:
    """The tiny root as rootfs.img."""
    return images.root_image(rootfs.tiny())


def embedded(bench, modules="virtio", **sections):
    """Archives that boot the tiny root with a config, appended as `coreos-installer pxe customize` does it."""
    image = tiny_image()
    config = bench.config(**sections).read_bytes()
    return [images.initramfs(modules, rootfs=image), images.appendix({"config.ign": config}), image]


def facts(machine: VirtualMachine, timeout: float = 240, exit: bool = True) -> "dict[str, list[str]]":
    """What the tiny root found, by name, and `run`: the lines its script printed."""
    console = machine.console
    console.expect(r"^@fact end$", timeout, never=BROKEN, what="the tiny root to start and list all it finds")
    if exit:
        machine.wait_exit(30)
    reads_well(console.text)
    found: "dict[str, list[str]]" = {"run": []}
    inside = False
    for line in console.text.splitlines():
        if match := re.match(r"@fact (\S+) ?(.*)", line):
            found.setdefault(match[1], []).append(match[2])
        elif line == "@run begin":
            inside = True
        elif match := re.match(r"@run end (\d+)", line):
            inside = False
            if match[1] != "0":
                raise Unmet("the script in the real root to exit with 0", match[1])
        elif inside:
            found["run"].append(line)
    return found


def reads_well(text: str) -> None:
    """What no line of the story may have: the word for a warning twice, seconds with more digits than anybody reads."""
    for line in text.splitlines():
        if re.match(r"^ *\d+\.\d s  \S", line) and re.search(r"(?i)\bwarning:? +warning\b|\d\.\d{7,} ?s\b", line):
            raise Unmet("lines that can be read", line)


def stopped(machine: VirtualMachine, *patterns: str, timeout: float = 240) -> str:
    """Waits for the failure's report, in which each pattern must stand, and for the power to go off."""
    machine.console.expect(STOPPED, timeout, never=r"^@fact|Kernel panic", what="the report of a boot that stops")
    reason = machine.wait_exit(60)
    text = machine.console.text
    reads_well(text)
    report = " ".join(text[re.search(STOPPED, text, re.MULTILINE).start():].split())
    for pattern in patterns:
        if not re.search(pattern, report, re.IGNORECASE):
            raise Unmet(f"{pattern!r} in the report", report)
    if reason != "guest-shutdown":
        raise Unmet("rd.emergency=poweroff to end in guest-shutdown", reason or "nothing")
    return report
