#!/usr/bin/python3
"""Makes Fixtures/hardware/links/*.json: block devices as /sys shows them and the links udev gives them.

Boots Debian's kernel and udev in a machine with a disk on every bus QEMU has, and keeps for each
device the files of /sys that names are made of, what libblkid finds, and udev's own links.

    Fixtures/hardware/capture-links.py          boots the machine and writes the fixtures
"""

import ctypes
import fcntl
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ATTRIBUTES = """nsid wwid serial model firmware_rev vendor type scsi_level idVendor idProduct manufacturer
product bInterfaceClass bInterfaceSubClass device_id dm/name dm/uuid name""".split()
BINARY = ["inquiry", "vpd_pg80", "vpd_pg83", "vpd_pg89"]
CLASSES = {
    "ata_port": ["port_no"], "sas_device": ["sas_address", "phy_identifier"], "sas_port": ["num_phys"],
    "nvme": [],
}


def run(*words: str, **options) -> str:
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


# In the guest.

def partition(disk: str, *rest: str) -> None:
    run("sfdisk", "-q", disk, input="\n".join(rest) + "\n")
    run("udevadm", "settle")


def prepare() -> None:
    """Tables, filesystems and labels of every kind, and devices made of others."""
    gpt = device("gpt")
    partition(gpt, "label: gpt", "size=64M, name=var", "size=64M, name=\"a b/c\"", "size=64M, name=ünïcode",
              "size=64M, name=raw")
    run("mkfs.ext4", "-q", "-L", "var", gpt + "1")
    run("mkfs.ext4", "-q", "-L", "two words/é", gpt + "2")
    run("mkfs.vfat", "-n", "ESP", gpt + "3")
    for serial in ("scsi-gpt", "sata-gpt", "nvme-gpt", "usb-gpt"):
        disk = device(serial)
        part = disk + ("p" if disk[-1].isdigit() else "")
        partition(disk, "label: gpt", f"size=32M, name={serial}", "size=32M")
        run("mkfs.ext4", "-q", "-L", serial, part + "1")
        run("mkswap", "-L", f"swap-{serial}"[:15], part + "2")
    dos = device("dos")
    partition(dos, "label: dos", "size=64M", "size=64M, type=5", "size=32M")
    run("mkfs.btrfs", "-q", "-L", "whole", device("whole"))
    luks = device("luks")
    run("cryptsetup", "luksFormat", "-q", "--type", "luks2", "--label", "secret", "--pbkdf", "pbkdf2",
        "--pbkdf-force-iterations", "1000", luks, "-", input="key")
    run("cryptsetup", "open", luks, "plain", "--key-file", "-", input="key")
    run("mkfs.ext4", "-q", "-L", "inside", "/dev/mapper/plain")
    run("mdadm", "--create", "/dev/md/array", "--run", "--level=1", "--raid-devices=2", "--homehost=any",
        "--metadata=1.2", device("md0"), device("md1"))
    run("mkfs.ext4", "-q", "-L", "array", "/dev/md/array")
    Path("/tmp/loop").write_bytes(b"")
    os.truncate("/tmp/loop", 64 << 20)
    run("mkfs.ext4", "-q", "-L", "looped", "/tmp/loop")
    run("losetup", "-f", "/tmp/loop")
    run("udevadm", "trigger", "--subsystem-match=block", "--action=change", "--settle")


def device(serial: str) -> str:
    for name in os.listdir("/sys/block"):
        for place in ("serial", "device/serial", "device/vpd_pg80", "device/vpd_pg89", "device/../../../../serial"):
            try:
                data = Path(f"/sys/block/{name}/{place}").read_bytes()
            except OSError:
                continue
            swapped = bytes(data[i ^ 1] for i in range(len(data) & ~1))
            whole = rf"(?<![\w-]){serial}(?![\w-])".encode()
            if re.search(whole, data) or re.search(whole, swapped):
                return f"/dev/{name}"
    raise SystemExit(f"no device with serial number {serial}")


def capture(name: str) -> dict:
    files: "dict[str, str]" = {}
    binary: "dict[str, str]" = {}
    links: "dict[str, str]" = {}

    def keep(path: Path) -> None:
        try:
            files[str(path)[4:]] = path.read_bytes().decode("latin-1")
        except OSError:
            pass

    top = Path(os.path.realpath(f"/sys/class/block/{name}"))
    folders = [top]
    if "nvme-subsystem" in str(top):
        links[f"/class/nvme/{name[:5]}"] = os.readlink(f"/sys/class/nvme/{name[:5]}")
        folders.append(Path(os.path.realpath(f"/sys/class/nvme/{name[:5]}")))
    for start in folders:
        for folder in [start, *start.parents]:
            if not (folder / "uevent").exists():
                continue
            keep(folder / "uevent")
            if (folder / "subsystem").is_symlink():
                links[f"{folder}/subsystem"[4:]] = os.readlink(folder / "subsystem")
            for attribute in ATTRIBUTES:
                if attribute == "name" and "mmc" not in str(folder):
                    continue
                keep(folder / attribute)
            for attribute in BINARY:
                try:
                    binary[f"{folder}/{attribute}"[4:]] = (folder / attribute).read_bytes().hex()
                except OSError:
                    pass
            for kind, attributes in CLASSES.items():
                for attribute in attributes:
                    keep(Path(f"/sys/class/{kind}/{folder.name}/{attribute}"))
            if folder.name.startswith("host"):
                for other in folder.parent.glob("host*"):
                    files.setdefault(f"{other}/uevent"[4:], "")

    described = dict(
        line.split("=", 1) for line in run("udevadm", "info", "-q", "property", f"/dev/{name}").splitlines())

    def label(key: str) -> "str | None":
        value = described.get(key)
        return value and re.sub(rb"\\x(..)", lambda m: bytes.fromhex(m[1].decode()), value.encode()).hex()

    result = {
        "path": str(top)[4:], "files": files, "binary": binary, "links": links,
        "usage": described.get("ID_FS_USAGE"), "uuid": label("ID_FS_UUID_ENC"), "label": label("ID_FS_LABEL_ENC"),
        "partitionScheme": described.get("ID_PART_ENTRY_SCHEME"),
        "partitionUUID": described.get("ID_PART_ENTRY_UUID"), "partitionName": label("ID_PART_ENTRY_NAME"),
        "udev": sorted(n for n in run("udevadm", "info", "-q", "symlink", f"/dev/{name}").split()
                       if "by-diskseq" not in n),
    }
    if "MD_UUID" in described:
        result["memberUUID"] = described["MD_UUID"].replace(":", "").encode().hex()
        result["memberLabel"] = described.get("MD_NAME", "").encode().hex()
    if name.startswith(("sd", "sr")):
        with open(f"/dev/{name}", "rb", opener=lambda p, f: os.open(p, f | os.O_NONBLOCK)) as file:
            answer = bytearray(512)
            try:
                fcntl.ioctl(file, 0x030d, answer)  # HDIO_GET_IDENTITY
                result["identity"] = bytes(answer).hex()
            except OSError:
                pass
            result["page80"], result["page83"] = inquire(file, 0x80), inquire(file, 0x83)
    return {key: value for key, value in result.items() if value is not None}


def inquire(file, page: int) -> "str | None":
    """The answer to SCSI's INQUIRY for one page of vital product data."""
    command = ctypes.create_string_buffer(bytes([0x12, 1, page, 0, 254, 0]), 6)
    data, sense = ctypes.create_string_buffer(254), ctypes.create_string_buffer(32)
    header = struct.pack("iiBBHIPPPIIiP", ord("S"), -3, 6, 32, 0, 254, ctypes.addressof(data),
                         ctypes.addressof(command), ctypes.addressof(sense), 5000, 0, 0, 0)
    answer = bytearray(header.ljust(88, b"\0"))
    try:
        fcntl.ioctl(file, 0x2285, answer)  # SG_IO
    except OSError:
        return None
    return data.raw[: 4 + data.raw[3]].hex() if data.raw[1] == page and not answer[64] else None


def in_guest(folder: Path) -> None:
    prepare()
    for name in sorted(os.listdir("/sys/class/block")):
        if re.match(r"ram|fd", name) or (name.startswith("loop") and not Path(
                f"/sys/class/block/{name}/loop/backing_file").exists()):
            continue
        (folder / f"{name}.json").write_text(json.dumps(capture(name)))


# On the host.

def on_host() -> None:
    sys.path.insert(0, str(HERE.parents[1] / "Tests" / "Harness"))
    import guest
    import processes
    from machine import Settings, VirtualMachine

    work = processes.temporary_folder("capture")
    shared = work / "shared"
    shared.mkdir()
    extra: "list[str]" = []

    def image(serial: str, size: int = 512) -> str:
        with open(work / serial, "wb") as file:
            file.truncate(size << 20)
        extra.extend(["-drive", f"if=none,id={serial},file={work / serial},format=raw"])
        return serial

    def add(*words: str) -> None:
        for word in words:
            extra.extend(["-device", word])

    run("xorriso", "-as", "mkisofs", "-quiet", "-V", "LIVE ISO", "-o", str(work / "iso"), str(HERE / "links"))
    extra += ["-drive", f"if=none,id=iso,file={work / 'iso'},format=raw,readonly=on"]
    extra += ["-drive", f"if=none,id=iso2,file={work / 'iso'},format=raw,readonly=on"]
    for serial in ("gpt", "dos", "whole", "luks", "md0", "md1"):
        add(f"virtio-blk-pci,drive={image(serial)},serial={serial}")
    add(f"virtio-blk-pci,drive={image('bare')}", f"virtio-blk-pci,drive={image('odd')},serial=a b/..?{chr(36)}c")
    add("pci-bridge,id=bridge,chassis_nr=1", f"virtio-blk-pci,bus=bridge,addr=1,drive={image('bridged')},serial=bridged")
    add("virtio-scsi-pci,id=vscsi", f"scsi-hd,bus=vscsi.0,drive={image('scsi-gpt')},serial=scsi-gpt",
        f"scsi-hd,bus=vscsi.0,drive={image('wwn')},serial=wwn-serial,wwn=0x5000c50015ea71ac",
        f"scsi-hd,bus=vscsi.0,scsi-id=7,lun=300,drive={image('lun')},device_id=some-device,vendor=ACME,product=Big  Disk",
        f"scsi-hd,bus=vscsi.0,drive={image('anonymous')}", "scsi-cd,bus=vscsi.0,drive=iso2,serial=scsi-cd")
    add("ahci,id=sata", f"ide-hd,bus=sata.1,drive={image('sata-gpt')},serial=sata-gpt",
        f"ide-hd,bus=sata.3,drive={image('sata-wwn')},model=ACME  SSD 100,wwn=0x5000c500a1b2c3d4",
        "ide-cd,bus=sata.4,drive=iso,serial=DVD 1")
    add(f"ide-hd,bus=ide.0,unit=1,drive={image('ide')},serial=ide slave")
    add(f"nvme,drive={image('nvme-gpt')},serial=nvme-gpt")
    image("ns1"), image("ns2")
    add("nvme,id=many,serial=many  spaces", "nvme-ns,bus=many,nsid=1,drive=ns1",
        "nvme-ns,bus=many,nsid=7,drive=ns2,uuid=3c9c1b4e-2d3f-4a5b-8c6d-7e8f9a0b1c2d")
    add("qemu-xhci,id=xhci", f"usb-storage,bus=xhci.0,port=1,drive={image('usb-gpt')},serial=usb-gpt",
        f"usb-storage,bus=xhci.0,port=3,drive={image('stick')},removable=on", "usb-uas,id=uas,bus=xhci.0,port=4",
        f"scsi-hd,bus=uas.0,drive={image('uas')},serial=uas-disk")
    add("mptsas1068,id=sas,sas_address=0x5000c500aabbcc00",
        f"scsi-hd,bus=sas.0,drive={image('sas')},serial=sas-disk,wwn=0x5000c50015ea7aaa,port_wwn=0x5000c50015ea7aab,port_index=1")
    add("megasas,id=raid", f"scsi-hd,bus=raid.0,drive={image('megaraid')},serial=megaraid")
    add("sdhci-pci", f"sd-card,drive={image('card')}")

    run_text = guest.RUN_HEAD + f"{__file__} --in-guest /guest >/guest/output 2>&1; echo $? >/guest/status\n"
    (shared / "run").write_text(run_text + guest.RUN_TAIL)
    arguments = "console=ttyS0 panic=-1 quiet systemd.unit=guest-tests.service systemd.show_status=0"
    arguments += "".join(f" systemd.mask={unit}" for unit in guest.MASKED)
    settings = Settings(
        initrd=[guest._initramfs("systemd", set())], arguments=arguments, memory=2048, network=False, extra=extra,
        shares={"host": (Path("/"), False), "guest": (shared, True)})
    with VirtualMachine(settings, "capture-links") as machine:
        machine.start()
        machine.wait_exit(400)
    print((shared / "output").read_text(), end="")
    for file in (HERE / "links").glob("*.json"):
        file.unlink()
    captured = sorted(shared.glob("*.json"))
    for file in captured:
        value = json.loads(file.read_text())
        # Named for what udev calls the device, which says more than the kernel's sda1.
        name = ([n for n in value["udev"] if "by-id" in n] or [n for n in value["udev"] if "by-label" in n]
                or value["udev"])[-1]
        name = re.sub("disk/by-[^/]*/", "", name).replace("/", "_").replace(":", "_")
        (HERE / "links" / f"{name}.json").write_text(
            json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    status = (shared / "status").read_text().strip()
    processes.remove_folder(work)
    print(f"{len(captured)} devices")
    sys.exit(int(status))


if __name__ == "__main__":
    in_guest(Path(sys.argv[2])) if sys.argv[1:2] == ["--in-guest"] else on_host()
