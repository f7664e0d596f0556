"""Guest tests: programs that need root and real disks, run inside a virtual machine.

The guest's root is this machine's own, read-only over 9p under a tmpfs: every installed tool and
the built tree are there, and nothing that a test does outlives it. A test is an executable file
in Tests/Guest; its exit status is the result. Comment lines at its head say what it needs:

    # disks: 2x4G virtio, 1x1G nvme    blank disks, as $DISK0, $DISK1... (default none)
    # init: udev                       udev runs, with all rules; or systemd with udev; or shell, the default
    # processors: 2                    that the machine has (default 1)
    # limit: 60                        seconds until it is ended, on a machine as speed.py knows it (default 120)
    # tier: all                        not with every change, but in `make test-all`
    # needs: agent, tool               programs that are built for it (default agent)

$TREE is the tree, $AGENT the agent, $RESULTS a folder whose files are kept in out/logs. $CASE is the one case
that is asked for, of a test that knows cases; $TIER is "test" or "all", for a test that does more where there is
time; $TIME_FACTOR is what to multiply time limits by. "@guest pull 0" on /dev/console has somebody pull out $DISK0,
which is on the bus usb. Tests with the same init share machines, each with disks
of its own: as many as fit into MACHINE_SECONDS, for a machine's boot takes as long as a test.
"""

import os
import re
import shlex
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import processes
import recorded
import speed
import tiers
from console import Unmet
from cpio import Archive
from machine import GIB, MIB, SAME_ADDRESSES, UNDER_LOAD, Disk, Settings, VirtualMachine
from modules import add_modules
from outcome import Outcome, working
from paths import AGENT, LOGS, TREE, kernel_version
from rootfs import BUSYBOX
from schedule import Job

FOLDER = TREE / "Tests" / "Guest"
DISKS_PER_MACHINE = 16
MACHINE_SECONDS = 240  # of tests that one machine runs, so that the last ones end together
UNKNOWN = 60  # seconds, of a test whose time was never recorded
BOOT_SECONDS = {"systemd": 25, "udev": 18, "shell": 12}
BUS_MODULES = {
    "virtio": ["virtio_blk"], "nvme": ["nvme"],
    "scsi": ["virtio_scsi", "sd_mod"], "sata": ["ahci", "sd_mod"], "usb": ["xhci_pci", "usb_storage", "sd_mod"],
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
mkdir -p /root/etc/systemd/system /root/etc/systemd/system-generators
cp /guest-tests.* /root/etc/systemd/system
for unit in MASKED; do ln -sf /dev/null /root/etc/systemd/system/$unit; done
for file in /root/usr/lib/systemd/system-generators/*; do
    ln -sf /dev/null /root/etc/systemd/system-generators/${file##*/}
done
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
export PATH HOME LC_ALL RESULTS
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
[ "$INIT" != udev ] || {
    # What PID 1 of a distribution does: links that shells and kmod need, the nodes by which modules
    # are loaded once somebody opens them.
    for name in fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "/proc/self/${name#*:}" "/dev/${name%:*}"; done
    kmod static-nodes --format=tmpfiles | while read -r type path mode _ _ _ number; do
        case $type in
            d) mkdir -p "$path" ;;
            c!) [ -e "$path" ] || mknod -m "$mode" "$path" c "${number%:*}" "${number#*:}" ;;
        esac
    done
    mkdir /dev/shm
    mount -t tmpfs shm /dev/shm
    /lib/systemd/systemd-udevd --daemon
    udevadm trigger --type=devices --action=add --settle
}

# The device whose serial number is $1. Sticks have it above them, and come a second or two after the rest.
device() {
    tries=0
    while [ "$tries" -lt 100 ]; do
        for file in /sys/block/*/serial /sys/block/*/device/serial /sys/block/*/device/vpd_pg80 \
                /sys/block/*/device/../../../../serial; do
            [ -e "$file" ] && grep -q "$1" "$file" && { echo "/dev/$(echo "$file" | cut -d/ -f4)"; return; }
        done
        tries=$((tries + 1))
        sleep 0.1
    done
}

# Takes the disk $1 of a test that has ended out of the machine, and with it the names that its content has.
detach() {
    disk=/sys/block/${1#/dev/}
    [ -e "$disk/device/delete" ] && { echo 1 >"$disk/device/delete"; return; }
    path=$(readlink -f "$disk")
    until [ -z "$path" ] || [ -e "$path/remove" ]; do path=${path%/*}; done
    [ -z "$path" ] || echo 1 >"$path/remove"
}

# one NAME LIMIT FILE: runs one test whose variables are set.
one() {
    RESULTS=/guest/$1
    scratch=/tmp/$1
    mkdir -p "$scratch"
    # What an earlier test left for the agent, and for udev.
    rm -rf --one-file-system /config.ign /run/firstlight /sysroot
    umount -q /proc/cmdline
    [ "$INIT" != udev ] || { rm -rf /run/udev/rules.d; udevadm control --reload; }
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

# What this machine's systemd would do at its start and a guest needs nothing of: each program comes over 9p, which
# takes a second or more. The first walks /tmp over 9p for minutes.
MASKED = [
    "systemd-tmpfiles-setup.service", "systemd-random-seed.service", "systemd-timesyncd.service",
    "systemd-update-utmp.service", "apparmor.service", "systemd-journal-flush.service", "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount", "systemd-sysusers.service", "systemd-sysctl.service",
    "systemd-remount-fs.service", "systemd-modules-load.service", "systemd-repart.service", "systemd-pstore.service",
    "sys-kernel-config.mount", "sys-fs-fuse-connections.mount", "mdadm-shutdown.service", "dracut-shutdown.service",
]
# Modules that systemd's own units would have loaded.
UDEV_MODULES = ["loop", "dm_mod"]


@dataclass
class GuestTest:
    name: str
    file: Path
    disks: "list[tuple[int, str]]" = field(default_factory=list)  # size in bytes, bus
    init: str = "shell"
    processors: int = 1
    limit: int = 120
    tier: str = tiers.EVERY_CHANGE
    needs: "set[str]" = field(default_factory=lambda: {"agent"})
    variables: "dict[str, str]" = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"guest {self.name}"

    @property
    def seconds(self) -> float:
        return recorded.seconds(self.title, UNKNOWN)

    @staticmethod
    def read(file: Path) -> "GuestTest":
        test = GuestTest(file.stem, file)
        for line in file.read_text().splitlines():
            if not line.startswith("#") and line:
                break
            match = re.fullmatch(r"# (disks|init|processors|limit|tier|needs): (.*)", line)
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
                if test.init not in BOOT_SECONDS:
                    raise ValueError(f"{file.name}: no such init: {test.init}")
            elif key == "processors":
                test.processors = int(value)
            elif key == "tier":
                test.tier = tiers.known(value.strip())
            elif key == "needs":
                test.needs = set(re.findall(r"agent|tool", value))
            else:
                test.limit = int(value)
        return test


def guest_tests() -> "list[GuestTest]":
    """Every test of Tests/Guest; what cannot be executed is a module that they share."""
    files = sorted([*FOLDER.glob("*.py"), *FOLDER.glob("*.sh")])
    return [GuestTest.read(file) for file in files if os.access(file, os.X_OK)]


def jobs(tests: "list[GuestTest]", after: "list[Job]", tier: str) -> "list[Job]":
    """One for each machine."""
    return [
        Job(f"guest with {', '.join(test.name for test in part)}",
            _boot_seconds(part[0].init) + sum(test.seconds for test in part),
            lambda part=part: run_together(part, tier), after, tests=[test.title for test in part])
        for part in machines(tests)]


def machines(tests: "list[GuestTest]") -> "list[list[GuestTest]]":
    """The tests parted into those that share a machine: the longest first, each into the first that has room."""
    parts: "list[list[GuestTest]]" = []
    for test in sorted(tests, key=lambda test: (-test.seconds, test.name)):
        part = next((part for part in parts if _has_room(part, test)), None)
        if part is None:
            parts.append(part := [])
        part.append(test)
    return parts


def _has_room(part: "list[GuestTest]", test: GuestTest) -> bool:
    together = part + [test]
    return (all((each.init, each.processors) == (test.init, test.processors) for each in part)
            and sum(len(each.disks) for each in together) <= DISKS_PER_MACHINE
            and sum(each.seconds for each in together) <= MACHINE_SECONDS)


def _boot_name(init: str) -> str:
    return f"guest boot, {init}"


def _boot_seconds(init: str) -> float:
    return recorded.seconds(_boot_name(init), BOOT_SECONDS[init])


def run_together(tests: "list[GuestTest]", tier: str = tiers.EVERY_CHANGE) -> "list[Outcome]":
    """Runs tests in one boot of the guest and announces each as it becomes known."""
    init = tests[0].init
    began = time.monotonic()
    folder = processes.temporary_folder("guest")
    shared = folder / "shared"
    shared.mkdir()
    log_name = f"guest.{init}.{tests[0].name}"
    common = {"TREE": str(TREE), "AGENT": str(AGENT), "TIER": tier, "INIT": init, "CASE": os.environ.get("CASE", ""),
              speed.VARIABLE: f"{speed.factor():.2f}"}
    script = [f"export {name}={shlex.quote(value)}\n" for name, value in common.items()] + [RUN_HEAD]
    disks, first_disk = [], {}
    for number, test in enumerate(tests):
        first_disk[test.name] = len(disks)
        (shared / test.name).mkdir()
        shutil.rmtree(LOGS / f"guest.{test.name}", ignore_errors=True)
        for index, (size, bus) in enumerate(test.disks):
            serial = f"t{number:02}d{index:02}"
            disks.append(Disk.blank(folder / serial, size, bus=bus, serial=serial))
            script.append(f"export DISK{index}=$(device {serial})\n")
        script += [f"export {name}={shlex.quote(value)}\n" for name, value in test.variables.items()]
        script.append(f"one {test.name} {speed.limit(test.limit):.0f} {shlex.quote(str(test.file))}\n")
        script.append("".join(f'detach "$DISK{index}"; unset DISK{index}\n' for index in range(len(test.disks))))
        script += [f"unset {name}\n" for name in test.variables]
    (shared / "run").write_text("".join(script) + RUN_TAIL)

    arguments = f"console=ttyS0 panic=-1 quiet {UNDER_LOAD} {SAME_ADDRESSES}"
    if init == "systemd":
        arguments += " systemd.unit=guest-tests.service systemd.show_status=0 net.ifnames=0"
    settings = Settings(
        initrd=[_initramfs(init, {disk.bus for disk in disks})], arguments=arguments, memory=3072,
        processors=tests[0].processors, disks=disks, network=False,
        shares={"host": (Path("/"), False), "guest": (shared, True)},
    )
    outcomes = []
    with VirtualMachine(settings, log_name) as machine:
        trouble = ""
        try:
            machine.start()
            for test in tests:
                machine.console.expect(f"^@guest begin {re.escape(test.name)}$", 180, what=f"guest test {test.name} to begin")
                if test is tests[0]:
                    outcomes.append(Outcome(_boot_name(init), True, time.monotonic() - began, is_test=False))
                with working(test.title):
                    _wait_for_end(test, machine, first_disk[test.name])
                outcomes.append(_outcome(test, shared))
                outcomes[-1].announce()
            machine.wait_exit(60)
        except Unmet as unmet:
            trouble = str(unmet)
        told = {outcome.name for outcome in outcomes}
        for test in (test for test in tests if test.title not in told):
            seconds = time.monotonic() - began
            outcomes.append(Outcome(test.title, False, seconds, trouble, LOGS / log_name, machine.last_lines()))
            outcomes[-1].announce()
    for test in tests:
        shutil.copytree(shared / test.name, LOGS / f"guest.{test.name}", dirs_exist_ok=True)
    processes.remove_folder(folder)
    return outcomes


def _wait_for_end(test: GuestTest, machine: VirtualMachine, first_disk: int) -> None:
    """Pulls out the sticks that the test asks for meanwhile."""
    while True:
        said = machine.console.expect(rf"^@guest (?:end {re.escape(test.name)} |pull (\d+)$)", test.limit + 30,
                                      what=f"guest test {test.name} to end")
        if said[1] is None:
            return
        machine.unplug(first_disk + int(said[1]))


def _outcome(test: GuestTest, shared: Path) -> Outcome:
    status, began, ended = (shared / test.name / "status").read_text().split()
    output = (shared / test.name / "output").read_text(errors="replace").splitlines()
    late = f"not done within {speed.told(test.limit)}"
    reason = {"0": "", "124": late, "137": late}.get(status, f"exit status {status}")
    if status == "1":
        reason, output = explained(output) or (reason, output)
    return Outcome(test.title, status == "0", float(ended) - float(began), reason, LOGS / f"guest.{test.name}", output[-15:])


def explained(output: "list[str]") -> "tuple[str, list[str]] | None":
    """What a Python program's last traceback says, and what was printed before it; `None` where there is none."""
    starts = [number for number, line in enumerate(output) if line.startswith("Traceback (most recent call last)")]
    frames = [number for number, line in enumerate(output) if re.match(r'  File ".*", line \d+', line)]
    if not starts or not frames:
        return None
    file, line = re.match(r'  File "(.*)", line (\d+)', output[frames[-1]]).groups()
    source = output[frames[-1] + 1].strip().removeprefix("assert ")
    rest = [text for text in output[frames[-1] + 2:] if not re.fullmatch(r"[ ~^]+", text)]
    found = "\n".join(rest).removeprefix("AssertionError").removeprefix(": ").strip()
    reason = [f"expected: {source}", f"in:       {Path(file).name}:{line}"] + ([f"found:    {found}"] if found else [])
    return "\n".join(reason), output[:starts[-1]]


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
    if init != "shell":
        needed += UDEV_MODULES
    order = add_modules(archive, needed, kernel_version())
    start = "/lib/systemd/systemd" if init == "systemd" else "/bin/sh /guest/run"
    text = INIT.replace("MODULES", " ".join(order)).replace("MASKED", " ".join(MASKED)).replace("START", start)
    archive.file("init", text, 0o755)
    archive.file("guest-tests.service", SERVICE)
    return archive.finished()
