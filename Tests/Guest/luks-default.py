#!/usr/bin/python3
# disks: 3x256M virtio
# init: systemd
# processors: 2
# limit: 900
"""LUKS volumes with no options at all, so with cryptsetup's own key derivation on as many lanes as there are processors:
made and opened by the units, opened under the name `ignition`; one that `cryptsetup luksFormat` made is kept as well."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

AGENT = os.environ["AGENT"]
OURS, THEIRS, LARGE = (os.environ[f"DISK{number}"] for number in range(3))
KEY = "correct horse"
MOST = 4 << 20  # KiB: what libcryptsetup allows, and more than the guest has
UNITS = Path("/run/systemd/system")
DERIVED = "the key of a LUKS volume is derived"


def run(*words, check=True, **options):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)
    print(f"$ {' '.join(map(str, words))}\n{done.stdout}", flush=True)
    if check:
        assert done.returncode == 0, f"{words[0]} exited with {done.returncode}"
    return done.stdout


def volume(name, device):
    return {"name": name, "device": device, "keyFile": {"source": "data:," + KEY.replace(" ", "%20")}}


def config(*volumes):
    return {"ignition": {"version": "3.4.0"}, "storage": {
        "luks": list(volumes),
        "filesystems": [{"device": f"/dev/mapper/{one['name']}", "format": "ext4", "label": one["name"]}
                        for one in volumes]}}


def units(wanted):
    """The units of the dracut module, as they are, for one boot's fetch and disks stages."""
    subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
    Path("/config.ign").write_text(json.dumps(wanted))
    run("udevadm", "settle")
    for name in ("fetch", "disks"):
        run("systemctl", "restart", f"firstlight-{name}.service")
    log = Path("/run/firstlight/log").read_text()
    assert re.match(r"\d+\.\d{3} info ", log), log
    assert not re.search(r"\d\.\d{5}", log), "a number of many digits"
    return log


def ask_memory(device, kibibytes):
    """Has every key slot of a LUKS2 header say that it takes so much memory."""
    with open(device, "r+b") as disk:
        for start in (0, 16384):
            disk.seek(start)
            header = bytearray(disk.read(16384))
            text = header[4096:].rstrip(b"\0").replace(b'"memory":65536', b'"memory":%d' % kibibytes)
            header[4096:] = text.ljust(12288, b"\0")
            header[448:512] = bytes(64)
            header[448:480] = hashlib.sha256(header).digest()
            disk.seek(start)
            disk.write(header)


def refused(wanted):
    with open(LARGE, "rb") as disk:
        before = disk.read(64 << 20)
    subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
    Path("/config.ign").write_text(json.dumps(wanted))
    run("systemctl", "restart", "firstlight-fetch.service")
    assert subprocess.run(["systemctl", "restart", "firstlight-disks.service"]).returncode != 0
    said = " ".join(Path("/run/firstlight/log").read_text().split())
    assert re.search(r"takes 4(?:\.0)? GiB of RAM to derive, and [\d.]+ [GM]iB are free", said), said
    with open(LARGE, "rb") as disk:
        assert disk.read(64 << 20) == before, "the disk was written to"


def closed(*names):
    run("systemctl", "stop", "firstlight-disks.service", "firstlight-fetch.service")
    run("udevadm", "settle")
    for name in names:
        run("cryptsetup", "close", name)


def marked(name, text):
    """Keeps a text in the volume's filesystem, or finds it there."""
    run("mount", f"/dev/mapper/{name}", "/mnt")
    file = Path("/mnt/mark")
    if file.exists():
        assert file.read_text() == text
    else:
        file.write_text(text)
    run("umount", "/mnt")


def ours(after):
    return " ".join(name for name in after[0].split() if name.startswith("firstlight-"))


UNITS.mkdir(parents=True, exist_ok=True)
for file in Path(os.environ["TREE"], "dracut/50firstlight").glob("*.service"):
    # What dracut's own units do is done; a failure stays the test's to tell.
    text = re.sub(r"(?m)^(Wants|OnFailure|OnFailureJobMode)=.*\n", "", file.read_text())
    (UNITS / file.name).write_text(re.sub(r"(?m)(?<=^After=).*", ours, text))
# There is no root image, and no root of one.
for name in ("rootfs", "root"):
    (UNITS / f"firstlight-{name}.service").write_text(
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")
Path("/usr/bin/firstlight").unlink(missing_ok=True)
shutil.copy(AGENT, "/usr/bin/firstlight")
Path("/etc/initrd-release").write_text("ID=test\n")
run("systemctl", "daemon-reload")
Path("cmdline").write_text("ignition.firstboot ignition.platform.id=metal\n")
run("mount", "--bind", "cmdline", "/proc/cmdline")
try:
    # A volume of cryptsetup's own, by its defaults, with a filesystem that somebody uses.
    run("cryptsetup", "luksFormat", "--batch-mode", "--key-file", "-", THEIRS, input=KEY)
    run("cryptsetup", "open", "--key-file", "-", THEIRS, "theirs", input=KEY)
    run("mkfs.ext4", "-q", "-L", "theirs", "/dev/mapper/theirs")
    marked("theirs", "somebody's")
    run("cryptsetup", "close", "theirs")

    both = config(volume("ours", OURS), volume("theirs", THEIRS))
    units(both)
    dump = run("cryptsetup", "luksDump", OURS)
    assert re.search(r"PBKDF: +argon2id", dump) and re.search(r"Threads: +[2-9]", dump), dump
    marked("ours", "made by the units")
    marked("theirs", "somebody's")
    closed("ours", "theirs")

    said = units(both)
    assert "nothing destroyed" in said, said
    marked("ours", "made by the units")
    marked("theirs", "somebody's")
    # What the first look derives serves the second, in a process of its own; nothing of it is left.
    assert said.count(DERIVED) == 2, said
    assert not list(Path("/run/firstlight").glob("*.proven")), "a key is left"
    # What is open already is not proved once more.
    run("systemctl", "restart", "firstlight-disks.service")
    said = Path("/run/firstlight/log").read_text()
    assert said.count(DERIVED) == 2, said
    marked("ours", "made by the units")
    closed("ours", "theirs")

    # The same volumes under the name `ignition`.
    ignition = Path("ignition")
    ignition.symlink_to(AGENT)
    Path("cache").write_text(json.dumps(both))
    run(Path.cwd() / "ignition", "--stage=disks",
        "--platform=metal", "--root=/mnt", "--log-to-stdout", "--config-cache=cache", "--state-file=state")
    marked("ours", "made by the units")
    marked("theirs", "somebody's")
    for name in ("ours", "theirs"):
        run("cryptsetup", "close", name)

    # More memory than there is, to open one and to make one: told with both figures before anything is derived or written.
    run("cryptsetup", "luksFormat", "--batch-mode", "--pbkdf-memory", "65536", "--pbkdf-force-iterations", "4",
        "--key-file", "-", LARGE, input=KEY)
    ask_memory(LARGE, MOST)
    refused(config(volume("large", LARGE)))
    refused(config({**volume("large", LARGE), "wipeVolume": True, "options": ["--pbkdf-memory", str(MOST)]}))

    # A stage that dies tells it as every other failure does, by its unit's ExecStopPost.
    subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
    Path("/config.ign").write_text(json.dumps(both))
    run("systemctl", "restart", "firstlight-fetch.service")
    starting = subprocess.Popen(["systemctl", "restart", "firstlight-disks.service"])
    # While a key is derived: long enough to be met in it. Until systemd has forked, it names the process of the run before.
    main = Path("/proc/0")
    while starting.poll() is None and not (main / "comm").exists():
        main = Path("/proc", run("systemctl", "show", "-P", "ExecMainPID", "firstlight-disks.service").strip())
    while starting.poll() is None and not list((main / "task").glob("*"))[1:]:
        pass
    assert starting.poll() is None, "the stage ended before it was met in the derivation of a key"
    os.kill(int(main.name), signal.SIGSEGV)
    assert starting.wait() != 0
    said = " ".join(run("journalctl", "-o", "cat", "-b", "-u", "firstlight-disks.service").split())
    assert "firstlight stopped: it died of SIGSEGV while running the stage disks" in said, said
    assert "Nothing was written to any disk." in said, said
    report = json.loads(Path("/run/firstlight/report.json").read_text())
    assert report["outcome"] == "failed" and "SIGSEGV" in json.dumps(report), report
    # The next run ends as one that nobody stopped: what the dead one had open is closed.
    units(both)
    assert not [name for name in os.listdir("/dev/mapper") if name.startswith("firstlight")]
    marked("ours", "made by the units")
    closed("ours", "theirs")
finally:
    run("umount", "/proc/cmdline")
    for path in ("/etc/initrd-release", "/config.ign", "/usr/bin/firstlight", *UNITS.glob("firstlight-*.service")):
        subprocess.run(["rm", "-f", str(path)], check=True)
    run("systemctl", "daemon-reload")
