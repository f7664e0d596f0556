"""Every way in over the network, from the firmware on, as docs/getting-started.md shows it."""

import re

import images
import newer_packages
from boot import boot_test
from console import Unmet
from paths import FIXTURES
from servers import Certificate
from site_network import Site
from tiers import ALL
from ways import PLAIN_CARD, UEFI, BootServer, authorities, done, has_checked_hash, newer_ipxe

BIOS_SECONDS, UEFI_SECONDS = 240, 480
GUIDE_SERVER = "192.168.1.101"
BY_IPXE = [f"/live/{name}" for name in ("boot.ipxe", "vmlinuz", "initramfs.img")]
BY_AGENT = ["/live/config.ign", "/live/rootfs.img"]


def in_order(asked: "list[str]") -> "list[str]":
    """What a web server was asked for: loaders ask for one after the other, the agent for the last two at once."""
    return asked[:-2] + sorted(asked[-2:])


def network_line(machine) -> str:
    """What the agent tells of the network."""
    found = re.search(r"^ *\d+\.\d s  network +(.*192\.0\.2\.\d+/24.*)$", machine.console.unwrapped, re.MULTILINE)
    if not found:
        raise Unmet("a line of the console on the address at 192.0.2.0/24")
    return found[1]


@boot_test(tier=ALL)
def pxelinux_url(bench):
    """PXELINUX boots the network folder's own menu; the agent fetches the root image."""
    server = BootServer(bench, "pxelinux")
    machine = server.boot()
    done(machine, BIOS_SECONDS)
    assert in_order(server.asked()) == BY_AGENT, server.asked()
    has_checked_hash(machine)


@boot_test()
def pxelinux_second_initrd(bench):
    """PXELINUX loads the root image as a second initrd, as in Fedora CoreOS's guide."""
    server = BootServer(bench, "pxelinux pxelinux-second-initrd")
    machine = server.boot()
    done(machine, BIOS_SECONDS)
    assert server.asked() == ["/live/config.ign"], server.asked()
    has_checked_hash(machine)
    network_line(machine)


@boot_test(tier=ALL)
def pxelinux_guide(bench):
    """PXELINUX boots with the lines of Fedora CoreOS's guide as they stand there; the files are ours."""
    given = (FIXTURES / "guide/pxelinux.cfg").read_text()
    server = BootServer(bench, "pxelinux", addresses=(GUIDE_SERVER,))
    live = server.folder / "live"
    for part, file in {"kernel-x86_64": "vmlinuz", "initramfs.x86_64.img": "initramfs.img",
                       "rootfs.x86_64.img": "rootfs.img"}.items():
        (live / f"fedora-coreos-41.20241215.3.0-live-{part}").symlink_to(file)
    # A console that the test can read, and nobody at it.
    line = f"ignition.config.url=http://{GUIDE_SERVER}/config.ign"
    assert given.count(line) == 1, given
    readable = f"{line} console=ttyS0 loglevel=3 {server.arguments}"
    (live / "pxelinux.cfg/default").write_text(given.replace(line, readable))
    machine = server.boot()
    done(machine, BIOS_SECONDS)
    assert server.asked() == ["/config.ign"], server.asked()
    has_checked_hash(machine)


@boot_test(tier=ALL)
def pxelinux_one_initrd(bench):
    """PXELINUX loads initramfs, root image and config as one initrd; no web server is asked."""
    server = BootServer(bench, "pxelinux pxelinux-one-initrd")
    machine = server.boot()
    done(machine, BIOS_SECONDS)
    assert server.asked() == [], server.asked()
    has_checked_hash(machine)


@boot_test(tier=ALL)
def grub_netboot(bench):
    """UEFI firmware loads shim and GRUB by TFTP; they boot the network folder's own menu."""
    server = BootServer(bench, "grub")
    machine = server.boot(card=PLAIN_CARD, **UEFI)
    done(machine, UEFI_SECONDS, is_uefi=True)
    assert in_order(server.asked()) == BY_AGENT, server.asked()
    has_checked_hash(machine)


@boot_test()
def ipxe(bench):
    """A network card's iPXE takes the guide's script from a web server, kernel and initramfs too."""
    server = BootServer(bench, "ipxe ipxe-script")
    machine = server.boot()
    done(machine, BIOS_SECONDS)
    assert in_order(server.asked()) == BY_IPXE + BY_AGENT, server.asked()
    has_checked_hash(machine)


@boot_test(tier=ALL)
def ipxe_autoexec(bench):
    """UEFI firmware loads Debian 13's iPXE, whose autoexec.ipxe chains the guide's script and is not handed on."""
    server = BootServer(bench, "ipxe-script ipxe-loaded", before=newer_ipxe())
    machine = server.boot(card=PLAIN_CARD, **UEFI)
    done(machine, UEFI_SECONDS, is_uefi=True)
    assert "/autoexec.ipxe to 192.0.2." in server.told(), "nobody has asked for autoexec.ipxe"
    assert in_order(server.asked()) == BY_IPXE + BY_AGENT, server.asked()
    has_checked_hash(machine)


# A boot ROM that is none of iPXE's, for all that a DHCP server can tell.
OTHER_ROM = "#!ipxe\nset user-class other\nautoboot\n"


@boot_test(tier=ALL)
def ipxe_undionly(bench):
    """A BIOS whose card has no iPXE loads one by TFTP, which asks DHCP again and runs the guide's script."""
    server = BootServer(bench, "ipxe-script ipxe-loaded-bios", before=newer_ipxe())
    script = bench.folder / "other.ipxe"
    script.write_text(OTHER_ROM)
    rom = images.iso(bench.folder, "ROM", {
        "images/pxeboot/vmlinuz": newer_packages.unpacked("ipxe") / "usr/lib/ipxe/ipxe.lkrn",
        "images/pxeboot/initrd.img": script}, "")
    machine = bench.boot(boot="cdrom", cdrom=rom, site=server.site)
    done(machine, BIOS_SECONDS)
    assert "/undionly.kpxe to 192.0.2." in server.told(), "nobody has asked for undionly.kpxe"
    assert in_order(server.asked()) == BY_IPXE + BY_AGENT, server.asked()
    has_checked_hash(machine)


@boot_test(tier=ALL)
def ipxe_https(bench):
    """Debian 13's iPXE takes script, kernel and initramfs by HTTPS, of an authority that the firmware trusts."""
    certificate = Certificate.make(bench.folder, Site.ADDRESS, is_rsa=True)
    server = BootServer(bench, "ipxe-script ipxe-loaded", certificate=certificate, before=newer_ipxe(),
                        edit=lambda text: text.replace("http://", "https://"), ca=certificate.chain)
    trusted = bench.folder / "authorities"
    trusted.write_bytes(authorities(certificate.chain))
    # What somebody has enrolled by hand in the firmware's setup.
    machine = server.boot(card=PLAIN_CARD, firmware={"etc/edk2/https/cacerts": trusted}, **UEFI)
    done(machine, UEFI_SECONDS, is_uefi=True)
    assert in_order(server.asked()) == BY_IPXE + BY_AGENT, server.asked()
    has_checked_hash(machine)


@boot_test(tier=ALL)
def uefi_http_boot(bench):
    """UEFI firmware fetches a unified kernel image by HTTP boot and starts it."""
    server = BootServer(bench, "http-boot")
    machine = server.boot(card=PLAIN_CARD, **UEFI)
    done(machine, UEFI_SECONDS, is_uefi=True)
    assert in_order(server.asked())[-2:] == BY_AGENT, server.asked()
    assert "/live/live.efi" in server.asked(), server.asked()
    has_checked_hash(machine)
