"""What became of a test, the lines that tell it, and what is at work while no line comes."""

import contextlib
import textwrap
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from paths import TREE

SILENCE = 60  # seconds without a line after which it is told what is at work
LINES, WIDTH = 10, 110  # of a failure; all of it is in a file beside its logs

_printing = threading.Lock()
_said = time.monotonic()
_at_work: "dict[str, float]" = {}  # with the time it began


@dataclass
class Outcome:
    name: str
    passed: bool
    seconds: float
    reason: str = ""
    logs: "Path | None" = None  # a prefix: FILE.console, FILE/output...
    last_lines: "list[str]" = field(default_factory=list)
    is_test: bool = True  # a build counts where it fails

    @property
    def counts(self) -> bool:
        return self.is_test or not self.passed

    @property
    def text(self) -> str:
        """One line, and for a failure ten: what was expected, what was there, where its log is."""
        return "\n".join([f"{'ok    ' if self.passed else 'FAILED'} {self.seconds:6.1f} s  {self.name}"] + self.told())

    def announce(self) -> None:
        say(self.text)

    def told(self) -> "list[str]":
        """What is known about a failure, cut to what is read at one look."""
        if self.passed:
            return []
        reason, last = self.reason.splitlines(), self.last_lines
        if self.logs:
            file = Path(f"{self.logs}.failure")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(reason + [f"| {line}" for line in last]) + "\n")
        room = LINES - 2
        reason, last = folded(reason), folded(f"| {line}" for line in last)
        kept = cut(reason, max(room - len(last), room // 2))
        lines = kept + last[len(last) - min(len(last), room - len(kept)):]
        if self.logs:
            lines.append(f"logs: {shown(self.logs)}*")
        return [f"         {line}" for line in lines]


def folded(lines) -> "list[str]":
    """Lines as they fit beside each other on a page; empty ones left out."""
    return [part for line in lines for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ", max_lines=4,
                                                             break_on_hyphens=False) if part.strip()]


def cut(lines: "list[str]", count: int) -> "list[str]":
    """The first of the lines, and how many there are more."""
    return lines if len(lines) <= count else lines[:count - 1] + [f"... and {len(lines) - count + 1} lines more"]


def shown(path: Path) -> Path:
    """A path as it is typed from the tree's folder."""
    return path.relative_to(TREE) if path.is_relative_to(TREE) else path


def say(text: str, end: str = "\n") -> None:
    """Prints whole lines, whichever thread they come from."""
    global _said
    with _printing:
        print(text, end=end, flush=True)
        _said = time.monotonic()


# --- What is at work -------------------------------------------------------------------------------


@contextlib.contextmanager
def working(name: str):
    """Names what runs until the block ends."""
    _at_work[name] = time.monotonic()
    try:
        yield
    finally:
        _at_work.pop(name, None)


def watch_silence() -> None:
    """From now on, says what is at work whenever nothing was said for a minute."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    while True:
        time.sleep(1)
        now = time.monotonic()
        if now - _said >= SILENCE:
            began = sorted(_at_work.copy().items(), key=lambda each: each[1])
            say("...     " + ("; ".join(f"{name}, {now - since:.0f} s" for name, since in began) or "at work"))
