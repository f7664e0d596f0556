#!/usr/bin/python3
# init: systemd
# limit: 1500
"""Every case of Fixtures/disks, or those in $CASES: the plan writes nothing, the stage does what the case says, and a second run nothing."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_cases  # noqa: E402

AGENT = os.environ["AGENT"]
FOLDER = Path(os.environ["TREE"]) / "Fixtures" / "disks"
SCRATCH = Path.cwd()


def agent(*words: str) -> "tuple[int, str]":
    done = subprocess.run([AGENT, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.returncode, done.stdout


def stage() -> "tuple[int, str]":
    """The stages that concern disks, from a fresh boot's state; the status, and what was told and logged."""
    shutil.rmtree("/run/firstlight", ignore_errors=True)
    status, said = agent("stage", "fetch")
    if status == 0:
        status, more = agent("stage", "disks")
        said += more
    for array in Path("/sys/block").glob("md*"):
        subprocess.run(["udevadm", "settle"], check=True)
        subprocess.run(["mdadm", "--quiet", "--stop", f"/dev/{array.name}"], check=True)
    for mapped in Path("/dev/mapper").iterdir():
        if mapped.name != "control":
            subprocess.run(["cryptsetup", "close", mapped.name], check=True)
    return status, said + Path("/run/firstlight/log").read_text()


def judge(case: dict, made: dict) -> "list[str]":
    sector = case.get("sector", 512)
    letters = list(case["before"])
    olds = {letter: SCRATCH / f"old-{letter}" for letter in letters}
    news = {letter: SCRATCH / f"new-{letter}" for letter in letters}
    for letter in letters:
        disk_cases.build(case["before"][letter], olds[letter], sector, SCRATCH, made)
        subprocess.run(["cp", "--sparse=always", olds[letter], news[letter]], check=True)
    loops = {letter: disk_cases.Loop(news[letter], sector) for letter in letters}
    try:
        return _run(case, sector, olds, news, loops)
    finally:
        for loop in loops.values():
            loop.detach()


def _run(case: dict, sector: int, olds: dict, news: dict, loops: dict) -> "list[str]":
    def digests() -> dict:
        for loop in loops.values():
            loop.flush()
        return {letter: disk_cases.digest(file) for letter, file in news.items()}

    storage = disk_cases.put_devices(case["config"], loops)
    Path("/config.ign").write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": storage}, indent=1))
    before, wrong = digests(), []
    status, said = agent("plan", "--config", "/config.ign")
    wanted = 1 if "refused" in case else case["plan"]
    if status != wanted:
        wrong.append(f"plan exited with {status}, wanted {wanted}: {said}")
    if digests() != before:
        wrong.append("plan wrote to a disk")
    status, said = stage()
    wrong += [f"nothing says /{pattern}/" for pattern in case.get("says", []) + case.get("refused", [])
              if not re.search(pattern, said, re.S)]
    if disk_cases.KEY in said:
        wrong.append("the key is in the log")
    if "refused" in case:
        if status == 0:
            wrong.append("the stage succeeded")
        if digests() != before:
            wrong.append("a refused config was partly carried out")
        return wrong + ([said] if wrong else [])
    if status != 0:
        return wrong + [f"the stage exited with {status}", said]
    once = digests()
    for letter, disk in case["after"].items():
        wrong += [f"{letter}: {text}" for text in disk_cases.differences(
            disk, case["before"][letter], olds[letter], news[letter], sector)]
    if case.get("rewritten"):
        return wrong + ([said] if wrong else [])
    status, more = stage()
    if status != 0:
        wrong.append(f"the second run exited with {status}: {more}")
    if digests() != once:
        wrong.append("the second run wrote to a disk")
    return wrong + ([said, more] if wrong else [])


def main() -> int:
    # udev would start arrays by itself, which writes to their members; Tests/Guest/raid.py has it at work.
    Path("/run/udev/rules.d").mkdir(parents=True, exist_ok=True)
    Path("/run/udev/rules.d/64-md-raid-assembly.rules").write_text("")
    subprocess.run(["udevadm", "control", "--reload"], check=True)
    Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal rd.timeout=2\n")
    subprocess.run(["mount", "--bind", "cmdline", "/proc/cmdline"], check=True)
    return disk_cases.run_all(disk_cases.load(FOLDER, os.environ.get("CASES", "").split()), judge)


if __name__ == "__main__":
    sys.exit(main())
