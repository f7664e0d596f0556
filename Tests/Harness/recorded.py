"""How long each test took when that was last recorded: to put the longest first, and to part guest tests.

`make test-all RECORD=1` writes seconds.json anew; no other run does.
"""

import functools
import json

from outcome import Outcome
from paths import TREE

FILE = TREE / "Tests" / "Harness" / "seconds.json"
# What takes about as long as before keeps its figure: the file changes where times do.
SAME = 0.3


def seconds(name: str, otherwise: float) -> float:
    return _all().get(name, otherwise)


def record(outcomes: "list[Outcome]") -> None:
    """Takes over what passed; forgets what is not there any more."""
    before, now = _all(), {}
    for outcome in outcomes:
        took = max(0.1, round(outcome.seconds, 1 if outcome.seconds < 10 else None))
        kept = before.get(outcome.name)
        if kept is not None and (not outcome.passed or abs(took - kept) <= max(1, SAME * kept)):
            took = kept
        if outcome.seconds and (outcome.passed or kept is not None):
            now[outcome.name] = took
    FILE.write_text(json.dumps(now, indent=0, sort_keys=True) + "\n")
    _all.cache_clear()


@functools.cache
def _all() -> "dict[str, float]":
    return json.loads(FILE.read_text()) if FILE.exists() else {}
