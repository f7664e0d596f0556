#!/usr/bin/python3
# disks: 2x4G virtio
# init: systemd
# limit: 600
"""The disks stage beside Ignition's: same config, blank disks, same outcome; run again, it writes nothing."""
import json
import os
import re
import subprocess
from pathlib import Path

AGENT = os.environ["AGENT"]
IGNITION = "/usr/lib/dracut/modules.d/30ignition/ignition"


def run(*words, check=True, **options):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    print(f"$ {' '.join(words)}\n{done.stdout}", flush=True)
    if check:
        assert done.returncode == 0, f"{words[0]} exited with {done.returncode}"
    return done


def config(disk):
    def part(label):
        return f"/dev/disk/by-partlabel/{label}"

    return {
        "ignition": {"version": "3.3.0"},
        "storage": {
            "disks": [{"device": disk, "wipeTable": True, "partitions": [
                {"label": "one", "number": 1, "sizeMiB": 700, "startMiB": 3,
                 "typeGuid": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "guid": "11111111-2222-4333-8444-555555555555"},
                {"label": "two", "sizeMiB": 800},
                {"label": "swap", "sizeMiB": 100},
                {"label": "rest"}]}],
            "filesystems": [
                {"device": part("one"), "format": "ext4", "label": "one", "uuid": "0a0b0c0d-1111-4222-8333-444455556666"},
                {"device": part("two"), "format": "xfs", "label": "two"},
                {"device": part("swap"), "format": "swap", "label": "swap"},
                {"device": part("rest"), "format": "btrfs", "label": "rest", "options": ["--nodesize", "16384"]},
            ],
        },
    }


def layout(disk):
    """What both must agree on: the table, and type and label of what is in each partition."""
    run("udevadm", "settle")
    table = json.loads(run("sfdisk", "--json", disk).stdout)["partitiontable"]
    rows = []
    for entry in table["partitions"]:
        found = dict(re.findall(r"(\w+)=(.*)", run("blkid", "-p", "-o", "export", entry["node"]).stdout))
        rows.append((entry["start"], entry["size"], entry["type"], entry.get("name"), found.get("TYPE"), found.get("LABEL")))
    return rows


def written(disk):
    """Sectors written to a disk since it appeared."""
    return int(Path(f"/sys/block/{Path(disk).name}/stat").read_text().split()[6])


def stage(text):
    """The stages that concern disks, with this config, as systemd would start them."""
    Path("/config.ign").write_text(text)
    Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal\n")
    subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
    run("mount", "--bind", "cmdline", "/proc/cmdline")
    try:
        run(AGENT, "stage", "fetch")
        run(AGENT, "stage", "disks")
    finally:
        run("umount", "/proc/cmdline")


ours, theirs = os.environ["DISK0"], os.environ["DISK1"]

text = json.dumps(config(ours), indent=2)
Path("plan.ign").write_text(text)
assert run(AGENT, "plan", "--config", "plan.ign", check=False).returncode == 2
stage(text)
after = layout(ours)

before = written(ours)
assert run(AGENT, "plan", "--config", "plan.ign", check=False).returncode == 0, "the plan still has something to do"
stage(text)
run("udevadm", "settle")
assert written(ours) == before, f"{written(ours) - before} sectors were written by a run with nothing to do"
assert layout(ours) == after

# Partition labels are the same on both disks: hide the first one from Ignition.
run("sgdisk", "--zap-all", ours)
run("udevadm", "settle")
Path("theirs.ign").write_text(json.dumps(config(theirs)))
environment = {**os.environ, "IGNITION_CONFIG_FILE": str(Path("theirs.ign").resolve())}
for name in ("fetch", "disks"):
    run(IGNITION, f"--stage={name}", "--platform=file", "--root=/mnt", "--config-cache=/run/theirs.json",
        "--log-to-stdout", env=environment)
assert layout(theirs) == after, f"Ignition made {layout(theirs)}, this agent {after}"
