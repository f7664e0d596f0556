"""What a config makes of disks and of the real root, with the tiny root: quick."""

import base64
import hashlib
import json
import re

import disks
import images
import processes
from boot import PROVISION, boot_test, embedded, facts, stopped, tiny_image
from machine import GIB, MIB
from servers import Certificate, Stall
from tiers import ALL

# The guide's persistent /var ("Using persistent state").
PERSISTENT_VAR = {
    "disks": [{"device": "/dev/vda", "wipeTable": True, "partitions": [{"label": "var"}]}],
    "filesystems": [{"device": "/dev/disk/by-partlabel/var", "label": "var", "format": "xfs",
                     "wipeFilesystem": False, "path": "/var"}],
}


def superblock(image, partition=None):
    """Type, label and UUID of what a disk image, or one partition of it, holds."""
    place = ["--offset", partition.first * 512, "--size", partition.count * 512] if partition else []
    found = [processes.run(["blkid", "-p", "-o", "value", "-s", key, *place, image]) for key in ("TYPE", "LABEL", "UUID")]
    return tuple(value.decode().strip() for value in found)


@boot_test()
def persistent_var(bench):
    """The guide's persistent /var: made at the first boot, found again at the second, data included."""
    disk = bench.disk()
    initrd = embedded(bench, storage=PERSISTENT_VAR)
    script = ("mkdir -p /mnt; mount -t xfs /dev/vda1 /mnt; echo line >>/mnt/lines; wc -l </mnt/lines; umount /mnt")

    machine = bench.boot(PROVISION, initrd=initrd, disks=[disk], network=False, script=script)
    assert facts(machine)["run"] == ["1"]
    table = disks.table(disk.path)
    assert [(p.number, p.label) for p in table.partitions] == [(1, "var")], table
    assert table.partitions[0].count * 512 > disk.path.stat().st_size - 4 * MIB, "not the whole disk"
    filesystem = disks.xfs(disk.path, table.partitions[0])
    assert filesystem.label == "var"

    machine = bench.boot(PROVISION, initrd=initrd, disks=[disk], network=False, script=script)
    assert facts(machine)["run"] == ["2"]
    assert disks.table(disk.path) == table, "the table was written anew"
    assert disks.xfs(disk.path, table.partitions[0]) == filesystem, "the filesystem was made anew"
    assert re.search(r"plan .*nothing destroyed", machine.console.unwrapped)


@boot_test()
def raid_array(bench):
    """A RAID1 of two partitions and its filesystem: made at the first boot, assembled at the second, data included."""
    attached = [bench.disk(size=512 * MIB), bench.disk(size=512 * MIB)]
    initrd = embedded(bench, storage={
        "disks": [{"device": f"/dev/vd{letter}", "wipeTable": True, "partitions": [{"label": f"half-{letter}"}]}
                  for letter in "ab"],
        "raid": [{"name": "data", "level": "raid1", "devices": [f"/dev/disk/by-partlabel/half-{letter}" for letter in "ab"]}],
        "filesystems": [{"device": "/dev/md/data", "format": "ext4", "label": "data", "path": "/srv"}]})
    script = ("mkdir -p /mnt; mount -t ext4 /dev/md/data /mnt; echo line >>/mnt/lines; wc -l </mnt/lines; umount /mnt")
    for number in (1, 2):
        machine = bench.boot(PROVISION, initrd=initrd, disks=attached, processors=2, network=False, script=script)
        assert facts(machine)["run"] == [f"{number}"], f"boot {number}"
    assert re.search(r"plan .*nothing destroyed", machine.console.unwrapped)
    assert not re.search(r"plan .*created", machine.console.unwrapped), "something was made anew"


@boot_test()
def every_bus_and_format(bench):
    """Disks on virtio, SCSI, SATA and NVMe by every kind of name; ext4, xfs, btrfs, vfat and swap."""
    attached = [bench.disk(bus="virtio", serial="first"), bench.disk(bus="scsi", serial="second"),
                bench.disk(bus="sata", serial="third"), bench.disk(bus="nvme", serial="fourth")]
    by_id = {"virtio": "virtio-first", "scsi": "scsi-0QEMU_QEMU_HARDDISK_second",
             "sata": "ata-QEMU_HARDDISK_third", "nvme": "nvme-QEMU_NVMe_Ctrl_fourth"}
    storage = {
        "disks": [
            {"device": f"/dev/disk/by-id/{by_id['virtio']}", "wipeTable": True, "partitions": [
                {"label": "swap", "number": 2, "sizeMiB": 256}, {"label": "data", "number": 1, "sizeMiB": 1024,
                                                                 "startMiB": 512}]},
            {"device": f"/dev/disk/by-id/{by_id['scsi']}", "wipeTable": True, "partitions": [{"label": "b"}]},
            {"device": f"/dev/disk/by-id/{by_id['sata']}", "wipeTable": True, "partitions": [{"label": "c"}]},
            {"device": f"/dev/disk/by-id/{by_id['nvme']}", "wipeTable": True, "partitions": [{"label": "d"}]},
        ],
        "filesystems": [
            {"device": "/dev/disk/by-partlabel/swap", "format": "swap", "label": "swap"},
            {"device": f"/dev/disk/by-id/{by_id['virtio']}-part1", "format": "ext4", "label": "data", "path": "/srv/a",
             "uuid": "6c1a4a5e-9d3b-4d0f-9a0b-2f2f7d9e0a11"},
            {"device": "/dev/disk/by-partlabel/b", "format": "xfs", "label": "b", "path": "/srv/b"},
            {"device": "/dev/disk/by-partlabel/c", "format": "btrfs", "label": "c", "path": "/srv/c"},
            {"device": f"/dev/disk/by-id/{by_id['nvme']}-part1", "format": "vfat", "label": "D", "path": "/srv/d"},
        ],
        "files": [{"path": f"/srv/{name}/file", "contents": {"source": f"data:,on%20{name}"}} for name in "abcd"],
    }
    initrd = embedded(bench, modules="generic", storage=storage)
    # The links that the agent made are still there in the real root.
    script = ("p=/dev/disk/by-partlabel; mkdir -p /mnt/b /mnt/c /mnt/d /mnt/a; cd /mnt; mount -t ext4 $p/data a;"
              "mount -t xfs $p/b b; mount -t btrfs $p/c c; mount -t vfat $p/d d;"
              "for i in a b c d; do cat $i/file; echo; done; umount a b c d")
    machine = bench.boot(PROVISION, initrd=initrd, disks=attached, processors=2, network=False, script=script)
    found = facts(machine, timeout=150)["run"]
    assert found == ["on a", "on b", "on c", "on d"], found
    first = disks.table(attached[0].path)
    assert {p.number: (p.label, p.first, p.count) for p in first.partitions} == {
        1: ("data", 512 * 2048, 1024 * 2048), 2: ("swap", first.partitions[1].first, 256 * 2048)}, first
    assert superblock(attached[0].path, first.partitions[0]) == ("ext4", "data", "6c1a4a5e-9d3b-4d0f-9a0b-2f2f7d9e0a11")
    assert superblock(attached[0].path, first.partitions[1])[:2] == ("swap", "swap")

    tables = [disks.table(disk.path) for disk in attached]
    machine = bench.boot(PROVISION, initrd=initrd, disks=attached, processors=2, network=False)
    facts(machine, timeout=150)
    assert [disks.table(disk.path) for disk in attached] == tables, "a table was written anew"


@boot_test()
def foreign_filesystem(bench):
    """A filesystem that is not what the config wants stops the boot while the image is on its way; the disk keeps every
    byte."""
    disk = bench.disk(size=512 * MIB)
    processes.run(["mkfs.ext4", "-q", "-L", "backup", disk.path])
    before = hashlib.sha256(disk.path.read_bytes()).hexdigest()
    *initrd, image = embedded(bench, storage={"filesystems": [
        {"device": "/dev/vda", "format": "xfs", "label": "var", "wipeFilesystem": False, "path": "/var"}]})
    # The other half never comes, and is not asked for again.
    server = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Stall(image.stat().st_size // 2)] * 9})
    machine = bench.boot(f"{PROVISION} coreos.live.rootfs_url={server.url}/rootfs.img", initrd=initrd, disks=[disk])
    stopped(machine, r"/dev/vda.*ext4.*backup", r"xfs", r"storage\.filesystems", r"while planning the disks",
            r"Nothing was written", r"wipeFilesystem")
    assert len(server.gets("/rootfs.img")) == 1 and "sha256 right" not in machine.console.text
    assert hashlib.sha256(disk.path.read_bytes()).hexdigest() == before


@boot_test(tier=ALL)
def conflict_before_any_write(bench):
    """A conflict on the second disk is found before the first is touched."""
    blank, used = bench.disk(), bench.disk(size=512 * MIB)
    processes.run(["mkfs.ext4", "-q", "-L", "backup", used.path])
    initrd = embedded(bench, storage={
        "disks": PERSISTENT_VAR["disks"],
        "filesystems": PERSISTENT_VAR["filesystems"] + [{"device": "/dev/vdb", "format": "btrfs", "path": "/srv"}]})
    machine = bench.boot(PROVISION, initrd=initrd, disks=[blank, used], network=False)
    stopped(machine, r"/dev/vdb", r"Nothing was written")
    assert disks.has_no_data(blank.path), "the blank disk was written to"


@boot_test(tier=ALL)
def wipe_says_what_it_destroys(bench):
    """wipeFilesystem destroys, and the console says so first."""
    disk = bench.disk(size=512 * MIB)
    processes.run(["mkfs.ext4", "-q", "-L", "backup", disk.path])
    initrd = embedded(bench, storage={"filesystems": [
        {"device": "/dev/vda", "format": "xfs", "label": "var", "wipeFilesystem": True, "path": "/var"}]})
    machine = bench.boot(PROVISION, initrd=initrd, disks=[disk], network=False)
    facts(machine)
    assert superblock(disk.path)[:2] == ("xfs", "var")
    assert re.search(r"(DESTROY|destroy).*backup", machine.console.unwrapped)


@boot_test()
def late_disk(bench):
    """A disk that appears while the boot waits for it."""
    disk = bench.disk(serial="late")
    storage = {**PERSISTENT_VAR, "disks": [{**PERSISTENT_VAR["disks"][0], "device": "/dev/disk/by-id/virtio-late"}]}
    machine = bench.boot(PROVISION, initrd=embedded(bench, storage=storage), network=False)
    machine.console.expect(r"disks +/dev/disk/by-id/virtio-late: not there yet", 60, never=r"^firstlight stopped")
    machine.plug(disk, "late")
    facts(machine)
    assert [p.label for p in disks.table(disk.path).partitions] == ["var"]


@boot_test(tier=ALL)
def files_and_links(bench):
    """Files, folders and links, with contents inline and by HTTP, the wanted modes and owners."""
    body = "fetched\n" * 100
    digest = hashlib.sha512(body.encode()).hexdigest()
    server = bench.nginx({"body": body})
    storage = {
        "directories": [{"path": "/opt/data", "mode": 0o750}],
        "files": [
            {"path": "/etc/inline", "mode": 0o600, "contents": {"source": "data:text/plain;base64,aGVsbG8K"}},
            {"path": "/opt/data/fetched", "contents": {"source": f"{server.url}/body", "verification": {
                "hash": f"sha512-{digest}"}}},
            {"path": "/etc/hostname", "overwrite": True, "contents": {"source": "data:,tiny"}},
            {"path": "/etc/hosts", "append": [{"source": "data:,10.9.8.7%20other%0A"}]},
            {"path": "/srv/owned", "user": {"id": 1234}, "group": {"name": "wheel"}, "contents": {"source": "data:,mine"}},
        ],
        "links": [{"path": "/etc/pointer", "target": "/etc/inline"}],
    }
    script = ("stat -c '%n %a %u %G' /etc/inline /opt/data /opt/data/fetched /srv/owned; cat /etc/inline;"
              "sha512sum /opt/data/fetched; cat /etc/hostname; echo; tail -1 /etc/hosts; readlink /etc/pointer")
    machine = bench.boot(PROVISION, initrd=embedded(bench, storage=storage), script=script)
    found = facts(machine)["run"]
    assert found[:4] == ["/etc/inline 600 0 root", "/opt/data 750 0 root", "/opt/data/fetched 644 0 root",
                         "/srv/owned 644 1234 wheel"], found
    for line in ["hello", f"{digest}  /opt/data/fetched", "tiny", "10.9.8.7 other", "/etc/inline"]:
        assert line in found, (line, found)


@boot_test(tier=ALL)
def contents_with_wrong_hash(bench):
    """Contents that are not what their hash says stop the boot."""
    server = bench.nginx({"body": "something else"})
    storage = {"files": [{"path": "/etc/x", "contents": {"source": f"{server.url}/body", "verification": {
        "hash": "sha256-" + "1" * 64}}}]}
    machine = bench.boot(PROVISION, initrd=embedded(bench, storage=storage))
    stopped(machine, r"sha256|hash", r"/body")


@boot_test(tier=ALL)
def config_in_the_image(bench):
    """A Butane config that `firstlight-image initramfs --ignition` translated and put into the initramfs."""
    files = bench.folder / "files"
    files.mkdir()
    (files / "local").write_text("file\n" * 100)
    config = bench.folder / "config.bu"
    config.write_text("variant: firstlight\nversion: 1.0.0\nstorage:\n  files:\n"
                      "    - {path: /etc/from, mode: 0640, contents: {inline: '${place}'}}\n"
                      "    - {path: /etc/local, contents: {local: local}}\n")
    image = tiny_image()
    initramfs = images.initramfs(rootfs=image, ignition=config, set="place=image", **{"files-dir": files})
    machine = bench.boot(PROVISION, network=False, initrd=[initramfs, image],
                         script="cat /etc/from; echo; stat -c %a /etc/from; sort -u /etc/local; wc -l </etc/local")
    assert facts(machine)["run"] == ["image", "640", "file", "100"]


@boot_test()
def config_of_many(bench):
    """A config in the initramfs that replaces itself over HTTP, by one that merges others over HTTPS with its own CA."""
    certificate = Certificate.make(bench.folder)
    authority = "data:;base64," + base64.b64encode(certificate.chain.read_bytes()).decode()

    def made(name, files=(), **ignition):
        text = {"ignition": {"version": "3.4.0", **ignition},
                "storage": {"files": [{"path": f"/etc/{path}", "contents": {"source": f"data:,{content}"}}
                                      for path, content in files]}}
        path = bench.folder / name
        path.write_text(json.dumps(text))
        return path

    child = made("child.ign", [("one", "child"), ("two", "child")])
    child_hash = f"sha256-{hashlib.sha256(child.read_bytes()).hexdigest()}"
    secure = bench.nginx({"child.ign": child, "last.ign": made("last.ign", [("two", "last")])}, certificate=certificate)
    base = made(
        "base.ign", [("one", "base"), ("zero", "base")],
        config={"merge": [{"source": f"{secure.url}/child.ign", "verification": {"hash": child_hash}},
                          {"source": f"{secure.url}/last.ign"}]},
        security={"tls": {"certificateAuthorities": [{"source": authority}]}})
    server = bench.nginx({"base.ign": base})
    first = made("first.ign", [("never", "first")], config={"replace": {"source": f"{server.url}/base.ign"}})
    image = tiny_image()
    initrd = [images.initramfs("virtio", rootfs=image), images.appendix({"config.ign": first.read_bytes()}), image]
    machine = bench.boot(PROVISION, initrd=initrd,
                         script="for f in zero one two; do cat /etc/$f; echo; done; ls /etc/never 2>/dev/null || echo gone")
    assert facts(machine)["run"] == ["base", "child", "last", "gone"]
    assert "and 3 configs it refers to" in machine.console.unwrapped

    # Not trusted, not there, a mistake in it: each is said, with the way that leads to it.
    merge = {"merge": [{"source": f"{server.url}/missing.ign?token=secret"}]}
    missing = made("missing.ign", config=merge)
    machine = bench.boot(PROVISION, initrd=[*initrd[:1], images.appendix({"config.ign": missing.read_bytes()}), image])
    report = stopped(machine, "missing.ign", "404", r"ignition\.config\.merge\[0\]", "no disk|Nothing was written")
    assert "secret" not in report


@boot_test()
def config_from_firmware(bench):
    """The config of QEMU's firmware device, on the platform qemu."""
    config = bench.config(storage={"files": [{"path": "/etc/from", "contents": {"source": "data:,firmware"}}]})
    image = tiny_image()
    machine = bench.boot("ignition.firstboot ignition.platform.id=qemu", network=False, script="cat /etc/from; echo",
                         initrd=[images.initramfs(rootfs=image), image], firmware={"opt/com.coreos/config": config})
    assert facts(machine)["run"] == ["firmware"]


@boot_test(tier=ALL)
def url_beats_embedded_config(bench):
    """ignition.config.url= goes before a config in the initramfs."""
    def made(text):
        return {"storage": {"files": [{"path": "/etc/from", "contents": {"source": f"data:,{text}"}}]}}

    server = bench.nginx({"config.ign": bench.config("by-url.ign", **made("url"))})
    machine = bench.boot(f"{PROVISION} ignition.config.url={server.url}/config.ign", script="cat /etc/from; echo",
                         initrd=embedded(bench, **made("embedded")))
    assert facts(machine)["run"] == ["url"]


@boot_test()
def no_firstboot_no_config(bench):
    """Without ignition.firstboot no config is looked at."""
    disk = bench.disk()
    machine = bench.boot("ignition.platform.id=metal", disks=[disk], network=False,
                         initrd=embedded(bench, storage=PERSISTENT_VAR))
    facts(machine)
    assert disks.has_no_data(disk.path)


@boot_test()
def plan_only(bench):
    """firstlight.plan prints what would be done and writes nothing."""
    disk = bench.disk()
    machine = bench.boot(f"{PROVISION} firstlight.plan", disks=[disk], network=False,
                         initrd=embedded(bench, storage=PERSISTENT_VAR))
    machine.console.expect(r"/dev/vda.*\n(.*\n)*?.*\"?var\"?", 90)
    machine.wait_exit(60)
    assert disks.has_no_data(disk.path), "the disk was written to"


@boot_test(tier=ALL)
def sectors_of_4096_bytes(bench):
    """A disk with 4096-byte sectors."""
    disk = bench.disk(size=8 * GIB, sector=4096)
    initrd = embedded(bench, storage=PERSISTENT_VAR)
    for _ in range(2):
        facts(bench.boot(PROVISION, initrd=initrd, disks=[disk], network=False))
    table = disks.table(disk.path, sector=4096)
    assert [p.label for p in table.partitions] == ["var"]
    assert disks.xfs(disk.path, table.partitions[0]).label == "var"
