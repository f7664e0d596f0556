"""Where the root filesystem comes from, and in which format."""

import datetime
import hashlib
import json
import os
import re
import time

import images
import processes
import rootfs
from boot import UNATTENDED, boot_test, facts, run_argument, tiny_image
from machine import Disk
from paths import AGENT, kernel_image
from servers import Certificate
from tiers import ALL


def mount_of(found, folder):
    """Type, device and options of what is mounted last on `folder` in the real root."""
    lines = [line.split(" ", 3)[1:] for line in found["mount"] if line.split(" ")[0] == folder]
    assert lines, f"nothing is mounted on {folder}"
    return lines[-1]


@boot_test()
def url_http(bench):
    """rootfs.img by HTTP, verified; the real root gets console, mounts and a clean environment."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image})
    machine = bench.boot(
        f"coreos.live.rootfs_url={server.url}/rootfs.img", initrd=[images.initramfs(rootfs=image)],
        script="mount; ls -la /run/firstlight; ls / > /dev/null; touch /written /etc/written; "
               "cat /run/firstlight/log | wc -l; echo init-is $(readlink /proc/1/exe); "
               "grep -E '[0-9][.][0-9]{7,}( s|$)' /run/firstlight/log | sed 's/^/digits /'")
    found = facts(machine)
    text = machine.console.unwrapped
    assert re.search(r"rootfs .*sha256 right", text), "the console does not say that the hash is right"
    assert re.search(r"network .*10\.0\.2\.15/24", text), "the console does not show the lease"
    assert len([line for line in server.requests() if "GET /rootfs.img" in line]) == 1

    assert mount_of(found, "/")[0] == "overlay"
    for folder, kind in {"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs", "/run": "tmpfs"}.items():
        assert mount_of(found, folder)[0] == kind, folder
    assert found["pid"] == ["1"]
    assert found["descriptor"] == ["/dev/console"] * 3, found["descriptor"]
    assert "/run/firstlight/log" in found["stamp"]
    assert found["resolver"] == ["nameserver 10.0.2.3"], found.get("resolver")
    names = {line.partition("=")[0] for line in found["environment"]}
    assert names <= {"PATH", "TERM", "HOME", "PWD", "SHLVL"}, f"environment: {names}"
    for stamp in ["/run/ostree-live", "/run/ignition.env"]:
        assert stamp in found["stamp"], f"the live system has no {stamp}"
    digits = [line for line in found["run"] if line.startswith("digits ")]
    assert not digits, f"seconds that nobody reads in the log: {digits[0]}"


@boot_test()
def appended(bench):
    """rootfs.img appended as a second initrd: no network is brought up."""
    image = tiny_image()
    found_machine = bench.boot(initrd=[images.initramfs(rootfs=image), image], network=True)
    found = facts(found_machine)
    assert mount_of(found, "/")[0] == "overlay"
    found_machine.console.refuse(r"DHCP|10\.0\.2\.15")
    assert re.search(r"rootfs .*sha256 right", found_machine.console.unwrapped), "the image was not checked"


@boot_test(tier=ALL)
def appended_beats_url(bench):
    """With a root image appended, its URL is not asked."""
    image = tiny_image()
    server = bench.nginx({})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image), image])
    facts(machine)
    assert not [line for line in server.requests() if "rootfs" in line]


def iso(bench, extra):
    """A medium that boots the tiny root with these further arguments."""
    image = tiny_image()
    arguments = f"{UNATTENDED} coreos.liveiso=FIRSTLIGHT {extra}"
    return images.iso(bench.folder, "FIRSTLIGHT", {
        "images/pxeboot/vmlinuz": kernel_image(),
        "images/pxeboot/initrd.img": images.initramfs(rootfs=image),
        "images/pxeboot/rootfs.img": image,
    }, arguments)


@boot_test(tier=ALL)
def iso_by_label(bench):
    """A BIOS boots the ISO; the root comes from the volume of that label, which stays mounted."""
    script = "ls -1 /run/media/iso/images/pxeboot; cat /proc/mounts | grep iso9660"
    machine = bench.boot(cdrom=iso(bench, run_argument(script)), boot="cdrom", network=False)
    found = facts(machine, timeout=150)
    assert mount_of(found, "/")[0] == "overlay"
    assert "rootfs.img" in found["run"], found["run"]
    assert "checked once and read again later" in machine.console.unwrapped


def only_read(bench, place, kind, **settings) -> None:
    """Boots from a disk, on which not a byte changes."""
    before = hashlib.sha256(place.read_bytes()).hexdigest()
    machine = bench.boot("coreos.liveiso=FIRSTLIGHT", initrd=[images.initramfs(rootfs=tiny_image())], network=False,
                         disks=[Disk(place, **settings)], script="grep media/iso /proc/mounts")
    found = facts(machine)
    assert mount_of(found, "/")[0] == "overlay"
    assert re.match(rf"/dev/loop\d+ /run/media/iso {kind} ro", found["run"][0]), found["run"]
    assert hashlib.sha256(place.read_bytes()).hexdigest() == before, "the disk was written to"


@boot_test(tier=ALL)
def iso_on_sectors_of_4096_bytes(bench):
    """An ISO on a disk with large sectors, which the kernel mounts no ISO from."""
    place = iso(bench, "")
    os.truncate(place, 64 << 20)  # a disk is larger
    only_read(bench, place, "iso9660", sector=4096)


@boot_test(tier=ALL)
def iso_files_on_a_dirty_ext4(bench):
    """A stick with the ISO's files that was in use when the power went stays as it is."""
    tree, place = bench.folder / "tree", bench.folder / "stick"
    (tree / "images/pxeboot").mkdir(parents=True)
    (tree / "images/pxeboot/rootfs.img").write_bytes(tiny_image().read_bytes())
    (tree / "open").write_bytes(b"x" * 5000)
    processes.run(["mkfs.ext4", "-q", "-L", "FIRSTLIGHT", "-d", tree, place, "64M"])
    number = processes.run(["debugfs", "-R", "stat open", place]).decode().split()[1]
    for command in ["feature needs_recovery", "sif open links_count 0", f"ssv last_orphan {number}"]:
        processes.run(["debugfs", "-w", "-R", command, place])
    only_read(bench, place, "ext4")


@boot_test()
def iso_from_ram(bench):
    """With coreos.liveiso.fromram the medium can be taken out once the real root runs."""
    script = ("grep -c iso9660 /proc/mounts; echo @eject-now; read -r x; "
              "find / -xdev -type f -exec cat {} + | wc -c; dd if=/dev/sr0 of=/dev/null count=1 2>&1 | head -1")
    machine = bench.boot(cdrom=iso(bench, "coreos.liveiso.fromram " + run_argument(script)),
                         boot="cdrom", network=False)
    machine.console.expect(r"^@eject-now$", 150, never=r"Kernel panic|^firstlight stopped")
    machine.eject()
    machine.type("go on\n")
    found = facts(machine)
    assert found["run"][0] == "0", "an iso9660 filesystem is still mounted"
    assert any("No medium" in line for line in found["run"]), found["run"]


@boot_test(tier=ALL)
def url_tftp(bench):
    """rootfs.img by TFTP."""
    image = tiny_image()
    folder = bench.folder / "tftp"
    folder.mkdir()
    (folder / "rootfs.img").write_bytes(image.read_bytes())
    machine = bench.boot("coreos.live.rootfs_url=tftp://10.0.2.2/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)], tftp=folder)
    facts(machine)


@boot_test(tier=ALL)
def bare_squashfs(bench):
    """A bare squashfs, verified against firstlight.rootfs_sha256=."""
    bare(bench, "squashfs")


@boot_test()
def bare_erofs(bench):
    """A bare erofs, verified against firstlight.rootfs_sha256=."""
    bare(bench, "erofs")


def bare(bench, format):
    image = rootfs.tiny(format)
    server = bench.nginx({"root": image})
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/root firstlight.rootfs_sha256={digest}",
                         initrd=[images.initramfs()])
    found = facts(machine)
    kinds = {line.split(" ")[1] for line in found["mount"]}
    assert format in kinds or mount_of(found, "/")[0] == "overlay"
    assert re.search(r"rootfs .*sha256 right", machine.console.unwrapped)


@boot_test(tier=ALL)
def erofs_root_image(bench):
    """rootfs.img around an erofs image."""
    image = images.root_image(rootfs.tiny("erofs"))
    machine = bench.boot(initrd=[images.initramfs(rootfs=image), image], network=False)
    facts(machine)


@boot_test(tier=ALL)
def unverified_http(bench):
    """With no hash known, plain HTTP boots and the console says that the image is not verified."""
    server = bench.nginx({"root.squashfs": rootfs.tiny()})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/root.squashfs", initrd=[images.initramfs()])
    facts(machine)
    assert "the root image is not verified" in machine.console.unwrapped


@boot_test(tier=ALL)
def https_with_hash(bench):
    """Where a hash is known, a certificate need not verify."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image}, certificate=Certificate.make(bench.folder))
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)])
    facts(machine)


@boot_test()
def https_with_ca(bench):
    """Where no hash is known, a certificate of --ca verifies."""
    certificate = Certificate.make(bench.folder)
    server = bench.nginx({"root.squashfs": rootfs.tiny()}, certificate=certificate)
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/root.squashfs",
                         initrd=[images.initramfs(ca=certificate.chain)])
    facts(machine)


@boot_test()
def stopped_clock(bench):
    """A clock of long ago: set to the program's date at once, and by the image's server once its hash is right."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image})
    machine = bench.boot(
        f"coreos.live.rootfs_url={server.url}/rootfs.img", initrd=[images.initramfs(rootfs=image)],
        extra=["-rtc", "base=2001-02-03T04:05:06"], script="date -u +%s")
    found = facts(machine)
    text = machine.console.unwrapped
    assert re.search(r"clock .*set from 2001-02-03 04:0\d UTC to 20\d\d-\d\d-\d\d \d\d:\d\d UTC, the date of this program",
                     text), "the console does not tell that the clock was set"
    assert abs(int(found["run"][0]) - time.time()) < 1200, found["run"]
    if time.time() - build_date() > 60:
        assert re.search(r"clock .*the date that http://\S+/rootfs\.img tells", text)


def build_date():
    """When the agent's sources were last changed, as its bill of materials has it."""
    text = json.loads(AGENT.with_name("firstlight.spdx.json").read_text())["creationInfo"]["created"]
    return datetime.datetime.fromisoformat(text).timestamp()
