"""The disks part of the bench: the stage beside Debian's Ignition, in one guest that runs Tests/Bench/disks.py."""

import statistics

from bench_guest import NAMES, figures, head, target
from outcome import say

BLANK_TIME, REUSED_TIME = 0.5, 0.2  # at most this share of Ignition's
PLAN_SECONDS = 2


def measure() -> dict:
    say("disks stage: 4 loop disks with 4 partitions each, in turn with Debian's ignition; then a large plan")
    return figures("disks")


def table(figures: dict) -> "list[str]":
    """The comparison as people read it, 80 columns."""
    seconds = {name: {kind: statistics.median(each) for kind, each in kinds.items()}
               for name, kinds in figures["seconds"].items()}
    resident = {name: figures["resident_kib"][name] / 1024 for name in NAMES}
    plan = statistics.median(figures["plan_seconds"])
    lines = [head()]
    for title, kind in {"disks stage, from blank": "blank", "disks stage, all reused": "reused"}.items():
        lines.append(f"{title:<26}" + "".join(f"{seconds[name][kind]:>14.2f} s" for name in NAMES))
    lines.append(f"{'resident memory':<26}" + "".join(f"{resident[name]:>12.1f} MiB" for name in NAMES))
    lines += [f"{'plan of 2,048 partitions':<26}{plan:>14.2f} s", "", "To reach"]
    for title, kind, limit in [("from blank, of Ignition's", "blank", BLANK_TIME),
                               ("all reused, of Ignition's", "reused", REUSED_TIME)]:
        lines.append(target(title, seconds["firstlight"][kind] / seconds["original"][kind], limit, "{:.2f}".format))
    lines.append(target("resident memory", resident["firstlight"], resident["original"], "{:.1f} MiB".format))
    lines.append(target("plan of 2,048 partitions", plan, PLAN_SECONDS, "{:.2f} s".format))
    return lines
