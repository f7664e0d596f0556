"""Every way in from a medium, from the firmware on, as docs/getting-started.md shows it; and what becomes of the
medium."""

from pathlib import Path

from boot import BROKEN, boot_test
from machine import MIB, Disk
from tiers import ALL
from ways import UEFI, Recipes, done

BIOS_SECONDS, UEFI_SECONDS = 240, 480
# What finds a stick, beside what finds all else of a virtual machine.
WITH_STICKS = "virtio,xhci_pci,usb_storage,uas"
STICK = {"boot": "disk", "network": False}
LISTED = "ls -1 /run/media/iso/images/pxeboot\n"
# Reads every file of the root, which is all in RAM where this ends well without a medium.
READ_ALL = "find / -xdev -type f -exec cat {} + | wc -c\n"


def iso(bench, more: str = LISTED, marks: str = "iso", **options) -> Path:
    """The guide's ISO."""
    recipes = Recipes(bench, more, **options)
    recipes.follow(marks)
    return recipes.folder / "live.iso"


def runs_from_medium(machine, found) -> None:
    assert [line.split(" ")[1] for line in found["mount"] if line.split(" ")[0] == "/"][-1] == "overlay", found["mount"]
    assert "rootfs.img" in found["run"], found["run"]
    assert "checked once and read again later" in machine.console.unwrapped


@boot_test()
def iso_bios_cd(bench):
    """A BIOS boots the guide's ISO from a CD, with the config on it and no network."""
    machine = bench.boot(cdrom=iso(bench), boot="cdrom", network=False)
    runs_from_medium(machine, done(machine, BIOS_SECONDS))


@boot_test(tier=ALL)
def stick_with_files(bench):
    """UEFI firmware boots from a FAT stick onto which the ISO's files were copied."""
    recipes = Recipes(bench, LISTED, modules=WITH_STICKS)
    stick = recipes.folder / "stick"
    with open(stick, "xb") as file:
        file.truncate(256 * MIB)
    recipes.follow("iso fat", edit=lambda text: text.replace("/dev/sdb", "stick"))
    machine = bench.boot(disks=[Disk(stick, bus="usb")], **STICK, **UEFI)
    found = done(machine, UEFI_SECONDS, is_uefi=True)
    runs_from_medium(machine, found)
    assert any(line.startswith("/run/media/iso vfat") for line in found["mount"]), found["mount"]


# --- All of it in RAM ------------------------------------------------------------------------------------------


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
