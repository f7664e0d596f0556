"""The demo's scenario: a Debian root from a web server, the guide's persistent /var on a blank disk,
a user with an SSH key, a file and a unit; used by the demo and by boot tests."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import disks
import images
import processes
import rootfs
import speed
from boot import put
from console import Unmet
from machine import GIB, Disk, Settings, VirtualMachine
from outcome import say
from paths import FIXTURES, kernel_image
from servers import Nginx, free_port

RECIPE = FIXTURES / "demo"
USER, PASSWORD = "demo", "firstlight"
LINE = re.compile(r"^ *(\d+\.\d) s  (\S+) +(.*)$")
CONTINUED = " " * 10  # a line too long for the console goes on below its text, a page below its topic
BROKEN = r"firstlight stopped: |.*Kernel panic|.*You are in emergency mode"


@dataclass
class ConsoleLine:
    """What the agent said on the console: `   5.1 s  rootfs    94.4 MiB from http://...`."""

    seconds: float
    topic: str
    text: str

    @property
    def is_progress(self) -> bool:
        return bool(re.search(r"\d of \d.*%", self.text))


@dataclass
class Boot:
    """One boot, as its console, its SSH server and its disk tell of it."""

    story: "list[ConsoleLine]" = field(default_factory=list)
    diary: "list[str]" = field(default_factory=list)
    diary_at: float = 0  # seconds since kernel start
    answers: "dict[str, str]" = field(default_factory=dict)  # by what was asked over SSH
    table: "disks.Table | None" = None
    filesystem: "disks.XFS | None" = None

    def first(self, topic: str, pattern: str = "") -> "ConsoleLine | None":
        return next((s for s in self.story if s.topic == topic and re.search(pattern, s.text)), None)


# Asked over SSH, as the user of the config.
QUESTIONS = {
    "user": "id -un",
    "var": "findmnt -no SOURCE,FSTYPE /var",
    "root": "findmnt -no FSTYPE /",
    "motd": "cat /etc/motd",
    "diary": "cat /var/lib/diary",
    "failed": "systemctl --failed --plain --no-legend",
    "units": "systemctl is-active var.mount diary.service",
    "report": "cat /run/firstlight/report.json",
    "order": "sudo grep -ohE 'disks are planned|sha256 right|as they were planned' /run/firstlight/log",
    # The journal is there too; the pattern does not match itself.
    "secrets": "sudo LC_ALL=C grep -rlsE --exclude-dir=lower --exclude-dir=overlay --exclude-dir=image '[$]6[$][./0-9A-Za-z]{4}|ssh-ed25519 [A]AAA' /run",
    "free": "free -m | awk '/^Mem/ { print $7 }'",
}


class Scenario:
    """The servers and the disk; `boot` may be called again and again with the same of both."""

    def __init__(self, announce=say) -> None:
        self.folder = processes.temporary_folder("demo")
        self.filesystem = rootfs.debian(announce)
        self.image = images.root_image(self.filesystem)
        self.disk = Disk.blank(self.folder / "disk", 4 * GIB)
        self.key = self.folder / "key"
        processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", self.key])
        www = self.folder / "www"
        www.mkdir()
        self.server = Nginx(www)
        put(self.image, www / "rootfs.img")
        put(RECIPE / "diary", www / "diary")
        self.config = www / "config.ign"
        self.config.write_text(self._config())
        self.port = free_port()

    @property
    def arguments(self) -> str:
        """The kernel command line, the same for every boot."""
        return (f"console=ttyS0 loglevel=3 coreos.live.rootfs_url={self.server.url}/rootfs.img "
                f"ignition.firstboot ignition.platform.id=metal ignition.config.url={self.server.url}/config.ign")

    def machine(self, initrd: list, log_name: str, arguments: str = "", memory: int = 1024) -> VirtualMachine:
        return VirtualMachine(
            Settings(kernel=kernel_image(), processors=2, initrd=initrd, arguments=f"{self.arguments} {arguments}".strip(),
                     memory=memory, disks=[self.disk], forward={self.port: 22}), log_name)

    def boot(self, machine: VirtualMachine, limit: float = 240, tell=lambda text, line: None) -> Boot:
        """Boots to the login prompt, logs in by SSH, asks, and shuts down as an operator would.

        `tell` is given each line of the agent's story as it stands on the console, and what it is part of. `limit` is
        in seconds of the machine that speed.py measures by, from the start to the answers.
        """
        found = Boot()
        deadline = speed.Deadline(limit)
        console = machine.console
        machine.start()
        while not found.diary_at:
            try:
                text = console.expect(r"(.*)\n", deadline.rest())[1].rstrip()
            except Unmet:
                console.wait_quiet(1)
                ended = "the machine ended" if console.is_closed else f"it did not come within {speed.told(limit)}"
                raise Unmet(awaited(found), ended) from None
            if line := LINE.match(text):
                found.story.append(ConsoleLine(float(line[1]), line[2], line[3]))
                tell(text, found.story[-1])
            elif text.startswith(CONTINUED) and found.story and not found.diary:
                found.story[-1].text += " " + text.strip()
                tell(text, found.story[-1])
            elif text.startswith("@diary-ends "):
                found.diary_at = float(text.split()[1])
            elif text.startswith("@diary "):
                found.diary.append(text.removeprefix("@diary "))
            elif re.match(BROKEN, text):
                # The rest of the report belongs to the log.
                console.wait_quiet(5)
                raise Unmet(awaited(found), text)
        found.answers = self._ask(deadline, limit)
        self._power_off(machine)
        self.look_at_disk(found)
        return found

    def look_at_disk(self, found: Boot) -> None:
        """Reads table and filesystem from the disk's image."""
        found.table = disks.table(self.disk.path)
        if not found.table.partitions:
            raise Unmet("a partition in the disk's table", "none")
        found.filesystem = disks.xfs(self.disk.path, found.table.partitions[0])

    def clear(self) -> None:
        self.server.stop()
        processes.remove_folder(self.folder)

    def _power_off(self, machine: VirtualMachine) -> None:
        """Asks for it over SSH. That the server may end before its answer is sent is not a failure; staying on is."""
        complaint = ""
        try:
            self._ssh("sudo systemctl poweroff")
        except processes.ProgramFailed as failed:
            complaint = str(failed)
        try:
            machine.wait_exit(300)
        except Unmet as unmet:
            raise Unmet("`sudo systemctl poweroff` over SSH to end the machine", f"{unmet}\n{complaint}".strip()) from None

    def _config(self) -> str:
        hashed = processes.run(["openssl", "passwd", "-6", PASSWORD]).decode().strip()
        return ((RECIPE / "config.ign.in").read_text()
                .replace("@BASE@", self.server.url)
                .replace("@PASSWORD_HASH@", hashed)
                .replace("@SSH_KEY@", self.key.with_suffix(".pub").read_text().strip()))

    def _ask(self, deadline: speed.Deadline, limit: float) -> "dict[str, str]":
        script = "; ".join(f"echo @{name}; {command}" for name, command in QUESTIONS.items())
        while True:
            try:
                output = self._ssh(script + "; true")
                break
            except processes.ProgramFailed as failed:
                if not deadline.rest():
                    raise Unmet(f"an SSH login as {USER} once Debian is up, within {speed.told(limit)} of the machine's start",
                                str(failed)) from None
                time.sleep(2)
        answers: "dict[str, str]" = {}
        for line in output.splitlines():
            if line.startswith("@"):
                name = line[1:]
                answers[name] = ""
            elif answers:
                answers[name] += line + "\n"
        return {name: text.strip() for name, text in answers.items()}

    def _ssh(self, command: str) -> str:
        return processes.run([
            "ssh", "-i", self.key, "-p", self.port, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20",
            f"{USER}@127.0.0.1", command], timeout=180).decode()


def awaited(found: Boot) -> str:
    """What a boot waits for that has come so far, in words."""
    if found.diary:
        return "Debian's unit diary.service to end, which has written to /var"
    if found.story:
        last = found.story[-1]
        return (f"the boot to go on to Debian's unit diary.service, which writes to /var; the agent's last line is of "
                f"{last.seconds} s: {last.topic} {last.text}")
    return "the first line of the agent on the console"


def check_boot(found: Boot, number: int) -> None:
    """What must hold after the boot of that number, the first being 1."""
    expectations = {
        f"{number} lines in the diary": found.answers["diary"].splitlines() == found.diary and len(found.diary) == number,
        f"a login as {USER}": found.answers["user"] == USER,
        "/var on the disk's xfs": found.answers["var"].split() == ["/dev/vda1", "xfs"],
        "an overlay as the root": found.answers["root"] == "overlay",
        "the file of the config": "RAM" in found.answers["motd"],
        "var.mount and diary.service active": found.answers["units"].split() == ["active", "active"],
        "one partition, labelled var": [p.label for p in found.table.partitions] == ["var"],
        'xfs with the label "var"': found.filesystem.label == "var",
        "the disks planned, the image verified, and the disks found the same before the first write":
            sorted(set(found.answers["order"].splitlines())) == ["as they were planned", "disks are planned", "sha256 right"]
            and found.answers["order"].endswith("as they were planned"),
        "a report that it is done": '"outcome": "done"' in found.answers["report"],
        "nothing of the config in /run": found.answers["secrets"] == "",
    }
    if wrong := [name for name, holds in expectations.items() if not holds]:
        raise Unmet(f"after boot {number}: {', '.join(wrong)}", f"it answered {found.answers}")
    if found.answers["failed"]:
        raise Unmet("no failed unit in the real root", found.answers["failed"])


def check_reuse(first: Boot, second: Boot) -> None:
    """The second boot found everything as the first had left it."""
    if second.table != first.table:
        raise Unmet(f"the table of the first boot, {first.table}", str(second.table))
    if second.filesystem != first.filesystem:
        raise Unmet(f"the filesystem of the first boot, {first.filesystem}", str(second.filesystem))
    if second.diary[:-1] != first.diary:
        raise Unmet(f"what the first boot wrote to /var, {first.diary}", str(second.diary))
