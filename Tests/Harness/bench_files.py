"""The files part of the bench: fetch and files beside Debian's Ignition, in one guest that runs Tests/Bench/files.py."""

import json
from statistics import median

import guest
from console import Unmet
from outcome import say
from paths import LOGS, TREE

TIME, REMOTE_TIME = 0.5, 0.25  # at most this share of the original's
GROWTH, MEMORY = 10, 64  # times the time for ten times the files; MiB resident


def measure() -> dict:
    say("fetch and files: 1,000 files and 100 units, 10,000 files, 200 over HTTP, in turn with Debian's ignition")
    test = guest.GuestTest.read(TREE / "Tests" / "Bench" / "files.py")
    test.name = "bench-files"
    LOGS.mkdir(parents=True, exist_ok=True)
    outcome, = guest.run_together([test])
    if not outcome.passed:
        raise Unmet(f"the files part failed: {outcome.reason}; see {outcome.logs}")
    say("\n".join(f"  {line}" for line in (outcome.logs / "output").read_text().splitlines()))
    return json.loads((outcome.logs / "figures.json").read_text())


def table(figures: dict) -> "list[str]":
    """The comparison as people read it, 80 columns."""
    names = {"firstlight": "Firstlight", "original": "Ignition 2.14"}
    lines = [f"{'':<26}" + "".join(f"{title:>16}" for title in names.values())]
    for load, each in figures.items():
        for title, key in {load: "seconds", "  processor": "processor"}.items():
            lines.append(f"{title:<26}" + "".join(f"{median(each[name][key]):>14.2f} s" for name in names))
        lines.append(f"{'  resident':<26}"
                     + "".join(f"{each[name]['resident_kib'] / 1024:>12.1f} MiB" for name in names))
    lines += ["", "To reach"]

    def target(title: str, value: float, limit: float, text) -> None:
        verdict = "reached" if value <= limit else "MISSED"
        lines.append(f"  {title:<34}{text(value):>10}  at most {text(limit):<9} {verdict}")

    def share(load: str, key: str) -> float:
        return median(figures[load]["firstlight"][key]) / median(figures[load]["original"][key])

    target("files and units, of the original's", share("files and units", "seconds"), TIME, "{:.2f}".format)
    target("  processor time", share("files and units", "processor"), TIME, "{:.2f}".format)
    ten, one = (median(figures[load]["firstlight"]["seconds"]) for load in ("10,000 files", "1,000 files"))
    target("10,000 files, of 1,000 files' time", ten / one, GROWTH, "{:.1f}".format)
    target("  resident", figures["10,000 files"]["firstlight"]["resident_kib"] / 1024, MEMORY, "{:.1f} MiB".format)
    target("files over HTTP", share("files over HTTP", "seconds"), REMOTE_TIME, "{:.2f}".format)
    return lines
