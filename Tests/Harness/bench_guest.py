"""What the parts of the bench beside Debian's Ignition have in common: one guest runs Tests/Bench/NAME.py for each."""

import json

import guest
from console import Unmet
from outcome import say
from paths import LOGS, TREE

# The init of a real root that only says when it was started.
INIT = "init=/usr/lib/firstlight-bench/systemd/systemd"
# Seconds from kernel start to the real root's PID 1. The kernel may say its last words in the middle of the line.
REAL_ROOT = r"(?:^|bench: real root) at (\d+\.\d+) s$"
NAMES = {"firstlight": "Firstlight", "original": "Ignition 2.14"}


def figures(name: str) -> dict:
    """What the script leaves as figures.json; its output is shown."""
    test = guest.GuestTest.read(TREE / "Tests" / "Bench" / f"{name}.py")
    test.name = f"bench-{name}"
    LOGS.mkdir(parents=True, exist_ok=True)
    outcome, = guest.run_together([test])
    if not outcome.passed:
        raise Unmet(f"the part {name} failed: {outcome.reason}; see {outcome.logs}")
    say("\n".join(f"  {line}" for line in (outcome.logs / "output").read_text().splitlines()))
    return json.loads((outcome.logs / "figures.json").read_text())


def head() -> str:
    return f"{'':<26}" + "".join(f"{title:>16}" for title in NAMES.values())


def target(title: str, value: float, limit: float, text) -> str:
    verdict = "reached" if value <= limit else "MISSED"
    return f"  {title:<34}{text(value):>10}  at most {text(limit):<9} {verdict}"
