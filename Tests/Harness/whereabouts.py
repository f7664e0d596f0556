"""Where a machine is that says nothing: its processors' registers, and the kernel's log out of its memory."""

import re
import tempfile
from pathlib import Path

MOST = 1 << 30  # bytes of memory to look through; the kernel's log is near its start
LOG = re.compile(rb"Linux version [0-9][^\0]{20,400}\0{0,16}.{0,32}?Command line: ", re.DOTALL)
LINES = 12


def of(machine) -> "list[str]":
    """What can be told of a running machine through its control socket; never fails."""
    try:
        registers = machine.control("human-monitor-command", **{"command-line": "info registers -a"})
        found = re.findall(r"^(?:CPU#\d+|RIP=\S+ .*HLT=\d)", registers, re.MULTILINE)
        return [" ".join(found)] + _kernel_log(machine)
    except Exception as failed:
        return [f"and its control socket tells nothing: {failed}"]


def _kernel_log(machine) -> "list[str]":
    with tempfile.TemporaryDirectory(dir=machine.folder) as folder:
        file = Path(folder, "memory")
        machine.control("pmemsave", val=0, size=min(MOST, machine.settings.memory << 20), filename=str(file))
        return log_in(file.read_bytes())


def log_in(memory: bytes) -> "list[str]":
    """The last lines of a kernel's log. Its records are texts with a few bytes of numbers between them."""
    start = LOG.search(memory)
    if not start:
        return ["the kernel has not begun its log"]
    texts = re.findall(rb"[\x20-\x7e]{6,}", memory[start.start():start.start() + (256 << 10)])
    return [text.decode() for text in texts[-LINES:]]
