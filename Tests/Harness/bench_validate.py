"""The validate part of the bench: ignition-validate and Debian's on a large config, on this machine."""

import json
import subprocess
import time
from statistics import median

import processes
from bench_guest import head, target
from outcome import say
from paths import AGENT

ROUNDS = 9
TIME = 0.5  # at most this share of Ignition's


def config() -> bytes:
    """1,000 files and 100 units."""
    unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
    return json.dumps({
        "ignition": {"version": "3.3.0"},
        "storage": {"files": [
            {"path": f"/opt/bench/{number}", "mode": 0o644,
             "contents": {"source": "data:," + "a%20line%20of%20text%0A" * 20}} for number in range(1000)]},
        "systemd": {"units": [
            {"name": f"bench-{number}.service", "enabled": True, "contents": unit} for number in range(100)]},
    }, indent=2).encode()


def measure() -> dict:
    say(f"ignition-validate: 1,000 files and 100 units, {ROUNDS} rounds in turn with Debian's")
    folder = processes.temporary_folder("bench-validate")
    try:
        file = folder / "config.ign"
        file.write_bytes(config())
        seconds = {"firstlight": [], "original": []}
        for _ in range(ROUNDS):
            for name, program in {"firstlight": AGENT, "original": "ignition-validate"}.items():
                began = time.monotonic()
                done = subprocess.run(["ignition-validate", file], executable=program, capture_output=True)
                seconds[name].append(time.monotonic() - began)
                assert done.returncode == 0 and not done.stdout, f"{program}: {done.stdout}"
        return seconds
    finally:
        processes.remove_folder(folder)


def table(seconds: dict) -> "list[str]":
    """The comparison as people read it, 80 columns."""
    ours, theirs = median(seconds["firstlight"]), median(seconds["original"])
    return [
        head(), f"{'ignition-validate':<26}{ours * 1000:>13.0f} ms{theirs * 1000:>13.0f} ms", "", "To reach",
        target("time, of Ignition's", ours / theirs, TIME, "{:.2f}".format)]
