#!/usr/bin/python3
# disks: 2x2G virtio, 1x2G nvme
# init: udev
# limit: 600
"""Disks that hold something already: kept, edited beside a mounted partition, replaced, refused; data survives."""
import contextlib
import ctypes
import fcntl
import json
import os
import subprocess
import threading
import time
from pathlib import Path

from guestlib import DISKS, disks_stage, held, mounted, put, run, settle, written

BLKRRPART = 0x125f
VDA, VDB, NVME = DISKS


def stage(*, disks=(), filesystems=(), fails=False):
    return disks_stage({"disks": list(disks), "filesystems": list(filesystems)}, fails=fails)


def partitions(disk):
    rows = json.loads(run("sfdisk", "--json", disk).stdout)["partitiontable"]["partitions"]
    return [(row["node"], row["start"], row["size"], row.get("name", "")) for row in rows]


def holds(node, text):
    found = held(node)
    assert found == text, f"{node} holds {found!r}"


def ext4(device, label, **more):
    return {"device": device, "format": "ext4", "label": label, **more}


one = {"number": 1, "label": "one", "sizeMiB": 300}
entries = [one, {"label": "two", "sizeMiB": 300}]
filesystems = [ext4("/dev/disk/by-partlabel/one", "one"), ext4(f"{NVME}p2", "two")]

# From blank, on a disk whose partitions have a `p` in their names.
stage(disks=[{"device": NVME, "partitions": entries}], filesystems=filesystems)
assert partitions(NVME) == [(f"{NVME}p1", 2048, 614400, "one"), (f"{NVME}p2", 616448, 614400, "two")]
put(f"{NVME}p1", "kept")
put(f"{NVME}p2", "kept too")

# Beside a mounted partition: one more is added, the last one grows, an entry is written anew in place.
# (Mounted read-only: ext4 would go on writing its inode tables, and what a refusal writes is counted.)
with mounted(f"{NVME}p1", "-o", "ro"):
    stage(disks=[{"device": NVME, "partitions": [one, {"number": 2, "label": "two", "sizeMiB": 500, "resize": True},
                                                 {"number": 4, "label": "four", "sizeMiB": 100}]}],
          filesystems=filesystems)
    assert partitions(NVME)[1:] == [(f"{NVME}p2", 616448, 1024000, "two"), (f"{NVME}p4", 1640448, 204800, "four")]
    assert int(Path(f"/sys/class/block/{Path(NVME).name}p2/size").read_text()) == 1024000
    stage(disks=[{"device": NVME, "partitions": [{"number": 2, "label": "zwei", "startMiB": 301, "sizeMiB": 500,
                                                  "wipePartitionEntry": True}]}])
    assert os.path.realpath("/dev/disk/by-partlabel/zwei") == f"{NVME}p2"
    # What is mounted may neither change nor go.
    said = stage(disks=[{"device": NVME, "wipeTable": True, "partitions": [{"label": "var"}]}], fails=True)
    assert "mounted on /mnt" in said, said
    said = stage(disks=[{"device": NVME, "partitions": [{"number": 1, "shouldExist": False, "wipePartitionEntry": True}]}],
                 fails=True)
    assert "mounted on /mnt" in said, said
holds(f"{NVME}p1", "kept")
holds(f"{NVME}p2", "kept too")

# An MBR whose first partition holds what the config wants, under a table that it does not.
subprocess.run(["sfdisk", "-q", VDA], input="label: dos\nstart=2048, size=614400\nstart=616448, size=204800\n",
               text=True, check=True)
settle()
run("mkfs.ext4", "-q", "-L", "one", f"{VDA}1")
put(f"{VDA}1", "older than the GPT")
mine = [ext4(f"{VDA}1", "one")]
said = stage(disks=[{"device": VDA, "partitions": [one]}], filesystems=mine, fails=True)
assert "MBR" in said, said
stage(disks=[{"device": VDA, "wipeTable": True, "partitions": [one]}], filesystems=mine)
assert partitions(VDA) == [(f"{VDA}1", 2048, 614400, "one")]
assert not os.path.exists(f"{VDA}2")
holds(f"{VDA}1", "older than the GPT")

# Conflicts of all disks are found before any is written: one disk is blank and would be first.
said = stage(disks=[{"device": VDB, "partitions": [{"label": "b"}]},
                    {"device": VDA, "partitions": [{"number": 1, "label": "other"}]}],
             filesystems=[{"device": "/dev/disk/by-partlabel/b", "format": "xfs"},
                          {"device": f"{NVME}p1", "format": "xfs"}], fails=True)
assert "wanted \"other\"" in said and "holds ext4 \"one\"" in said, said

# A whole disk, then partitions in its place, then nothing at all.
stage(filesystems=[{"device": VDB, "format": "btrfs", "label": "whole"}])
said = stage(disks=[{"device": VDB, "partitions": [{"label": "b"}]}], fails=True)
assert "btrfs \"whole\"" in said, said
stage(disks=[{"device": VDB, "wipeTable": True, "partitions": [{"label": "b"}]}],
      filesystems=[{"device": "/dev/disk/by-partlabel/b", "format": "swap"}])
assert partitions(VDB) == [(f"{VDB}1", 2048, 4192223, "b")]
stage(disks=[{"device": VDB, "wipeTable": True}])
assert run("blkid", "-p", VDB, check=False).returncode == 2, "something is left on the disk"
assert not os.path.exists(f"{VDB}1")

# The first copy of a table lost: read from the second, mended with the next change.
subprocess.run(["dd", "if=/dev/zero", f"of={VDA}", "bs=512", "seek=1", "count=1", "conv=notrunc,fsync", "status=none"],
               check=True)
stage(disks=[{"device": VDA, "partitions": [one, {"number": 2, "label": "more", "sizeMiB": 10}]}], filesystems=mine)
assert "No problems found" in run("sgdisk", "-v", VDA).stdout
holds(f"{VDA}1", "older than the GPT")

# The second device of a mounted btrfs stands in no list of mounts.
run("mkfs.btrfs", "-q", "-f", VDB, f"{NVME}p2")
with mounted(VDB, "-o", "ro"):
    said = stage(filesystems=[{"device": f"{NVME}p2", "format": "ext4", "wipeFilesystem": True}], fails=True)
    assert "in use" in said, said

# Another host changes the table: here the kernel has the partition where it was. (While one is open it reads no table.)
with open(f"{NVME}p1", "rb"):
    subprocess.run(["sfdisk", "--quiet", "--no-tell-kernel", "--no-reread", "-N", "2", NVME], check=True, text=True,
                   input="start=700000, size=4096\n")
    settle()
    assert int(Path(f"/sys/class/block/{Path(NVME).name}p2/start").read_text()) == 616448
    wiped = [{"device": f"{NVME}p2", "format": "ext4", "wipeFilesystem": True}]
    for disks in ([], [{"device": NVME, "partitions": [{"number": 2}]}]):
        said = " ".join(stage(disks=disks, filesystems=wiped, fails=True).split())
        assert "does not show the partition of its disk's table" in said and "4096 sectors from 700000 on" in said, said
run("blockdev", "--rereadpt", NVME)


# A mount claims its device before any list has it, for as long as it reads what is there.
LIBC = ctypes.CDLL(None, use_errno=True)
FSOPEN, FSCONFIG, FSMOUNT, MOVE_MOUNT, AT_FDCWD, EMPTY_PATH, IN_OPEN = 430, 431, 432, 429, -100, 4, 0x20
SET_FLAG, SET_STRING, CREATE = 0, 1, 6


def call(number, *words):
    result = LIBC.syscall(number, *words)
    assert result >= 0, os.strerror(ctypes.get_errno())
    return result


def mount_once_opened(node, opened):
    """Claims the device as a mount does, and ends that on /mnt a while after somebody has opened it."""
    begun = call(FSOPEN, b"ext4", 0)
    call(FSCONFIG, begun, SET_FLAG, b"ro", None, 0)
    call(FSCONFIG, begun, SET_STRING, b"source", node.encode(), 0)
    call(FSCONFIG, begun, CREATE, None, None, 0)
    mount = call(FSMOUNT, begun, 0, 0)
    watch = LIBC.inotify_init1(0)
    assert LIBC.inotify_add_watch(watch, node.encode(), IN_OPEN) > 0

    def end():
        os.read(watch, 4096)
        opened.set()
        time.sleep(0.5)
        call(MOVE_MOUNT, mount, b"", AT_FDCWD, b"/mnt", EMPTY_PATH)
        for descriptor in (watch, mount, begun):
            os.close(descriptor)

    ending = threading.Thread(target=end)
    ending.start()
    return ending


opened = threading.Event()
ending = mount_once_opened(f"{VDA}1", opened)
said = stage(filesystems=[{"device": f"{VDA}1", "format": "xfs", "wipeFilesystem": True}], fails=True)
assert opened.is_set(), "nobody has looked at the device"
ending.join()
assert f"{VDA}1 is mounted on /mnt" in said, said
run("umount", "/mnt")
holds(f"{VDA}1", "older than the GPT")

# A filesystem as a power cut leaves it, its journal not replayed: kept, and not a byte of it changes.
stage(disks=[{"device": VDB, "wipeTable": True, "partitions": [{"label": "left", "sizeMiB": 300}, {"label": "new"}]}])
left = [ext4("/dev/disk/by-partlabel/left", "one")]
with mounted(f"{VDA}1") as folder:
    (folder / "data").write_text("in the journal")
    run("sync", "-f", folder / "data")
    run("dd", f"if={VDA}1", f"of={VDB}1", "bs=1M", "iflag=direct", "conv=fsync", "status=none")
assert "needs_recovery" in run("dumpe2fs", "-h", f"{VDB}1").stdout
before = written()
stage(filesystems=left)
assert written() == before, "trying a filesystem wrote to its disk"
assert "needs_recovery" in run("dumpe2fs", "-h", f"{VDB}1").stdout
holds(f"{VDB}1", "in the journal")

# One that looks right and cannot be mounted stops everything before another one is made.
subprocess.run(["dd", "if=/dev/urandom", f"of={VDB}1", "bs=4096", "seek=1", "count=2", "conv=notrunc,fsync",
                "status=none"], check=True)
new = {"device": "/dev/disk/by-partlabel/new", "format": "xfs", "label": "new"}
said = stage(filesystems=[new, *left], fails=True)
assert "cannot be mounted" in said and "e2fsck" in said, said
stage(filesystems=[new, ext4("/dev/disk/by-partlabel/left", "one", wipeFilesystem=True)])

# udev makes the kernel read a table anew whenever somebody closes the disk after writing; partitions are gone for a
# moment then. Here that happens many times over, from the moment when the kernel knows the new table.
for wanted in [[{"label": name, "sizeMiB": 20} for name in names] for names in ("abcdefgh", "abcdefghijkl") * 3]:
    isBlank = len(wanted) == 8
    if isBlank:
        run("wipefs", "-qa", VDB)
        run("blockdev", "--rereadpt", VDB)
    last = Path(f"/sys/class/block/{Path(VDB).name}{len(wanted)}")
    ended = threading.Event()

    def read_tables():
        with open(VDB) as disk:
            while not last.exists() and not ended.wait(0.001):
                pass
            for _ in range(50):
                with contextlib.suppress(OSError):
                    fcntl.ioctl(disk, BLKRRPART)
                ended.wait(0.01)

    reader = threading.Thread(target=read_tables)
    reader.start()
    try:
        stage(disks=[{"device": VDB, "partitions": wanted}],
              filesystems=[{"device": f"{VDB}{number}", "format": "swap", "wipeFilesystem": isBlank or number > 8}
                           for number in range(1, len(wanted) + 1)])
    finally:
        ended.set()
        reader.join()
    assert [name for _, _, _, name in partitions(VDB)] == [partition["label"] for partition in wanted]
