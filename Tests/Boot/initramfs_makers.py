"""Initramfs images that others make: dracut's of two releases, in each of its flavours and with each of its ways to a
network; Debian's initramfs-tools. Most boot the tiny root, since only the way to it differs."""

import json
import os
import re

import images
import processes
import rootfs
from boot import BROKEN, PROVISION, QUIETLY, STOPPED, UNATTENDED, boot_test, facts, stopped, tiny_image
from console import Unmet, told_twice
from debian_systems import RELEASES, Workshop, documented, dracut_image, initramfs_tools_image
from machine import MIB
from paths import TOOL, kernel_image
from tiers import ALL

# A file by the config, and what the network left.
LOOK = "cat /etc/applied; ls /run/ostree-live"
LIMIT = 600  # of a machine that starts all of systemd twice, or once and a shell


def served(bench, image=None):
    """The arguments to boot the tiny root with a config, both from a server."""
    config = bench.config(storage={"files": [{"path": "/etc/applied", "contents": {"source": "data:,applied%0A"}}]})
    server = bench.nginx({"rootfs.img": image or tiny_image(), "config.ign": config.read_text()})
    return (f"{PROVISION} coreos.live.rootfs_url={server.url}/rootfs.img "
            f"ignition.config.url={server.url}/config.ign")


def check_applied(found):
    if found["run"] != ["applied", "/run/ostree-live"]:
        raise Unmet("the config's file and the live system's stamp in the real root", str(found["run"]))


def _register(release, flavour, network):
    def test(bench):
        words = {"systemd": (network,), "busybox": (f"busybox {network}", "systemd")}[flavour]
        image = dracut_image(bench, release, *words)
        check_applied(facts(bench.boot(served(bench), script=LOOK, initrd=[image]), LIMIT))

    version = RELEASES[release]
    test.__name__ = f"dracut_{version}_{flavour}_{network}".replace("-", "_")
    test.__doc__ = f"dracut {version} with {flavour} as PID 1, the network by {network}, DHCP that nobody asks for"
    boot_test(tier=ALL)(test)


for _release in RELEASES:
    for _network in ("network-legacy", "network-manager", "systemd-networkd"):
        _register(_release, "systemd", _network)
    # The other two depend on systemd by themselves or by dbus.
    _register(_release, "busybox", "network-legacy")


def _register_packages(release, number):
    def test(bench):
        workshop = Workshop(bench, "packages", tiny_image())
        workshop.install_packages(documented("packages") + MAKE_OWN, release)
        for name in ("dracut.img", "own.img"):
            check_applied(facts(bench.boot(served(bench), script=LOOK, initrd=[workshop.file(name)]), LIMIT))
        workshop.install_packages(SWITCH_DROP_IN, release)

    test.__name__ = f"packages_on_debian_{number}"
    test.__doc__ = f"Our packages in a clean Debian {number}: dracut's initramfs and the tool's boot, the drop-in comes and goes"
    boot_test(tier=ALL)(test)


# In the system of the lines before: what else the packages bring works there.
MAKE_OWN = """
firstlight-image initramfs --fast --kernel "$kernel" -o own.img
man -w firstlight firstlight-image firstlight.cmdline || test ! -x /usr/bin/man
coreos-installer iso --help >/dev/null
butane --version
"""
SWITCH_DROP_IN = """
engine=/usr/lib/dracut/modules.d/30ignition/ignition
apt-get -q install -y --no-install-recommends ignition
sum=$(sha256sum <$engine)
apt-get -q install -y ./out/deb/firstlight_*.deb ./out/deb/firstlight-dracut-ignition_*.deb
test "$(readlink -f $engine)" = /usr/bin/firstlight
test "$(sha256sum <$engine.distrib)" = "$sum"
dpkg --remove firstlight-dracut-ignition
test "$(sha256sum <$engine)" = "$sum"
test ! -e $engine.distrib
"""

for _release, _number in {"bookworm": 12, "trixie": 13}.items():
    _register_packages(_release, _number)


# A module of the kind of Fedora CoreOS's, and one that depends on both and orders itself by their names.
LIVE = {
    "module-setup.sh": """#!/bin/bash
check() { return 0; }
depends() { echo ignition; }
install() {
    inst_script "$moddir/is-live-image" /usr/bin/is-live-image
    inst_simple "$moddir/live-generator" "$systemdutildir/system-generators/live-generator"
    inst_simple "$moddir/coreos-livepxe-rootfs.service" "$systemdsystemunitdir/coreos-livepxe-rootfs.service"
    inst_hook pre-mount 30 "$moddir/live-hook.sh"
}
""",
    "is-live-image": "#!/bin/sh\ntest -f /etc/coreos-live-initramfs\n",
    "live-generator": "#!/bin/sh\necho '<2>original generator' >/dev/kmsg\n",
    "live-hook.sh": "echo '<2>original hook' >/dev/kmsg\n",
    "coreos-livepxe-rootfs.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo original >>/run/order'\n",
}
OTHERS = {
    "module-setup.sh": """#!/bin/bash
check() { return 0; }
depends() { echo ignition coreos-live; }
install() {
    local unit
    for unit in "$moddir"/others-*.service; do
        inst_simple "$unit" "$systemdsystemunitdir/${unit##*/}"
        mkdir -p "$initdir$systemdsystemunitdir/ignition-complete.target.requires"
        ln_r "$systemdsystemunitdir/${unit##*/}" "$systemdsystemunitdir/ignition-complete.target.requires/${unit##*/}"
    done
    inst_multiple sh cat test
}
""",
}


def _other(name, ordering, check):
    return (f"[Unit]\nDescription=Another's: {name}\nDefaultDependencies=no\n"
            f"ConditionPathExists=/run/ostree-live\n{ordering}\n"
            "OnFailure=emergency.target\nOnFailureJobMode=isolate\n[Service]\nType=oneshot\n"
            "EnvironmentFile=/run/ignition.env\n"
            f"ExecStart=/bin/sh -ec '{check}; echo {name} $PLATFORM_ID >>/run/order'\n")


OTHERS["others-1.service"] = _other(
    "image", "After=coreos-livepxe-rootfs.service\nBefore=ignition-disks.service",
    "test -e /run/firstlight/image; test -e /run/ignition/neednet; is-live-image")
OTHERS["others-2.service"] = _other(
    "mounted", "After=ignition-mount.service\nBefore=ignition-files.service",
    "test ! -e /sysroot/etc/applied; test -e /sysroot/etc/passwd")
OTHERS["others-3.service"] = _other(
    "files", "After=ignition-files.service\nBefore=ignition-complete.target", "cat /sysroot/etc/applied")


@boot_test(tier=ALL)
def dracut_beside_the_original(bench):
    """Beside the modules ignition and coreos-live ours does the work, at the times that others know by their names."""
    # This machine has Debian's package ignition, and with it the module.
    image = dracut_image(bench, None, "systemd-networkd", before={"35coreos-live": LIVE, "60others": OTHERS})
    machine = bench.boot(served(bench), script=f"{LOOK}; cat /run/order", initrd=[image])
    found = facts(machine, LIMIT)
    wanted = ["applied", "/run/ostree-live", "image metal", "mounted metal", "files metal"]
    if found["run"] != wanted:
        raise Unmet(f"each of the others at its time: {wanted}", str(found["run"]))
    if "original" in machine.console.text:
        raise Unmet("Ignition's generator and hook to be left out", "one has run")
    listed = processes.run(["lsinitrd", image]).decode()
    for name in ("usr/bin/ignition$", "ignition-generator", "live-generator", "ignition-fetch-offline"):
        if re.search(name, listed, re.MULTILINE):
            raise Unmet(f"no {name} in the image", "it is there")


@boot_test(tier=ALL)
def dracut_emergency(bench):
    """A stage that fails ends in systemd's emergency mode, with our report before it; rd.emergency is followed."""
    arguments = served(bench, image=bench.config("wrong.img"))
    image = dracut_image(bench, "bookworm", "systemd-networkd")
    machine = bench.boot(arguments, base=QUIETLY, initrd=[image])
    console = machine.console
    console.expect(STOPPED, LIMIT, what="the report")
    console.expect(r"while running the stage rootfs", 60, what="the report to name the stage")
    console.expect(r"Entering emergency mode", 120, what="systemd's emergency mode")
    console.refuse(r"it was ended by SIGTERM")
    console.expect(r"Press Enter|Control-D", 120, what="the prompt of sulogin")
    # What is typed before it reads is lost.
    console.wait_quiet(10)
    machine.type("\n")
    console.expect(r"# $", 120, what="the prompt of the shell")
    machine.type("echo answer-$((6 * 7)); systemctl is-failed firstlight-rootfs.service\n")
    console.expect(r"^answer-42", 120, what="a shell that answers")
    console.expect(r"^failed", 60, what="systemd to know of the failed unit")
    # What the agent prints is taken from its standard error, and what only its log has from the kernel's.
    machine.type("journalctl -q --no-pager -o cat -t firstlight; echo journal-$((6 * 7))\n")
    start = len(console.text)
    console.expect(r"^journal-42", 120, what="the journal")
    told = [line.rstrip() for line in console.text[start:].splitlines()]
    if not all(any(word in line for line in told) for word in ("attempt #1", "firstlight stopped")):
        raise Unmet("what the agent told, and its log, in the journal", "\n".join(told))
    if twice := told_twice(told):
        raise Unmet("each message once in the journal", "\n".join(twice))
    machine.stop()
    stopped(bench.boot(arguments, initrd=[image]), "rootfs.img", timeout=LIMIT)


@boot_test(tier=ALL)
def dracut_busybox_stops(bench):
    """Without systemd a boot that stops ends in dracut's shell, and `exit` tries again."""
    stops_and_goes_on(bench, dracut_image(bench, "trixie", "busybox network-legacy", "systemd"))


@boot_test(tier=ALL)
def initramfs_tools_stops(bench):
    """Under initramfs-tools a boot that stops ends in its shell, and `exit` tries again; rd.emergency is followed."""
    # The smallest systems have no certificate authorities.
    stops_and_goes_on(bench, initramfs_tools_image(bench, before="mount -t tmpfs none /etc/ssl/certs\n"))


def stops_and_goes_on(bench, initrd):
    """A boot whose config is wrong until somebody mends it, then one with nobody there."""
    arguments = served(bench)
    config = bench.folder / "www0/config.ign"
    right = config.read_text()
    wrong = json.dumps({"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "relative"}]}})
    config.write_text(wrong)
    # No DHCP client of the first try is left beside that of the real root.
    script = f"{LOOK}; grep -l '[u]dhcpc' /proc/[0-9]*/cmdline || true"
    machine = bench.boot(arguments, base=QUIETLY.replace("panic=-1", ""), script=script, initrd=[initrd])
    machine.console.expect(r"^firstlight stopped: ", LIMIT, what="the report")
    machine.console.expect(r"Log: /run/firstlight/log\. The scripts of the initramfs go on\.", 60)
    shell_answers(machine)
    config.write_text(right)
    machine.type("exit\n")
    check_applied(facts_after(machine))
    config.write_text(wrong)
    stopped(bench.boot(arguments, base=UNATTENDED, initrd=[initrd]), "relative", timeout=LIMIT)


def shell_answers(machine):
    """The scripts of the initramfs have given a shell, since the boot has stopped."""
    machine.console.expect(r"`exit` tries again", 60)
    machine.console.wait_quiet(3)
    machine.type("echo answer-$((6 * 7))\n")
    machine.console.expect(r"answer-42$", 120, what="a shell that answers")


# Bytes of a root image, and a second, that leave time to take the medium out while it is read.
LARGE, SLOW = 8 * MIB, 192 << 10


def large_root(bench):
    """A root image with more to read than its filesystem."""
    filesystem = bench.folder / "larger.squashfs"
    filesystem.write_bytes(rootfs.tiny().read_bytes() + os.urandom(LARGE))
    return images.root_image(filesystem)


def boot_from_medium(bench, initrd, root, **settings):
    """Boots with a CD that has the root image; in the real root a line from the console is waited for."""
    image = bench.folder / "live.iso"
    processes.run([TOOL, "iso", "-o", image, "--label", "OWN", "--kernel", kernel_image(), "--initramfs", initrd,
                   "--rootfs", root])
    # As systemd would: busybox's switch_root leaves it to the real root.
    script = "[ -e /dev/kmsg ] || mount -t devtmpfs none /dev; echo @eject-now; read -r x"
    machine = bench.boot("coreos.liveiso=OWN", initrd=[initrd], cdrom=image, network=False, script=script, **settings)
    return machine, image


def told_once_running(machine, image):
    """A CD that is taken out of the system which runs from it is told on the console, and that it is back."""
    machine.console.expect(r"^@eject-now$", LIMIT, never=r"Kernel panic", what="the tiny root")
    machine.eject()
    machine.console.expect(r"firstlight: the medium that this system runs from is gone: /dev/sr0", 60)
    machine.insert(image)
    machine.console.expect(r"firstlight: the medium is back: /dev/sr0", 60)
    machine.type("go on\n")


def told_all_along(bench, initrd, root):
    """A CD that is taken out while the root image is read stops the boot, which goes on once it is back; later, too."""
    machine, image = boot_from_medium(bench, initrd, root, base=QUIETLY.replace("panic=-1", ""))
    console = machine.console
    console.expect(r"^firstlight \d", LIMIT, never=BROKEN, what="the agent to start")
    machine.slow_down(SLOW)
    console.expect(r"rootfs +\S+ of \S+ MiB +\d+ %", LIMIT, never=BROKEN)
    machine.eject()
    console.expect(r"^firstlight stopped: cannot read /run/media/iso/images/pxeboot/rootfs\.img", 120)
    console.expect("Check the boot medium", 10)
    shell_answers(machine)
    machine.insert(image)
    machine.slow_down(0)
    machine.type("exit\n")
    told_once_running(machine, image)
    facts_after(machine)


@boot_test(tier=ALL)
def dracut_medium_gone(bench):
    """Under dracut with systemd a CD that is taken out of the system which runs from it is told on the console."""
    machine, image = boot_from_medium(bench, dracut_image(bench, None), tiny_image())
    told_once_running(machine, image)
    facts(machine, 120)


@boot_test(tier=ALL)
def dracut_busybox_medium_gone(bench):
    """Without systemd a CD that is taken out is told on the console, while it is read and once the system runs."""
    root = large_root(bench)
    told_all_along(bench, dracut_image(bench, None, "busybox network-legacy", "systemd", root=root), root)


@boot_test(tier=ALL)
def initramfs_tools_medium_gone(bench):
    """The same under initramfs-tools."""
    root = large_root(bench)
    told_all_along(bench, initramfs_tools_image(bench, root=root), root)


def facts_after(machine):
    """The facts of a boot whose console has shown a failure before."""
    machine.console.expect(r"^@fact end$", LIMIT, what="the tiny root")
    machine.wait_exit(30)
    lines = machine.console.text.splitlines()
    begin = lines.index("@run begin")
    return {"run": lines[begin + 1:lines.index("@run end 0")]}
