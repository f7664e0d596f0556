"""A serial console: kept in a log with the time of each line, and read by patterns in order."""

import codecs
import collections
import re
import threading
import time
from pathlib import Path

import speed

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78cM]|\][^\x07]*\x07)")
UNFINISHED = re.compile(r"(?:\x1b[^A-Za-z]{0,16}|\r)$")
SILENT = "the machine never said a word"


def told_twice(lines: "list[str]") -> "list[str]":
    """What of the agent's lines says the same as another: as the console has it, with a time and broken at 80 columns,
    or as the kernel's log has it."""
    whole: "list[str]" = []
    for line in lines:
        if whole and re.match(r" {18,}\S", line):
            whole[-1] += " " + line.strip()
        else:
            whole.append(re.sub(r"^ *\d+\.\d s  (\S+) +", r"\1: ", line.rstrip()))
    counts = collections.Counter(line for line in whole if line)
    return [line for line, count in counts.items() if count > 1]


class Unmet(Exception):
    """An expectation of a test did not come true: what was expected, and what was there instead."""

    def __init__(self, expected: str, found: str = "") -> None:
        super().__init__(f"expected: {expected}\nfound:    {found}" if found else expected)


class Console:
    """What a machine wrote so far; `expect` waits for more."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.text = ""
        self.started = time.monotonic()
        self._position = 0
        self._closed = False
        self._changed = threading.Condition()

    def follow(self, stream) -> None:
        """Reads `stream` to its end, in a thread of its own."""
        threading.Thread(target=self._follow, args=(stream,), daemon=True).start()

    def expect(self, pattern: str, timeout: float = 120, never: "str | None" = None, what: str = "") -> re.Match:
        """Waits for `pattern` after the last match; `never` standing before it fails at once.

        `what` says in words what is waited for, where the pattern does not; `timeout` is in seconds of the machine
        that speed.py measures by.
        """
        wanted = re.compile(pattern, re.MULTILINE)
        unwanted = re.compile(never, re.MULTILINE) if never else None
        expected = what or f"the console to show {pattern!r}"
        deadline = time.monotonic() + speed.limit(timeout)
        with self._changed:
            while True:
                match = wanted.search(self.text, self._position)
                end = match.start() if match else len(self.text)
                bad = unwanted.search(self.text, self._position, end) if unwanted else None
                if bad:
                    raise Unmet(expected, f"{bad[0]!r}")
                if match:
                    self._position = match.end()
                    return match
                if self._closed:
                    raise Unmet(expected, "the machine ended without it" if self.text else SILENT)
                rest = deadline - time.monotonic()
                if rest <= 0:
                    waited = f"not within {speed.told(timeout)}"
                    raise Unmet(expected, waited if self.text else f"{waited}; {SILENT}")
                self._changed.wait(rest)

    def wait_closed(self, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed, speed.limit(timeout)):
                raise Unmet("the machine to power off", f"it still ran after {speed.told(timeout)}")

    def wait_quiet(self, timeout: float) -> None:
        """Waits until nothing more comes, or for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._closed and self._changed.wait(min(1, max(0, deadline - time.monotonic()))):
                pass

    @property
    def is_closed(self) -> bool:
        """Whether the machine is off."""
        return self._closed

    def refuse(self, pattern: str) -> None:
        """Fails where `pattern` stands anywhere on the console so far."""
        match = re.search(pattern, self.text, re.MULTILINE)
        if match:
            raise Unmet(f"no {pattern!r} on the console", f"{match[0]!r}")

    @property
    def unwrapped(self) -> str:
        """The text with lines that were broken at 80 columns made one again."""
        return re.sub(r"\n {18,}(?=\S)", " ", self.text)

    def last_lines(self, count: int = 15) -> "list[str]":
        lines = [line.rstrip() for line in self.text.splitlines()]
        return [line for line in lines if line][-count:]

    def _follow(self, stream) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pending = ""
        with open(self.log, "w", encoding="utf-8") as log:
            while data := stream.read1(65536):
                pending += decoder.decode(data)
                unfinished = UNFINISHED.search(pending)
                end = unfinished.start() if unfinished else len(pending)
                self._add(pending[:end], log)
                pending = pending[end:]
            self._add(pending, log)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, text: str, log) -> None:
        text = ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
        seconds = time.monotonic() - self.started
        with self._changed:
            at_line_start = not self.text or self.text.endswith("\n")
            self.text += text
            self._changed.notify_all()
        for line in text.splitlines(keepends=True):
            log.write(f"{seconds:8.2f}  {line}" if at_line_start else line)
            at_line_start = line.endswith("\n")
        log.flush()
