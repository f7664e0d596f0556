#!/usr/bin/python3
# disks: 3x400M virtio
# init: udev
# limit: 900
"""RAID arrays: made once, assembled and filled ever after; a degraded one too; what is not theirs stays.

Where $TIER is `all`, more levels too.
"""
import base64
import os
from pathlib import Path

import guestlib
from guestlib import CHEAP_KEY, DISKS, FIRST_BOOT, close, configure, disks_stage, folded, held, put, run, settle

VDA, VDB, VDC = DISKS
KEY = "data:;base64," + base64.b64encode(b"correct horse").decode()


def storage(raid, filesystems=(), disks=(), luks=()):
    return {"disks": list(disks), "raid": list(raid), "luks": list(luks), "filesystems": list(filesystems)}


def stage(*parts, **more):
    return folded(disks_stage(storage(*parts, **more), line=f"{FIRST_BOOT} rd.timeout=3"))


def plan(status):
    """What `plan` says; it leaves no array behind."""
    arrays = run("cat", "/proc/mdstat").stdout
    said = guestlib.plan(status)
    assert run("cat", "/proc/mdstat").stdout.count("active") == arrays.count("active")
    return said


def refused(*parts, **more):
    """What is said of a config that contradicts the disks, the same plan as in a boot; nothing is written."""
    configure(storage=storage(*parts, **more))
    return plan(1)


def stop(*names):
    settle()
    for name in names:
        run("mdadm", "--stop", name)
    settle()


def wait(name):
    run("mdadm", "--wait", name, check=False)


def array(level="raid1", devices=(), name="data", **more):
    devices = devices or ["/dev/disk/by-partlabel/a", "/dev/disk/by-partlabel/b"]
    return {"name": name, "level": level, "devices": list(devices), **more}


def erase():
    for disk in DISKS:
        run("sh", "-c", f"wipefs -q -a {disk}[0-9]; wipefs -q -a {disk}; blkdiscard -f {disk}", check=False)
        run("blockdev", "--rereadpt", disk, check=False)


halves = [{"device": VDA, "wipeTable": True, "partitions": [{"label": "a"}]},
          {"device": VDB, "wipeTable": True, "partitions": [{"label": "b"}]}]
ext4 = {"device": "/dev/md/data", "format": "ext4", "label": "var", "path": "/var"}

# From blank: two tables, an array, a filesystem.
stage([array()], [ext4], halves)
detail = run("mdadm", "--detail", "--export", "/dev/md/data").stdout
assert "MD_LEVEL=raid1" in detail and "MD_DEVICES=2" in detail and "MD_NAME=any:data" in detail, detail
put("/dev/md/data", "kept")
# With udev's own rules, somebody assembles what is there before the agent looks: it is found running and kept.
wait("/dev/md/data")
stop("/dev/md/data")
run("udevadm", "trigger", "--settle", "--action=add", "--subsystem-match=block")
assert run("mdadm", "--detail", "/dev/md/data").stdout.count("active sync") == 2
plan(0)
said = stage([array()], [ext4], halves)
assert '/dev/md/data: raid1 "data" and ext4 "var" kept, nothing destroyed' in said, said
assert held("/dev/md/data") == "kept"

# From here on nobody but the agent assembles arrays, as in its own initramfs.
Path("/run/udev/rules.d").mkdir(parents=True, exist_ok=True)
Path("/run/udev/rules.d/64-md-raid-assembly.rules").write_text("")
run("udevadm", "control", "--reload")
# Looked at while it runs, then at the next boot: the plan finds the filesystem in it, and nothing is made. A file that
# was open when the power went stays, though ext4 would remove it also where it is mounted read-only.
wait("/dev/md/data")
Path("deleted").write_bytes(b"x" * 5000)
for command in ("write deleted deleted", "sif <13> links_count 0", "ssv last_orphan 13"):
    run("debugfs", "-w", "-R", command, "/dev/md/data")
assert "Links: 0" in run("debugfs", "-R", "stat <13>", "/dev/md/data").stdout
before = run("sha256sum", "/dev/md/data").stdout
plan(0)
assert run("sha256sum", "/dev/md/data").stdout == before, "the look has written to an array that runs"
run("e2fsck", "-fy", "/dev/md/data", check=False)
# Under another name it would be stopped first, which whoever uses it prevents: said before anything is written.
stop("/dev/md/data")
run("mdadm", "--assemble", "/dev/md/foreign", "--run", VDA + "1", VDB + "1")
run("mount", "-r", "/dev/md/foreign", "/mnt")
said = refused([array()], [ext4], halves)
assert "/dev/md/data runs already, as /dev/md" in said and "mounted on /mnt" in said, said
run("umount", "/mnt")
stop("/dev/md/foreign")
said = plan(0)
assert "keep, assemble" in said and 'ext4 "var"' in said, said
said = stage([array()], [{**ext4, "device": "/dev/disk/by-id/md-name-any:data"}], halves)
assert '/dev/md/data: raid1 "data" and ext4 "var" kept, nothing destroyed' in said, said
assert held("/dev/md/data") == "kept"

# What the config does not describe stops the boot, whether the array runs or not; nothing is written.
stop("/dev/md/data")
for changed, inside, words in [
    (array("raid0"), ext4, "level is raid1, wanted raid0"),
    (array(name="other"), {**ext4, "device": "/dev/md/other"}, 'name is "any:data"'),
    (array(spares=1), ext4, "devices is 2, wanted 1 without spares"),
    (array(), {**ext4, "format": "xfs"}, 'holds ext4 "var"'),
    (array(options=["--metadata=0.90"]), ext4, "metadata 0.90"),
]:
    said = refused([changed], [inside], halves)
    assert words in said, said

# A member is lost: the array is assembled without it, the boot goes on and says so; one that has come back
# out of date is told as well.
run("mdadm", "--zero-superblock", f"{VDB}1")
said = stage([array()], [ext4], halves)
assert f"degraded, with 1 of 2 devices: {VDB}1 is not part of it" in said, said
put("/dev/md/data", "degraded")
assert held("/dev/md/data") == "degraded"
run("mdadm", "--manage", "/dev/md/data", "--add", f"{VDB}1")
wait("/dev/md/data")
stop("/dev/md/data")
run("mdadm", "--assemble", "--run", "/dev/md/data", f"{VDA}1")
put("/dev/md/data", "newer")
put("/dev/md/data", "newest")
stop("/dev/md/data")
said = stage([array()], [ext4], halves)
assert f"{VDB}1 is out of date" in said, said
assert held("/dev/md/data") == "newest"
stop("/dev/md/data")

# The same devices under another table: the config that replaces it lets the array go, and only that one.
both = [{"device": VDA, "wipeTable": True, "partitions": [{"label": "one", "sizeMiB": 190}, {"label": "c"}]},
        {"device": VDB, "wipeTable": True, "partitions": [{"label": "two", "sizeMiB": 190}, {"label": "d"}]}]
stripe = array("raid0", ["/dev/disk/by-partlabel/one", "/dev/disk/by-partlabel/two"])
said = stage([stripe], [{**ext4, "format": "xfs", "label": "s", "options": ["-K"]}], both)
assert f"DESTROYS {VDA}1 RAID member" in said, said
stop("/dev/md/data")
plan(0)
# A foreign filesystem where a member should be stays.
run("mkfs.ext4", "-q", "-L", "mine", f"{VDA}2")
said = refused([stripe, array("1", ["/dev/disk/by-partlabel/c", "/dev/disk/by-partlabel/d"], "new")], [], both)
assert f'{VDA}2 holds ext4 "mine"' in said and f"wipefs -o 0x438 {VDA}2" in said, said
# A stripe that has lost a member holds nothing that can be used; it is left to the operator.
run("mdadm", "--zero-superblock", f"{VDB}1")
said = refused([stripe], [], both)
assert f"1 of the 2 devices that its raid0 needs: {VDB}1 is not part of it" in said, said


def levels():
    """Whole disks, more levels, a spare, encryption on top."""
    erase()
    five = array("raid5", DISKS, "five", options=["--chunk=64"])
    volume = {"name": "safe", "device": "/dev/md/five", "keyFile": {"source": KEY}, "options": CHEAP_KEY}
    inside = {"device": "/dev/mapper/safe", "format": "ext4", "label": "safe"}
    stage([five], [inside], luks=[volume])
    put("/dev/mapper/safe", "encrypted")
    close("safe")
    stop("/dev/md/five")
    said = plan(0)
    assert 'raid5 "five"' in said and 'LUKS2 "safe"' in said and 'ext4 "safe"' in said, said
    stage([five], [inside], luks=[volume])
    assert held("/dev/mapper/safe") == "encrypted"
    close("safe")
    stop("/dev/md/five")
    assert "level is raid5, wanted raid6" in refused([array("raid6", DISKS, "five")], luks=[volume])

    erase()
    columns = [{"device": disk, "partitions": [{"label": f"{letter}{number}", "sizeMiB": 90} for number in range(4)]}
               for letter, disk in zip("abc", DISKS)]
    members = [[f"/dev/disk/by-partlabel/{letter}{number}" for letter in "abc"] for number in range(4)]
    arrays = [array("linear", members[0], "lin"), array("10", members[1], "ten"),
              array("mirror", members[2], spares=1, options=["--assume-clean"]), array("stripe", members[3], "/dev/md7")]
    stage(arrays, disks=columns)
    stop("/dev/md/lin", "/dev/md/ten", "/dev/md/data", "/dev/md7")
    said = plan(0)
    for level in ['linear "lin"', 'raid10 "ten"', 'raid1 "data"', 'raid0 "7"']:
        assert level in said, said


if os.environ["TIER"] == "all":
    levels()
erase()

# An operator's array, as mdadm makes it when it is told no more than it must be.
run("mdadm", "--create", "/dev/md/ops", "--level", "1", "--raid-devices", "2", VDA, VDB, input="y\n")
run("mkfs.ext4", "/dev/md/ops")
put("/dev/md/ops", "somebody's")
stop("/dev/md/ops")
said = stage([array("raid1", [VDA, VDB], "ops")], [{"device": "/dev/md/ops", "format": "ext4"}])
assert 'raid1 "ops" and ext4 kept, nothing destroyed' in said, said
assert held("/dev/md/ops") == "somebody's"
stop("/dev/md/ops")
erase()

# Noise in an array is somebody's, but not what an array shows that was just made over noise.
columns = [{"device": disk, "partitions": [{"label": label, "sizeMiB": 40}]} for label, disk in (("a", VDA), ("b", VDB))]
stage([], disks=columns)
for disk in (VDA, VDB):
    run("dd", "if=/dev/urandom", f"of={disk}1", "bs=1M", "seek=1", "count=39")


def head(node, start, end):
    with open(node, "rb") as device:
        device.seek(start)
        return device.read(end - start)


def noise():
    run("dd", "if=/dev/urandom", "of=/dev/md/data", "bs=1M", "count=1", "conv=fsync")
    stop("/dev/md/data")


stage([array()], disks=columns)
wait("/dev/md/data")
assert not any(head("/dev/md/data", 0, 1 << 20)) and any(head("/dev/md/data", 1 << 20, 2 << 20))
stage([array()], [], columns)
noise()
said = refused([array()], [ext4], columns)
assert "/dev/md/data reads like noise" in said, said
stage([array()], [{**ext4, "wipeFilesystem": True}], columns)
put("/dev/md/data", "made in the end")
stop("/dev/md/data")
erase()

# An array stood there, and its superblocks were erased as an advice says: the new one shows nothing of it.
stage([array("1", [VDA, VDB], "old")], [{**ext4, "device": "/dev/md/old", "label": "old"}])
stop("/dev/md/old")
for disk in (VDA, VDB):
    run("wipefs", "-q", "-o", "0x1000", disk)
said = stage([array("1", [VDA, VDB])], [ext4])
assert 'ext4 "var" created' in said, said
stop("/dev/md/data")
erase()

# The power went between two superblocks: what was never started holds nothing, and is made again.
run("mdadm", "--create", "cut", "--run", "--homehost", "any", "--level", "1", "--raid-devices", "2", VDA, VDB)
stop("/dev/md/cut")
superblock = bytearray(Path(VDA).open("rb").read(8192)[4096:])
size = 256 + 2 * int.from_bytes(superblock[220:224], "little")
superblock[200:208] = bytes(8)
superblock[216:220] = bytes(4)
words = [int.from_bytes(superblock[at:at + 4], "little") for at in range(0, size, 4)]
total = sum(words)
superblock[216:220] = ((total & 0xffffffff) + (total >> 32) & 0xffffffff).to_bytes(4, "little")
with open(VDA, "r+b") as disk:
    disk.seek(4096)
    disk.write(superblock)
run("mdadm", "--zero-superblock", VDB)
said = stage([array("1", [VDA, VDB], "cut")])
assert 'raid1 "cut" created' in said, said
stop("/dev/md/cut")
