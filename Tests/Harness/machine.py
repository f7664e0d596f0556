"""A virtual machine: kernel, initramfs archives, command line, disks, network; and its console."""

import itertools
import json
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import images
import processes
import speed
import whereabouts
from console import Console, Unmet
from paths import LOGS
from site_network import Site

MIB = 1 << 20
GIB = 1 << 30

# At its start the kernel counts timer interrupts against a delay loop; where a busy host let the guest wait it
# would panic. What it panics of before it has found its console, it says by earlycon. A machine that
# hangs there is looked into by whereabouts.py.
UNDER_LOAD = "no_timer_check earlycon=uart8250,io,0x3f8,115200 mitigations=off"
# Emulation keeps translated code by its address: where programs are loaded at the same one each time, fork and exec
# take 26 ms instead of 63. For what is an instrument, or Debian's; what is shown of the agent is shown without.
SAME_ADDRESSES = "norandmaps"
# x86-64-v2 with AES. Of what `max` has beyond it, AVX and SMAP cost an emulator more than they save: a fifth of all time.
PROCESSOR = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+rdrand"


@dataclass
class Disk:
    """A disk backed by a sparse file; the file stays when the machine goes."""

    path: Path
    bus: str = "virtio"  # virtio, scsi, sata, nvme, usb
    serial: str = ""
    sector: int = 512
    read_only: bool = False
    rate: int = 0  # bytes a second that can be read, 0 for all there is

    @staticmethod
    def blank(path: Path, size: int, **options) -> "Disk":
        with open(path, "xb") as file:
            file.truncate(size)
        return Disk(path, **options)


@dataclass
class Settings:
    """What a machine consists of."""

    initrd: "list[Path | bytes]" = field(default_factory=list)  # concatenated, each 4-byte aligned
    arguments: str = ""  # the kernel command line
    kernel: "Path | None" = None  # Debian's, unpacked, where there is none
    memory: int = 1024  # MiB
    # One needs a quarter less time than two that share what there is. Where races are looked for, a test says 2.
    processors: int = 1
    disks: "list[Disk]" = field(default_factory=list)
    cdrom: "Path | None" = None
    cdrom_rate: int = 0  # as of a disk
    boot: str = "kernel"  # or "cdrom", "network", "disk": what the firmware starts
    network: bool = True  # user-mode: the host's loopback is 10.0.2.2, DNS 10.0.2.3
    site: "Site | None" = None  # the network there instead
    card: str = "virtio-net-pci"
    tftp: "Path | None" = None
    bootfile: "str | None" = None
    forward: "dict[int, int]" = field(default_factory=dict)  # host port -> guest port
    firmware: "dict[str, Path]" = field(default_factory=dict)  # fw_cfg name -> file
    shares: "dict[str, tuple[Path, bool]]" = field(default_factory=dict)  # tag -> folder, writable
    model: str = "pc"
    # The machine's time jumps to what is due next where it has nothing to do: minutes of waiting pass in seconds.
    warps: bool = False
    extra: "list[str]" = field(default_factory=list)


class VirtualMachine:
    """One run of a machine. `log_name` names its console log and what else it leaves in out/logs."""

    def __init__(self, settings: Settings, log_name: str) -> None:
        self.settings = settings
        LOGS.mkdir(parents=True, exist_ok=True)
        self.console = Console(LOGS / f"{log_name}.console")
        self.folder = processes.temporary_folder("vm")
        self.complaints = LOGS / f"{log_name}.qemu"
        self.shutdown_reason = ""
        self._process: "subprocess.Popen | None" = None
        self._control: "socket.socket | None" = None
        self._answers: "list[dict]" = []
        self._answered = threading.Condition()
        self._events: "threading.Thread | None" = None
        self._media = itertools.count()

    def __enter__(self) -> "VirtualMachine":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self, interactive: bool = False) -> None:
        """Starts it; an interactive one has its console on the terminal instead of in `console`."""
        control = self.folder / "qmp"
        with open(self.complaints, "wb") as complaints:
            self._process = processes.start(
                self.command(interactive) + ["-qmp", f"unix:{control},server=on,wait=off"],
                stdin=None if interactive else subprocess.PIPE,
                stdout=None if interactive else subprocess.PIPE,
                stderr=complaints,
            )
        self.console.started = time.monotonic()
        if not interactive:
            self.console.follow(self._process.stdout)
        self._events = threading.Thread(target=self._listen, args=(control,), daemon=True)
        self._events.start()

    def type(self, text: str) -> None:
        """Types on the serial console."""
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def wait_exit(self, timeout: float = 60) -> str:
        """Waits until the machine is off; "guest-shutdown", "guest-reset" or "guest-panic"."""
        self.console.wait_closed(timeout)
        self._process.wait(speed.limit(10))
        self._events.join(speed.limit(2))
        if self._process.returncode != 0:
            raise Unmet("qemu to exit with 0", f"{self._process.returncode}: {self.complaints.read_text()[-500:]}")
        return self.shutdown_reason

    def wait_interactive(self) -> int:
        return self._process.wait()

    def last_lines(self) -> "list[str]":
        """What explains an unexpected end: the console's last lines and what qemu complained about."""
        complaints = self.complaints.read_text().splitlines() if self.complaints.exists() else []
        lines = self.console.last_lines()
        if not lines and self._process and self._process.poll() is None:
            lines = whereabouts.of(self)
        return lines + complaints[-5:]

    def stop(self) -> None:
        if self._process:
            processes.stop(self._process)
        if self._control:
            self._control.close()
        processes.remove_folder(self.folder)
        if self.complaints.exists() and not self.complaints.stat().st_size:
            self.complaints.unlink()

    def control(self, command: str, **arguments) -> dict:
        """Sends one command of the QEMU Machine Protocol and returns its answer."""
        with self._answered:
            if not self._answered.wait_for(lambda: self._control is not None, speed.limit(30)):
                raise Unmet("qemu does not answer on its control socket")
            self._answers.clear()
            self._control.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
            if not self._answered.wait_for(lambda: self._answers, speed.limit(30)):
                raise Unmet(f"qemu does not answer {command}")
            answer = self._answers.pop()
        if "error" in answer:
            raise Unmet(f"qemu refuses {command}: {answer['error']['desc']}")
        return answer["return"]

    def plug(self, disk: Disk, name: str) -> None:
        """Adds a virtio disk to the running machine."""
        self.control("blockdev-add", **{
            "driver": "raw", "node-name": name, "read-only": disk.read_only,
            "file": {"driver": "file", "filename": str(disk.path)},
        })
        self.control("device_add", driver="virtio-blk-pci", drive=name, serial=disk.serial or name)

    def eject(self) -> None:
        """Takes the medium out of the CD drive, as an operator's finger does."""
        self.control("blockdev-open-tray", id="cd", force=True)
        self.control("blockdev-remove-medium", id="cd")

    def insert(self, image: Path) -> None:
        """Puts a medium into the open tray of the CD drive and closes it."""
        name = f"medium{next(self._media)}"
        self.control("blockdev-add", **{"driver": "raw", "node-name": name, "read-only": True,
                                        "file": {"driver": "file", "filename": str(image)}})
        self.control("blockdev-insert-medium", id="cd", **{"node-name": name})
        self.control("blockdev-close-tray", id="cd")

    def slow_down(self, rate: int, drive: str = "cdimage") -> None:
        """Lets the CD drive, or `disk0`, read so many bytes a second from now on, 0 for all there is."""
        self.control("block_set_io_throttle", device=drive, bps=0, bps_rd=rate, bps_wr=0, iops=0, iops_rd=0, iops_wr=0)

    def unplug(self, number: int = 0) -> None:
        """Pulls a stick out, the disk of that number."""
        self.control("device_del", id=f"stick{number}")

    def plug_stick(self, disk: Disk) -> None:
        """Puts a stick in, where one was when the machine started."""
        self.control("blockdev-add", **{"driver": "raw", "node-name": "again",
                                        "file": {"driver": "file", "filename": str(disk.path)}})
        self.control("device_add", driver="usb-storage", id="again", drive="again", bus="usb.0", removable=True)

    def command(self, interactive: bool = False) -> "list[str]":
        it = self.settings
        words = it.site.inside() if it.site else []
        words += [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-machine", it.model, "-accel", f"tcg,thread={'single' if it.warps else 'multi'}", "-cpu", PROCESSOR,
            "-smp", str(it.processors), "-m", f"{it.memory}M",
        ]
        if it.warps:
            words += ["-icount", "shift=2,sleep=off", "-rtc", "clock=vm"]
        if interactive:
            words += ["-chardev", f"stdio,mux=on,id=con,signal=off,logfile={self.console.log}",
                      "-mon", "chardev=con,mode=readline"]
        else:
            words += ["-chardev", "stdio,id=con,signal=off"]
        words += ["-serial", "chardev:con"]
        if it.boot == "kernel":
            words += ["-kernel", str(it.kernel or images.unpacked_kernel()), "-append", it.arguments]
            if it.initrd:
                words += ["-initrd", str(self._initrd())]
        else:
            words += ["-boot", {"cdrom": "d", "network": "n", "disk": "c"}[it.boot]]
        words += self._disks() + self._network()
        for name, file in it.firmware.items():
            words += ["-fw_cfg", f"name={name},file={file}"]
        for tag, (folder, writable) in it.shares.items():
            words += ["-virtfs", f"local,path={folder},mount_tag={tag},security_model=none,"
                      f"multidevs=remap,readonly={'off' if writable else 'on'}"]
        return words + it.extra

    def _initrd(self) -> Path:
        parts = self.settings.initrd
        if len(parts) == 1 and isinstance(parts[0], Path):
            return parts[0]
        joined = self.folder / "initrd"
        with open(joined, "wb") as file:
            for part in parts:
                file.write(part.read_bytes() if isinstance(part, Path) else part)
                file.write(bytes(-file.tell() % 4))
        return joined

    def _disks(self) -> "list[str]":
        words = []
        controllers = set()
        ports = itertools.count()
        for number, disk in enumerate(self.settings.disks):
            name = f"disk{number}"
            words += ["-drive", f"if=none,id={name},file={disk.path},format=raw,cache=unsafe,"
                      f"discard=unmap,readonly={'on' if disk.read_only else 'off'}{throttled(disk.rate)}"]
            controller, device = {
                "virtio": ("", "virtio-blk-pci"),
                "scsi": ("virtio-scsi-pci,id=scsi", "scsi-hd,bus=scsi.0"),
                "sata": ("ahci,id=sata", "ide-hd"),
                "nvme": ("", "nvme"),
                "usb": ("qemu-xhci,id=usb", f"usb-storage,id=stick{number},removable=on,bus=usb.0"),
            }[disk.bus]
            if controller and controller not in controllers:
                controllers.add(controller)
                words += ["-device", controller]
            sizes = "" if disk.sector == 512 else (
                f",logical_block_size={disk.sector},physical_block_size={disk.sector}")
            if disk.bus == "sata":
                device += f",bus=sata.{next(ports)}"
            words += ["-device", f"{device},drive={name},serial={disk.serial or name}{sizes}"]
        if self.settings.cdrom:
            words += ["-drive", f"if=none,id=cdimage,file={self.settings.cdrom},format=raw,readonly=on"
                      f"{throttled(self.settings.cdrom_rate)}",
                      "-device", "ide-cd,id=cd,drive=cdimage"]
        return words

    def _network(self) -> "list[str]":
        it = self.settings
        if not it.network:
            return ["-nic", "none"]
        if it.site:
            return ["-netdev", f"tap,id=net,ifname={Site.CARD},script=no,downscript=no",
                    "-device", f"{it.card},netdev=net"]
        words = "user,id=net"
        if it.tftp:
            words += f",tftp={it.tftp}"
        if it.bootfile:
            words += f",bootfile={it.bootfile}"
        for host, guest in it.forward.items():
            words += f",hostfwd=tcp:127.0.0.1:{host}-:{guest}"
        return ["-netdev", words, "-device", f"{it.card},netdev=net"]

    def _listen(self, path: Path) -> None:
        """Follows qemu's control socket: greets it, then keeps answers and the reason it ended."""
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(str(path))
                break
            except OSError:
                if self._process.poll() is not None:
                    return
                time.sleep(0.05)
        connection.sendall(b'{"execute":"qmp_capabilities"}')
        greeted = False
        try:
            for line in connection.makefile():
                message = json.loads(line)
                if message.get("event") == "SHUTDOWN":
                    self.shutdown_reason = message["data"]["reason"]
                if "return" not in message and "error" not in message:
                    continue
                with self._answered:
                    if greeted:
                        self._answers.append(message)
                    else:
                        greeted, self._control = True, connection
                    self._answered.notify_all()
        except (OSError, ValueError):
            pass  # the machine is gone, and the socket with it


def throttled(rate: int) -> str:
    """What makes a drive a slow one, in bytes a second."""
    return f",throttling.bps-read={rate}" if rate else ""
