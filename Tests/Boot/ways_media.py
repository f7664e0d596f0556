"""Every way in from a medium, from the firmware on, as docs/getting-started.md shows it; and what becomes of the
medium."""

import hashlib
from pathlib import Path

import disks
import processes
import rootfs
from boot import BROKEN, boot_test, stopped
from machine import MIB, SAME_ADDRESSES, Disk
from tiers import ALL
from ways import UEFI, Recipes, done

BIOS_SECONDS, UEFI_SECONDS, DEBIAN_SECONDS = 240, 480, 600
# A login prompt would stand in front of a line that is read here, and systemd's own between two.
DEBIAN_WORDS = f"{SAME_ADDRESSES} systemd.mask=serial-getty@ttyS0.service systemd.show_status=0"
# Bytes a second: of a virtual medium, of one behind a bad line.
SLOW, VERY_SLOW = 2 * MIB, 192 << 10
SILENT_AT_MOST = 45  # seconds
# What finds a stick, beside what finds all else of a virtual machine.
WITH_STICKS = "virtio,xhci_pci,usb_storage,uas"
STICK_SIZE = 256 * MIB
STICK = {"boot": "disk", "network": False}
CD = {"boot": "cdrom", "network": False}
STARTED = r"^firstlight \d"
PROMPT = r"[#$] $"
LISTED = "ls -1 /run/media/iso/images/pxeboot\n"
# Has the machine wait for a line from the console.
HOLD = "echo @held; read -r x\n"
HELD = r"^@held$"
# What was read from a medium has to be read again.
FORGET = "echo 3 >/proc/sys/vm/drop_caches\n"
# Reads every file of the root, which is all in RAM where this ends well without a medium.
READ_ALL = "find / -xdev -type f -exec cat {} + | wc -c\n"


def iso(bench, more: str = LISTED, marks: str = "iso", **options) -> Path:
    """The guide's ISO."""
    recipes = Recipes(bench, more, **options)
    recipes.follow(marks)
    return recipes.folder / "live.iso"


def stick(bench, more: str = LISTED, marks: str = "iso", **options) -> Disk:
    """A stick to which the guide's ISO was written byte for byte; it is larger than that."""
    image = iso(bench, more, marks, modules=WITH_STICKS, **options)
    disk = bench.disk(STICK_SIZE, bus="usb")
    processes.run(["dd", f"if={image}", f"of={disk.path}", "bs=1M", "conv=notrunc", "status=none"])
    return disk


def runs_from_medium(machine, found) -> None:
    assert [line.split(" ")[1] for line in found["mount"] if line.split(" ")[0] == "/"][-1] == "overlay", found["mount"]
    assert "rootfs.img" in found["run"], found["run"]
    assert "checked once and read again later" in machine.console.unwrapped


@boot_test()
def iso_bios_cd(bench):
    """A BIOS boots the guide's ISO from a CD, with the config on it and no network."""
    machine = bench.boot(cdrom=iso(bench), **CD)
    runs_from_medium(machine, done(machine, BIOS_SECONDS))


@boot_test()
def iso_uefi_cd(bench):
    """UEFI firmware boots the same ISO from a CD, through shim and GRUB."""
    machine = bench.boot(cdrom=iso(bench), **CD, **UEFI)
    runs_from_medium(machine, done(machine, UEFI_SECONDS, is_uefi=True))


@boot_test(tier=ALL)
def iso_bios_stick(bench):
    """A BIOS boots a USB stick to which `dd` has written the ISO."""
    machine = bench.boot(disks=[stick(bench)], **STICK)
    runs_from_medium(machine, done(machine, BIOS_SECONDS))


@boot_test(tier=ALL)
def iso_uefi_stick(bench):
    """UEFI firmware boots a USB stick to which `dd` has written the ISO."""
    machine = bench.boot(disks=[stick(bench)], **STICK, **UEFI)
    runs_from_medium(machine, done(machine, UEFI_SECONDS, is_uefi=True))


@boot_test(tier=ALL)
def stick_with_files(bench):
    """UEFI firmware boots from a FAT stick onto which the ISO's files were copied."""
    recipes = Recipes(bench, LISTED, modules=WITH_STICKS)
    place = recipes.folder / "stick"
    with open(place, "xb") as file:
        file.truncate(STICK_SIZE)
    recipes.follow("iso fat", edit=lambda text: text.replace("/dev/sdb", "stick"))
    machine = bench.boot(disks=[Disk(place, bus="usb")], **STICK, **UEFI)
    found = done(machine, UEFI_SECONDS, is_uefi=True)
    runs_from_medium(machine, found)
    assert any(line.startswith("/run/media/iso vfat") for line in found["mount"]), found["mount"]


# --- A slow medium, and one that is gone -----------------------------------------------------------------------


@boot_test(tier=ALL)
def iso_slow_medium(bench):
    """A virtual medium as slow as one behind a bad line boots, and the console tells all along how far it is."""
    machine = bench.boot(cdrom=iso(bench), cdrom_rate=SLOW, **CD)
    machine.console.expect(STARTED, BIOS_SECONDS, never=BROKEN)
    machine.slow_down(VERY_SLOW)
    for tens in range(1, 10):
        machine.console.expect(rf"rootfs +\S+ of \S+ MiB +{tens}\d %", SILENT_AT_MOST, never=BROKEN)
    machine.slow_down(0)
    runs_from_medium(machine, done(machine, BIOS_SECONDS))


def stops_and_goes_on(machine, drive: str, pull, put_back) -> None:
    """The medium is taken out while the root image is read: the boot stops, says why, and goes on once it is back."""
    console = machine.console
    console.expect(STARTED, BIOS_SECONDS, never=BROKEN)
    machine.slow_down(VERY_SLOW, drive)
    console.expect(r"rootfs +\S+ of \S+ MiB +\d+ %", BIOS_SECONDS, never=BROKEN)
    pull()
    console.expect(r"^firstlight stopped: cannot read /run/media/iso/images/pxeboot/rootfs\.img", 120)
    console.expect("Check the boot medium", 10)
    console.expect(PROMPT, 30)
    put_back()
    machine.type("exit\n")
    runs_from_medium(machine, done(machine, BIOS_SECONDS))


@boot_test(tier=ALL)
def pulled_while_booting(bench):
    """A CD that is taken out while the root image is read stops the boot; put back, it boots after `exit`."""
    image = iso(bench, arguments="rd.shell=1")
    machine = bench.boot(cdrom=image, **CD)

    def put_back() -> None:
        machine.insert(image)
        machine.slow_down(0)

    stops_and_goes_on(machine, "cdimage", machine.eject, put_back)


@boot_test(tier=ALL)
def stick_pulled_while_booting(bench):
    """A stick that is pulled out while the root image is read stops the boot; plugged in again, it boots on `exit`."""
    disk = stick(bench, arguments="rd.shell=1")
    machine = bench.boot(disks=[disk], **STICK)
    stops_and_goes_on(machine, "disk0", machine.unplug, lambda: machine.plug_stick(disk))


@boot_test(tier=ALL)
def pulled_while_running(bench):
    """A CD that is taken out of the system which runs from it is told on the console, and that it is back."""
    image = iso(bench, f"echo @eject-now; read -r x\n{READ_ALL}")
    machine = bench.boot(cdrom=image, boot="cdrom", network=False)
    machine.console.expect(r"^@eject-now$", BIOS_SECONDS, never=BROKEN)
    machine.eject()
    machine.console.expect(r"firstlight: the medium that this system runs from is gone: /dev/sr0", 60)
    machine.console.expect(r"firstlight: put it back, or restart the machine", 10)
    machine.insert(image)
    machine.console.expect(r"firstlight: the medium is back: /dev/sr0", 60)
    machine.type("go on\n")
    done(machine, 120)


# From RAM alone, reads what is there and what is not, and restarts the machine.
WITHOUT_MEDIUM = f"""cp /usr/bin/busybox /tmp
cat >/tmp/script <<'EOF'
look() {{ read -r line <$1 && echo "@read $1" || echo "@refused $1"; }}
{HOLD}look /tmp/script
look /usr/sbin/sfdisk
echo b >/proc/sysrq-trigger
EOF
{FORGET}exec /tmp/busybox sh /tmp/script
"""


@boot_test(tier=ALL)
def stick_pulled_while_running(bench):
    """A stick that is pulled out of the system which runs from it is told on the console, and nothing hangs."""
    machine = bench.boot(disks=[stick(bench, WITHOUT_MEDIUM)], **STICK)
    console = machine.console
    console.expect(HELD, BIOS_SECONDS, never=BROKEN)
    machine.unplug()
    console.expect(r"firstlight: the medium that this system runs from is gone: /dev/sda", 60)
    console.expect(r"firstlight: restart the machine; a stick that is put back is not recognised", 10)
    machine.type("\n")
    console.expect(r"^@read /tmp/script$", 30)
    console.expect(r"^@refused /usr/sbin/sfdisk$", 60)
    assert machine.wait_exit(60) == "guest-reset"


# --- All of it in RAM ------------------------------------------------------------------------------------------


def goes_on_without(machine, found) -> None:
    """The root is complete, though nothing of the medium is there any more."""
    # systemd tells among the lines of the script that it takes its time.
    size = [int(line) for line in found["run"] if line.isdigit()]
    assert size and size[-1] > 10 * MIB, found["run"]
    assert not [line for line in found["mount"] if "/run/media/iso" in line], found["mount"]
    machine.console.refuse("I/O error|Input/output error|runs from is gone")


@boot_test(tier=ALL)
def from_ram_written_over(bench):
    """With fromram the stick is written over from end to end, and then pulled out."""
    script = f"dd if=/dev/zero of=/dev/sda bs=1M 2>/dev/null; sync; {HOLD}{FORGET}{READ_ALL}"
    disk = stick(bench, script, "iso iso-from-ram")
    machine = bench.boot(disks=[disk], **STICK)
    machine.console.expect(HELD, BIOS_SECONDS, never=BROKEN)
    assert not any(disk.path.read_bytes()), "something is left of the stick's content"
    machine.unplug()
    machine.type("\n")
    goes_on_without(machine, done(machine, 120))


# A config that makes another disk of the one that the machine has booted from.
OWN_DISK = {"storage": {
    "disks": [{"device": "/dev/sda", "wipeTable": True, "partitions": [{"number": 1, "label": "state"}]}],
    "filesystems": [{"device": "/dev/disk/by-partlabel/state", "format": "ext4", "label": "state", "path": "/state",
                     "wipeFilesystem": True}]}}


@boot_test(tier=ALL)
def from_ram_partitioned(bench):
    """With fromram the config partitions the stick that the machine has booted from, and keeps its state there."""
    script = ("mkdir /tmp/state; mount -t ext4 /dev/sda1 /tmp/state && touch /tmp/state/there && umount /tmp/state && "
              f"echo @written\n{FORGET}{READ_ALL}")
    disk = stick(bench, script, "iso iso-from-ram", **OWN_DISK)
    machine = bench.boot(disks=[disk], **STICK)
    found = done(machine, BIOS_SECONDS)
    goes_on_without(machine, found)
    assert "@written" in found["run"], found["run"]
    partitions = disks.table(disk.path).partitions
    assert [partition.label for partition in partitions] == ["state"], partitions


# Whoever runs Debian from RAM makes a disk of the stick, by hand. The kernel refuses a new table while it uses the old.
BY_HAND = f"""dd if=/dev/zero of=/dev/sda bs=1M 2>/dev/null
sgdisk --new=1:0:0 --change-name=1:state /dev/sda >/dev/null && udevadm settle
mkfs.ext4 -q /dev/sda1 && echo @written
{HOLD}{FORGET}{READ_ALL}systemctl restart ssh.service && systemctl is-active ssh.service
systemctl --failed --plain --no-legend
"""


@boot_test(tier=ALL)
def from_ram_debian(bench):
    """A real Debian runs on after its stick was partitioned anew from within and pulled out, with fromram."""
    disk = stick(bench, BY_HAND, "iso iso-from-ram", root=rootfs.debian(), arguments=DEBIAN_WORDS)
    machine = bench.boot(disks=[disk], **STICK)
    machine.console.expect(HELD, DEBIAN_SECONDS, never=BROKEN)
    assert [partition.label for partition in disks.table(disk.path).partitions] == ["state"]
    machine.unplug()
    machine.type("\n")
    found = done(machine, DEBIAN_SECONDS)
    goes_on_without(machine, found)
    assert "@written" in found["run"] and found["run"][-1] == "active", found["run"]


@boot_test(tier=ALL)
def own_disk_in_use(bench):
    """Without fromram the same config stops the boot, and not a byte of the stick is another."""
    disk = stick(bench, **OWN_DISK)
    before = hashlib.sha256(disk.path.read_bytes()).hexdigest()
    machine = bench.boot(disks=[disk], **STICK)
    # The disks are looked at while the medium is mounted, which from a slow one takes its time.
    machine.console.expect(STARTED, BIOS_SECONDS, never=BROKEN)
    machine.slow_down(VERY_SLOW, "disk0")
    report = stopped(machine, r"/dev/sda1? is mounted on /run/media/iso", r"coreos\.liveiso\.fromram",
                     "Nothing was written", timeout=BIOS_SECONDS)
    assert "is in use" not in report, report
    # What helps is the same for the disk and each of its partitions.
    assert report.count("This boot runs from it") == 1, report
    assert hashlib.sha256(disk.path.read_bytes()).hexdigest() == before, "the stick was written to"
