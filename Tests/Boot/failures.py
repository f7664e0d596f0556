"""Boots that cannot succeed: each says what, where, why and what to do, and touches no disk."""

import re
from pathlib import Path

import images
import processes
import rootfs
from boot import QUIETLY, boot_test, facts, stopped, tiny_image
from cpio import Archive
from disks import has_no_data
from machine import MIB, Disk
from paths import AGENT
from servers import Certificate, Status, Truncate
from tiers import ALL


@boot_test(tier=ALL)
def no_network_card(bench):
    """A machine without a network card."""
    machine = bench.boot("coreos.live.rootfs_url=http://10.0.2.2:1/rootfs.img rd.net.timeout.iflink=5",
                         initrd=[images.initramfs()], network=False)
    stopped(machine, r"network|interface|card")


@boot_test()
def no_dhcp_answer(bench):
    """A network on which nobody answers DHCP."""
    machine = bench.boot(
        "coreos.live.rootfs_url=http://10.0.2.2:1/rootfs.img ip=dhcp rd.net.timeout.dhcp=8",
        initrd=[images.initramfs()], network=False,
        extra=["-netdev", "hubport,id=alone,hubid=0", "-device", "virtio-net-pci,netdev=alone"])
    stopped(machine, r"DHCP")


@boot_test()
def not_found(bench):
    """404 stops at once and names the URL."""
    server = bench.nginx({})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/missing.img", initrd=[images.initramfs()])
    stopped(machine, r"404", r"missing\.img", r"Nothing was written")
    assert len([line for line in server.requests() if "missing" in line]) == 1, server.requests()


@boot_test()
def wrong_hash(bench):
    """One flipped byte late in the image: nothing of it is mounted."""
    image = tiny_image()
    data = bytearray(image.read_bytes())
    data[-5000] ^= 1
    server = bench.nginx({"rootfs.img": bytes(data)})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)])
    stopped(machine, r"sha-?256|hash", r"rootfs\.img")


@boot_test()
def wrong_appended_image(bench):
    """An appended root image of the right version that is another one than the initramfs knows."""
    image = tiny_image()
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    machine = bench.boot(initrd=[images.initramfs(rootfs=image), bytes(data)], network=False)
    stopped(machine, r"sha-?256|hash", r"root\.squashfs")


@boot_test(tier=ALL)
def wrong_sha256(bench):
    """firstlight.rootfs_sha256= of another image."""
    server = bench.nginx({"root.squashfs": rootfs.tiny()})
    machine = bench.boot(
        f"coreos.live.rootfs_url={server.url}/root.squashfs firstlight.rootfs_sha256={'0' * 63}1",
        initrd=[images.initramfs()])
    stopped(machine, r"sha-?256|hash")


@boot_test(tier=ALL)
def version_mismatch(bench):
    """An initramfs of another build than its root image."""
    image = tiny_image()
    other = images.appendix({"etc/coreos-live-initramfs": "9.other\n"})
    machine = bench.boot(initrd=[images.initramfs(), other, image], network=False)
    stopped(machine, r"9\.other", images.VERSION.replace(".", r"\."))


@boot_test(tier=ALL)
def version_mismatch_by_url(bench):
    """The same where the root image comes from a server."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image})
    other = images.appendix({"etc/coreos-live-initramfs": "9.other\n"})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image), other])
    stopped(machine, r"9\.other", images.VERSION.replace(".", r"\."))


@boot_test(tier=ALL)
def disk_never_appears(bench):
    """A config for a disk that is not there. What is there is named, but not a drive without a disc."""
    config = bench.config(storage={"disks": [{"device": "/dev/disk/by-id/virtio-absent", "wipeTable": True,
                                              "partitions": [{"label": "var", "number": 1}]}]})
    image = tiny_image()
    machine = bench.boot("ignition.firstboot ignition.platform.id=metal rd.timeout=10 loglevel=7",
                         initrd=[images.initramfs(), images.appendix({"config.ign": config.read_bytes()}), image],
                         network=False, disks=[Disk.blank(bench.folder / "there", 64 * MIB)],
                         extra=["-device", "ide-cd,id=cd"])
    report = stopped(machine, r"/dev/disk/by-id/virtio-absent", r"Nothing was written",
                     r"Block devices here: /dev/vda \(64 MiB\)\.? ")
    assert re.search(r"\bsr0\b", machine.console.text), "the kernel has not found the drive"
    assert "/dev/sr0" not in report, report


@boot_test()
def too_little_memory(bench):
    """An image that cannot fit into RAM is refused before it is downloaded."""
    image = bench.folder / "big.img"
    with open(image, "wb") as file:
        file.write(tiny_image().read_bytes())
        file.truncate(700 * MIB)
    server = bench.nginx({"rootfs.img": image})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img", initrd=[images.initramfs()],
                         memory=384)
    stopped(machine, r"RAM|memory", r"700|MiB")
    # nginx logs the bytes it sent after the status.
    sent = [int(line.split('" ')[1].split()[1]) for line in server.requests() if "GET" in line]
    assert sum(sent) < 16 * MIB, f"{sum(sent)} bytes were sent before it stopped"


def large_image(bench, size):
    """The tiny root as rootfs.img, with `size` bytes in it that nothing compresses."""
    tree = bench.folder / "tree"
    processes.run(["unsquashfs", "-quiet", "-no-progress", "-dest", tree, rootfs.tiny()])
    with open("/dev/urandom", "rb") as noise:
        (tree / "noise").write_bytes(noise.read(size))
    # Images are kept by the names of their filesystems.
    filesystem = bench.folder / f"large-{size // MIB}.squashfs"
    rootfs.squashfs(tree, filesystem)
    return images.root_image(filesystem)


@boot_test(tier=ALL)
def loaded_image_needs_ram(bench):
    """Too little RAM for an image that was loaded: told before the network, and with what is asked for it boots."""
    archives = [images.initramfs(), large_image(bench, 64 * MIB)]
    line = "coreos.live.rootfs_url=http://10.0.2.2:1/not-asked.img"
    report = stopped(bench.boot(line, initrd=archives, memory=256), r"this machine has 25\d MiB", r"cut it off")
    assert "network" not in report, report
    more = int(re.search(r"Give the machine (\d+) MiB more RAM", report)[1])
    unlimited = int(re.search(r"rootfstype=ramfs to the kernel command line: then (\d+) MiB suffice", report)[1])
    loaded = sum(Path(archive).stat().st_size for archive in archives) // MIB
    assert unlimited <= 2 * loaded + 110, f"{unlimited} MiB for {loaded} MiB without a limit"
    facts(bench.boot(line, initrd=archives, memory=256 + more))
    facts(bench.boot(f"{line} rootfstype=ramfs", initrd=archives, memory=unlimited))


@boot_test(tier=ALL)
def ram_for_the_next_try(bench):
    """With as much RAM more as the refusal of a fetched image asks for, the next boot succeeds."""
    image = large_image(bench, 128 * MIB)
    server = bench.nginx({"rootfs.img": image})
    initrd = [images.initramfs(rootfs=image)]
    line = f"coreos.live.rootfs_url={server.url}/rootfs.img"
    report = stopped(bench.boot(line, initrd=initrd, memory=208), r"too little RAM")
    more = int(re.search(r"Give the machine (\d+) MiB more RAM", report)[1])
    facts(bench.boot(line, initrd=initrd, memory=208 + more))


@boot_test(tier=ALL)
def initramfs_without_room(bench):
    """RAM that does not even hold the initramfs is told as such, not as damage."""
    report = stopped(bench.boot(initrd=[images.initramfs(), bench_noise(bench, 48 * MIB)], memory=160,
                                network=False), r"too little RAM")
    assert "damaged" not in report, report


def bench_noise(bench, size):
    """An archive with one large file."""
    with open("/dev/urandom", "rb") as noise:
        return images.appendix({"noise": noise.read(size)})


@boot_test(tier=ALL)
def truncated_archive(bench):
    """An archive that ends early, with no hash to tell."""
    image = tiny_image()
    server = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Truncate(image.stat().st_size * 2 // 3)] * 9})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img", initrd=[images.initramfs()])
    stopped(machine, r"rootfs\.img", r"end|trunc|short")


@boot_test(tier=ALL)
def not_an_image(bench):
    """A server's error page in place of an image."""
    server = bench.nginx({"rootfs.img": "<html>Please sign in</html>\n" * 100})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img", initrd=[images.initramfs()])
    stopped(machine, r"squashfs|erofs|image", r"rootfs\.img")


@boot_test(tier=ALL)
def config_syntax_error(bench):
    """A config with a syntax error: line and column, before the root image is asked for."""
    config = bench.folder / "config.ign"
    config.write_text('{\n  "ignition": { "version": "3.4.0" },\n  "storage": { "files": [ }\n}\n')
    image = tiny_image()
    server = bench.nginx({"config.ign": config, "rootfs.img": image})
    machine = bench.boot(
        f"coreos.live.rootfs_url={server.url}/rootfs.img ignition.firstboot ignition.platform.id=metal "
        f"ignition.config.url={server.url}/config.ign", initrd=[images.initramfs(rootfs=image)])
    stopped(machine, r"config\.ign line 3, column 27", r"Nothing was written")


@boot_test(tier=ALL)
def unsupported_field(bench):
    """A config with a field that is not built: its name, and a disk that stays blank."""
    config = bench.config(version="3.5.0", storage={
        "disks": [{"device": "/dev/vda", "wipeTable": True, "partitions": [{"label": "a"}, {"label": "b"}]}],
        "luks": [{"name": "data", "device": "/dev/disk/by-partlabel/b", "cex": {"enabled": True}}]})
    disk = bench.disk()
    image = tiny_image()
    machine = bench.boot("ignition.firstboot ignition.platform.id=metal", network=False, disks=[disk],
                         initrd=[images.initramfs(), images.appendix({"config.ign": config.read_bytes()}), image])
    stopped(machine, r"storage\.luks\[0\]\.cex", r"Nothing was written")
    assert has_no_data(disk.path), "the disk was written to"


@boot_test(tier=ALL)
def https_without_hash(bench):
    """Where no hash is known, a certificate that does not verify stops the boot."""
    server = bench.nginx({"root.squashfs": rootfs.tiny()}, certificate=Certificate.make(bench.folder))
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/root.squashfs", initrd=[images.initramfs()])
    stopped(machine, r"certificate", r"root\.squashfs")


@boot_test()
def nothing_but_the_agent(bench):
    """PID 1 with nothing mounted and nothing beside it: still a report, and power off."""
    machine = bench.boot(initrd=[agent_alone()], network=False)
    stopped(machine, r"/usr\.squashfs is missing")


@boot_test()
def emergency_reboot(bench):
    """rd.emergency=reboot starts the machine again."""
    server = bench.faulty({}, {"/missing.img": [Status(404)]})
    machine = bench.boot(f"rd.shell=0 rd.emergency=reboot coreos.live.rootfs_url={server.url}/missing.img",
                         base=QUIETLY, initrd=[images.initramfs()])
    machine.console.expect(r"^firstlight stopped: .*404", 90)
    assert machine.wait_exit(60) == "guest-reset"


def agent_alone():
    """An initramfs with nothing in it but /init."""
    archive = Archive()
    archive.file("init", AGENT.read_bytes(), 0o755)
    return archive.finished()
