"""`plan`: exit status and text tell what would be done to disks and to a system below --root; nothing is written."""
import hashlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path

import disk_cases
import disk_images
import disk_runs
from loops import Loop

SCRATCH = disk_runs.enter("host", sys.argv[1])
os.chdir(SCRATCH)
ROOT = SCRATCH / "root"
IMAGE = SCRATCH / "image"
ignition = SCRATCH / "ignition"
ignition.symlink_to(disk_runs.AGENT)


def agent(*words, program=disk_runs.AGENT) -> "tuple[int, str]":
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def everything() -> str:
    """A digest of the disk and of all that is below the root: contents, owners, modes, times."""
    loop.flush()
    found = hashlib.sha256(disk_images.digest(IMAGE).encode())
    for path in sorted(ROOT.rglob("*")):
        status = path.lstat()
        found.update(f"{path} {status.st_mode} {status.st_uid} {status.st_gid} {status.st_mtime_ns}".encode())
        found.update(os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b"")
    return found.hexdigest()


def plan(status: int, *words: str) -> str:
    Path("config").write_text(json.dumps(config))
    before = everything()
    got, said = agent("plan", "--config", "config", *words)
    print(f"$ plan {' '.join(words)}\n{said}", flush=True)
    assert got == status, f"exit status {got}, wanted {status}"
    assert everything() == before, "plan wrote something"
    return said


def contains(said: str, *patterns: str) -> None:
    for pattern in patterns:
        assert re.search(pattern, said, re.M), f"nothing says {pattern}"


def carry_out() -> None:
    for name in ("disks", "files"):
        status, said = agent(f"--stage={name}", "--platform=metal", f"--root={ROOT}", "--config-cache=config",
                             "--log-to-stdout", program=str(ignition))
        assert status == 0, said


for folder in ("etc/systemd/system", "srv"):
    (ROOT / folder).mkdir(parents=True)
(ROOT / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/sh\n")
(ROOT / "etc/group").write_text("root:x:0:\ncore:x:1000:\n")
(ROOT / "etc/motd").write_text("old\n")
(ROOT / "srv/letters").write_text("dear\n")
disk_cases.build({"size": 64, "gpt": [{"number": 1, "start": 1, "size": 20, "label": "one", "holds": "ext4:backup"}]},
                 IMAGE, 512, SCRATCH, {})
loop = Loop(IMAGE, 512)
scan = disk_runs.PartitionScan(loop, IMAGE)
new = f"{loop.path}p2"
config = {
    "ignition": {"version": "3.4.0"},
    "storage": {
        "disks": [{"device": loop.path, "partitions": [{"number": 1, "label": "one"}, {"number": 2, "label": "two"}]}],
        "filesystems": [{"device": f"{loop.path}p1", "format": "ext4"}, {"device": new, "format": "swap"}],
        "files": [{"path": "/etc/motd", "overwrite": True, "mode": 420, "contents": {"source": "data:,new"}},
                  {"path": "/etc/other", "mode": 384, "user": {"name": "core"}, "contents": {"source": "data:,a"}}],
        "directories": [{"path": "/var/lib/things", "mode": 493}],
        "links": [{"path": "/etc/link", "target": "/etc/motd"}]},
    "systemd": {"units": [{"name": "a.service", "enabled": True,
                           "contents": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"}]},
}

said = plan(2, "--root", str(ROOT))
contains(said, r'ext4 "backup".*keep', "swap +create", "writing /etc/motd", "making the directory /var/lib/things",
         "linking /etc/link", "a.service", "nothing destroyed")
assert "/etc/motd" not in plan(2), "without --root the files count for nothing"
found = json.loads(plan(2, "--json", "--root", str(ROOT)))
assert found["files"]["destroyed"] == [] and found["destroyed"] == []
assert any(change["what"] == "writing /etc/other" for change in found["files"]["changes"]), found["files"]

carry_out()
said = plan(0, "--root", str(ROOT))
contains(said, r"keep /etc/motd", r"0 changes")
assert json.loads(plan(0, "--json"))["created"] == 0

config["storage"]["directories"].append({"path": "/srv", "overwrite": True})
contains(plan(3, "--root", str(ROOT)), "^DESTROY +/srv and what is in it")
plan(0)
config["storage"]["filesystems"][0]["wipeFilesystem"] = True
contains(plan(3), r'^DESTROY +\S+p1 ext4 "backup"')
config["storage"]["filesystems"][0] = {"device": f"{loop.path}p1", "format": "xfs"}
contains(plan(1), "holds ext4", "wipeFilesystem")

# Conflicts with files are told to programs one by one; a root that is not there is not an empty one.
config["storage"] = {"files": [{"path": path, "contents": {"source": "data:,other"}} for path in ("/etc/motd", "/srv/letters")]}
Path("config").write_text(json.dumps(config))
done = subprocess.run([disk_runs.AGENT, "plan", "--json", "--config", "config", "--root", str(ROOT)], capture_output=True)
conflicts = json.loads(done.stdout)["conflicts"]
assert done.returncode == 1 and [conflict["path"] for conflict in conflicts] == ["/etc/motd", "/srv/letters"], done
assert all("storage.files" in conflict["place"] for conflict in conflicts), conflicts
contains(plan(1, "--root", str(ROOT)), "in 2 places", "^  /etc/motd is there with other content", "^  /srv/letters is there")
for nowhere in ("nowhere", str(IMAGE)):
    contains(plan(1, "--root", nowhere), "cannot look into")

# What does not reach whoever reads is not taken for printed.
with open("/dev/full", "w") as full:
    done = subprocess.run([disk_runs.AGENT, "arguments"], stdout=full, stderr=subprocess.PIPE, text=True)
assert done.returncode == 1 and "cannot write to standard output" in done.stderr, done

# A server that does not answer is asked for ever, and the console is told whose answer is missing.
with socket.socket() as closed:
    closed.bind(("127.0.0.1", 0))
    config["ignition"]["config"] = {"merge": [{"source": f"http://127.0.0.1:{closed.getsockname()[1]}/c.ign"}]}
    Path("config").write_text(json.dumps(config))
    waiting = subprocess.Popen([disk_runs.AGENT, "plan", "--config", "config"], stderr=subprocess.PIPE, text=True)
    try:
        line = waiting.stderr.readline()
    finally:
        waiting.kill()
        waiting.wait()
    assert "/c.ign: " in line and "cannot connect" in line, line
del config["ignition"]["config"]
config["storage"] = {"filesystems": [{"device": new, "format": "swap"}]}

# On a terminal it has colours.
Path("config").write_text(json.dumps(config))
screen = bytearray()


def read(descriptor: int) -> bytes:
    data = os.read(descriptor, 4096)
    screen.extend(data)
    return data


pty.spawn([disk_runs.AGENT, "plan", "--config", "config"], read, lambda descriptor: b"")
assert b"\x1b[32m" in screen, bytes(screen)
assert "\x1b" not in plan(0), "colours without a terminal"
scan.end()
loop.detach()
