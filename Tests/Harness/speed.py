"""How much slower than the machine on which the time limits were set this one is, as of now.

Measured once, by a loop on every processor at the same time: that finds a slow machine as well as a busy one.
All limits of the harness are multiplied by it.
"""

import functools
import os
import subprocess
import sys
import time

# Seconds that the loop took where the limits were set, two processors at work and nothing beside.
REFERENCE = 0.2
MOST = 12.0
VARIABLE = "TIME_FACTOR"  # what programs that the harness starts find it under, in guests too
LOOP = "import time\nbegan = time.monotonic()\nsum(i * i for i in range(2_000_000))\nprint(time.monotonic() - began)"
ROUNDS = 3


@functools.cache
def factor() -> float:
    """1 on such a machine and on any faster one; 3 where everything takes three times as long."""
    if known := os.environ.get(VARIABLE):
        return float(known)
    rounds = []
    for _ in range(ROUNDS):
        running = [subprocess.Popen([sys.executable, "-S", "-c", LOOP], stdout=subprocess.PIPE)
                   for _ in range(min(2, os.cpu_count() or 1))]
        rounds.append(max(float(each.communicate()[0]) for each in running))
    found = min(MOST, max(1.0, sorted(rounds)[ROUNDS // 2] / REFERENCE))
    os.environ[VARIABLE] = f"{found:.2f}"
    return found


def limit(seconds: float) -> float:
    """A time limit for this machine."""
    return seconds * factor()


def told(seconds: float) -> str:
    """The limit in words."""
    times = f" ({factor():.1f} times the usual: this machine is slow or busy)" if factor() > 1.2 else ""
    return f"{limit(seconds):.0f} s{times}"


class Deadline:
    """A time limit that several steps share."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._began = seconds, time.monotonic()

    def rest(self) -> float:
        """What is left of it, in seconds of the machine that limits are set for; what `expect` and `run` take."""
        return max(0.0, self._seconds - (time.monotonic() - self._began) / factor())
