#!/usr/bin/python3
# disks: 1x1G virtio
# init: systemd
# processors: 2
# limit: 900
"""The agent as `ignition`: the units of Debian's dracut module run it stage by stage, and it leaves what Debian's own
Ignition leaves: on the disk, in the root, in the state. What is meant to differ is told where it is compared.

With $ORACLE it is Debian's Ignition that runs, once, and what it leaves is recorded.
"""
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import guestlib
from guestlib import AGENT

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import account_cases  # noqa: E402
import file_trees  # noqa: E402
import oracles  # noqa: E402

DISK = guestlib.DISKS[0]
ORACLE = "drop-in"
MODULE = Path("/usr/lib/dracut/modules.d/30ignition")
PROGRAM, ROOT, LOWER, UPPER = Path("/usr/bin/ignition"), Path("/sysroot"), Path("/run/lower"), Path("/run/upper")
FOLDERS = [Path("/run/ignition"), Path("/etc/ignition"), Path("/usr/lib/ignition")]
STAGES = ["fetch-offline", "fetch", "kargs", "disks", "mount", "files"]


def run(*words):
    return guestlib.run(*words).stdout


def config(**storage):
    return {"ignition": {"version": "3.3.0"}, **storage}


USER = config(
    storage={
        "disks": [{"device": DISK, "wipeTable": True, "partitions": [
            {"label": "data", "number": 1, "sizeMiB": 300}, {"label": "vault", "number": 2, "sizeMiB": 100}]}],
        "luks": [{"name": "vault", "device": "/dev/disk/by-partlabel/vault", "options": guestlib.CHEAP_KEY, "wipeVolume": True}],
        "filesystems": [
            {"device": "/dev/disk/by-partlabel/data", "format": "ext4", "label": "data", "path": "/srv/data/deep"},
            {"device": "/dev/mapper/vault", "format": "ext4", "label": "vault", "path": "/home/core"}],
        "directories": [{"path": "/opt/folder", "mode": 0o750}],
        "files": [{"path": "/etc/drop-in", "mode": 0o640, "contents": {"source": "data:,user"}},
                  {"path": "/srv/data/deep/inside", "contents": {"source": "data:,inside"}},
                  {"path": "/etc/hostname", "overwrite": True, "contents": {"source": "data:,drop-in"}},
                  {"path": "/etc/issue", "append": [{"source": "data:,more"}]}],
        "links": [{"path": "/etc/drop-in-link", "target": "drop-in"}]},
    passwd={"groups": [{"name": "wheelers", "gid": 1500}],
            "users": [{"name": "core", "uid": 1500, "groups": ["wheelers"], "sshAuthorizedKeys": ["ssh-ed25519 A a"]}]},
    systemd={"units": [{"name": "drop-in.service", "enabled": True, "contents": "[Service]\nExecStart=/bin/true\n"
                        "[Install]\nWantedBy=multi-user.target\n"},
                       {"name": "cron.service", "mask": True},
                       {"name": "ssh.service", "dropins": [{"name": "a.conf", "contents": "[Service]\nNice=1\n"}]}]},
    kernelArguments={"shouldExist": ["quiet", "a b"], "shouldNotExist": ["debug"]})
BASE = config(storage={"files": [{"path": "/etc/drop-in", "mode": 0o600, "contents": {"source": "data:,base"}},
                                 {"path": "/etc/base-alone", "contents": {"source": "data:,base"}}]})

# The root before, with a policy: Debian's build takes a target without one for a fault.
TARGET = {
    "/etc": "dir 755 0:0", "/etc/hostname": "file 644 0:0 host\n", "/etc/issue": "file 644 0:0 Debian\n",
    "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/bash\n", "/etc/shadow": "file 640 0:42 root:*:19000:0:99999:7:::\n",
    "/etc/group": "file 644 0:0 root:x:0:\nshadow:x:42:\n", "/etc/gshadow": "file 640 0:42 root:*::\nshadow:*::\n",
    "/etc/subuid": "file 644 0:0 ", "/etc/subgid": "file 644 0:0 ", "/etc/login.defs": f"file 644 0:0 {account_cases.LOGIN_DEFS}",
    "/etc/skel": "dir 755 0:0", "/etc/skel/.profile": "file 644 0:0 profile\n",
    "/etc/systemd": "dir 755 0:0", "/etc/systemd/system": "dir 755 0:0",
    "/etc/selinux": "dir 755 0:0", "/etc/selinux/config": "file 644 0:0 SELINUXTYPE=test\n",
    "/etc/selinux/test": "dir 755 0:0", "/etc/selinux/test/contexts": "dir 755 0:0",
    "/etc/selinux/test/contexts/files": "dir 755 0:0",
    "/etc/selinux/test/contexts/files/file_contexts": "file 644 0:0 /.* system_u:object_r:root_t:s0\n",
    "/home": "dir 755 0:0", "/opt": "dir 755 0:0", "/srv": "dir 755 0:0", "/var": "dir 755 0:0", "/var/log": "dir 755 0:0",
}


def install():
    """The module's units as they are, but that a failure stays the test's to tell."""
    units = Path("/etc/systemd/system")
    for file in [*MODULE.glob("ignition-*.service"), *MODULE.glob("ignition-*.target")]:
        text = re.sub(r"(?m)^OnFailure.*\n", "", file.read_text())
        (units / file.name).write_text(text)
    shutil.copy(MODULE / "99-xx-ignition-systemd-cryptsetup.rules", "/etc/udev/rules.d")
    run("udevadm", "control", "--reload")
    run("systemctl", "daemon-reload")
    program("/usr/sbin/setfiles", "cat >/dev/null")
    program("/usr/sbin/ignition-kargs-helper", 'printf "%s\\n" "$@" >/run/kernel-arguments')
    # Now that systemd and its generators have started as in a real root.
    Path("/etc/initrd-release").write_text("ID=test\n")


def program(path, line):
    path = Path(path)
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def journal(cursor, *fields):
    """What Ignition told since then: the fields of those entries that have them all."""
    words = ["journalctl", "-o", "json", f"--after-cursor={cursor}", "_COMM=ignition"]
    text = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    entries = [json.loads(line) for line in text.splitlines()]
    return [[entry[field] for field in fields] for entry in entries if all(field in entry for field in fields)]


def here():
    return re.search("-- cursor: (.*)", run("journalctl", "-n0", "--show-cursor")).group(1)


def fresh(program):
    guestlib.settle()
    for path in [Path("/run/ignition.json"), *FOLDERS[:2]]:
        subprocess.run(["rm", "-rf", str(path)], check=True)
    for path in (LOWER, UPPER):
        subprocess.run(["rm", "-rf", str(path)], check=True)
    for path in (LOWER, UPPER / "upper", UPPER / "work"):
        path.mkdir(parents=True)
    file_trees.ROOT = LOWER
    file_trees.make(TARGET)
    ROOT.mkdir(exist_ok=True)
    run("mount", "-t", "overlay", "-o", f"lowerdir={LOWER},upperdir={UPPER}/upper,workdir={UPPER}/work", "root", ROOT)
    run("wipefs", "-aq", DISK)
    PROGRAM.unlink(missing_ok=True)
    shutil.copy(program, PROGRAM)
    (FOLDERS[2] / "base.d").mkdir(parents=True, exist_ok=True)
    (FOLDERS[2] / "base.d/10-base").write_text(json.dumps(BASE))
    with guestlib.command_line(f"console=ttyS0 {guestlib.FIRST_BOOT}"):
        run(MODULE / "ignition-generator", "units")
    assert Path("/run/ignition.env").read_text() == "PLATFORM_ID=metal\n"


def start(stage):
    """Whether the unit did it; one whose conditions are not met does nothing and is fine."""
    return subprocess.run(["systemctl", "restart", f"ignition-{stage}.service"]).returncode == 0


def stages(user):
    (FOLDERS[2] / "user.ign").write_text(json.dumps(user))
    for stage in STAGES:
        assert start(stage), run("journalctl", "-o", "cat", "-n60", "-u", f"ignition-{stage}.service")


def end():
    run("systemctl", "stop", "ignition-mount.service")
    mounted = Path("/proc/self/mounts").read_text()
    assert f"{ROOT}/srv/data" not in mounted and f"{ROOT}/home/core" not in mounted, mounted
    run("systemctl", "stop", *[f"ignition-{stage}.service" for stage in STAGES])


def tree():
    """What was changed in the root: mode, owner and content of each file."""
    found = {}
    for path in sorted((UPPER / "upper").rglob("*")):
        status, name = path.lstat(), "/" + str(path.relative_to(UPPER / "upper"))
        kind = stat.S_IFMT(status.st_mode)
        content = (os.readlink(path) if kind == stat.S_IFLNK
                   else file_trees.content(path) if kind == stat.S_IFREG else "")
        # A group without a password: 2.14 gives groupadd "*", newer releases nothing.
        if path.name in ("vault", "crypttab", "gshadow", "gshadow-", ".ignition-result.json"):
            content = "made up, or looked at elsewhere"
        found[name] = f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {content}"
    return found


def disk():
    """Everything but what is made up: table, signatures, and the volume's own properties."""
    table = run("sfdisk", "--dump", DISK)
    lines = [re.sub(r"uuid=[^,]*", "", line) for line in table.splitlines() if "start=" in line]
    found = [run("blkid", "-p", "-s", "TYPE", "-s", "LABEL", device)
             for device in (f"{DISK}1", f"{DISK}2", "/dev/mapper/vault")]
    dump = run("cryptsetup", "luksDump", f"{DISK}2")
    return lines, found, re.findall(r"(?m)^\s+(?:PBKDF|Hash|Iterations|cipher):.*$", dump)


def one(program):
    fresh(program)
    cursor = here()
    stages(USER)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    cache, state = Path("/run/ignition.json"), Path("/run/ignition/state")
    result = ROOT / "etc/.ignition-result.json"
    key = (ROOT / "etc/luks/vault").read_bytes()
    subprocess.run(["cryptsetup", "open", "--test-passphrase", "--key-file", "-", f"{DISK}2"], input=key, check=True)
    crypttab = (ROOT / "etc/crypttab").read_text()
    assert run("cryptsetup", "luksUUID", f"{DISK}2").strip() in crypttab
    seen = {
        "inside": [Path(ROOT, name).read_text() for name in
                   ("srv/data/deep/inside", "home/core/.ssh/authorized_keys.d/ignition")],
        "accounts": [line for name in ("passwd", "group") for line in (ROOT / "etc" / name).read_text().splitlines()
                     if re.match("core|wheelers", line)],
        "kernel arguments": Path("/run/kernel-arguments").read_text(),
        "crypttab": re.sub("UUID=[^ ]*", "", crypttab),
        "disk": disk(), "tree": tree(), "state": json.loads(state.read_text()),
        "result": {**json.loads(result.read_text().replace(boot, "this boot")), "provisioningDate": ""},
        "modes": [oct(path.stat().st_mode & 0o7777) for path in (state, state.parent, result, cache)],
        "configs": journal(cursor, "IGNITION_CONFIG_TYPE", "IGNITION_CONFIG_SRC", "IGNITION_CONFIG_REFERENCED",
                           "MESSAGE_ID"),
        "keys": journal(cursor, "IGNITION_USER_NAME", "IGNITION_PATH", "MESSAGE_ID"),
        "worst": min(priority for priority, in journal(cursor, "PRIORITY")),
    }
    end()
    run("cryptsetup", "close", "vault")
    run("umount", ROOT)
    # As in a record: in JSON's words, and whatever the disk is called here.
    return json.loads(json.dumps(seen).replace(DISK, "@a"))


def as_case():
    return json.loads(json.dumps({"user": USER, "base": BASE, "target": TARGET, "stages": STAGES}).replace(DISK, "@a"))


def side_by_side():
    theirs = oracles.load(ORACLE, oracles.ENGINE, {"first-boot": as_case()})["first-boot"]
    ours = one(AGENT)
    # A newer release than Debian's has volumes closed after the real root has stopped, and more members in its state.
    assert ours.pop("crypttab") == "vault  /etc/luks/vault luks,x-initrd.attach\n"
    theirs.pop("crypttab")
    for name in ("providerOutputFiles", "luksPersistVolumeKeyFiles"):
        assert ours["state"].pop(name) is None
    # For the later stages: which devices the disks stage has prepared, whatever a name leads to by then.
    assert ours["state"].pop("firstlightNodes") == {
        "/dev/disk/by-partlabel/data": "@a1", "/dev/disk/by-partlabel/vault": "@a2",
        "/dev/mapper/vault": "/dev/mapper/vault"}
    # Ours lets nobody else read the cache, which may hold secrets.
    assert ours["modes"].pop() == "0o600" and theirs["modes"].pop() == "0o640"
    wrong = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
    for name, (mine, record) in wrong.items():
        if isinstance(mine, dict):
            wrong[name] = {key: (mine.get(key), record.get(key)) for key in mine.keys() | record.keys()
                           if mine.get(key) != record.get(key)}
    assert not wrong, json.dumps(wrong)
    assert len(ours["configs"]) == 2 and len(ours["keys"]) == 1 and ours["worst"] > "3", ours


def network_and_failure():
    """The network is asked for by the first stage and had by the second. A failure is critical, and tells no secret."""
    fresh(AGENT)
    served = Path("served")
    served.mkdir()
    (served / "more.ign").write_text(json.dumps(config(storage={"files": [
        {"path": "/etc/fetched", "contents": {"source": "http://127.0.0.1:8000/more.ign"}}]})))
    server = subprocess.Popen(["python3", "-m", "http.server", "--bind", "127.0.0.1", "8000"], cwd=served)
    remote = {"ignition": {"version": "3.3.0", "config": {"merge": [{"source": "http://127.0.0.1:8000/more.ign"}]}}}
    (FOLDERS[2] / "user.ign").write_text(json.dumps(remote))
    assert start("fetch") and not Path("/run/ignition.json").exists(), "fetched although nobody asked for the network"
    assert start("fetch-offline") and Path("/run/ignition/neednet").exists()
    assert not Path("/run/ignition.json").exists()
    assert start("fetch") and Path("/run/ignition.json").exists()
    assert start("files") and (ROOT / "etc/fetched").read_bytes() == (served / "more.ign").read_bytes()
    server.kill()

    cursor = here()
    (FOLDERS[2] / "base.d/10-base").write_text('{"ignition": {"version": "3.3.0"}, "passwd": "secret"}')
    assert not start("disks"), "a base config that is none was passed over"
    critical = [text for text, priority in journal(cursor, "MESSAGE", "PRIORITY") if priority == "2"]
    assert critical[-1].startswith("Ignition failed: ") and "10-base" in critical[-1], critical
    assert "secret" not in run("journalctl", "-o", "cat", f"--after-cursor={cursor}", "-u", "ignition-disks.service")


def clear():
    """Nothing of this is there for the tests after this one."""
    for stage in reversed(STAGES):
        subprocess.run(["systemctl", "stop", f"ignition-{stage}.service"])
    subprocess.run(["cryptsetup", "close", "vault"], stderr=subprocess.DEVNULL)
    subprocess.run(["umount", "-R", str(ROOT)], stderr=subprocess.DEVNULL)
    for path in ("/usr/sbin/setfiles", "/usr/sbin/ignition-kargs-helper", "/etc/initrd-release",
                 "/run/ignition.json", "/run/ignition.env", PROGRAM, *FOLDERS):
        subprocess.run(["rm", "-rf", str(path)], check=True)


try:
    install()
    if "ORACLE" in os.environ:
        oracles.leave(ORACLE, oracles.ENGINE, {"first-boot": as_case()}, {"first-boot": one(oracles.ENGINE)})
    else:
        side_by_side()
        network_and_failure()
finally:
    clear()
