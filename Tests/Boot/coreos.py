"""Images in the shape of Fedora CoreOS's: what ostree deployed is the root, with /etc and /var in RAM or on a disk."""

import base64
import re

import coreos
import disks
import images
import rootfs
from boot import PROVISION, UNATTENDED, boot_test, facts, stopped
from debian_systems import Workshop, documented
from machine import SAME_ADDRESSES
from paths import kernel_image
from tiers import ALL
from ways import BootServer

# A login prompt would stand in front of a line that is read here.
WITHOUT_PROMPT = f"{SAME_ADDRESSES} systemd.mask=serial-getty@ttyS0.service"
# Debian's policy is made for a root that is not a deployment: only what is ours is held against it.
SELINUX = "security=selinux selinux=1"
LABELLED = {
    "/etc/motd": "etc_t", "/etc/systemd/system/look.service": "systemd_unit_t", "/etc/passwd": "etc_t",
    "/etc/shadow": "shadow_t", "/etc/.ignition-result.json": "etc_t", "/var/home/core": "user_home_dir_t",
    "/var/usrlocal/bin/look": "bin_t", "/var/roothome": "user_home_dir_t", "/var/lib": "var_lib_t",
    "/var/log": "var_log_t", "/etc": "etc_t", "/var": "var_t", "/etc/resolv.conf": "net_conf_t",
}

# Runs once the real root is up. What a config writes to /usr/local lies in /var.
LOOK = """#!/bin/sh
exec >/dev/console 2>&1  # which a login prompt does not hang up
fact() { name=$1; shift; "$@" 2>&1 | sed "s/^/@fact $name /"; }
fact root findmnt -no FSTYPE,OPTIONS /
fact usr touch /usr/x
for name in etc var sysroot; do fact $name findmnt -no SOURCE,FSTYPE,FSROOT /$name; done
fact physical ls /sysroot /sysroot/ostree
fact stamps ls -d /run/ostree-live /run/ostree-booted /run/media/iso /run/coreos-installer/osmet
fact var-folders stat -c '%n %a' /var/home /var/lib /var/log /var/mnt /var/opt /var/roothome /var/srv /var/usrlocal
fact links readlink /home /root /opt /usr/local
fact user id -Gn core
fact motd cat /etc/motd
fact version sed -n 's/^OSTREE_VERSION=//p' /etc/os-release
fact deployed ostree admin status
fact kept cat /var/lib/diary
echo boot >>/var/lib/diary
fact resolver cat /etc/resolv.conf
fact failed systemctl --failed --plain --no-legend
fact enforce sh -c 'cat /sys/fs/selinux/enforce; echo'
for name in @LABELLED@; do fact label stat -c '%n %C' $name; done
fact wrong restorecon -nRv /etc /var/lib /var/home /var/usrlocal /var/roothome
dmesg | grep 'avc:' | sed 's/^/@fact avc /'
echo "@fact end"
systemctl poweroff --force
"""


# The guide's.
VAR_ON_A_DISK = {
    "disks": [{"device": "/dev/vda", "wipeTable": True, "partitions": [{"label": "var"}]}],
    "filesystems": [{"device": "/dev/disk/by-partlabel/var", "label": "var", "format": "xfs",
                     "wipeFilesystem": False, "path": "/var"}]}
VAR_UNIT = {
    "name": "var.mount", "enabled": True,
    "contents": "[Unit]\nRequires=systemd-fsck@dev-disk-by\\x2dpartlabel-var.service\n"
                "After=systemd-fsck@dev-disk-by\\x2dpartlabel-var.service\n\n"
                "[Mount]\nWhere=/var\nWhat=/dev/disk/by-partlabel/var\nType=xfs\n\n"
                "[Install]\nRequiredBy=local-fs.target\n"}


def config(bench, storage: "dict | None" = None, units: "list | None" = None, groups: "list | None" = None):
    def data(text: str) -> dict:
        return {"source": f"data:;base64,{base64.b64encode(text.encode()).decode()}"}

    script = LOOK.replace("@LABELLED@", " ".join(LABELLED))
    files = [{"path": "/etc/motd", "overwrite": True, "contents": data("From a config.\n")},
             {"path": "/usr/local/bin/look", "mode": 0o755, "contents": data(script)}]
    unit = {"name": "look.service", "enabled": True,
            "contents": "[Unit]\nDescription=Look around\nAfter=multi-user.target\n\n[Service]\nType=oneshot\n"
                        "ExecStart=/usr/local/bin/look\n\n[Install]\nWantedBy=default.target\n"}
    return bench.config(
        storage={**(storage or {}), "files": files}, systemd={"units": [unit, *(units or [])]},
        passwd={"users": [{"name": "core", "groups": groups or [], "sshAuthorizedKeys": ["ssh-ed25519 AAAA demo"]}]})


def boot_published(bench, format: str, config, arguments: str = "", initramfs=None, **settings):
    """Boots the root image by `coreos.live.rootfs_url`, with an initramfs that is made of the original's by default."""
    server = bench.nginx({"rootfs.img": coreos.published_rootfs(format), "config.ign": config})
    machine = bench.boot(
        f"{WITHOUT_PROMPT} {PROVISION} "
        f"coreos.live.rootfs_url={server.url}/rootfs.img "
        f"ignition.config.url={server.url}/config.ign {arguments}",
        initrd=[initramfs or coreos.initramfs(format)], memory=2048, processors=2, **settings)
    return facts(machine, 900)


def check(found: dict, format: str) -> None:
    """What holds in the real root of every such boot."""
    root = found["root"][0].split()
    assert root[0] == format and "ro" in root[1].split(","), root
    assert "Read-only" in found["usr"][0], found["usr"]
    assert found["sysroot"][0].split()[1] == format, found["sysroot"]
    assert {"boot", "ostree", "deploy", "repo", "boot.1"} <= set(found["physical"]), found["physical"]
    for stamp in ("/run/ostree-live", "/run/ostree-booted"):
        assert stamp in found["stamps"], found["stamps"]
    assert found["etc"][0].split()[2] == "/etc", found["etc"]
    modes = dict(line.split() for line in found["var-folders"])
    assert len(modes) == 8 and modes.pop("/var/roothome") == "700" and set(modes.values()) == {"755"}, modes
    assert found["links"] == ["var/home", "var/roothome", "var/opt", "../var/usrlocal"], found["links"]
    # Groups of the base config, which came with the original initramfs.
    assert {"core", "adm", "sudo"} <= set(found["user"][0].split()), found["user"]
    assert found["motd"] == ["From a config."], found["motd"]
    assert coreos.VERSION in found["version"][0], found["version"]
    assert "failed" not in found, found["failed"]


@boot_test(tier=ALL)
def coreos_squashfs(bench):
    """Fedora CoreOS's three files: kernel, an initramfs made of its initramfs by --from, and its rootfs, a squashfs."""
    found = boot_published(bench, "squashfs", config(bench), kernel=kernel_image())
    check(found, "squashfs")
    assert found["var"][0].split()[2] == "/var", found["var"]
    assert "coreos" in " ".join(found["deployed"]), found["deployed"]
    assert any(line.startswith("nameserver") for line in found["resolver"]), found["resolver"]


@boot_test(tier=ALL)
def coreos_ipxe(bench):
    """The same from the firmware on: a card's iPXE boots the three files by the guide's script."""
    server = BootServer(bench, "ipxe ipxe-script", image=coreos.published_rootfs(), initramfs=coreos.initramfs(),
                        given=config(bench).read_text(), arguments=WITHOUT_PROMPT)
    check(facts(server.boot(memory=2048, processors=2), 900), "squashfs")


@boot_test(tier=ALL)
def coreos_erofs(bench):
    """The same with an erofs, and an initramfs that is packed with xz."""
    found = boot_published(bench, "erofs", config(bench), initramfs=coreos.initramfs("erofs", "xz"))
    check(found, "erofs")


def is_on_disk(found: dict) -> None:
    assert found["var"][0].split() == ["/dev/vda1", "xfs", "/"], found["var"]


@boot_test(tier=ALL)
def coreos_persistent_var(bench):
    """The guide's persistent /var takes the place of the one in RAM, is populated, and is kept at the second boot."""
    disk = bench.disk()
    given = config(bench, VAR_ON_A_DISK, [VAR_UNIT])
    for number in (1, 2):
        found = boot_published(bench, "squashfs", given, disks=[disk])
        check(found, "squashfs")
        is_on_disk(found)
        before = [line for line in found["kept"] if line == "boot"]
        assert len(before) == number - 1, found["kept"]
    assert [each.label for each in disks.table(disk.path).partitions] == ["var"]


@boot_test(tier=ALL)
def coreos_initramfs_tools(bench):
    """The same root by initramfs-tools' scripts: /var is populated in RAM, then on a disk in its place."""
    workshop = Workshop(bench, "initramfs-tools", coreos.published_rootfs(), coreos.VERSION)
    workshop.run(documented("initramfs-tools"))
    # There is no base config of the original's.
    groups = ["adm", "sudo"]
    image = workshop.file("initramfs-tools.img")
    found = boot_published(bench, "squashfs", config(bench, groups=groups), initramfs=image)
    check(found, "squashfs")
    assert found["var"][0].split()[2] == "/var", found["var"]
    found = boot_published(bench, "squashfs", config(bench, VAR_ON_A_DISK, [VAR_UNIT], groups), initramfs=image,
                           disks=[bench.disk()])
    check(found, "squashfs")
    is_on_disk(found)


@boot_test(tier=ALL)
def coreos_selinux(bench):
    """With the image's SELinux policy loaded, all that the stages wrote has its labels, and nothing of it is denied."""
    found = boot_published(bench, "squashfs", config(bench), SELINUX)
    check(found, "squashfs")
    assert found["enforce"] == ["0"], found["enforce"]
    is_labelled(found)


# With a script in the place of Firstlight that mounts the same and labels it, the image boots so, too. There as here
# the policy denies systemd's helpers links of the root such as /usr/local.
@boot_test(tier=ALL)
def coreos_selinux_enforcing(bench):
    """The same with the policy enforced: all units start, and what the stages wrote can be used."""
    found = boot_published(bench, "squashfs", config(bench), f"{SELINUX} enforcing=1")
    check(found, "squashfs")
    assert found["enforce"] == ["1"], found["enforce"]
    is_labelled(found)


def is_labelled(found: dict) -> None:
    """All that the stages wrote has the labels of the policy, and nothing of it is denied."""
    types = {name: context.split(":")[2] for name, context in (line.split() for line in found["label"])}
    assert types == LABELLED, {name: (types.get(name), wanted) for name, wanted in LABELLED.items()
                               if types.get(name) != wanted}
    # A file without a label, or with that of the tmpfs it was written to, is what we would have left.
    wrong = [line for line in found.get("wrong", []) if re.search(r" from \S*:(unlabeled_t|file_t|tmpfs_t):", line)]
    assert not wrong, "\n".join(wrong)
    ours = [line for line in found.get("avc", []) if re.search(r"tcontext=\S*:(unlabeled_t|file_t|tmpfs_t):", line)]
    assert not ours, "\n".join(ours)


@boot_test(tier=ALL)
def coreos_undeployed(bench):
    """An image with a repository and no deployment stops the boot."""
    empty = bench.folder / "tree"
    for name in ("ostree/repo", "ostree/deploy", "boot"):
        (empty / name).mkdir(parents=True)
    rootfs.squashfs(empty, bench.folder / "empty.squashfs")
    image = images.root_image(bench.folder / "empty.squashfs")
    machine = bench.boot(initrd=[images.initramfs("virtio", rootfs=image), image], base=UNATTENDED, network=False)
    stopped(machine, r"ostree repository but no deployment", r"ostree admin deploy")
