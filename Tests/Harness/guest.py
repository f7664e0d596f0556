"""Guest tests: programs that need root and real disks, run inside a virtual machine.

The guest's root is this machine's own, read-only over 9p under a tmpfs: every installed tool and
the built tree are there, and nothing that a test does outlives it. A test is an executable file
in Tests/Guest; its exit status is the result. Comment lines at its head say what it needs:

    # disks: 2x4G virtio, 1x1G nvme    blank disks, as $DISK0, $DISK1... (default none)
    # init: systemd                    PID 1 is systemd with udev; or shell, the default
    # limit: 60                        seconds until it is ended (default 120)

$TREE is the tree, $AGENT the agent, $RESULTS a folder whose files are kept in out/logs. Tests
with the same init share one boot, each with disks of its own.
"""

import re
import shlex
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import processes
from console import Unmet
from cpio import Archive
from machine import GIB, MIB, UNDER_LOAD, Disk, Settings, VirtualMachine
from modules import add_modules
from outcome import Outcome
from paths import AGENT, LOGS, TREE, kernel_version
from rootfs import BUSYBOX

FOLDER = TREE / "Tests" / "Guest"
DISKS_PER_BOOT = 16
BUS_MODULES = {
    "virtio": ["virtio_blk"], "nvme": ["nvme"],
    "scsi": ["virtio_scsi", "sd_mod"], "sata": ["ahci", "sd_mod"],
}

INIT = """#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in MODULES; do insmod $module; done
share() { mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,$3 $1 $2; }
share host /below ro,cache=loose
mount -t tmpfs -o size=75% above /above
mkdir /above/upper /above/work
mount -t overlay -o lowerdir=/below,upperdir=/above/upper,workdir=/above/work root /root
mkdir /root/guest
share guest /root/guest rw
: >/root/etc/fstab
rm -f /root/.dockerenv  # in a container systemd would not read the kernel command line
mkdir -p /root/etc/systemd/system
cp /guest-tests.* /root/etc/systemd/system
mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
exec switch_root -c /dev/console /root START
"""

SERVICE = """[Unit]
Description=Guest tests
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target

[Service]
Type=oneshot
ExecStart=/bin/sh /guest/run
"""

# Runs every test in turn, its output and status going to the shared folder.
RUN_HEAD = """PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
export PATH HOME LC_ALL TREE AGENT RESULTS
exec >/dev/console 2>&1
[ -e /dev/pts/ptmx ] || { mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; }
mountpoint -q /run || mount -t tmpfs run /run
# Files of /tmp are read far faster from RAM; the tree stays in sight where it is itself in there.
mkdir -p /run/tree
mount --bind "$TREE" /run/tree
mountpoint -q /tmp || mount -t tmpfs tmp /tmp
mkdir -p "$TREE"
mount --bind /run/tree "$TREE"
ip link set lo up

# The device whose serial number is $1.
device() {
    for file in /sys/block/*/serial /sys/block/*/device/serial /sys/block/*/device/vpd_pg80; do
        [ -e "$file" ] && grep -q "$1" "$file" && { echo "/dev/$(echo "$file" | cut -d/ -f4)"; return; }
    done
}

# one NAME LIMIT FILE: runs one test whose variables are set.
one() {
    RESULTS=/guest/$1
    scratch=/tmp/$1
    mkdir -p "$scratch"
    # What an earlier test left for the agent.
    rm -rf /config.ign /run/firstlight
    umount -q /proc/cmdline
    echo "@guest begin $1"
    read -r began _ </proc/uptime
    (cd "$scratch" && exec timeout -k 5 "$2" "$3") >"$RESULTS/output" 2>&1 </dev/null
    status=$?
    read -r ended _ </proc/uptime
    echo "$status $began $ended" >"$RESULTS/status"
    echo "@guest end $1 $status"
}

"""
RUN_TAIL = """
sync
echo "@guest done"
echo o >/proc/sysrq-trigger
while :; do :; done
"""

# Units of this machine that have no business in the guest; the first walks /tmp over 9p for minutes.
MASKED = ["systemd-tmpfiles-setup.service", "systemd-random-seed.service", "systemd-timesyncd.service",
          "systemd-update-utmp.service", "apparmor.service"]


@dataclass
class GuestTest:
    name: str
    file: Path
    disks: "list[tuple[int, str]]" = field(default_factory=list)  # size in bytes, bus
    init: str = "shell"
    limit: int = 120
    variables: "dict[str, str]" = field(default_factory=dict)

    @staticmethod
    def read(file: Path) -> "GuestTest":
        test = GuestTest(file.stem, file)
        for line in file.read_text().splitlines():
            if not line.startswith("#") and line:
                break
            match = re.fullmatch(r"# (disks|init|limit): (.*)", line)
            if not match:
                continue
            key, value = match.groups()
            if key == "disks":
                for count, number, unit, bus in re.findall(r"(\d+)x(\d+)([MG]) (\w+)", value):
                    if bus not in BUS_MODULES:
                        raise ValueError(f"{file.name}: no such bus: {bus}")
                    test.disks += [(int(number) * (GIB if unit == "G" else MIB), bus)] * int(count)
            elif key == "init":
                test.init = value.strip()
            else:
                test.limit = int(value)
        return test


def guest_tests() -> "list[GuestTest]":
    files = sorted(FOLDER.glob("*.py")) + sorted(FOLDER.glob("*.sh"))
    return [GuestTest.read(file) for file in sorted(files)]


def boots(tests: "list[GuestTest]") -> "list[list[GuestTest]]":
    """The tests parted into those that share one boot."""
    parts: "list[list[GuestTest]]" = []
    for init in ("systemd", "shell"):
        part: "list[GuestTest]" = []
        for test in (t for t in tests if t.init == init):
            if part and sum(len(t.disks) for t in part + [test]) > DISKS_PER_BOOT:
                parts.append(part)
                part = []
            part.append(test)
        if part:
            parts.append(part)
    return parts


def run_together(tests: "list[GuestTest]") -> "list[Outcome]":
    """Runs tests in one boot of the guest and announces each as it becomes known."""
    init = tests[0].init
    began = time.monotonic()
    folder = processes.temporary_folder("guest")
    shared = folder / "shared"
    shared.mkdir()
    log_name = f"guest.{init}.{tests[0].name}"
    script = [f"TREE={shlex.quote(str(TREE))} AGENT={shlex.quote(str(AGENT))}\n", RUN_HEAD]
    disks = []
    for number, test in enumerate(tests):
        (shared / test.name).mkdir()
        shutil.rmtree(LOGS / f"guest.{test.name}", ignore_errors=True)
        for index, (size, bus) in enumerate(test.disks):
            serial = f"t{number:02}d{index:02}"
            disks.append(Disk.blank(folder / serial, size, bus=bus, serial=serial))
            script.append(f"export DISK{index}=$(device {serial})\n")
        script += [f"export {name}={shlex.quote(value)}\n" for name, value in test.variables.items()]
        script.append(f"one {test.name} {test.limit} {shlex.quote(str(test.file))}\n")
        script.append("".join(f"unset DISK{index}\n" for index in range(len(test.disks))))
        script += [f"unset {name}\n" for name in test.variables]
    (shared / "run").write_text("".join(script) + RUN_TAIL)

    arguments = f"console=ttyS0 panic=-1 quiet {UNDER_LOAD}"
    if init == "systemd":
        arguments += " systemd.unit=guest-tests.service systemd.show_status=0 net.ifnames=0"
        arguments += "".join(f" systemd.mask={unit}" for unit in MASKED)
    settings = Settings(
        initrd=[_initramfs(init, {disk.bus for disk in disks})], arguments=arguments, memory=3072,
        disks=disks, network=False,
        shares={"host": (Path("/"), False), "guest": (shared, True)},
    )
    outcomes = []
    with VirtualMachine(settings, log_name) as machine:
        trouble = ""
        try:
            machine.start()
            for test in tests:
                machine.console.expect(f"^@guest begin {re.escape(test.name)}$", 180)
                machine.console.expect(f"^@guest end {re.escape(test.name)} ", test.limit + 30)
                outcomes.append(_outcome(test, shared, log_name))
                outcomes[-1].announce()
            machine.wait_exit(60)
        except Unmet as unmet:
            trouble = str(unmet)
        for test in tests[len(outcomes):]:
            seconds = time.monotonic() - began
            lines = machine.last_lines()
            outcomes.append(Outcome(f"guest {test.name}", False, seconds, trouble, LOGS / log_name, lines))
            outcomes[-1].announce()
    for test in tests:
        shutil.copytree(shared / test.name, LOGS / f"guest.{test.name}", dirs_exist_ok=True)
    processes.remove_folder(folder)
    return outcomes


def _outcome(test: GuestTest, shared: Path, log_name: str) -> Outcome:
    status, began, ended = (shared / test.name / "status").read_text().split()
    output = (shared / test.name / "output").read_text(errors="replace").splitlines()
    reason = {"0": "", "124": f"not done after {test.limit} s", "137": f"not done after {test.limit} s"}
    return Outcome(
        f"guest {test.name}", status == "0", float(ended) - float(began),
        reason.get(status, f"exit status {status}"), LOGS / f"guest.{test.name}", output[-15:],
    )


def _initramfs(init: str, buses: "set[str]") -> bytes:
    archive = Archive()
    for name in ["dev", "proc", "sys", "below", "above", "root"]:
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    archive.copy(BUSYBOX, "bin/busybox")
    for applet in ["mount", "insmod", "mkdir", "cp", "switch_root"]:
        archive.link(f"bin/{applet}", "busybox")
    needed = ["virtio_pci", "9p", "9pnet_virtio", "overlay"]
    for bus in sorted(buses):
        needed += BUS_MODULES[bus]
    order = add_modules(archive, needed, kernel_version())
    start = "/lib/systemd/systemd" if init == "systemd" else "/bin/sh /guest/run"
    text = INIT.replace("MODULES", " ".join(order)).replace("START", start)
    archive.file("init", text, 0o755)
    archive.file("guest-tests.service", SERVICE)
    return archive.finished()
