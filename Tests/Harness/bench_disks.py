"""The disks part of the bench: the stage beside Debian's Ignition, in one guest that runs Tests/Bench/disks.py."""

import json
import statistics

import guest
from console import Unmet
from outcome import say
from paths import LOGS, TREE

BLANK_TIME, REUSED_TIME = 0.5, 0.2  # at most this share of the original's
PLAN_SECONDS = 2


def measure() -> dict:
    say("disks stage: 4 loop disks with 4 partitions each, in turn with Debian's ignition; then a large plan")
    test = guest.GuestTest.read(TREE / "Tests" / "Bench" / "disks.py")
    test.name = "bench-disks"
    LOGS.mkdir(parents=True, exist_ok=True)
    outcome, = guest.run_together([test])
    if not outcome.passed:
        raise Unmet(f"the disks part failed: {outcome.reason}; see {outcome.logs}")
    say("\n".join(f"  {line}" for line in (outcome.logs / "output").read_text().splitlines()))
    return json.loads((outcome.logs / "figures.json").read_text())


def table(figures: dict) -> "list[str]":
    """The comparison as people read it, 80 columns."""
    names = {"firstlight": "Firstlight", "original": "Ignition 2.14"}
    seconds = {name: {kind: statistics.median(each) for kind, each in kinds.items()}
               for name, kinds in figures["seconds"].items()}
    resident = {name: figures["resident_kib"][name] / 1024 for name in names}
    plan = statistics.median(figures["plan_seconds"])
    lines = [f"{'':<26}" + "".join(f"{title:>16}" for title in names.values())]
    for title, kind in {"disks stage, from blank": "blank", "disks stage, all reused": "reused"}.items():
        lines.append(f"{title:<26}" + "".join(f"{seconds[name][kind]:>14.2f} s" for name in names))
    lines.append(f"{'resident memory':<26}" + "".join(f"{resident[name]:>12.1f} MiB" for name in names))
    lines += [f"{'plan of 2,048 partitions':<26}{plan:>14.2f} s", "", "To reach"]

    def target(title: str, value: float, limit: float, text) -> None:
        verdict = "reached" if value <= limit else "MISSED"
        lines.append(f"  {title:<34}{text(value):>10}  at most {text(limit):<9} {verdict}")

    for title, kind, limit in [("from blank, of the original's", "blank", BLANK_TIME),
                               ("all reused, of the original's", "reused", REUSED_TIME)]:
        target(title, seconds["firstlight"][kind] / seconds["original"][kind], limit, "{:.2f}".format)
    target("resident memory", resident["firstlight"], resident["original"], "{:.1f} MiB".format)
    target("plan of 2,048 partitions", plan, PLAN_SECONDS, "{:.2f} s".format)
    return lines
