"""A serial console: kept in a log with the time of each line, and read by patterns in order."""

import codecs
import re
import threading
import time
from pathlib import Path

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78cM]|\][^\x07]*\x07)")
UNFINISHED = re.compile(r"(?:\x1b[^A-Za-z]{0,16}|\r)$")


class Unmet(Exception):
    """An expectation of a test did not come true."""


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

    def expect(self, pattern: str, timeout: float = 120, never: "str | None" = None) -> re.Match:
        """Waits for `pattern` after the last match; `never` standing before it fails at once."""
        wanted = re.compile(pattern, re.MULTILINE)
        unwanted = re.compile(never, re.MULTILINE) if never else None
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                match = wanted.search(self.text, self._position)
                end = match.start() if match else len(self.text)
                bad = unwanted.search(self.text, self._position, end) if unwanted else None
                if bad:
                    raise Unmet(f"the console shows {bad[0]!r} while waiting for {pattern!r}")
                if match:
                    self._position = match.end()
                    return match
                if self._closed:
                    raise Unmet(f"the machine ended without showing {pattern!r}")
                rest = deadline - time.monotonic()
                if rest <= 0:
                    raise Unmet(f"the console did not show {pattern!r} within {timeout:g} s")
                self._changed.wait(rest)

    def wait_closed(self, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed, timeout):
                raise Unmet(f"the machine still ran after {timeout:g} s")

    def wait_quiet(self, timeout: float) -> None:
        """Waits until nothing more comes, or for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._closed and self._changed.wait(min(1, max(0, deadline - time.monotonic()))):
                pass

    def refuse(self, pattern: str) -> None:
        """Fails where `pattern` stands anywhere on the console so far."""
        match = re.search(pattern, self.text, re.MULTILINE)
        if match:
            raise Unmet(f"the console shows {match[0]!r}, which must not be there")

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
