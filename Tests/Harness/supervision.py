"""PID 1 of the agent, in a PID namespace on this machine: what it makes of an agent that dies, of Ctrl-Alt-Del, of orphans.

The root holds the agent as /init, busybox, and a terminal as /dev/console; there is nothing to boot, so that the agent
stops, tells it, and starts a shell. In a PID namespace reboot(2) ends the namespace: by SIGHUP where the machine would
start again, by SIGINT where it would go off.
"""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import processes
from console import Console
from paths import AGENT, LOGS

# Runs as PID 1 of the namespaces, and becomes the agent.
BEGIN = """
import ctypes, os, subprocess, sys
root, terminal = sys.argv[1:]
mount = lambda *words: subprocess.run(["mount", *words], check=True)
for name in ("dev", "sys", "run"):
    mount("-t", "tmpfs", "test", f"{root}/{name}")
mount("-t", "proc", "proc", f"{root}/proc")
mount("--bind", f"{root}/cmdline", f"{root}/proc/cmdline")
open(f"{root}/dev/console", "x").close()
mount("--bind", terminal, f"{root}/dev/console")
os.mknod(f"{root}/dev/null", 0o20666, os.makedev(1, 3))
os.chroot(root)
os.chdir("/")
# The worst that a shell in the background, or another PID 1, leaves behind; a whole boot has what the kernel sets.
system = ctypes.CDLL(None).syscall
for number in range(1, 65):
    system(13, number, ctypes.byref((ctypes.c_uint64 * 4)(1)), None, 8)  # rt_sigaction: SIG_IGN
system(14, 2, ctypes.byref(ctypes.c_uint64(2 ** 64 - 1)), None, 8)  # rt_sigprocmask: SIG_SETMASK
os.execve("/init", ["/init"], {"HOME": "/", "TERM": "linux"})
"""
PROMPT = r"[#$] $"
NOTHING_TO_BOOT = r"^firstlight stopped: .*/usr\.squashfs is missing"


class Machine:
    """The agent as PID 1, its console, and its processes as this machine numbers them."""

    def __init__(self, name: str, arguments: str = "") -> None:
        self.root = processes.temporary_folder(name)
        for folder in ("proc", "dev", "sys", "run", "bin"):
            (self.root / folder).mkdir()
        shutil.copy(AGENT, self.root / "init")
        shutil.copy("/bin/busybox", self.root / "bin/busybox")
        (self.root / "cmdline").write_text(arguments + "\n")
        self.terminal, slave = pty.openpty()
        LOGS.mkdir(parents=True, exist_ok=True)
        self.console = Console(LOGS / f"supervision.{name}.console")
        self.console.started = time.monotonic()
        self.process = processes.start(
            ["unshare", "--pid", "--mount", "--net", "--ipc", "--uts", "--fork", "--kill-child", sys.executable, "-c",
             BEGIN, self.root, os.ttyname(slave)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(slave)
        self._stream = _Stream(self.terminal)
        self.console.follow(self._stream)

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_) -> None:
        processes.stop(self.process, grace=0)
        # Its number is another file's as soon as it is closed: nobody may read on.
        self._stream.is_over = True
        self.console.wait_closed(10)
        os.close(self.terminal)
        processes.remove_folder(self.root)

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    @property
    def first(self) -> int:
        """PID 1, below unshare, which setpriv became."""
        return _children(self.process.pid)[0]

    @property
    def agent(self) -> int:
        return next(child for child in _children(self.first) if _command(child) == "init")

    def kill_agent(self, number: int) -> None:
        os.kill(self.agent, number)

    def at_shell(self) -> None:
        self.console.expect(PROMPT, 30)

    def ended_by(self) -> int:
        """The signal by which the namespace ended."""
        return -self.process.wait(20)


class _Stream:
    """A terminal's master end, read as a stream that ends when the other side is gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_over = False

    def read1(self, size: int) -> bytes:
        while True:
            try:
                return os.read(self._descriptor, size)
            except OSError:
                # Nobody has it open for the moment.
                if self.is_over:
                    return b""
                time.sleep(0.02)


def _children(process: int) -> "list[int]":
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]


def _command(process: int) -> str:
    return Path(f"/proc/{process}/comm").read_text().strip()


def every_death_is_reported() -> None:
    """Each signal: the report, its advice, a shell; `exit` tries again, and the next death is a first one again."""
    with Machine("deaths") as machine:
        machine.console.expect(NOTHING_TO_BOOT, 30)
        machine.at_shell()
        for number, words in {
            signal.SIGILL: "it died of SIGILL", signal.SIGTRAP: "it died of SIGTRAP",
            signal.SIGSEGV: "it died of SIGSEGV", signal.SIGABRT: "it died of SIGABRT",
            signal.SIGBUS: "it died of SIGBUS", signal.SIGKILL: "it was ended by SIGKILL",
        }.items():
            machine.kill_agent(number)
            report = machine.console.expect(rf"^firstlight stopped: {words}\n(?:.*\n)*?.*tries again", 30)[0]
            assert "  while starting\n" in report and "Nothing was written to any disk" in report, report
            assert ("defect" in report) == (number != signal.SIGKILL), report
            assert all(len(line) <= 80 for line in report.splitlines()), report
            machine.at_shell()
            machine.type("exit\n")
            machine.console.expect(NOTHING_TO_BOOT, 30)
            machine.at_shell()


def second_death_is_told_by_pid_1() -> None:
    """The agent that reports a death dies as well: four lines, the shell, and `exit` starts anew."""
    with Machine("twice") as machine:
        machine.console.expect(NOTHING_TO_BOOT, 30)
        machine.at_shell()
        machine.kill_agent(signal.SIGILL)
        machine.console.expect("it died of SIGILL", 30)
        machine.at_shell()
        machine.kill_agent(signal.SIGSEGV)
        said = machine.console.expect(r"^firstlight stopped: (?:.*\n)*?.*tries again", 30)[0].splitlines()
        assert said[0] == "firstlight stopped: it died of SIGILL" and said[1] == "  while starting,", said
        assert said[2] == "  and of SIGSEGV while reporting that." and len(said) == 5, said
        machine.at_shell()
        machine.type("exit\n")
        machine.console.expect(NOTHING_TO_BOOT, 30)


def actions_are_followed() -> None:
    """rd.emergency= and rd.shell= after a death, by the agent and by PID 1 alone."""
    for arguments, words, ending in [
        ("rd.emergency=poweroff", r"Powering off \(rd\.emergency=poweroff\)", signal.SIGINT),
        ("rd.shell=0", "Halting; no shell", signal.SIGINT),
        ("rd.emergency=poweroff rd.emergency=halt", "Halting", signal.SIGINT),
    ]:
        # Dead before it has said a word, and again: what PID 1 says is all there is.
        with Machine("actions", arguments) as machine:
            deaths = 0
            while machine.process.poll() is None and deaths < 2:
                try:
                    machine.kill_agent(signal.SIGABRT)
                    deaths += 1
                except (StopIteration, IndexError, OSError):
                    time.sleep(0.001)
            machine.console.expect(words, 30)
            assert machine.ended_by() == ending, (arguments, machine.process.returncode)


def ctrl_alt_del_restarts() -> None:
    """The kernel sends SIGINT for it."""
    with Machine("ctrl-alt-del") as machine:
        machine.console.expect(NOTHING_TO_BOOT, 30)
        machine.at_shell()
        os.kill(machine.first, signal.SIGINT)
        machine.console.expect("Ctrl-Alt-Del, restarting", 30)
        assert machine.ended_by() == signal.SIGHUP, machine.process.returncode


def orphans_are_reaped() -> None:
    with Machine("orphans") as machine:
        machine.console.expect(NOTHING_TO_BOOT, 30)
        machine.at_shell()
        machine.type("for i in 1 2 3 4 5; do (sleep 0.2 &); done; sleep 1; echo by-now\n")
        machine.console.expect("^by-now", 30)
        # On a busy machine the last of them ends after that.
        until = time.monotonic() + 30
        while (left := [_command(child) for child in _children(machine.first)]) != ["init"]:
            assert time.monotonic() < until, left
            time.sleep(0.1)


def signals_are_as_the_kernel_sets_them() -> None:
    """In the agent and in the shell that it starts, whatever PID 1 was left with."""
    with Machine("signals") as machine:
        machine.console.expect(NOTHING_TO_BOOT, 30)
        machine.at_shell()
        [shell] = _children(machine.agent)
        # PID 1 waits with all of them blocked; the agent ignores SIGPIPE, and a shell what would end it.
        own = {machine.first: (set(), None), machine.agent: ({signal.SIGPIPE}, set()),
               shell: ({signal.SIGQUIT, signal.SIGTERM, signal.SIGTTOU, signal.SIGTTIN, signal.SIGTSTP}, set())}
        for process, (ignored, blocked) in own.items():
            status = Path(f"/proc/{process}/status").read_text()
            for name, allowed in {"SigIgn": ignored, "SigBlk": blocked}.items():
                bits = int(re.search(rf"^{name}:\s+(\w+)$", status, re.MULTILINE)[1], 16)
                found = {number + 1 for number in range(64) if bits >> number & 1}
                assert allowed is None or found <= allowed, f"{name} of {_command(process)}: {found}"


TESTS = [("every death is reported", every_death_is_reported),
         ("a second death is told by PID 1", second_death_is_told_by_pid_1),
         ("the wanted action follows", actions_are_followed),
         ("Ctrl-Alt-Del restarts", ctrl_alt_del_restarts),
         ("orphans are reaped", orphans_are_reaped),
         ("signals are as the kernel sets them", signals_are_as_the_kernel_sets_them)]
