#!/usr/bin/python3
# disks: 1x1G virtio
# init: udev
# limit: 300
"""A multipath disk: its partitions are maps of device-mapper, made by kpartx's rules or by the agent, and used again."""
import json
from pathlib import Path

from guestlib import DISKS, configure, disks_stage, folded, held, mounted, plan, put, run, settle, written

[VDA] = DISKS
MAP = "/dev/mapper/mpatha"
SECTORS = (1 << 30) // 512
run("modprobe", "-a", "dm-multipath", "dm-service-time")


def start():
    """One path is enough for a multipath disk."""
    path = Path(f"/sys/class/block/{Path(VDA).name}/dev").read_text().strip()
    run("dmsetup", "create", "mpatha", "--uuid", "mpath-firstlight", "--table",
        f"0 {SECTORS} multipath 0 0 1 1 service-time 0 1 2 {path} 1 1")
    settle()


def stop():
    settle()
    for name in sorted(Path("/dev/mapper").glob("mpatha?*")) + [Path(MAP)]:
        run("dmsetup", "remove", "--retry", name.name)
    settle()


def stage(*entries, **more):
    return folded(disks_stage({"disks": [{"device": MAP, "partitions": list(entries)}], "filesystems": filesystems}, **more))


def tables() -> dict:
    """Start and length in sectors of each partition's map."""
    disk = Path("/sys/class/block", Path(MAP).resolve().name, "dev").read_text().strip()
    found = {}
    for line in run("dmsetup", "table").stdout.splitlines():
        name, _, table = line.partition(": ")
        if name != "mpatha":
            zero, count, kind, device, first = table.split()
            assert (zero, kind, device) == ("0", "linear", disk), line
            found[name.removeprefix("mpatha")] = (int(first), int(count))
    return found


def table() -> list:
    rows = json.loads(run("sfdisk", "--json", MAP).stdout)["partitiontable"]["partitions"]
    return [(row["start"], row["size"]) for row in rows]


one, two = {"number": 1, "label": "one", "sizeMiB": 300}, {"number": 2, "label": "two", "sizeMiB": 200}
by_label = [{"device": f"/dev/disk/by-label/{name}", "format": "ext4", "label": name} for name in ("one", "two")]
filesystems = [{"device": "/dev/disk/by-partlabel/one", "format": "ext4", "label": "one"},
               {"device": f"{MAP}-part2", "format": "ext4", "label": "two"}]

# From blank; kpartx's rules run beside.
start()
said = stage(one, two)
assert tables() == {"-part1": (2048, 614400), "-part2": (616448, 409600)} and list(tables().values()) == table(), tables()
put(f"{MAP}-part1", "kept")
put(f"{MAP}-part2", "kept too")

# At the next boot the rules have made the maps already; then without rules, and nobody has.
for rules in ("kpartx", "none"):
    stop()
    # As at a boot, where the kernel has read the table of each path before there is a map.
    run("blockdev", "--rereadpt", VDA)
    settle()
    assert Path(f"{VDA}1").exists()
    if rules == "none":
        Path("/run/udev/rules.d").mkdir(parents=True, exist_ok=True)
        Path("/run/udev/rules.d/60-kpartx.rules").write_text("")
        run("udevadm", "control", "--reload")
    start()
    assert bool(tables()) == (rules == "kpartx"), tables()
    before = written()
    said = stage(one, two)
    assert "kept, nothing destroyed" in said, said
    assert written() == before, "something was written where all was there"
    assert list(tables().values()) == table()
assert (held(f"{MAP}-part1"), held(f"{MAP}-part2")) == ("kept", "kept too")

# Beside a mounted one another is made, the last one grows and one goes; its map follows.
with mounted(f"{MAP}-part1", "-o", "ro"):
    stage(one, {**two, "sizeMiB": 300, "resize": True}, {"number": 3, "label": "three", "sizeMiB": 100})
    assert list(tables().values()) == table() and len(table()) == 3, tables()
    said = stage({"number": 1, "shouldExist": False, "wipePartitionEntry": True}, fails=True)
    assert "mounted on /mnt" in said, said
stage(one, {**two, "sizeMiB": 300}, {"number": 3, "shouldExist": False, "wipePartitionEntry": True})
assert list(tables()) == ["-part1", "-part2"] and list(tables().values()) == table()
assert (held(f"{MAP}-part1"), held(f"{MAP}-part2")) == ("kept", "kept too")

# A map that shows another part of the disk is put right, unless somebody uses it: then nothing is written through it.
disk = Path("/sys/class/block", Path(MAP).resolve().name, "dev").read_text().strip()
for user in (None, f"{MAP}-part1"):
    run("dmsetup", "suspend", "mpatha-part1")
    run("dmsetup", "reload", "mpatha-part1", "--table", f"0 614400 linear {disk} 4096")
    run("dmsetup", "resume", "mpatha-part1")
    # A config that does not name the disk would not have it put right.
    configure(storage={"filesystems": [{"device": f"{MAP}-part1", "format": "ext4", "wipeFilesystem": True}]})
    assert "does not show the partition of its disk's table: it shows 614400 sectors from 4096 on" in plan(1)
    if user is None:
        stage(one, {**two, "sizeMiB": 300})
        assert list(tables().values()) == table()
        continue
    with open(user, "rb"):
        said = stage(one, {**two, "sizeMiB": 300}, fails=True)
        assert "mpatha-part1" in said and "4096" in said, said
    run("dmsetup", "remove", "mpatha-part1")
assert held(f"{MAP}-part2") == "kept too"

# The paths themselves are nobody's to write to; and a config names a partition of the map alone.
configure(storage={"disks": [{"device": VDA, "wipeTable": True, "partitions": [{"label": "x"}]}]})
assert "is held by dm-" in plan(1)
configure(storage={"filesystems": [{"device": f"{MAP}-part2", "format": "ext4", "label": "two"}]})
assert "nothing destroyed" in plan(0)
# A path's own partitions bear the same labels, and are not others.
configure(storage={"filesystems": by_label[1:]})
assert "nothing destroyed" in plan(0)
# A volume of LVM may be called as a partition would be: it stays what it is.
run("dmsetup", "create", "mpatha-part4", "--table", f"0 2048 linear {disk} 1024")
said = stage(one, {**two, "sizeMiB": 300}, {"number": 4, "label": "four", "sizeMiB": 10}, fails=True)
assert "mpatha-part4 is another map" in said, said
assert run("dmsetup", "table", "mpatha-part4").stdout.split() == ["0", "2048", "linear", disk, "1024"]
stop()
