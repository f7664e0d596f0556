#!/usr/bin/python3
# disks: 1x1G virtio
# init: systemd
# limit: 900
"""The agent as `ignition`: the units of Debian's dracut module run it stage by stage, and it leaves what Debian's own
Ignition leaves: on the disk, in the root, in the state. What is meant to differ is told where it is compared."""
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

AGENT, DISK = os.environ["AGENT"], os.environ["DISK0"]
MODULE = Path("/usr/lib/dracut/modules.d/30ignition")
PROGRAM, ROOT, UPPER = Path("/usr/bin/ignition"), Path("/sysroot"), Path("/run/upper")
FOLDERS = [Path("/run/ignition"), Path("/etc/ignition"), Path("/usr/lib/ignition")]
STAGES = ["fetch-offline", "fetch", "kargs", "disks", "mount", "files"]
CHEAP = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]


def run(*words, check=True):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"$ {' '.join(map(str, words))}\n{done.stdout}", flush=True)
    if check:
        assert done.returncode == 0, f"{words[0]} exited with {done.returncode}"
    return done.stdout


def config(**storage):
    return {"ignition": {"version": "3.3.0"}, **storage}


USER = config(
    storage={
        "disks": [{"device": DISK, "wipeTable": True, "partitions": [
            {"label": "data", "number": 1, "sizeMiB": 300}, {"label": "vault", "number": 2, "sizeMiB": 100}]}],
        "luks": [{"name": "vault", "device": "/dev/disk/by-partlabel/vault", "options": CHEAP, "wipeVolume": True}],
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


def install():
    """The module's units as they are, but that a failure stays the test's to tell."""
    units = Path("/etc/systemd/system")
    for file in [*MODULE.glob("ignition-*.service"), *MODULE.glob("ignition-*.target")]:
        text = re.sub(r"(?m)^OnFailure.*\n", "", file.read_text())
        (units / file.name).write_text(text)
    shutil.copy(MODULE / "99-xx-ignition-systemd-cryptsetup.rules", "/etc/udev/rules.d")
    run("udevadm", "control", "--reload")
    run("systemctl", "daemon-reload")
    # Debian's build takes a target without SELinux for a fault.
    contexts = Path("/etc/selinux/test/contexts/files/file_contexts")
    contexts.parent.mkdir(parents=True)
    contexts.write_text("/.* system_u:object_r:root_t:s0\n")
    Path("/etc/selinux/config").write_text("SELINUXTYPE=test\n")
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
    run("udevadm", "settle")
    for path in [Path("/run/ignition.json"), *FOLDERS[:2]]:
        subprocess.run(["rm", "-rf", str(path)], check=True)
    subprocess.run(["rm", "-rf", str(UPPER)], check=True)
    for name in ("upper", "work"):
        (UPPER / name).mkdir(parents=True)
    ROOT.mkdir(exist_ok=True)
    run("mount", "-t", "overlay", "-o", f"lowerdir=/,upperdir={UPPER}/upper,workdir={UPPER}/work", "root", ROOT)
    run("wipefs", "-aq", DISK)
    PROGRAM.unlink(missing_ok=True)
    shutil.copy(program, PROGRAM)
    (FOLDERS[2] / "base.d").mkdir(parents=True, exist_ok=True)
    (FOLDERS[2] / "base.d/10-base").write_text(json.dumps(BASE))
    Path("cmdline").write_text("console=ttyS0 ignition.firstboot ignition.platform.id=metal\n")
    run("mount", "--bind", "cmdline", "/proc/cmdline")
    run(MODULE / "ignition-generator", "units")
    run("umount", "/proc/cmdline")
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
                   else hashlib.sha256(path.read_bytes()).hexdigest()[:12] if kind == stat.S_IFREG else "")
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
        "result": {**json.loads(result.read_text()), "provisioningDate": ""},
        "modes": [oct(path.stat().st_mode & 0o7777) for path in (state, state.parent, result, cache)],
        "configs": journal(cursor, "IGNITION_CONFIG_TYPE", "IGNITION_CONFIG_SRC", "IGNITION_CONFIG_REFERENCED",
                           "MESSAGE_ID"),
        "keys": journal(cursor, "IGNITION_USER_NAME", "IGNITION_PATH", "MESSAGE_ID"),
        "worst": min(priority for priority, in journal(cursor, "PRIORITY")),
    }
    end()
    run("cryptsetup", "close", "vault")
    run("umount", ROOT)
    # The same partitions are made again: what is in them now would be kept.
    run("wipefs", "-aq", f"{DISK}1", f"{DISK}2")
    return seen


def side_by_side():
    ours, theirs = one(AGENT), one(MODULE / "ignition")
    # A newer release than Debian's has volumes closed after the real root has stopped, and more members in its state.
    assert ours.pop("crypttab") == "vault  /etc/luks/vault luks,x-initrd.attach\n"
    theirs.pop("crypttab")
    for name in ("providerOutputFiles", "luksPersistVolumeKeyFiles"):
        assert ours["state"].pop(name) is None
    # Ours lets nobody else read the cache, which may hold secrets.
    assert ours["modes"].pop() == "0o600" and theirs["modes"].pop() == "0o640"
    wrong = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
    assert not wrong, json.dumps(wrong, indent=1)
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
    for path in ("/etc/selinux", "/usr/sbin/setfiles", "/usr/sbin/ignition-kargs-helper", "/etc/initrd-release",
                 "/run/ignition.json", "/run/ignition.env", PROGRAM, *FOLDERS):
        subprocess.run(["rm", "-rf", str(path)], check=True)


try:
    install()
    side_by_side()
    network_and_failure()
finally:
    clear()
