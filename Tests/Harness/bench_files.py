"""The files part of the bench: fetch and files beside Debian's Ignition, in one guest that runs Tests/Bench/files.py."""

from statistics import median

from bench_guest import NAMES, figures, head, target
from outcome import say

TIME, REMOTE_TIME = 0.5, 0.25  # at most this share of Ignition's
GROWTH, MEMORY = 10, 64  # times the time for ten times the files; MiB resident


def measure() -> dict:
    say("fetch and files: 1,000 files and 100 units, 10,000 files, 200 over HTTP, in turn with Debian's ignition")
    return figures("files")


def table(figures: dict) -> "list[str]":
    """The comparison as people read it, 80 columns."""
    lines = [head()]
    for load, each in figures.items():
        for title, key in {load: "seconds", "  processor": "processor"}.items():
            lines.append(f"{title:<26}" + "".join(f"{median(each[name][key]):>14.2f} s" for name in NAMES))
        lines.append(f"{'  resident':<26}"
                     + "".join(f"{each[name]['resident_kib'] / 1024:>12.1f} MiB" for name in NAMES))

    def share(load: str, key: str) -> float:
        return median(figures[load]["firstlight"][key]) / median(figures[load]["original"][key])

    ten, one = (median(figures[load]["firstlight"]["seconds"]) for load in ("10,000 files", "1,000 files"))
    resident = figures["10,000 files"]["firstlight"]["resident_kib"] / 1024
    return lines + [
        "", "To reach",
        target("files and units, of Ignition's", share("files and units", "seconds"), TIME, "{:.2f}".format),
        target("  processor time", share("files and units", "processor"), TIME, "{:.2f}".format),
        target("10,000 files, of 1,000 files' time", ten / one, GROWTH, "{:.1f}".format),
        target("  resident", resident, MEMORY, "{:.1f} MiB".format),
        target("files over HTTP", share("files over HTTP", "seconds"), REMOTE_TIME, "{:.2f}".format)]
