#!/usr/bin/python3
# disks: 2x1G virtio
# init: systemd
# limit: 600
"""LUKS volumes that Clevis opens: bound to a real tang and a TPM, opened by them again, left alone without them."""
import json
import os
import subprocess
import time
from pathlib import Path

AGENT = os.environ["AGENT"]
VDA, VDB = os.environ["DISK0"], os.environ["DISK1"]
URL = "http://127.0.0.1:8081"


def run(*words, check=True, **options):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    print(f"$ {' '.join(words)}\n{done.stdout}", flush=True)
    if check:
        assert done.returncode == 0, f"{words[0]} exited with {done.returncode}"
    return done


def written():
    run("sync")
    return sum(int(Path(f"/sys/block/{Path(disk).name}/stat").read_text().split()[6]) for disk in (VDA, VDB))


def configure(luks, filesystems):
    storage = {"luks": luks, "filesystems": filesystems}
    Path("/config.ign").write_text(json.dumps({"ignition": {"version": "3.4.0"}, "storage": storage}, indent=1))


def staged(*names):
    run("udevadm", "settle")
    Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal\n")
    run("mount", "--bind", "cmdline", "/proc/cmdline")
    try:
        return "".join(run(AGENT, "stage", name).stdout for name in names)
    finally:
        run("umount", "/proc/cmdline")


def plan(status):
    """What `plan` says; it writes nothing, and leaves nothing open."""
    before = written()
    said = run(AGENT, "plan", "--config", "/config.ign", check=False)
    assert said.returncode == status, f"plan exited with {said.returncode}"
    assert written() == before, f"plan wrote {written() - before} sectors"
    return " ".join(said.stdout.split())


def close(*names):
    run("udevadm", "settle")
    for name in names:
        run("cryptsetup", "close", name)


# A tang server, and a TPM that is a program.
keys = Path("tang")
keys.mkdir()
run("/usr/libexec/tangd-keygen", str(keys), "sig", "exc")
thumbprint = run("jose", "jwk", "thp", "-a", "S256", "-i", str(keys / "sig.jwk")).stdout.strip()


def serve():
    server = subprocess.Popen(["systemd-socket-activate", "-l", "127.0.0.1:8081", "-a", "--inetd",
                               "/usr/libexec/tangd", str(keys.resolve())], stderr=subprocess.DEVNULL)
    for _ in range(100):
        if subprocess.run(["curl", "-sf", "-o", "/dev/null", f"{URL}/adv"]).returncode == 0:
            return server
        time.sleep(0.2)
    raise AssertionError("tang does not answer")


server = serve()
run("modprobe", "tpm_vtpm_proxy")
Path("tpm").mkdir()
module = subprocess.Popen(["swtpm", "chardev", "--vtpm-proxy", "--tpm2", "--tpmstate", f"dir={Path('tpm').resolve()}"],
                          stdout=subprocess.DEVNULL)
for _ in range(100):
    if Path("/dev/tpmrm0").exists():
        break
    time.sleep(0.2)

tang = {"url": URL, "thumbprint": thumbprint}
volumes = [
    {"name": "net", "device": VDA, "label": "net", "clevis": {"tang": [tang], "threshold": 1}},
    {"name": "both", "device": VDB, "clevis": {"tpm2": True, "tang": [tang], "threshold": 2}},
]
filesystems = [{"device": f"/dev/mapper/{volume['name']}", "format": "ext4", "label": volume["name"]}
               for volume in volumes]

# From blank; clevis itself, which shares no code with the token's writing, reads and opens what was made.
configure(volumes, filesystems)
subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
staged("fetch", "disks")
assert "sss" in run("clevis", "luks", "list", "-d", VDA).stdout
dump = run("cryptsetup", "luksDump", VDA).stdout
assert dump.count(": luks2\n") == 1 and ": clevis\n" in dump, dump
assert "key" not in " ".join(path.name for path in Path("/run/firstlight").iterdir()), "a key lies in /run"
for volume in volumes:
    run("mount", f"/dev/mapper/{volume['name']}", "/mnt")
    Path("/mnt/data").write_text(volume["name"])
    run("umount", "/mnt")
close("net", "both")
run("clevis", "luks", "unlock", "-d", VDB, "-n", "both")
close("both")

# At the next boot: opened again, nothing made; the real root is told, and has no key.
subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
before = written()
staged("fetch", "disks")
assert written() == before, f"{written() - before} sectors were written where all was there"
for volume in volumes:
    run("mount", "-o", "ro", f"/dev/mapper/{volume['name']}", "/mnt")
    assert Path("/mnt/data").read_text() == volume["name"]
    run("umount", "/mnt")
Path("/sysroot/etc").mkdir(parents=True)
staged("files")
lines = Path("/sysroot/etc/crypttab").read_text().splitlines()
uuid = run("cryptsetup", "luksUUID", VDA).stdout.strip()
assert lines[0] == f"net UUID={uuid} none luks,_netdev,x-initrd.attach" and len(lines) == 2, lines
assert not Path("/sysroot/etc/luks").exists()
close("net", "both")

# Another binding than the config's, or one that is not there: said, untouched.
configure([{**volumes[0], "clevis": {"tpm2": True}}], [])
said = plan(1)
assert f"bound to 1 of tang {URL}; the config wants 1 of tpm2" in said, said
configure([{"name": "net", "device": VDA, "keyFile": {"source": "data:,x"}}], [])
assert 'the key of "net" does not open' in plan(1)
server.terminate()
server.wait()
configure(volumes, filesystems)
said = plan(1)
assert f"its Clevis binding to 1 of tang {URL} does not open" in said, said
assert f"2 of tang {URL}, tpm2 does not open" in said, said

# To make one, its server must answer, and that is seen before anything is written.
before = written()
configure([{**volumes[0], "wipeVolume": True,
            "clevis": {"custom": {"pin": "tang", "config": json.dumps({"url": URL, "thp": thumbprint})}}}], [])
run("mount", "--bind", "cmdline", "/proc/cmdline")
subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
run(AGENT, "stage", "fetch")
done = run(AGENT, "stage", "disks", check=False)
run("umount", "/proc/cmdline")
assert done.returncode != 0 and "binding the LUKS volume net" in " ".join(done.stdout.split()), done.stdout
assert written() == before, "a volume was touched that could not be bound"

# A key of the config's own stays beside the binding; a pin that clevis has and the config only names.
server = serve()
configure([{**volumes[0], "wipeVolume": True, "keyFile": {"source": "data:,secret"},
            "options": ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations=1000"],
            "clevis": {"custom": {"pin": "tang", "config": json.dumps({"url": URL, "thp": thumbprint})}}}], [])
subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
staged("fetch", "disks")
close("net")
run("cryptsetup", "open", "--test-passphrase", "--key-file", "-", VDA, input="secret")
run("clevis", "luks", "unlock", "-d", VDA, "-n", "net")
close("net")
module.terminate()
server.terminate()
