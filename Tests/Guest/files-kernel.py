#!/usr/bin/python3
# disks: 2x64M virtio
# init: udev
# limit: 90
"""The files stage on the kernel that machines boot: an overlay over a squashfs, with the config's ext4 and vfat
mounted below it, over three boots. What is appended to stays so where the filesystem keeps a record and where it
cannot; what hangs on a file is still on it; a folder of the image gives way. All other cases are in
Tests/Harness/files_stage.py."""
import os
import subprocess
from pathlib import Path

from guestlib import AGENT, CONFIG, DISKS, STATE, command_line, configure, forget, run

EXT4, VFAT = DISKS
ROOT = Path("/sysroot")
RECORD = "trusted.firstlight.appended"
PLACES = {"/var": "ext4", "/boot": "vfat"}
# capabilities(7): CAP_NET_RAW permitted; acl(5): u::rw,u:5:r,g::r,m::r,o::-
ATTRIBUTES = {
    "security.capability": bytes.fromhex("0000000200200000000000000000000000000000"),
    "system.posix_acl_access": bytes.fromhex("0200000001000600ffffffff020004000500000004000400ffffffff"
                                             "10000400ffffffff20000000ffffffff"),
    "security.selinux": b"system_u:object_r:var_log_t:s0\0", "user.mine": b"kept",
}


def image():
    """A root as an image has it, with a folder that the config replaces."""
    root = Path("image")
    for folder in ("etc", "usr/share/doc/old"):
        (root / folder).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/motd").write_text("image\n")
    (root / "usr/share/doc/old/text").write_text("old\n")
    run("mksquashfs", root, "image.squashfs", "-quiet", "-no-progress")


def boot(append):
    """One boot up to the hand-over, on a root that is new; what of it persisted is on the disks."""
    forget()
    for name in ("lower", "overlay"):
        (STATE / name).mkdir(parents=True)
    run("mount", "-o", "loop,ro", "image.squashfs", STATE / "lower")
    run("mount", "-t", "tmpfs", "-o", "mode=0700", "firstlight", STATE / "overlay")
    for name in ("upper", "work"):
        (STATE / "overlay" / name).mkdir()
    layers = f"lowerdir={STATE}/lower,upperdir={STATE}/overlay/upper,workdir={STATE}/overlay/work,xino=on"
    run("mount", "-t", "overlay", "-o", layers, "firstlight", ROOT)
    configure(storage={
        "filesystems": [{"device": device, "format": PLACES[path], "path": path}
                        for device, path in ((EXT4, "/var"), (VFAT, "/boot"))],
        "directories": [{"path": "/usr/share/doc", "overwrite": True}],
        "links": [{"path": "/etc/issue", "target": "/etc/motd", "hard": True}],
        "files": [{"path": f"{place}/{name}", **more} for place in PLACES for name, more in {
            "log": {"append": [{"source": f"data:,{line}%0A"} for line in append]},
            "whole": {"contents": {"source": "data:,whole"}}}.items()]})
    for name in ("fetch", "disks", "mount", "files"):
        run(AGENT, "stage", name)
    assert not any((ROOT / "usr/share/doc").iterdir())
    assert os.path.samefile(ROOT / "etc/issue", ROOT / "etc/motd")
    return listing()


def listing():
    """Every file below the places: content, owner, mode, time, number, attributes."""
    found = {}
    for place in PLACES:
        for path in sorted((ROOT / place[1:]).iterdir()):
            if path.is_file():
                status = path.stat()
                found["/" + str(path.relative_to(ROOT))] = (
                    path.read_text(), status.st_uid, status.st_mode, status.st_mtime_ns, status.st_ino,
                    {name: os.getxattr(path, name) for name in os.listxattr(path)} if place != "/boot" else None)
    return found


def leave():
    run(AGENT, "stage", "umount")
    run("umount", ROOT, STATE / "overlay", STATE / "lower")


def main():
    image()
    ROOT.mkdir(exist_ok=True)
    first = boot(["one", "two"])
    assert all(first[f"{place}/log"][0] == "one\ntwo\n" for place in PLACES), first
    run(AGENT, "stage", "files")
    assert listing() == first, "once more in the same boot, it changed what it had made"
    # Somebody goes on writing where the record tells what is there; without one the end of the file has to.
    with open(ROOT / "var/log", "a") as log:
        log.write("grown\n")
    for name, value in ATTRIBUTES.items():
        os.setxattr(ROOT / "var/log", name, value)
    before = listing()
    leave()

    second = boot(["one", "two", "three"])
    for place in PLACES:
        text, user, mode, _, _, attributes = second[f"{place}/log"]
        assert text == f"one\ntwo\n{'grown' if place == '/var' else ''}\nthree\n".replace("\n\n", "\n"), (place, text)
        assert (user, mode) == before[f"{place}/log"][1:3], (place, oct(mode))
        assert second[f"{place}/whole"][:4] == before[f"{place}/whole"][:4], f"{place}/whole was written again"
    found = dict(second["/var/log"][5])
    assert found.pop(RECORD).count(b"\n") == 2, found
    assert found == ATTRIBUTES, found
    leave()

    third = boot(["one", "two", "three"])
    for path, entry in third.items():
        # A vfat's files have the numbers that the kernel gives them at that time.
        assert entry[:4] == second[path][:4] and entry[5] == second[path][5], (path, entry, second[path])
    leave()


try:
    with command_line():
        main()
finally:
    subprocess.run(["umount", "-R", ROOT], stderr=subprocess.DEVNULL)
    CONFIG.unlink(missing_ok=True)
