#!/usr/bin/python3
# disks: 1x1G virtio, 1x1G nvme, 1x1G scsi, 1x1G sata
# init: udev
# limit: 600
"""The agent names block devices as udev does: by label, UUID, partition label and UUID, id and path."""
from pathlib import Path

from guestlib import AGENT, DISKS, run

KINDS = ["id", "label", "partlabel", "partuuid", "path", "uuid"]


def udev_links(device):
    links = run("udevadm", "info", "--query=symlink", device).stdout.split()
    return {f"/dev/{link}" for link in links if link.split("/")[0:2] in [["disk", f"by-{kind}"] for kind in KINDS]}


for number, disk in enumerate(DISKS):
    run("sgdisk", "-n", "1:0:+400M", "-c", f"1:part {number}", "-n", "2:0:0", "-c", f"2:zweite/ü{number}", disk)
run("udevadm", "settle")
formats = [["mkfs.ext4", "-q", "-L"], ["mkfs.xfs", "-q", "-L"], ["mkfs.btrfs", "-q", "-L"], ["mkfs.vfat", "-n"]]
for number, (disk, words) in enumerate(zip(DISKS, formats)):
    separator = "p" if disk[-1].isdigit() else ""
    run(*words, f"FS{number}", f"{disk}{separator}1")
    run("mkswap", "-q", "-L", f"swap {number}", f"{disk}{separator}2")
run("udevadm", "trigger", "--settle", "--subsystem-match=block")

devices = sorted(str(node) for disk in DISKS for node in Path("/dev").glob(Path(disk).name + "*"))
assert len(devices) == 12, devices
wrong = 0
for device in devices:
    ours = {line.split()[-1] for line in run(AGENT, "links", device).stdout.splitlines() if line.strip()}
    wanted = udev_links(device)
    if ours != wanted:
        wrong += 1
        print(f"{device}: missing {sorted(wanted - ours)}, too many {sorted(ours - wanted)}")
assert not wrong, f"{wrong} of {len(devices)} devices have other names"
