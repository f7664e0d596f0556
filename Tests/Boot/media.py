"""Media that `firstlight-image` makes: ISO, stick, network folder, unified kernel image; for BIOS and for UEFI."""

import re
import shutil
from pathlib import Path

import images
import processes
import rootfs
from boot import PROVISION, UNATTENDED, boot_test, facts, run_argument, tiny_image
from machine import Disk
from matchbox import Matchbox
from paths import TOOL, kernel_image
from tiers import ALL

OVMF = Path("/usr/share/ovmf/OVMF.fd")
UEFI = {"extra": ["-bios", str(OVMF)], "memory": 1024}
# Firmware with Microsoft's keys, which starts nothing that is not signed.
SECURE = Path("/usr/share/OVMF")


def parts() -> "list":
    image = tiny_image()
    return ["--kernel", kernel_image(), "--initramfs", images.initramfs(rootfs=image), "--rootfs", image]


def own_iso(bench, script: str = "", note: str = "") -> Path:
    """An ISO of the tiny root; `note` is an argument that it is given later."""
    image = bench.folder / "live.iso"
    arguments = f"{UNATTENDED} {run_argument(script)}" if script else UNATTENDED
    processes.run([TOOL, "iso", "-o", image, "--label", "OWN", "--kargs", arguments, *parts()])
    if note:
        processes.run([TOOL, "iso", "kargs", "modify", "--append", note, image])
    return image


def is_from_medium(machine, found) -> None:
    lines = [line for line in found["mount"] if line.split(" ")[0] == "/"]
    assert lines and lines[-1].split(" ")[1] == "overlay", found["mount"]
    assert "images" in found["run"], found["run"]
    assert "checked once and read again later" in machine.console.unwrapped


@boot_test(tier=ALL)
def own_iso_bios_stick(bench):
    """A BIOS boots the same ISO, written to a stick byte for byte."""
    disk = Disk(own_iso(bench, "ls -1 /run/media/iso"), bus="sata", read_only=False)
    machine = bench.boot(disks=[disk], boot="disk", network=False)
    is_from_medium(machine, facts(machine, timeout=180))


@boot_test(tier=ALL)
def own_iso_uefi(bench):
    """UEFI firmware boots the ISO through shim and GRUB, from a CD."""
    # One argument, with a blank in it.
    iso = own_iso(bench, "ls -1 /run/media/iso; ls -1 /sys/firmware; cat /proc/cmdline", 'note="one two"')
    machine = bench.boot(cdrom=iso, boot="cdrom", network=False, **UEFI)
    found = facts(machine, timeout=400)
    is_from_medium(machine, found)
    assert "efi" in found["run"], found["run"]
    assert any('"note=one two"' in line for line in found["run"]), found["run"]


@boot_test(tier=ALL)
def own_iso_uefi_stick(bench):
    """UEFI firmware boots the same ISO from a stick, with arguments that mean something else to GRUB."""
    note = "note=http://a/?u=${uuid}&m=${mac};a|b<c>d"
    disk = Disk(own_iso(bench, "ls -1 /run/media/iso; ls -1 /sys/firmware; cat /proc/cmdline", note), bus="sata")
    machine = bench.boot(disks=[disk], boot="disk", network=False, **UEFI)
    found = facts(machine, timeout=400)
    is_from_medium(machine, found)
    assert "efi" in found["run"], found["run"]
    assert any(note in line.split() for line in found["run"]), found["run"]


@boot_test(tier=ALL)
def own_iso_secure_boot(bench):
    """Firmware that starts nothing but what is signed boots the ISO, and the kernel lets nobody change it."""
    variables = bench.folder / "variables"
    shutil.copyfile(SECURE / "OVMF_VARS_4M.ms.fd", variables)
    extra = ["-global", "driver=cfi.pflash01,property=secure,value=on",
             "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={SECURE}/OVMF_CODE_4M.ms.fd",
             "-drive", f"if=pflash,unit=1,format=raw,file={variables}"]
    script = "ls -1 /run/media/iso; mount -t securityfs none /sys/kernel/security; cat /sys/kernel/security/lockdown"
    disk = Disk(own_iso(bench, script), bus="sata")
    machine = bench.boot(disks=[disk], boot="disk", network=False, model="q35,smm=on", extra=extra, memory=1024)
    found = facts(machine, timeout=600)
    is_from_medium(machine, found)
    assert any("[integrity]" in line for line in found["run"]), found["run"]


KEYFILE = """[connection]
id=wired
type=ethernet
[ipv4]
method=manual
address1=10.0.2.99/24,10.0.2.2
"""
# Of the config, of the keyfile, of the kernel arguments.
CHANGED = "cat /etc/applied /etc/own; ip -4 addr; cat /proc/cmdline"


def settings(bench) -> "tuple[Path, Path]":
    """A config, one of whose files is on a server, and a keyfile without which nobody gets there."""
    server = bench.nginx({"applied": "applied"})
    config = bench.config(storage={"files": [
        {"path": "/etc/applied", "contents": {"source": f"{server.url}/applied"}},
        {"path": "/etc/own", "contents": {"source": "data:,%0Aown%0A"}}]})
    keyfile = bench.folder / "wired.nmconnection"
    keyfile.write_text(KEYFILE)
    return config, keyfile


def has_settings(machine, found) -> None:
    assert found["run"][:2] == ["applied", "own"], found["run"]
    assert any("10.0.2.99/24" in line for line in found["run"]), found["run"]
    machine.console.refuse(r"10\.0\.2\.15")


def customized_iso(bench) -> Path:
    config, keyfile = settings(bench)
    iso = own_iso(bench, CHANGED)
    processes.run([TOOL, "iso", "customize", "--live-ignition", config, "--network-keyfile", keyfile,
                   "--live-karg-append", "note=customized", iso])
    return iso


@boot_test(tier=ALL)
def customized_iso_bios(bench):
    """A BIOS boots an ISO with a config, a keyfile and kernel arguments that `iso customize` put into it."""
    machine = bench.boot(cdrom=customized_iso(bench), boot="cdrom")
    found = facts(machine)
    has_settings(machine, found)
    assert "note=customized" in found["run"][-1], found["run"]


@boot_test(tier=ALL)
def customized_iso_uefi(bench):
    """UEFI firmware boots the same ISO."""
    machine = bench.boot(cdrom=customized_iso(bench), boot="cdrom", **UEFI)
    found = facts(machine, timeout=400)
    has_settings(machine, found)
    assert "note=customized" in found["run"][-1], found["run"]


@boot_test(tier=ALL)
def own_minimal_iso(bench):
    """A minimal ISO, taken out of ours, fetches the root image that it does not hold."""
    iso, root, minimal = own_iso(bench), bench.folder / "rootfs.img", bench.folder / "minimal.iso"
    server = bench.nginx({"rootfs.img": root})
    processes.run([TOOL, "iso", "extract", "minimal-iso", "--output-rootfs", root, "--rootfs-url",
                   f"{server.url}/rootfs.img", iso, minimal])
    assert root.read_bytes() == tiny_image().read_bytes()
    machine = bench.boot(cdrom=minimal, boot="cdrom")
    facts(machine)
    assert re.search(r"rootfs .*sha256 right", machine.console.unwrapped)


@boot_test(tier=ALL)
def wrapped_initrds(bench):
    """Config and keyfile as initrds of their own behind the initramfs, and all of it as one by `pxe customize`."""
    config, keyfile = settings(bench)
    root = tiny_image()
    initramfs, folder = images.initramfs(rootfs=root), bench.folder
    processes.run([TOOL, "pxe", "ignition", "wrap", "-i", config, "-o", folder / "config.img"])
    processes.run([TOOL, "pxe", "network", "wrap", "-k", keyfile, "-o", folder / "network.img"])
    processes.run([TOOL, "pxe", "customize", "--live-ignition", config, "--network-keyfile", keyfile,
                   "-o", folder / "whole.img", initramfs])
    for initrd in ([initramfs, folder / "config.img", folder / "network.img", root], [folder / "whole.img", root]):
        machine = bench.boot(PROVISION, initrd=initrd, script=CHANGED)
        has_settings(machine, facts(machine))


@boot_test(tier=ALL)
def container_image(bench):
    """A root image made of a container image in layers, as umoci leaves it, boots."""
    tree, layout = bench.folder / "tree", bench.folder / "layout"
    processes.run(["unsquashfs", "-quiet", "-no-progress", "-dest", tree, rootfs.tiny()])
    (bench.folder / "note").write_text("of the second layer\n")
    for words in (["init", "--layout", layout], ["new", "--image", f"{layout}:live"],
                  ["insert", "--image", f"{layout}:live", tree, "/"],
                  ["insert", "--image", f"{layout}:live", bench.folder / "note", "/etc/note"]):
        processes.run(["umoci", *words])
    root = bench.folder / "rootfs.img"
    processes.run([TOOL, "rootfs", layout, "-o", root, "--version", "1"])
    machine = bench.boot(initrd=[images.initramfs(rootfs=root), root], script="cat /etc/note")
    assert facts(machine)["run"] == ["of the second layer"]


@boot_test(tier=ALL)
def own_network_folder_ipxe(bench):
    """iPXE boots the script that `firstlight-image pxe` made, twice in one session of its: `imgfree` forgets the first."""
    server = bench.nginx({})
    folder = bench.folder / "live"
    processes.run([TOOL, "pxe", "-o", folder, "--url", server.url, "--kargs", UNATTENDED, *parts()])
    for file in folder.iterdir():
        if file.is_file():
            shutil.copyfile(file, bench.folder / "www0" / file.name)
    tftp = bench.folder / "tftp"
    tftp.mkdir()
    # An image of before: the kernel would be handed it too.
    (tftp / "start.ipxe").write_text(f"#!ipxe\ninitrd {server.url}/boot.ipxe\nchain {server.url}/boot.ipxe\n")
    machine = bench.boot(boot="network", tftp=tftp, bootfile="/start.ipxe")
    facts(machine, timeout=300)
    assert re.search(r"rootfs .*sha256 right", machine.console.unwrapped)


@boot_test(tier=ALL)
def own_network_folder_matchbox(bench):
    """iPXE boots the profile that `firstlight-image pxe` made for matchbox, from a server that reads its file layout."""
    web = bench.nginx({})
    folder = bench.folder / "live"
    processes.run([TOOL, "pxe", "-o", folder, "--url", web.url, "--kargs", UNATTENDED, *parts()])
    for file in folder.iterdir():
        if file.is_file():
            shutil.copyfile(file, bench.folder / "www0" / file.name)
    server = Matchbox(folder / "matchbox")
    try:
        tftp = bench.folder / "tftp"
        tftp.mkdir()
        (tftp / "start.ipxe").write_text(f"#!ipxe\nchain {server.url}/boot.ipxe\n")
        machine = bench.boot(boot="network", tftp=tftp, bootfile="/start.ipxe")
        facts(machine, timeout=300)
    finally:
        server.stop()
    assert re.search(r"rootfs .*sha256 right", machine.console.unwrapped)
    assert [path.split("?")[0] for path in server.requests] == ["/boot.ipxe", "/ipxe"], server.requests


@boot_test(tier=ALL)
def own_unified_kernel(bench):
    """UEFI firmware starts a unified kernel image with the root image in it."""
    image = bench.folder / "live.efi"
    processes.run([TOOL, "uki", "-o", image, "--kargs", f"{UNATTENDED} {run_argument('ls -1 /sys/firmware')}", *parts()])
    stick = bench.folder / "esp"
    processes.run(["mkfs.fat", "-C", stick, str((image.stat().st_size >> 10) + 8192)])
    environment = {"MTOOLS_SKIP_CHECK": "1", "PATH": "/usr/bin:/bin"}
    processes.run(["mmd", "-i", stick, "::/EFI", "::/EFI/BOOT"], env=environment)
    processes.run(["mcopy", "-i", stick, image, "::/EFI/BOOT/BOOTX64.EFI"], env=environment)
    machine = bench.boot(disks=[Disk(stick, bus="sata")], boot="disk", network=False, **UEFI)
    found = facts(machine, timeout=400)
    assert "efi" in found["run"], found["run"]
    assert re.search(r"rootfs .*sha256 right", machine.console.unwrapped)
