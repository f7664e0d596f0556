#!/usr/bin/python3
# disks: 2x1G virtio
# init: udev
# limit: 600
"""LUKS volumes that Clevis opens: bound to a real tang and a TPM, opened by them again, left alone without them."""
import json
import subprocess
import time
from pathlib import Path

from guestlib import CHEAP_KEY, DISKS, close, configure, disks_stage, folded, held, plan, put, run, stages, written

VDA, VDB = DISKS
URL = "http://127.0.0.1:8081"


def boot(luks, filesystems=(), fails=False):
    """The stages up to the disks, in a new boot."""
    return folded(disks_stage({"luks": luks, "filesystems": filesystems}, fails=fails))


def refused(luks, filesystems=()):
    configure(storage={"luks": luks, "filesystems": filesystems})
    return plan(1)


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
    # The one above is as a user gets it by default.
    {"name": "both", "device": VDB, "clevis": {"tpm2": True, "tang": [tang], "threshold": 2}, "options": CHEAP_KEY},
]
filesystems = [{"device": f"/dev/mapper/{volume['name']}", "format": "ext4", "label": volume["name"]}
               for volume in volumes]

# From blank; clevis itself, which shares no code with the token's writing, reads and opens what was made.
boot(volumes, filesystems)
assert "sss" in run("clevis", "luks", "list", "-d", VDA).stdout
dump = run("cryptsetup", "luksDump", VDA).stdout
assert dump.count(": luks2\n") == 1 and ": clevis\n" in dump, dump
assert "key" not in " ".join(path.name for path in Path("/run/firstlight").iterdir()), "a key lies in /run"
for volume in volumes:
    put(f"/dev/mapper/{volume['name']}", volume["name"])
close("net", "both")
run("clevis", "luks", "unlock", "-d", VDB, "-n", "both")
close("both")

# At the next boot: opened again, nothing made; the real root is told, and has no key.
before = written()
boot(volumes, filesystems)
assert written() == before, f"{written() - before} sectors were written where all was there"
for volume in volumes:
    assert held(f"/dev/mapper/{volume['name']}") == volume["name"]
Path("/sysroot/etc").mkdir(parents=True)
stages("files")
lines = Path("/sysroot/etc/crypttab").read_text().splitlines()
uuid = run("cryptsetup", "luksUUID", VDA).stdout.strip()
assert lines[0] == f"net UUID={uuid} none luks,_netdev,x-initrd.attach" and len(lines) == 2, lines
assert not Path("/sysroot/etc/luks").exists()
close("net", "both")

# After a rotation of the server's keys a binding that opens nothing may stay beside one of the same policy that does.
slot = run("clevis", "luks", "list", "-d", VDA).stdout.split(":")[0]
passphrase = run("clevis", "luks", "pass", "-d", VDA, "-s", slot).stdout
run("clevis", "luks", "bind", "-f", "-y", "-d", VDA, "-k", "-", "sss",
    json.dumps({"t": 1, "pins": {"tang": [{"url": URL, "thp": thumbprint}]}}), input=passphrase)
stale = json.loads(run("cryptsetup", "token", "export", "--token-id", "0", VDA).stdout)
stale["jwe"]["tag"] = "A" * len(stale["jwe"]["tag"])
run("cryptsetup", "token", "remove", "--token-id", "0", VDA)
run("cryptsetup", "token", "import", "--token-id", "0", VDA, input=json.dumps(stale))
boot(volumes[:1], filesystems[:1])
assert held("/dev/mapper/net") == "net"
close("net")

# Another binding than the config's, or one that is not there: said, untouched.
said = refused([{**volumes[0], "clevis": {"tpm2": True}}])
bound = f"1 of tang {URL}"
assert f"bound to {bound} and to {bound}; the config wants 1 of tpm2" in " ".join(said.split()), said
said = refused([{"name": "net", "device": VDA, "keyFile": {"source": "data:,x"}}])
assert 'the key of "net" does not open' in said, said
server.terminate()
server.wait()
said = refused(volumes, filesystems)
assert f"its Clevis binding to 1 of tang {URL} does not open" in said, said
assert f"2 of tang {URL}, tpm2 does not open" in said, said

# To make one, its server must answer, and that is seen before anything is written.
custom = {**volumes[0], "wipeVolume": True,
          "clevis": {"custom": {"pin": "tang", "config": json.dumps({"url": URL, "thp": thumbprint})}}}
said = boot([custom], fails=True)
assert "binding the LUKS volume net" in said, said

# A key of the config's own stays beside the binding; a pin that clevis has and the config only names.
server = serve()
boot([{**custom, "keyFile": {"source": "data:,secret"}, "options": CHEAP_KEY}])
close("net")
run("cryptsetup", "open", "--test-passphrase", "--key-file", "-", VDA, input="secret")
run("clevis", "luks", "unlock", "-d", VDA, "-n", "net")
close("net")
module.terminate()
server.terminate()
