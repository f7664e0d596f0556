"""What every way to boot has in common: the parts, a config, the recipes of docs/getting-started.md, and the end.

A machine boots a small root with systemd; the config's unit tells on the console what came of it.
"""

import base64
import json
import re
import struct
import uuid
from pathlib import Path

import docs
import images
import newer_packages
import processes
import rootfs
from boot import UNATTENDED, facts
from machine import VirtualMachine
from servers import Certificate, Nginx
from site_network import Site

OVMF = Path("/usr/share/ovmf/OVMF.fd")
UEFI = {"extra": ["-bios", str(OVMF)], "memory": 1024}
# A card that leaves it to the firmware to boot from it: none of QEMU's iPXE.
PLAIN_CARD = "virtio-net-pci,romfile=,bootindex=0"

TELLER = """#!/bin/sh
{
echo "@fact init $(cat /proc/1/comm)"
echo "@fact basic $(systemctl is-active basic.target)"
echo "@fact user $(id -nu core)"
echo "@fact written $(cat /etc/written)"
echo "@fact firmware $(ls -d /sys/firmware/efi 2>/dev/null || echo BIOS)"
while read -r device folder type _; do echo "@fact mount $folder $type $device"; done </proc/mounts
echo "@run begin"
sh /usr/local/bin/more
echo "@run end $?"
echo "@fact end"
} <>/dev/console >&0 2>&0
systemctl poweroff
"""
UNIT = """[Unit]
Description=Tell what came of the config
After=basic.target

[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/local/bin/teller

[Install]
WantedBy=multi-user.target
"""


def data(text: str) -> str:
    return "data:;base64," + base64.b64encode(text.encode()).decode()


def config(more: str = "", **sections) -> str:
    """An Ignition config of a user, files and a unit; `more` is run in the real root."""
    files = [{"path": "/etc/written", "contents": {"source": data("by the config\n")}},
             {"path": "/usr/local/bin/teller", "mode": 0o755, "contents": {"source": data(TELLER)}},
             {"path": "/usr/local/bin/more", "contents": {"source": data(more)}}]
    return json.dumps({"ignition": {"version": "3.4.0"}, "passwd": {"users": [{"name": "core"}]},
                       **sections, "storage": {"files": files, **sections.get("storage", {})},
                       "systemd": {"units": [{"name": "teller.service", "enabled": True, "contents": UNIT}]}})


class Recipes:
    """A folder in which the guide's recipes are followed, and what they start from."""

    def __init__(self, bench, more: str = "", modules: str = "virtio", arguments: str = "", ca: "Path | None" = None,
                 root: "Path | None" = None, image: "Path | None" = None, initramfs: "Path | None" = None,
                 given: str = "", **sections) -> None:
        """`root` is a filesystem; `image`, `initramfs` and `given`, a config, stand in for what is made otherwise."""
        self.bench = bench
        self.folder = bench.folder / "guide"
        self.folder.mkdir()
        self.arguments = f"{UNATTENDED.replace('console=ttyS0 loglevel=3 ', '')} {arguments}".strip()
        image = image or images.root_image(root or rootfs.small())
        options = {"ca": ca} if ca else {}
        (self.folder / "rootfs.img").symlink_to(image)
        (self.folder / "initramfs.img").symlink_to(initramfs or images.initramfs(modules, rootfs=image, **options))
        (self.folder / "config.ign").write_text(given or config(more, **sections))

    def follow(self, marks: str, edit=lambda text: text, **options) -> None:
        """Follows recipes as they stand, but for what a machine needs that runs under load with nobody there."""

        def edited(text: str) -> str:
            text = re.sub(r"(out/firstlight-image (?:pxe|uki|iso)) (-o)",
                          rf"\1 --kargs 'console=tty0 console=ttyS0 loglevel=3' \2", edit(text))
            return text.replace("loglevel=3", f"loglevel=3 {self.arguments}")

        docs.follow(marks, self.folder, edit=edited, **options)


class BootServer(Recipes):
    """The guide's boot server: a network of its own, dnsmasq with the configuration of the recipes, a web server."""

    def __init__(self, bench, marks: str, certificate: "Certificate | None" = None, edit=lambda text: text,
                 before: str = "", addresses: "tuple[str, ...]" = (), **options) -> None:
        super().__init__(bench, **options)
        self.site: Site = bench.site(*addresses)
        self.follow(f"folder dnsmasq {marks}", edit=edit, before=before)
        self.web: Nginx = bench.serve(Nginx(self.folder, certificate=certificate, site=self.site))
        self.site.dnsmasq(self.folder / "dnsmasq.conf")

    def boot(self, **settings) -> VirtualMachine:
        return self.bench.boot(boot="network", site=self.site, **settings)

    def asked(self) -> "list[str]":
        """The paths that the web server was asked for, in order."""
        return [line.split('"')[1].split()[1] for line in self.web.requests() if '"GET' in line]

    def told(self) -> str:
        """What dnsmasq tells of DHCP and TFTP."""
        return (self.folder / "dnsmasq.log").read_text()


def done(machine: VirtualMachine, timeout: float, is_uefi: bool = False) -> "dict[str, list[str]]":
    """What the real root told, after its systemd came up with all that the config asked for."""
    if is_uefi:
        # Firmware that finds nothing to start stays in its shell.
        # As a unit of dracut's it tells in the journal.
        machine.console.expect(r"^firstlight \d|firstlight\[\d+\]: ", timeout,
                               never=r"UEFI Interactive Shell|Kernel panic",
                               what="the firmware and what it loads to start the agent")
    found = facts(machine, timeout)
    wanted = {"init": ["systemd"], "basic": ["active"], "user": ["core"], "written": ["by the config"],
              "firmware": ["/sys/firmware/efi" if is_uefi else "BIOS"]}
    differing = {name: found.get(name) for name, value in wanted.items() if found.get(name) != value}
    assert not differing, f"wanted {wanted}, found {differing}"
    return found


def has_checked_hash(machine: VirtualMachine) -> None:
    assert re.search(r"rootfs .*sha256 right", machine.console.unwrapped), "the root image was not checked"


def authorities(certificate: Path) -> bytes:
    """A PEM certificate as firmware keeps those that it trusts (UEFI 2.10, section 32.4.1, EFI_SIGNATURE_LIST)."""
    der = processes.run(["openssl", "x509", "-in", certificate, "-outform", "DER"])
    x509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072").bytes_le
    return x509 + struct.pack("<III", 28 + 16 + len(der), 0, 16 + len(der)) + bytes(16) + der


def newer_ipxe() -> str:
    """What is done before a recipe: Debian 13's iPXE is where its package puts it."""
    unpacked = newer_packages.unpacked("ipxe") / "usr/lib/ipxe"
    return f"mount --bind '{unpacked}' /usr/lib/ipxe"
