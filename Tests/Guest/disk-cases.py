#!/usr/bin/python3
# init: udev
# limit: 1200
"""Those cases of Fixtures/disks that the build machine's kernel may not do, or those of $CASE: what a case says, twice.

Tests/Harness/disk_runs.py carries them out, there and here.
"""
import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_runs  # noqa: E402
from guestlib import run  # noqa: E402

run("modprobe", "-a", "loop", "dm-crypt", "vfat", "btrfs", "xfs", "ext4")
# udev would start arrays by itself, which writes to their members; Tests/Guest/raid.py has it at work.
Path("/run/udev/rules.d").mkdir(parents=True, exist_ok=True)
Path("/run/udev/rules.d/64-md-raid-assembly.rules").write_text("")
run("udevadm", "control", "--reload")
sys.exit(disk_runs.main("guest", os.getcwd()))
