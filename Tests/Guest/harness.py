#!/usr/bin/python3
# disks: 1x4G virtio, 1x1G nvme, 1x1G scsi, 1x1G sata
# init: systemd
# processors: 2
# limit: 600
"""The guest is what guest tests are promised: systemd, tools, blank disks on every bus."""
import os
import subprocess

assert os.path.basename(os.readlink("/proc/1/exe")) == "systemd"
sizes = {"DISK0": 4 << 30, "DISK1": 1 << 30, "DISK2": 1 << 30, "DISK3": 1 << 30}
for name, size in sizes.items():
    device = os.environ[name]
    with open(device, "rb") as disk:
        assert disk.seek(0, os.SEEK_END) == size, (name, device)
        disk.seek(0)
        assert disk.read(65536) == bytes(65536), (name, device)

disk = os.environ["DISK0"]
subprocess.run(["sgdisk", "-n", "1:0:0", "-c", "1:guest", disk], check=True)
subprocess.run(["udevadm", "settle"], check=True)
subprocess.run(["mkfs.xfs", "-q", "/dev/disk/by-partlabel/guest"], check=True)
subprocess.run(["mount", "/dev/disk/by-partlabel/guest", "/mnt"], check=True)

# What a test writes stays in the guest.
with open(os.environ["TREE"] + "/written-in-the-guest", "x") as file:
    file.write("gone with the guest\n")
with open(os.environ["RESULTS"] + "/kept", "x") as file:
    file.write("brought back\n")
