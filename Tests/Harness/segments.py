"""An Ethernet of a test's own, with real servers on it, for machines whose user-mode network cannot do what is wanted.

The servers run in a network namespace, on a bridge `far`. Each card of a machine leads there by a datagram socket and
a program that carries frames between it and a port of the bridge: this file, called with a folder and the number of
ports. Nothing of it shows in the network of the machine that the tests run on, and all of it ends with the test.
"""

import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import processes

ETHERNET_IPV4, UDP, DHCP_SERVER = b"\x08\x00", 17, 67
DAYS_AHEAD = 40  # of this machine's clock, so that a clock which goes by the time server is known by it


class Segment:
    """The namespace and the ports; `deaf` is how many DHCP requests are lost before the first frame comes through."""

    def __init__(self, folder: Path, cards: int = 1, deaf: int = 0) -> None:
        self.folder = folder
        self._programs = [processes.start(["unshare", "--net", "sleep", "infinity"], dying_signal="TERM")]
        self._space = f"/proc/{self._programs[0].pid}/ns/net"
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(self._space) == own:
            time.sleep(0.01)
        for words in ("link set lo up", "link add far type bridge", "link set far up"):
            self.run("ip", *words.split())
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/far/accept_dad")
        self.start(sys.executable, __file__, folder, cards, deaf)
        while not all((folder / f"far{number}").exists() for number in range(cards)):
            time.sleep(0.01)

    def run(self, *words) -> bytes:
        """Runs a program on the servers' side to its end."""
        return processes.run(["nsenter", f"--net={self._space}", *words])

    def start(self, *words) -> None:
        """Starts one that goes on for as long as the test does."""
        self._programs.append(processes.start(["nsenter", f"--net={self._space}", *words], dying_signal="TERM",
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def address(self, text: str) -> None:
        self.run("ip", "addr", "add", text, "dev", "far", *(["nodad"] if ":" in text else []))

    def dnsmasq(self, *options) -> None:
        self.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--bind-interfaces", "--port=0",
                   "--interface=far", "--except-interface=lo", "--dhcp-authoritative", "--no-ping",
                   f"--dhcp-leasefile={self.folder}/leases", f"--pid-file={self.folder}/dnsmasq.pid", *options)

    def web(self, files: Path, address: str) -> None:
        """A server of the files in a folder, at port 80."""
        family = "AF_INET6" if ":" in address else "AF_INET"
        self.start(sys.executable, "-c", "import functools, http.server as h, socket\n"
                   f"h.ThreadingHTTPServer.address_family = socket.{family}\n"
                   f"handler = functools.partial(h.SimpleHTTPRequestHandler, directory={str(files)!r})\n"
                   f"h.ThreadingHTTPServer(({address!r}, 80), handler).serve_forever()")

    def time(self, address: str) -> None:
        """A time server; what it tells is DAYS_AHEAD."""
        family = "AF_INET6" if ":" in address else "AF_INET"
        self.start(sys.executable, "-c", "import socket, struct, time\n"
                   f"s = socket.socket(socket.{family}, socket.SOCK_DGRAM); s.bind(({address!r}, 123))\n"
                   "while True:\n"
                   "    asked, who = s.recvfrom(100)\n"
                   f"    told = struct.pack('!II', int(time.time()) + {DAYS_AHEAD * 86400 + 2208988800} & 0xffffffff, 0)\n"
                   "    s.sendto(struct.pack('!BBbb', 0x24, 2, 4, -20) + bytes(12) + told + asked[40:48] + told * 2, who)")

    def card(self, number: int = 0, slot: int = 0x10, options: str = "") -> "list[str]":
        """QEMU's words for a card on this Ethernet, `ens16` for the slot 0x10."""
        name = f"segment{number}"
        return ["-netdev", f"dgram,id={name},local.type=unix,local.path={self.folder}/near{number},"
                f"remote.type=unix,remote.path={self.folder}/far{number}",
                "-device", f"virtio-net-pci,netdev={name},addr={slot:#x}{options}"]

    def stop(self) -> None:
        for program in reversed(self._programs):
            processes.stop(program, grace=1)


def wire(folder: Path, ends: "tuple[str, str]", slot: int, options: str = "") -> "list[str]":
    """QEMU's words for a card whose other end is another machine's."""
    here, there = ends
    return ["-netdev", f"dgram,id={here},local.type=unix,local.path={folder}/{here},"
            f"remote.type=unix,remote.path={folder}/{there}",
            "-device", f"virtio-net-pci,netdev={here},addr={slot:#x}{options}"]


# --- The program that carries frames ------------------------------------------------------------------


def asks_for_address(frame: bytes) -> bool:
    return frame[12:14] == ETHERNET_IPV4 and frame[23:24] == bytes([UDP]) and frame[36:38] == struct.pack("!H", DHCP_SERVER)


def tap(name: str) -> int:
    import fcntl
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, 0x400454ca, struct.pack("16sH", name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP, IFF_NO_PI
    processes.run(["ip", "link", "set", name, "master", "far", "up"])
    return descriptor


def carry(folder: Path, count: int, deaf: int) -> None:
    taps = [tap(f"port{number}") for number in range(count)]
    sockets = []
    for number in range(count):
        sockets.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        sockets[-1].bind(f"{folder}/far{number}")
    while True:
        ready, _, _ = select.select(taps + sockets, [], [])
        for number in range(count):
            if sockets[number] in ready:
                frame = sockets[number].recv(65536)
                if deaf > 0:
                    deaf -= asks_for_address(frame)
                else:
                    os.write(taps[number], frame)
            if taps[number] in ready:
                frame = os.read(taps[number], 65536)
                try:
                    if deaf <= 0:
                        sockets[number].sendto(frame, f"{folder}/near{number}")
                except OSError:
                    pass  # no machine there yet, or no more


if __name__ == "__main__":
    carry(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
