#!/usr/bin/python3
# disks: 2x1G virtio
# init: udev
# limit: 900
"""LUKS volumes with a key file: made, opened and filled once, opened again after that; what is not theirs stays."""
import base64
from pathlib import Path

from guestlib import (
    CHEAP_KEY, DISKS, close, configure, disks_stage, folded, forget, held, log, plan, put, run, stages, written)

VDA, VDB = DISKS
KEY = "correct horse battery staple\n"


def stage(luks, filesystems=(), disks=(), **more):
    said = disks_stage({"disks": list(disks), "luks": list(luks), "filesystems": list(filesystems)}, **more)
    assert "battery" not in said + log(), "the key is in the log"
    return said


def volume(name, device, key=KEY, **more):
    entry = {"name": name, "device": device, "options": CHEAP_KEY, **more}
    if key:
        entry["keyFile"] = {"source": "data:;base64," + base64.b64encode(key.encode()).decode()}
    return entry


def ext4(device, label, **more):
    return {"device": device, "format": "ext4", "label": label, **more}


table = [{"device": VDA, "wipeTable": True, "partitions": [{"label": "cache", "sizeMiB": 400}, {"label": "plain"}]}]
cache = volume("cache", "/dev/disk/by-partlabel/cache", label="cache", discard=True,
               openOptions=["--perf-no_read_workqueue"])
inside = ext4("/dev/mapper/cache", "data")

# From blank: table, volume, filesystem. cryptsetup, which shares no code with the config's reading, agrees.
stage([cache], [inside], table)
dump = run("cryptsetup", "luksDump", f"{VDA}1").stdout
assert "Label:         \tcache" in dump and "allow-discards no-read-workqueue" in dump, dump
assert "pbkdf2" in dump and "Iterations: 1000" in dump, dump
run("cryptsetup", "open", "--test-passphrase", "--key-file", "-", f"{VDA}1", input=KEY)
assert run("blkid", "-p", "-o", "value", "-s", "LABEL", "/dev/mapper/cache").stdout.strip() == "data"
put("/dev/mapper/cache", "kept")
uuid = run("cryptsetup", "luksUUID", f"{VDA}1").stdout.strip()

# Once more in the same boot, the volume being open; and at the next, opened again: nothing is written.
before = written()
said = stage([cache], [inside], table, again=True)
assert "destroyed" not in said or "nothing destroyed" in said, said
close("cache")
plan(0)
assert not Path("/dev/mapper/cache").exists(), "looking has left the volume open"
# As units do it: the stage that looks while the image comes, and the one that carries out what it finds then.
forget()
stages("fetch", "plan")
assert not Path("/dev/mapper/cache").exists(), "looking has left the volume open"
said = stage([cache], [inside], table, again=True)
assert 'LUKS2 "cache"' in said and "kept" in said, said
assert "the disks are as they were planned" in log(), log()
assert written() == before, f"{written() - before} sectors were written where all was there"
assert held("/dev/mapper/cache") == "kept"
assert "no_read_workqueue" in run("dmsetup", "table", "cache").stdout
# An option that the config has been given since, beside the header's own, which it leaves as it is.
close("cache")
stage([{**cache, "openOptions": ["--perf-no_write_workqueue"]}], [inside], table)
flags = run("dmsetup", "table", "cache").stdout
assert all(name in flags for name in ("allow_discards", "no_read_workqueue", "no_write_workqueue")), flags
assert run("cryptsetup", "luksDump", f"{VDA}1").stdout == dump
assert written() == before and held("/dev/mapper/cache") == "kept"

# What somebody put on a disk after the look is found before the first write: kept where it is what the config wants.
for label, isWanted in {"later": True, "theirs": False}.items():
    close("cache")
    wanted = {"luks": [cache], "disks": table, "filesystems": [inside, ext4(VDB, "later")]}
    configure(storage=wanted)
    forget()
    stages("fetch", "plan")
    run("mkfs.ext4", "-q", "-L", label, VDB)
    put(VDB, "kept")
    before = written()
    said = disks_stage(wanted, again=True, fails=not isWanted)
    assert "planned again" in log() if isWanted else "theirs" in said, said
    assert written() == before and held(VDB) == "kept"
    run("blkdiscard", "-z", VDB)
if not Path("/dev/mapper/cache").exists():
    stage([cache], [inside], table)

# The files stage tells the real root: once, whatever was there before, and the key is gone from /run.
root = Path("/sysroot")
(root / "etc").mkdir(parents=True)
(root / "etc/crypttab").write_text("other UUID=0 none luks\n")
for _ in range(2):
    assert run("sh", "-c", "cat /run/firstlight/luks-cache.key").stdout == KEY
    stages("files")
    lines = (root / "etc/crypttab").read_text().splitlines()
    assert lines == ["other UUID=0 none luks", f"cache UUID={uuid} /etc/luks/cache luks,x-initrd.attach"], lines
    assert (root / "etc/luks/cache").read_text() == KEY
    assert [oct((root / name).stat().st_mode & 0o7777) for name in ("etc/luks", "etc/luks/cache", "etc/crypttab")] == [
        "0o700", "0o600", "0o600"]
    assert not Path("/run/firstlight/luks-cache.key").exists()
    stage([cache], [inside], table, again=True)
close("cache")

# What is not the config's volume is never opened, never overwritten, and said.
for change, words in [
    ({"key": "wrong"}, 'the key of "cache" does not open'),
    ({"key": ""}, 'gives "cache" no key'),
    ({"label": "other"}, 'label is "cache", wanted "other"'),
    ({"uuid": "0a1b2c3d-0000-4000-8000-000000000001"}, f"uuid is {uuid}"),
    ({"discard": False}, "discard is true, wanted false"),
    ({"options": ["--integrity", "hmac-sha256"]}, "--integrity is not supported"),
]:
    changed = {**volume("cache", cache["device"], **({"key": change.pop("key")} if "key" in change else {})),
               "label": "cache", "discard": True, **change}
    said = stage([changed], [inside], table, fails=True)
    assert words in folded(said), said
    assert not Path("/dev/mapper/cache").exists()
run("mkfs.ext4", "-q", "-L", "plain", f"{VDA}2")
said = stage([volume("plain", f"{VDA}2")], [], table, fails=True)
assert 'holds ext4 "plain"' in said and "wipeVolume" in said, said
run("cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations=1000", "--key-file", "-", VDB, input=KEY)
said = stage([volume("old", VDB)], fails=True)
assert "LUKS1" in said, said

# A filesystem inside that is not the wanted one, found before another disk is written.
said = stage([volume("cache", cache["device"], label="cache", discard=True), volume("old", VDB, wipeVolume=True)],
             [{**inside, "format": "xfs"}], table, fails=True)
assert "holds ext4" in said, said
assert "crypto_LUKS" in run("blkid", "-p", VDB).stdout

# Open under another name, or its name taken: said before anything is written.
run("cryptsetup", "open", "--key-file", "-", f"{VDA}1", "theirs", input=KEY)
before = written()
said = stage([cache, volume("old", VDB, wipeVolume=True)], [inside], table, fails=True)
assert "open already, as theirs" in folded(said), said
close("theirs")
run("cryptsetup", "open", "--key-file", "-", f"{VDA}1", "old", input=KEY)
said = stage([volume("old", VDB, wipeVolume=True)], fails=True)
assert "/dev/mapper/old is open already" in folded(said), said
assert written() == before
close("old")

# wipeVolume; a key that is made up, found again in the same boot, and lost with it.
stage([volume("new", VDB, key="", wipeVolume=True)], [ext4("/dev/disk/by-id/dm-name-new", "n")])
assert Path("/run/firstlight/luks-new.key").stat().st_size == 8192
made = run("cryptsetup", "luksUUID", VDB).stdout
stage([volume("new", VDB, key="", wipeVolume=True)], [ext4("/dev/mapper/new", "n")], again=True)
assert run("cryptsetup", "luksUUID", VDB).stdout == made, "tried again, the stage wiped what it had just made"
close("new")
assert "no key" in stage([volume("new", VDB, key="")], fails=True)

# The noise that a new volume shows is nobody's, until somebody has encrypted something in it.
run("wipefs", "-qa", VDB)
stage([volume("raw", VDB)])
with open("/dev/mapper/raw", "rb") as device:
    assert not any(device.read(1 << 20)) and any(device.read(1 << 20))
run("dd", "if=/dev/urandom", "of=/dev/mapper/raw", "bs=1M", "count=1", "conv=fsync")
close("raw")
said = stage([volume("raw", VDB)], [ext4("/dev/mapper/raw", "n")], fails=True)
assert "/dev/mapper/raw reads like noise" in folded(said), said
run("cryptsetup", "open", "--key-file", "-", VDB, "raw", input=KEY)
run("dd", "if=/dev/zero", "of=/dev/mapper/raw", "bs=1M", "count=1", "conv=fsync")
close("raw")
stage([volume("raw", VDB)], [ext4("/dev/mapper/raw", "n")])
close("raw")
run("wipefs", "-qa", VDB)
run("blkdiscard", "-z", VDB)
stage([volume("new", VDB, key="", wipeVolume=True)])
close("new")

# A header without keys is somebody's all the same: there may be a copy of its key elsewhere.
run("cryptsetup", "luksKillSlot", "-q", VDB, "0")
assert "key slots are all empty" in stage([volume("new", VDB)], [ext4("/dev/mapper/new", "n")], fails=True)
stage([volume("new", VDB, wipeVolume=True)], [ext4("/dev/mapper/new", "n")])
close("new")

# A reencryption that was not finished is told with the way to go on with it.
run("cryptsetup", "luksFormat", "-q", *CHEAP_KEY, "--key-file", "-", VDB, input=KEY)
run("cryptsetup", "reencrypt", "--init-only", "-q", *CHEAP_KEY, "--key-file", "-", VDB, input=KEY)
said = folded(stage([volume("half", VDB)], fails=True))
assert "holds a LUKS2 volume whose reencryption was not finished" in said and "--resume-only" in said, said

# A damaged header is told as one, and its repair is named before what would destroy it.
run("cryptsetup", "luksFormat", "-q", *CHEAP_KEY, "--key-file", "-", VDB, input=KEY)
for copy in (0, 16384):
    run("dd", "if=/dev/urandom", f"of={VDB}", "bs=512", f"seek={(copy + 4096) // 512}", "count=8", "conv=notrunc")
said = stage([volume("hurt", VDB)], fails=True)
assert "holds a LUKS2 volume whose header cannot be read" in folded(said) and "cryptsetup repair" in folded(said), said
