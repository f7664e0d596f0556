"""What became of a test, and the lines that tell it."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

_printing = threading.Lock()


@dataclass
class Outcome:
    name: str
    passed: bool
    seconds: float
    reason: str = ""
    logs: "Path | None" = None
    last_lines: "list[str]" = field(default_factory=list)

    def announce(self) -> None:
        """One line, and for a failure what is known about it."""
        lines = [f"{'ok    ' if self.passed else 'FAILED'} {self.seconds:6.1f} s  {self.name}"]
        if not self.passed:
            lines += [f"         {line}" for line in self.reason.splitlines()]
            lines += [f"         | {line}" for line in self.last_lines]
            if self.logs:
                lines.append(f"         logs: {self.logs}*")
        say("\n".join(lines))


def say(text: str) -> None:
    """Prints whole lines, whichever thread they come from."""
    with _printing:
        print(text, flush=True)
