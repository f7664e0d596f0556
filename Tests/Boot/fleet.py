"""Many machines, one set of files: URLs that name the machine, an older image to fall back on, another kernel."""

import json
import re

import images
import kernels
import processes
import rootfs
from boot import PROVISION, UNATTENDED, boot_test, facts, run_argument, stopped, tiny_image
from machine import MIB
from paths import TOOL, kernel_image
from servers import Reset, Status
from tiers import ALL
from ways import UEFI

UUID = "4c4c4544-0042-3510-8052-b4c04f4d4b31"
# What a board of some maker and a DHCP server say of the machine.
NAMED = {
    "network": False,
    "extra": ["-smbios", f"type=1,uuid={UUID},serial=RACK 7/4", "-netdev", "user,id=net,hostname=node7",
              "-device", "virtio-net-pci,netdev=net"],
}


WHOSE = "cat /etc/whose; echo; ls -d /sys/firmware/efi 2>/dev/null || true"


def config_of(bench, whose: str):
    return bench.config(storage={"files": [
        {"path": "/etc/whose", "contents": {"source": f"data:,{whose}"}}]}).read_bytes()


def boots_plain_iso(bench, **firmware):
    """An ISO as the tool makes it asks matchbox for the config of its own machine, and posts the report likewise."""
    image, medium = tiny_image(), bench.folder / "live.iso"
    mine = bench.folder / "mine.ign"
    mine.write_bytes(config_of(bench, "mine"))
    server = bench.faulty({f"/ignition?uuid={UUID}&mac=52%3A54%3A00%3A12%3A34%3A56": mine})
    arguments = (f"{UNATTENDED} {PROVISION} ignition.config.url={server.url}/ignition?uuid=${{uuid}}&mac=${{mac}} "
                 f"firstlight.report_url={server.url}/boots/${{serial}}/${{hostname}} {run_argument(WHOSE)}")
    processes.run([TOOL, "iso", "-o", medium, "--label", "FIRSTLIGHT", "--kargs", arguments, "--kernel", kernel_image(),
                   "--initramfs", images.initramfs(rootfs=image), "--rootfs", image])
    settings = {**NAMED, **firmware, "extra": NAMED["extra"] + firmware.get("extra", [])}
    run = facts(bench.boot(cdrom=medium, boot="cdrom", **settings), timeout=400)["run"]
    assert run[0] == "mine", run
    body, = server.posts("/boots/RACK%207%2F4/node7")
    assert json.loads(body)["outcome"] == "done"
    return run[1:]


@boot_test(tier=ALL)
def plain_iso_of_many_machines(bench):
    """A plain ISO asks matchbox for the config of its own machine, and posts the report where that is told apart."""
    assert boots_plain_iso(bench) == []


@boot_test(tier=ALL)
def plain_iso_of_many_machines_uefi(bench):
    """The same ISO by UEFI firmware and GRUB, which has words like ${uuid} of its own."""
    assert boots_plain_iso(bench, **UEFI) == ["/sys/firmware/efi"]


@boot_test(tier=ALL)
def url_of_a_machine_without_a_name(bench):
    """A machine whose firmware gives no serial number stops before it asks for anything, and says so."""
    server = bench.nginx({})
    machine = bench.boot(f"{PROVISION} ignition.config.url={server.url}/${{serial}}.ign",
                         initrd=[images.initramfs(rootfs=tiny_image())])
    stopped(machine, r"\$\{serial\}: this machine's firmware gives no serial number", "tell the machines apart by another")
    machine.console.refuse(r"DHCP|10\.0\.2\.15")
    assert not server.requests()


def older_image():
    """The tiny root as its build before this one."""
    return images.root_image(rootfs.tiny(), version="1.2026.10")


@boot_test()
def older_image_in_place_of_a_broken_one(bench):
    """A new image that is not what the initramfs wants is refused; the older one boots, and everybody is told."""
    image, old = tiny_image(), older_image()
    broken = bytearray(image.read_bytes())
    broken[len(broken) // 2] ^= 1
    place = bench.folder / "broken.img"
    place.write_bytes(broken)
    server = bench.faulty({"/rootfs.img": place, "/old.img": old})
    initrd = [images.initramfs(rootfs=image, **{"fallback-rootfs": old}),
              images.appendix({"config.ign": config_of(bench, "mine")})]
    machine = bench.boot(
        f"{PROVISION} coreos.live.rootfs_url={server.url}/rootfs.img firstlight.fallback_url={server.url}/old.img "
        f"firstlight.report_url={server.url}/boots", initrd=initrd,
        script="cat /etc/whose; echo; cat /run/firstlight/rootfs.json /run/firstlight/report.json")
    run = facts(machine)["run"]
    assert run[0] == "mine" and any('"version": "1.2026.10"' in line for line in run), run
    text = machine.console.unwrapped
    assert re.search(r"warning .*/rootfs\.img is not the root image that belongs to this initramfs", text)
    assert re.search(r"warning +the OLDER root image is booted in its place", text)
    assert re.search(r"^ +rootfs +the OLDER image runs, .*/old\.img$", text, re.MULTILINE), "not in the report's page"
    report = json.loads(server.posts("/boots")[-1])
    assert report["outcome"] == "done" and report["fallback"]["image"] == f"{server.url}/old.img", report
    assert "/rootfs.img is not the root image" in report["fallback"]["reason"], report
    assert len(server.gets("/rootfs.img")) == 1, "the broken image was asked for again"


@boot_test(tier=ALL)
def older_image_not_for_a_slow_server(bench):
    """A server that is not ready and loses connections is waited for: the older image is not even asked for."""
    image, old = tiny_image(), older_image()
    server = bench.faulty({"/rootfs.img": image, "/old.img": old},
                          {"/rootfs.img": [Status(503), Reset(MIB // 4), Status(502)]})
    machine = bench.boot(
        f"coreos.live.rootfs_url={server.url}/rootfs.img firstlight.fallback_url={server.url}/old.img",
        initrd=[images.initramfs(rootfs=image, **{"fallback-rootfs": old})],
        script="cat /run/firstlight/rootfs.json")
    run = facts(machine)["run"]
    assert any(f'"version": "{images.VERSION}"' in line for line in run), run
    assert not server.gets("/old.img")


@boot_test(tier=ALL)
def older_image_that_is_broken_too(bench):
    """Where the older image is another one than the initramfs knows, the boot stops and names both."""
    image, old = tiny_image(), older_image()
    server = bench.nginx({"old.img": image})
    machine = bench.boot(
        f"coreos.live.rootfs_url={server.url}/rootfs.img firstlight.fallback_url={server.url}/old.img",
        initrd=[images.initramfs(rootfs=image, **{"fallback-rootfs": old})])
    stopped(machine, r"/rootfs\.img: HTTP status 404", "the older image is not available either: .*/old\\.img is not the root")


@boot_test(tier=ALL)
def kernel_of_the_next_release(bench):
    """Debian 13's kernel, with its compressed modules: the root by HTTP, a disk with LUKS and xfs made and kept."""
    kernel, image = kernels.of_next_release(), tiny_image()
    server = bench.nginx({"rootfs.img": image, "key": "a key of some length"})
    config = bench.config(storage={
        "luks": [{"name": "vault", "device": "/dev/vda", "keyFile": {"source": f"{server.url}/key"},
                  "options": ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]}],
        "filesystems": [{"device": "/dev/mapper/vault", "format": "xfs", "label": "vault", "path": "/vault"}],
        "files": [{"path": "/vault/there", "contents": {"source": "data:,there"}}]})
    initrd = [images.initramfs(rootfs=image, **{"kernel-dir": kernel.modules}),
              images.appendix({"config.ign": config.read_bytes()})]
    disk = bench.disk()
    for made in ("created", "kept"):
        machine = bench.boot(f"{PROVISION} coreos.live.rootfs_url={server.url}/rootfs.img", kernel=kernel.image,
                             initrd=initrd, disks=[disk], script="uname -r; cat /run/firstlight/report.json")
        run = facts(machine)["run"]
        assert run[0] == kernel.version, run
        stages = {stage["stage"]: stage for stage in json.loads("\n".join(run[1:]))["stages"]}
        assert any('xfs "vault"' in line for line in stages["disks"][made]), stages["disks"]
    assert not stages["disks"]["created"], stages["disks"]


@boot_test(tier=ALL)
def kernel_of_the_next_release_from_an_iso(bench):
    """Debian 13's kernel from a medium: every driver that this takes is found, decompressed, in the initramfs."""
    kernel, image = kernels.of_next_release(), tiny_image()
    medium = images.iso(bench.folder, "FIRSTLIGHT", {
        "images/pxeboot/vmlinuz": kernel.image,
        "images/pxeboot/initrd.img": images.initramfs("generic", rootfs=image, **{"kernel-dir": kernel.modules}),
        "images/pxeboot/rootfs.img": image,
    }, f"{UNATTENDED} coreos.liveiso=FIRSTLIGHT coreos.liveiso.fromram {run_argument('uname -r')}")
    machine = bench.boot(cdrom=medium, boot="cdrom", network=False)
    assert facts(machine, timeout=300)["run"] == [kernel.version]
