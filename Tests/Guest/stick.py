#!/usr/bin/python3
# tier: all
# disks: 1x1G scsi
# init: udev
# needs: tool
# limit: 300
"""A device that vanishes while an image is written to it: the tool says so, and what to do, and ends with 1."""
import subprocess
import tempfile
import time
from pathlib import Path

from guestlib import AGENT, DISKS

TOOL = Path(AGENT).with_name("firstlight-image")
SIZE = 700 << 20

name = Path(DISKS[0]).name
image = Path(tempfile.mkdtemp()) / "image"
with open(image, "wb") as file:
    file.truncate(SIZE)


def written():
    """Bytes that the disk was sent."""
    return int(Path(f"/sys/block/{name}/stat").read_text().split()[6]) * 512


before = written()
process = subprocess.Popen([TOOL, "usb", "--force", image, DISKS[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
# It has no serial of its own, so that its name is asked for.
process.stdin.write(f"{name}\n")
process.stdin.flush()
end = time.monotonic() + 120
while written() - before < 64 << 20:
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < end, "nothing is written"
    time.sleep(0.02)
Path(f"/sys/block/{name}/device/delete").write_text("1")
output, told = process.communicate(timeout=120)
print(told)
assert process.returncode == 1, (process.returncode, output, told)
assert "written and read back" not in output, output
assert f"{DISKS[0]} " in told and " failed at byte " in told, told
assert "does not boot" in told, told
