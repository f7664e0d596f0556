"""The picture: what a machine without a serial console shows on its screen, in a BIOS's text mode and on the
framebuffer of UEFI firmware."""

import re
from pathlib import Path

import images
import processes
import screen
from boot import boot_test, tiny_image
from machine import Disk
from paths import LOGS, TOOL, kernel_image
from servers import Stall
from tiers import ALL
from ways import UEFI

# The recipes' console, without the serial line. The kernel as it is asks the firmware for its text mode.
ON_SCREEN = "console=tty0 loglevel=3 panic=-1 no_timer_check mitigations=off"
PROGRESS = r"^ +\d+\.\d s  rootfs    \S+ of \S+ [KM]iB +\d+ %"
PROMPT = r"^firstlight:~#$"
SECONDS = {False: 120, True: 300}  # with UEFI firmware


def with_screen(bench, url: str, words: str, initramfs: Path, is_uefi: bool) -> screen.Screen:
    """A machine with a display alone; the firmware of UEFI starts a unified kernel image from a stick."""
    if not is_uefi:
        return screen.Screen(bench.boot(f"coreos.live.rootfs_url={url} {words}", base=ON_SCREEN, kernel=kernel_image(),
                                        initrd=[initramfs], extra=screen.DISPLAY))
    program, stick = bench.folder / "live.efi", bench.folder / "stick"
    processes.run([TOOL, "uki", "-o", program, "--kernel", kernel_image(), "--initramfs", initramfs, "--url", url,
                   "--kargs", f"{ON_SCREEN} {words}".strip()])
    processes.run(["mkfs.fat", "-F", "32", "-C", stick, str((program.stat().st_size >> 10) + 65536)])
    processes.run(["mmd", "-i", stick, "::/EFI", "::/EFI/BOOT"])
    processes.run(["mcopy", "-i", stick, program, "::/EFI/BOOT/BOOTX64.EFI"])
    machine = bench.boot(boot="disk", disks=[Disk(stick, bus="sata")], memory=UEFI["memory"],
                         extra=screen.DISPLAY + UEFI["extra"])
    return screen.Screen(machine, is_framebuffer=True)


def only(rows, pattern: str):
    """The one row that the pattern is in."""
    found = [row for row in rows if re.search(pattern, row.text)]
    assert len(found) == 1, f"{pattern!r} in {len(found)} rows of\n" + "\n".join(row.text for row in rows)
    return found[0]


def is_legible(rows) -> None:
    wrong = [row.text for row in rows if "\ufffd" in row.text]
    assert not wrong, f"no letters of the font: {wrong}"


def shows_a_boot(bench, is_uefi: bool = False) -> None:
    image = tiny_image()
    server = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Stall(image.stat().st_size // 2)]})
    shown = with_screen(bench, f"{server.url}/rootfs.img", "rd.break firstlight.plann", images.initramfs(rootfs=image),
                        is_uefi)
    rows = shown.expect(r"rootfs .*\d of \d.*%", SECONDS[is_uefi])
    shown.save(LOGS / f"{bench.logs}-progress.png")
    is_legible(rows)
    headline = only(rows, r"^firstlight \d+\.\d+\.\d+ · Linux \S+ · [\d.]+ [MG]iB RAM · ")
    assert headline.colour == screen.WHITE, headline.colour
    warning = only(rows, r"^ +\d+\.\d s  warning   firstlight\.plann is not known")
    assert warning.colour == screen.YELLOW, warning.colour
    assert only(rows, r"^ +\d+\.\d s  network   ens\d+ 10\.0\.2\.15/24 by DHCP").colour == screen.GREY
    only(rows, PROGRESS)
    # The silent server is given up after a while, and the line that counted makes room for what came of it.
    rows = shown.expect(PROMPT, 200)
    shown.save(LOGS / f"{bench.logs}-shell.png")
    is_legible(rows)
    left = [row.text for row in rows if re.search(PROGRESS, row.text)]
    assert not left, f"left of the line that counted: {left}"
    only(rows, r"^ +\d+\.\d s  rootfs    \S+ [KM]iB from \S+/rootfs\.img, sha256 right$")
    only(rows, r"^rd\.break: a shell before handing over to the real root\.")
    shown.type("ls -d /sysroot/sbin\n")
    rows = shown.expect(r"^/sysroot/sbin$", 60)
    only(rows, r"^firstlight:~# ls -d /sysroot/sbin$")


def shows_a_failure(bench, is_uefi: bool = False) -> None:
    server = bench.nginx({})
    shown = with_screen(bench, f"{server.url}/rootfs.img", "", images.initramfs(rootfs=tiny_image()), is_uefi)
    rows = shown.expect(PROMPT, SECONDS[is_uefi])
    shown.save(LOGS / f"{bench.logs}.png")
    is_legible(rows)
    cause = only(rows, r"^firstlight stopped: http://.*/rootfs\.img: HTTP status 404")
    assert cause.colour == screen.RED, cause.colour
    place = rows.index(cause)
    assert not rows[place - 1].text, "no blank line before it"
    assert only(rows, r"^  while getting the root filesystem$").colour == screen.GREY
    only(rows, r"^  Nothing was written to any disk\.$")
    only(rows, r"^  Check the URL: the server has nothing there\.$")
    only(rows, r"^  Log: /run/firstlight/log\. Shell on tty0; `exit` tries again\.$")
    shown.type("tail -n 1 /run/firstlight/step\n")
    shown.expect(r"^getting the root filesystem$", 60)
    shown.type("poweroff -f\n")
    shown.machine.wait_exit(60)


@boot_test(tier=ALL)
def picture_of_a_boot(bench):
    """On a screen: the font, the width, progress on one line that goes away, colours, and a shell that takes keys."""
    shows_a_boot(bench)


@boot_test(tier=ALL)
def picture_of_a_boot_uefi(bench):
    """The same on the framebuffer of UEFI firmware, which starts a unified kernel image."""
    shows_a_boot(bench, is_uefi=True)


@boot_test(tier=ALL)
def picture_of_a_failure(bench):
    """On a screen: a boot that stops, its cause in red, what to do, and the emergency shell."""
    shows_a_failure(bench)


@boot_test(tier=ALL)
def picture_of_a_failure_uefi(bench):
    """The same on the framebuffer of UEFI firmware."""
    shows_a_failure(bench, is_uefi=True)
