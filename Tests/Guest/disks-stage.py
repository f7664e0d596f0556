#!/usr/bin/python3
# disks: 1x4G virtio
# init: udev
# limit: 600
"""The disks stage beside Ignition's: same config, blank disk, same outcome; run again, it writes nothing.

With $ORACLE it is Debian's Ignition that runs, once, and what it leaves is recorded.
"""
import json
import os
import re
import sys
from pathlib import Path

import guestlib
from guestlib import run

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import oracles  # noqa: E402

DISK = guestlib.DISKS[0]
ORACLE, VERSION = "disks-stage", "3.3.0"
ARGUMENTS = ["--platform=file", "--root=/mnt", "--config-cache=/run/theirs.json", "--log-to-stdout"]


def storage(disk):
    def part(label):
        return f"/dev/disk/by-partlabel/{label}"

    return {
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
    }


def layout():
    """What both must agree on: the table, and type and label of what is in each partition."""
    guestlib.settle()
    table = json.loads(run("sfdisk", "--json", DISK).stdout)["partitiontable"]
    rows = []
    for entry in table["partitions"]:
        found = dict(re.findall(r"(\w+)=(.*)", run("blkid", "-p", "-o", "export", entry["node"]).stdout))
        rows.append([entry["start"], entry["size"], entry["type"], entry.get("name"), found.get("TYPE"), found.get("LABEL")])
    return rows


def theirs():
    file = Path("theirs.ign").absolute()
    file.write_text(json.dumps({"ignition": {"version": VERSION}, "storage": storage(DISK)}))
    for name in ("fetch", "disks"):
        run(oracles.ENGINE, f"--stage={name}", *ARGUMENTS, env={**os.environ, "IGNITION_CONFIG_FILE": str(file)})
    return layout()


def ours():
    guestlib.configure(VERSION, storage=storage(DISK))
    guestlib.plan(2)
    guestlib.forget()
    guestlib.stages("fetch", "disks")
    after = layout()

    before = guestlib.written()
    guestlib.plan(0)
    guestlib.forget()
    guestlib.stages("fetch", "disks")
    guestlib.settle()
    assert guestlib.written() == before, f"{guestlib.written() - before} sectors were written by a run with nothing to do"
    assert layout() == after
    return after


sectors = int(Path(f"/sys/block/{Path(DISK).name}/size").read_text())
cases = {"blank": {"version": VERSION, "storage": storage("@a"), "arguments": ARGUMENTS, "sectors": sectors}}
if "ORACLE" in os.environ:
    oracles.leave(ORACLE, oracles.ENGINE, cases, {"blank": theirs()})
else:
    wanted = oracles.load(ORACLE, oracles.ENGINE, cases)["blank"]
    found = ours()
    assert found == wanted, f"{found}, Debian's {wanted}"
