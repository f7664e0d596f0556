#!/usr/bin/python3
# init: systemd
# limit: 1500
"""The disks stage beside Debian's Ignition: same guest, same blank images, same config, rounds in turn.

The agent runs under the name `ignition`, with the same words on its command line. Its figures go to
$RESULTS/figures.json: seconds of each round and KiB resident of the largest process of each stage.
"""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_images  # noqa: E402
from loops import Loop  # noqa: E402

AGENT = os.environ["AGENT"]
ROUNDS = 3
MIB = 1 << 20
ORIGINAL = "/usr/lib/dracut/modules.d/30ignition/ignition"
FORMATS = {"ext4": 256, "xfs": 512, "btrfs": 256, "vfat": 128}  # MiB
DISKS = 4
LARGE_DISKS, LARGE_PARTITIONS = 16, 128
EACH = 2  # MiB, of a partition of a large disk


def resources(words: "list[str]", name: str) -> "tuple[float, int, int]":
    """Seconds, KiB resident of the largest process, exit status."""
    with open(f"{os.environ['RESULTS']}/{name}", "w") as output:
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return seconds, usage.ru_maxrss, process.returncode


def storage(loops: "list[Loop]") -> dict:
    partitions = [{"number": number, "label": name, "sizeMiB": size}
                  for number, (name, size) in enumerate(FORMATS.items(), 1)]
    return {
        "disks": [{"device": loop.path, "wipeTable": False, "partitions": partitions} for loop in loops],
        "filesystems": [{"device": f"{loop.path}p{number}", "format": name, "label": name.upper()}
                        for loop in loops for number, name in enumerate(FORMATS, 1)]}


def round_of(name: str, program: str, number: int) -> "dict[str, tuple[float, int, int]]":
    """From blank, and once more with everything there."""
    images = [Path(f"image{index}") for index in range(DISKS)]
    for image in images:
        image.unlink(missing_ok=True)
        with open(image, "wb") as file:
            file.truncate((sum(FORMATS.values()) + 64) * MIB)
    loops = [Loop(image, 512) for image in images]
    try:
        subprocess.run(["udevadm", "settle"], check=True)
        # What the fetch stage of each leaves for the others.
        version = "3.4.0-experimental" if program == ORIGINAL else "3.4.0"
        Path("cache").write_text(json.dumps({"ignition": {"version": version}, "storage": storage(loops)}))
        words = [program, "--stage=disks", "--platform=file", "--root=/mnt", "--config-cache=cache", "--log-to-stdout"]
        found = {}
        for kind in ("blank", "reused"):
            subprocess.run(["udevadm", "settle"], check=True)
            found[kind] = resources(words, f"{name}.{kind}.{number}")
            assert found[kind][2] == 0, f"{name}, {kind}: exit status {found[kind][2]}"
        for loop in loops:
            for index, kind in enumerate(FORMATS, 1):
                said = subprocess.run(["blkid", "-p", "-o", "value", "-s", "TYPE", f"{loop.path}p{index}"],
                                      stdout=subprocess.PIPE, text=True).stdout.strip()
                assert said == kind, f"{name}: {loop.path}p{index} holds {said}"
        return found
    finally:
        for loop in loops:
            loop.detach()


def large_plan() -> "tuple[float, int, int]":
    """`plan` where every partition of sixteen full disks is in the config."""
    size = (EACH * LARGE_PARTITIONS + 4) * MIB
    entries = [{"number": number, "start": EACH * number, "size": EACH, "label": f"p{number}",
                "guid": f"aaaaaaaa-0000-4000-8000-{number:012}"} for number in range(1, LARGE_PARTITIONS + 1)]
    # The kernel makes the nodes; udev would look at two thousand partitions for minutes.
    subprocess.run(["udevadm", "control", "--stop-exec-queue"], check=True)
    loops = []
    for index in range(LARGE_DISKS):
        image = Path(f"large{index}")
        with open(image, "wb") as file:
            file.truncate(size)
        disk_images.write_gpt(image, size, 512, entries, [])
        loops.append(Loop(image, 512))
    wanted = [{"number": entry["number"], "label": entry["label"], "startMiB": entry["start"], "sizeMiB": EACH}
              for entry in entries]
    for entry in wanted[-8:]:
        entry.update(label=f"new-{entry['label']}", wipePartitionEntry=True)
    Path("large.ign").write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": {
        "disks": [{"device": loop.path, "partitions": wanted} for loop in loops],
        "filesystems": [{"device": f"{loop.path}p{LARGE_PARTITIONS}", "format": "swap"} for loop in loops]}}))
    before = [disk_images.digest(Path(f"large{index}")) for index in range(LARGE_DISKS)]
    found = [resources([AGENT, "plan", "--config", "large.ign"], f"plan.{number}") for number in range(ROUNDS)]
    assert all(status == 2 for _, _, status in found), found
    assert before == [disk_images.digest(Path(f"large{index}")) for index in range(LARGE_DISKS)], "plan wrote"
    return found


def main() -> int:
    subprocess.run(["modprobe", "-a", "loop", "vfat", "btrfs", "xfs", "ext4"], check=True)
    ours = Path("ignition")
    ours.symlink_to(AGENT)
    programs = {"firstlight": f"./{ours}", "original": ORIGINAL}
    figures = {name: {"blank": [], "reused": []} for name in programs}
    resident = {name: 0 for name in programs}
    for number in range(1, ROUNDS + 1):
        for name, program in programs.items():
            for kind, (seconds, memory, _) in round_of(name, program, number).items():
                figures[name][kind].append(seconds)
                resident[name] = max(resident[name], memory)
                print(f"round {number}  {name:<10} {kind:<6} {seconds:6.2f} s {memory / 1024:6.1f} MiB", flush=True)
    plan = large_plan()
    for seconds, memory, _ in plan:
        print(f"plan of {LARGE_DISKS} disks: {seconds:.2f} s {memory / 1024:.1f} MiB", flush=True)
    Path(os.environ["RESULTS"], "figures.json").write_text(json.dumps(
        {"seconds": figures, "resident_kib": resident, "plan_seconds": [seconds for seconds, _, _ in plan]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
