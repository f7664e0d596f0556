#!/usr/bin/python3
"""Makes Fixtures/hardware/interfaces/*.json: network interfaces as /sys shows them and udev's names.

Boots Debian's kernel in machines with network cards in every kind of place QEMU has, and keeps for
each interface the files of /sys that names are made of, and what udev's net_id says.

    Fixtures/hardware/capture-interfaces.py     boots the machines and writes the fixtures
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = "virtio_net e1000 e1000e 8139cp virtio_pci xhci_pci usbnet cdc_ether rndis_host shpchp dummy bonding 8021q".split()
INTERFACE = "ifindex iflink type address addr_assign_type dev_port phys_port_name uevent".split()
PARENT = "uevent acpi_index index class ari_enabled".split()

# By machine: cards in slots of their own, behind bridges, of several functions, on USB.
MACHINES = {
    "pc": [
        "virtio-net-pci,addr=0x10", "e1000,addr=0x11", "rtl8139,addr=0x12", "virtio-net-pci,addr=0x13,acpi-index=7",
        "virtio-net-pci,addr=0x14.0,multifunction=on", "e1000,addr=0x14.1", "pci-bridge,id=bridge,chassis_nr=1,addr=0x15",
        "virtio-net-pci,bus=bridge,addr=2", "e1000,bus=bridge,addr=3.0,multifunction=on", "e1000,bus=bridge,addr=3.1",
        "qemu-xhci,id=xhci,addr=0x16", "usb-net,bus=xhci.0,port=1", "usb-hub,bus=xhci.0,port=2",
        "usb-net,bus=xhci.0,port=2.3",
    ],
    "q35": [
        "virtio-net-pci,addr=0x10", "e1000e,addr=0x11", "pcie-root-port,id=port1,addr=0x12,chassis=1,slot=1",
        "virtio-net-pci,bus=port1", "pcie-root-port,id=port2,addr=0x13,chassis=2,slot=12",
        "e1000e,bus=port2,addr=0.0,multifunction=on", "e1000e,bus=port2,addr=0.1",
    ],
}


def capture(name: str) -> dict:
    files: "dict[str, str]" = {}
    links: "dict[str, str]" = {}
    top = Path(os.path.realpath(f"/sys/class/net/{name}"))
    links[f"/class/net/{name}"] = os.readlink(f"/sys/class/net/{name}")
    for folder in [top, *top.parents]:
        if not (folder / "uevent").exists():
            continue
        for link in ("subsystem", "device", "driver"):
            if (folder / link).is_symlink():
                links[f"{folder}/{link}"[4:]] = os.readlink(folder / link)
        for attribute in INTERFACE if folder == top else PARENT:
            try:
                files[f"{folder}/{attribute}"[4:]] = (folder / attribute).read_bytes().decode("latin-1")
            except OSError:
                pass
        try:
            files[f"{folder}/config"[4:]] = (folder / "config").read_bytes()[:16].decode("latin-1")
        except OSError:
            pass
    if (top / "device/driver").is_symlink():
        links[f"{top}/device/driver"[4:]] = os.readlink(top / "device/driver")
    for slot in Path("/sys/bus/pci/slots").glob("*"):
        files[f"{slot}/address"[4:]] = (slot / "address").read_text()
    said = subprocess.run(
        ["udevadm", "test-builtin", "net_id", f"/sys/class/net/{name}"], capture_output=True, text=True).stdout
    named = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("ID_NET_NAME_"))
    kinds = {"onboard": "ONBOARD", "slot": "SLOT", "path": "PATH", "mac": "MAC"}
    return {"name": name, "files": files, "links": links,
            "udev": {kind: named[f"ID_NET_NAME_{key}"] for kind, key in kinds.items() if f"ID_NET_NAME_{key}" in named}}


def in_guest(folder: Path) -> None:
    for module in MODULES:
        subprocess.run(["modprobe", module], check=False)
    subprocess.run(["udevadm", "trigger", "--action=add"], check=False)
    subprocess.run(["busybox", "sleep", "5"], check=True)
    for name in sorted(os.listdir("/sys/class/net")):
        if os.path.islink(f"/sys/class/net/{name}"):
            (folder / f"{name}.json").write_text(json.dumps(capture(name)))


def on_host() -> None:
    sys.path.insert(0, str(HERE.parents[1] / "Tests" / "Harness"))
    import guest
    import processes
    from machine import Settings, VirtualMachine

    target = HERE / "interfaces"
    target.mkdir(exist_ok=True)
    for file in target.glob("*.json"):
        file.unlink()
    for model, devices in MACHINES.items():
        work = processes.temporary_folder("capture")
        shared = work / "shared"
        shared.mkdir()
        extra: "list[str]" = []
        for number, device in enumerate(devices):
            if "net" in device or device.split(",")[0] in ("e1000", "e1000e", "rtl8139"):
                extra += ["-netdev", f"user,id=n{number}"]
                device += f",netdev=n{number}"
            extra += ["-device", device]
        run_text = guest.RUN_HEAD + f"{__file__} --in-guest /guest >/guest/output 2>&1; echo $? >/guest/status\n"
        (shared / "run").write_text(run_text + guest.RUN_TAIL)
        settings = Settings(
            initrd=[guest._initramfs("shell", set())], arguments="console=ttyS0 panic=-1 quiet net.ifnames=0",
            memory=1536, network=False, model=model, extra=extra,
            shares={"host": (Path("/"), False), "guest": (shared, True)})
        with VirtualMachine(settings, f"capture-interfaces-{model}") as machine:
            machine.start()
            machine.wait_exit(300)
        print((shared / "output").read_text(), end="")
        assert (shared / "status").read_text().strip() == "0"
        for file in sorted(shared.glob("*.json")):
            value = json.loads(file.read_text())
            best = next((value["udev"][kind] for kind in ("onboard", "slot", "path") if kind in value["udev"]), value["name"])
            (target / f"{model}-{best}.json").write_text(
                json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
            print(model, best, value["udev"])
        processes.remove_folder(work)


if __name__ == "__main__":
    in_guest(Path(sys.argv[2])) if sys.argv[1:2] == ["--in-guest"] else on_host()
