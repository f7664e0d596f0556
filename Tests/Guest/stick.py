#!/usr/bin/python3
# tier: all
# disks: 2x1G usb, 1x1G scsi
# init: udev
# needs: tool
# limit: 200
"""A device that vanishes while an image is written to it or read back: the tool says how far it came, what is to be
done, and ends with 1, soon. Two are sticks that somebody pulls out; one is a disk that the kernel is told to forget."""
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from guestlib import AGENT, DISKS, run

TOOL = Path(AGENT).with_name("firstlight-image")
MIB = 1 << 20
SIZE = 320 * MIB
READ, WRITTEN = 2, 6  # fields of /sys/block/NAME/stat: sectors

folder = Path(tempfile.mkdtemp())
image = folder / "image"
with open(image, "wb") as file:
    file.truncate(SIZE)


def moved(name: str, field: int) -> int:
    """Bytes that the disk was asked for, or sent."""
    return int(Path(f"/sys/block/{name}/stat").read_text().split()[field]) * 512


def pull(number: int) -> None:
    Path("/dev/console").write_text(f"@guest pull {number}\n")


def forget(number: int) -> None:
    Path(f"/sys/block/{Path(DISKS[number]).name}/device/delete").write_text("1")


def vanishes(number: int, field: int, take_away) -> str:
    """Takes a disk away when 96 MiB have been moved; what the tool says then."""
    device, name = DISKS[number], Path(DISKS[number]).name
    is_stick = Path(f"/sys/block/{name}/removable").read_text().strip() == "1"
    assert is_stick == (take_away is pull), f"{device} is the wrong kind of disk"
    print(f"--- {device}, {take_away.__name__}", flush=True)
    start = moved(name, field)
    process = subprocess.Popen([TOOL, "usb", "--yes" if is_stick else "--force", image, device], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if not is_stick:
        # It has no serial of its own, so that its name is asked for.
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
    end = time.monotonic() + 150
    while moved(name, field) - start < 96 * MIB:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing is written"
        time.sleep(0.02)
    take_away(number)
    began = time.monotonic()
    output, told = process.communicate(timeout=120)
    print(f"{told}({time.monotonic() - began:.1f} s later)", flush=True)
    assert process.returncode == 1, (process.returncode, output, told)
    assert "written and read back" not in output, output
    end = time.monotonic() + 30
    while Path(f"/sys/block/{name}").exists():
        assert time.monotonic() < end, f"{device} is still there: nothing was taken away"
        time.sleep(0.1)
    return told


def how_far(told: str, device: str, act: str) -> int:
    """MiB that the tool says had arrived when the device went away."""
    found = re.search(rf"firstlight-image: {device} went away while it was {act}, after ([\d.]+) M?i?B of 320 MiB$",
                      told, re.MULTILINE)
    assert found, told
    return float(found[1])


told = vanishes(0, WRITTEN, pull)
assert 64 <= how_far(told, DISKS[0], "written to") < 320 and "does not boot" in told, told

told = vanishes(1, READ, pull)
assert 64 <= how_far(told, DISKS[1], "read back") < 320 and "not compared" in told, told

told = vanishes(2, WRITTEN, forget)
assert 64 <= how_far(told, DISKS[2], "written to") < 320 and "does not boot" in told, told

# One that is not there any more is none.
done = run(TOOL, "usb", "--yes", image, DISKS[0], check=False)
assert done.returncode == 1 and "Nothing was written." in done.stdout, done
assert not os.path.exists(DISKS[0]), f"the image went into a file at {DISKS[0]}"
