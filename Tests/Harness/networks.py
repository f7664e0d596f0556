"""The network beside real servers: dnsmasq and radvd, and one that answers wrongly, in network namespaces of each
test's own.

`firstlight network --up` is what is tested; FIRSTLIGHT may name another binary than out/firstlight. It runs on an
overlay of this system, in a namespace with cards `card0`, `card1`..., one end each of a pair whose other end, `far0`,
`far1`..., is with the servers. The kernel takes no such pair for a card with a device behind it, so each is named.
What takes bonds and VLANs is tested by booting: this machine's kernel may have neither.
"""

import atexit
import functools

import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import processes
from paths import AGENT
from tiers import ALL, only_in

SERVERS = "servers"  # the namespace on the far side


def ip(*words, servers: bool = False) -> None:
    processes.run(["ip", *(["-n", SERVERS] if servers else []), *words])


class Site:
    """The cards and what is behind them."""

    def __init__(self, cards: int = 1, carrier: bool = True) -> None:
        processes.run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
        ip("netns", "add", SERVERS)
        ip("link", "set", "lo", "up", servers=True)
        for number in range(cards):
            ip("link", "add", f"card{number}", "type", "veth", "peer", "name", f"far{number}", "netns", SERVERS)
            # A server is there before its clients: nobody looks whether its address is another's.
            processes.run(["ip", "netns", "exec", SERVERS, "sh", "-c",
                           f"echo 0 > /proc/sys/net/ipv6/conf/far{number}/accept_dad"])
            if carrier:
                ip("link", "set", f"far{number}", "up", servers=True)
        self.folder = processes.temporary_folder("network")

    def address(self, text: str, far: int = 0) -> None:
        words = ["addr", "add", text, "dev", f"far{far}"]
        ip(*words, *(["nodad"] if ":" in text else []), servers=True)

    def start(self, *words) -> subprocess.Popen:
        """A program on the servers' side."""
        return processes.start(["ip", "netns", "exec", SERVERS, *words], dying_signal="TERM",
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def dnsmasq(self, *options, far: int = 0, after: float = 0) -> None:
        # What a thread starts ends with it: a server that comes late waits by itself.
        self.start("sh", "-c", f'sleep {after}; exec "$@"', "sh", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--bind-interfaces", "--port=0",
                   f"--interface=far{far}", "--except-interface=lo", "--dhcp-authoritative", "--no-ping",
                   f"--dhcp-leasefile={self.folder}/leases{far}", *options)

    def web(self, address: str, after: float = 0) -> None:
        """A server of files, at port 80, from a moment on."""
        program = f"import time, http.server as h; time.sleep({after}); " \
            f"h.test(h.SimpleHTTPRequestHandler, port=80, bind='{address}')"
        if ":" in address:
            program = f"import time, socket; time.sleep({after}); s = socket.socket(socket.AF_INET6); " \
                f"s.bind(('{address}', 80)); s.listen(); time.sleep(600)"
        self.start(sys.executable, "-c", program)


class Trial:
    """One `firstlight network --up`, on an overlay of this system."""

    def __init__(self, *words, stay: int = 0, url: "str | None" = None, keyfiles: "dict[str, str] | None" = None,
                 timeout: float = 60, patience: float = 0) -> None:
        layers = Path("/mnt")
        if not (layers / "system").exists():
            processes.run(["mount", "-t", "tmpfs", "tmpfs", layers])
            for name in ["upper", "work", "system"]:
                (layers / name).mkdir()
            processes.run(["mount", "-t", "overlay", "overlay", "-o",
                           f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work", layers / "system"])
            for kind, name in [("tmpfs", "run"), ("devtmpfs", "dev"), ("proc", "proc"), ("sysfs", "sys")]:
                processes.run(["mount", "-t", kind, kind, layers / "system" / name])
        self.system = layers / "system"
        options = ["--stay", str(stay)] if stay else []
        if url:
            options += ["--url", url]
        if keyfiles:
            folder = self.system / "run/keyfiles"
            folder.mkdir(exist_ok=True)
            for name, text in keyfiles.items():
                (folder / name).write_text(text)
            options += ["--keyfiles", "/run/keyfiles"]
        program = os.environ.get("FIRSTLIGHT", AGENT)
        began = time.monotonic()
        self.process = subprocess.Popen(["chroot", self.system, program, "network", "--up", *options, *words],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.timeout = timeout
        self.said = ""
        if not stay:
            try:
                out, self.said = self.process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                out, self.said = self.process.communicate()
                raise AssertionError(f"not done within {timeout} s: {self.said}")
            self.seconds = time.monotonic() - began
            self._read(out)
        else:
            # The state is printed before it stays.
            self._read_state(began)

    def _read(self, out: str) -> None:
        assert self.process.returncode == 0, f"exit status {self.process.returncode}: {self.said}"
        self.summary, _, text = out.partition("\n")
        self.state = json.loads(text)

    def _read_state(self, began: float) -> None:
        self.summary = self.process.stdout.readline().strip()
        self.seconds = time.monotonic() - began
        assert self.summary, f"nothing came of it: {self.process.stderr.read()}"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def resolver(self) -> "list[str]":
        return (self.system / "etc/resolv.conf").read_text().splitlines()


def addresses(card: str) -> str:
    return subprocess.run(["ip", "addr", "show", "dev", card], capture_output=True, text=True).stdout


def routes(family: str = "-4") -> str:
    return subprocess.run(["ip", family, "route"], capture_output=True, text=True).stdout


def eventually(what: str, holds, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


# --- One card --------------------------------------------------------------------------------------


def lease() -> None:
    site = Site()
    site.address("192.0.2.1/24")
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300", "--dhcp-option=option:router,192.0.2.1",
                 "--dhcp-option=option:dns-server,192.0.2.53", "--dhcp-option=option:domain-search,a.example,b.example",
                 "--dhcp-option=option:ntp-server,192.0.2.123", "--dhcp-option=121,198.51.100.0/24,192.0.2.9,0.0.0.0/0,192.0.2.2")
    trial = Trial("ip=card0:dhcp")
    assert re.match(r"card0 192\.0\.2\.1\d\d/24 by DHCP, gateway 192\.0\.2\.2, DNS 192\.0\.2\.53", trial.summary), trial.summary
    assert trial.resolver[:2] == ["search a.example b.example", "nameserver 192.0.2.53"], trial.resolver
    assert "default via 192.0.2.2 dev card0" in routes() and "198.51.100.0/24 via 192.0.2.9" in routes(), routes()
    assert trial.state["interfaces"][0]["lease"]["time"] == ["192.0.2.123"], trial.state
    assert trial.seconds < 3, f"{trial.seconds} s"


def what_a_client_says() -> None:
    site = Site()
    site.address("192.0.2.1/24")
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300", "--dhcp-host=id:01:02:03,192.0.2.77",
                 "--dhcp-vendorclass=set:acme,acme", "--dhcp-option=tag:acme,option:dns-server,192.0.2.53")
    trial = Trial("ip=card0:dhcp", "rd.net.dhcp.client-id=01:02:03", "rd.net.dhcp.vendor-class=acme")
    assert "192.0.2.77/24" in trial.summary and "DNS 192.0.2.53" in trial.summary, trial.summary


def fixed_address_beside_dhcp() -> None:
    site = Site()
    site.address("192.0.2.1/24")
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300")
    Trial("ip=192.0.2.9::192.0.2.1:24:node:card0:dhcp")
    seen = addresses("card0")
    assert "192.0.2.9/24" in seen and re.search(r"192\.0\.2\.1\d\d/24", seen), seen
    assert "default via 192.0.2.1" in routes(), routes()


def router_advertisement() -> None:
    site = Site()
    site.address("2001:db8::1/64")
    site.dnsmasq("--enable-ra", "--dhcp-range=2001:db8::,ra-only,64", "--dhcp-option=option6:dns-server,[2001:db8::53]",
                 "--dhcp-option=option6:domain-search,a.example")
    trial = Trial("ip=card0:auto6")
    assert "2001:db8:" in trial.summary and "by router advertisement" in trial.summary, trial.summary
    assert "nameserver 2001:db8::53" in trial.resolver and "search a.example" in trial.resolver, trial.resolver
    assert "default via fe80::" in routes("-6"), routes("-6")
    assert trial.seconds < 5, f"{trial.seconds} s"


def ipv6_alone_over_which_the_server_answers() -> None:
    """IPv4 gets no answer: what is needed is there all the same, at once."""
    site = Site()
    site.address("2001:db8::1/64")
    site.dnsmasq("--enable-ra", "--dhcp-range=2001:db8::,ra-only,64")
    site.web("2001:db8::1")
    trial = Trial("ip=card0:auto", url="http://[2001:db8::1]/config.ign")
    assert "2001:db8:" in trial.summary, trial.summary
    assert trial.seconds < 6, f"{trial.seconds} s"


def dhcpv6_address() -> None:
    site = Site()
    site.address("2001:db8::1/64")
    site.dnsmasq("--enable-ra", "--dhcp-range=2001:db8::100,2001:db8::1ff,64,300",
                 "--dhcp-option=option6:dns-server,[2001:db8::53]", "--dhcp-option=option6:domain-search,c.example")
    trial = Trial("ip=card0:dhcp6")
    assert re.search(r"2001:db8::1[0-9a-f]{2}/128", trial.summary), trial.summary
    assert "nameserver 2001:db8::53" in trial.resolver, trial.resolver


def dhcpv6_settings() -> None:
    site = Site()
    site.address("2001:db8::1/64")
    (site.folder / "radvd.conf").write_text("interface far0 { AdvSendAdvert on; AdvOtherConfigFlag on; "
                                            "MaxRtrAdvInterval 4; MinRtrAdvInterval 3; prefix 2001:db8::/64 {}; };\n")
    site.dnsmasq("--dhcp-range=2001:db8::,static", "--dhcp-option=option6:dns-server,[2001:db8::53]")
    site.start("radvd", "--nodaemon", "-m", "none", "-C", site.folder / "radvd.conf", "-p", site.folder / "pid")
    trial = Trial("ip=card0:auto6", stay=5)
    eventually("an address", lambda: "2001:db8:" in addresses("card0"))
    trial.end()


def keyfiles() -> None:
    site = Site(2)
    site.address("192.0.2.1/24")
    trial = Trial(keyfiles={
        "lan.nmconnection": "[connection]\r\nid=lan\r\ntype=ethernet\r\ninterface-name=card0\r\n[ipv4]\r\nmethod=manual\r\n"
                            "address1=192.0.2.9/24,192.0.2.1\r\nroute-metric=50\r\ndns=192.0.2.53;\r\n"
                            "route1=198.51.100.0/24,192.0.2.7,30\r\n[ipv6]\r\nmethod=disabled\r\n",
        "guarded.nmconnection": "[connection]\nid=g\ntype=ethernet\ninterface-name=card1\n[802-1x]\npassword=S3CRET\n"})
    assert "192.0.2.9/24" in trial.summary, trial.summary
    assert "default via 192.0.2.1 dev card0 metric 50" in routes(), routes()
    assert "198.51.100.0/24 via 192.0.2.7 dev card0 metric 30" in routes(), routes()
    assert "guarded.nmconnection: 802-1x is not supported; going on without it" in trial.said, trial.said
    assert "S3CRET" not in trial.said


def bridge() -> None:
    site = Site()
    site.address("192.0.2.1/24")
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300", "--dhcp-option=option:router,192.0.2.1")
    trial = Trial("bridge=br0:card0", "ip=br0:dhcp")
    assert re.match(r"br0 192\.0\.2\.1\d\d/24 by DHCP", trial.summary), trial.summary
    assert "master br0" in addresses("card0"), addresses("card0")


# --- Several ---------------------------------------------------------------------------------------


def two_cards_of_which_the_second_has_the_server() -> None:
    site = Site(2)
    site.address("192.0.2.1/24")
    site.address("198.51.100.1/24", far=1)
    ip("addr", "add", "203.0.113.1/32", "dev", "lo", servers=True)
    # The first leads to a router that knows no way.
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300", "--dhcp-option=option:router,192.0.2.250")
    site.dnsmasq("--dhcp-range=198.51.100.100,198.51.100.110,255.255.255.0,300",
                 "--dhcp-option=option:router,198.51.100.1", far=1)
    site.web("203.0.113.1")
    trial = Trial("ip=card0:dhcp", "ip=card1:dhcp", url="http://203.0.113.1/config.ign")
    assert trial.state["interfaces"][0]["interface"] == "card1", trial.summary
    chosen = subprocess.run(["ip", "route", "get", "203.0.113.1"], capture_output=True, text=True).stdout
    assert "dev card1" in chosen, chosen
    assert "192.0.2.1" in addresses("card0"), "what was named is gone"


def two_cards_on_one_subnet() -> None:
    site = Site(2)
    for far in (0, 1):
        ip("link", "set", f"far{far}", "nomaster", servers=True)
    ip("link", "add", "hub", "type", "bridge", servers=True)
    # Only the second is plugged into the server's switch.
    ip("link", "set", "far1", "master", "hub", servers=True)
    ip("link", "set", "hub", "up", servers=True)
    ip("addr", "add", "192.0.2.1/24", "dev", "hub", servers=True)
    site.web("192.0.2.1")
    trial = Trial("ip=192.0.2.8::192.0.2.1:24::card0:none", "ip=192.0.2.9::192.0.2.1:24::card1:none",
                  url="http://192.0.2.1/")
    assert trial.state["interfaces"][0]["interface"] == "card1", trial.summary


# --- Late ------------------------------------------------------------------------------------------


def late_carrier() -> None:
    site = Site(carrier=False)
    site.address("192.0.2.1/24")
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300")
    threading.Timer(7, lambda: ip("link", "set", "far0", "up", servers=True)).start()
    trial = Trial("ip=card0:dhcp")
    assert trial.seconds > 6 and "no carrier on card0" in trial.said, trial.said


def late_server() -> None:
    site = Site()
    site.address("192.0.2.1/24")
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300", after=18)
    trial = Trial("ip=card0:dhcp")
    assert trial.seconds > 15, trial.seconds
    assert trial.said.count("no DHCP answer on card0") >= 2, f"told too seldom: {trial.said}"


def limits_of_the_operator() -> None:
    Site()
    try:
        Trial("ip=card0:dhcp", "rd.net.timeout.dhcp=3")
    except AssertionError as failed:
        for text in ["no DHCP answer on card0 within 3 s", "card0: made here, carrier, no DHCP answer"]:
            assert text in str(failed), failed
        return
    raise AssertionError("a network without a server")


# --- A server that answers wrongly -----------------------------------------------------------------


class HostileDHCP:
    """A DHCP server in this process, on the far side: what it makes of a request is `answer`'s."""

    def __init__(self, answer) -> None:
        self.requests = 0
        with open(f"/run/netns/{SERVERS}") as space:
            own = os.open("/proc/self/ns/net", os.O_RDONLY)
            os.setns(space.fileno(), os.CLONE_NEWNET) if hasattr(os, "setns") else enter(space.fileno())
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            os.setns(own, os.CLONE_NEWNET) if hasattr(os, "setns") else enter(own)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"far0")
        self.socket.bind(("", 67))
        self.answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            request, _ = self.socket.recvfrom(2048)
            kind = next((value[0] for code, value in options_of(request) if code == 53), 0)
            self.requests += 1
            for packet in self.answer(request, kind, self.requests):
                self.socket.sendto(packet, ("255.255.255.255", 68))


def enter(descriptor: int) -> None:
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def options_of(packet: bytes) -> "list[tuple[int, bytes]]":
    found, rest = [], packet[240:]
    while rest and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        if len(rest) < 2:
            break
        found.append((rest[0], rest[2:2 + rest[1]]))
        rest = rest[2 + rest[1]:]
    return found


def reply(request: bytes, kind: int, address: str, seconds: int, more: bytes = b"") -> bytes:
    head = struct.pack("!BBBBIHH4s4s4s4s16s", 2, 1, 6, 0, struct.unpack("!I", request[4:8])[0], 0, 0x8000, bytes(4),
                       socket.inet_aton(address), socket.inet_aton("192.0.2.1"), bytes(4), request[28:44])
    options = bytes([53, 1, kind, 54, 4]) + socket.inet_aton("192.0.2.1") + b"\x33\x04" + struct.pack("!I", seconds) \
        + b"\x01\x04" + socket.inet_aton("255.255.255.0") + more + b"\xff"
    return head + bytes(192) + b"\x63\x82\x53\x63" + options


def renewal_and_a_changed_address() -> None:
    """A lease of seconds is renewed while the boot lasts; refused, another address takes its place."""
    site = Site()
    site.address("192.0.2.1/24")
    state = {"address": "192.0.2.50", "granted": 0}

    def answer(request: bytes, kind: int, number: int) -> "list[bytes]":
        if kind == 1:
            return [reply(request, 2, state["address"], 12)]
        asked = dict(options_of(request)).get(50, request[12:16])
        if kind == 3 and asked == socket.inet_aton(state["address"]):
            state["granted"] += 1
            return [reply(request, 5, state["address"], 12)]
        return [reply(request, 6, "0.0.0.0", 12)]

    HostileDHCP(answer)
    trial = Trial("ip=card0:dhcp", stay=60)
    assert "192.0.2.50/24" in trial.summary, trial.summary
    eventually("the lease is renewed", lambda: state["granted"] >= 2, 30)
    state["address"] = "192.0.2.51"
    eventually("another address", lambda: "192.0.2.51/24" in addresses("card0"), 40)
    assert "192.0.2.50/24" not in addresses("card0"), "the old address stays"
    trial.end()


def broken_answers() -> None:
    """A thousand answers that are wrong in some way, then one that is right: no crash, no hang, no word to a shell."""
    site = Site()
    site.address("192.0.2.1/24")
    chance = random.Random(14)
    sent = [0]
    evil = b"\x0f\x1c;touch /run/owned;$(touch /ru" + b"\x0c\x14`touch /run/owned` x" + b"\x77\x04\x03\xff\xff\xff"

    def spoiled(packet: bytes) -> bytes:
        way = chance.randrange(6)
        if way == 0:
            return packet[:chance.randrange(len(packet))]
        if way == 1:
            at = chance.randrange(240, len(packet))
            return packet[:at] + bytes(chance.randrange(256) for _ in range(len(packet) - at))
        if way == 2:
            at = chance.randrange(236)
            return packet[:at] + bytes([chance.randrange(256)]) + packet[at + 1:]
        if way == 3:
            return packet[:-1] + bytes([chance.randrange(1, 255), 255])
        if way == 4:
            return packet[:241] + bytes([0]) + packet[242:]
        return packet + bytes(chance.randrange(256) for _ in range(1200 - len(packet)))

    def answer(request: bytes, kind: int, number: int) -> "list[bytes]":
        packets = []
        if sent[0] < 1000:
            for _ in range(100):
                which = chance.choice([2, 5, 6])
                packets.append(spoiled(reply(request, which, "192.0.2.66", chance.choice([0, 1, 2**32 - 1]), evil)))
                sent[0] += 1
        return packets + ([reply(request, 2 if kind == 1 else 5, "192.0.2.50", 300, evil)] if sent[0] >= 1000 else [])

    HostileDHCP(answer)
    trial = Trial("ip=card0:dhcp", timeout=90)
    assert "192.0.2." in trial.summary, trial.summary
    assert not (trial.system / "run/owned").exists(), "a server's words were run"
    for line in trial.resolver:
        assert re.fullmatch(r"(nameserver|search|options) [\w.:% -]+", line), line


def endless_refusals() -> None:
    """A server that refuses whatever it offered is told about, not obeyed."""
    site = Site()
    site.address("192.0.2.1/24")
    HostileDHCP(lambda request, kind, number: [reply(request, 2 if kind == 1 else 6, "192.0.2.50", 300)])
    try:
        Trial("ip=card0:dhcp", "rd.net.timeout.dhcp=8")
    except AssertionError as failed:
        assert "no DHCP answer on card0 within 8 s" in str(failed), failed
        return
    raise AssertionError("a lease that was refused")


INSIDE = {test.__name__.replace("_", "-"): test for test in (
    lease, what_a_client_says, fixed_address_beside_dhcp, router_advertisement,
    ipv6_alone_over_which_the_server_answers, dhcpv6_address, dhcpv6_settings, keyfiles, bridge,
    two_cards_of_which_the_second_has_the_server, two_cards_on_one_subnet, late_carrier, late_server,
    limits_of_the_operator, renewal_and_a_changed_address, broken_answers, endless_refusals,
)}
# What waits for half a minute shows nothing that the others do not rest on.
LONG = {"late-server", "renewal-and-a-changed-address", "broken-answers"}


def apart(name: str) -> None:
    """Runs one of the above in namespaces that end with it, servers included."""
    folder = processes.temporary_folder(name)
    try:
        processes.run(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                       sys.executable, __file__, name], timeout=180, env={**os.environ, "TMPDIR": str(folder)})
    finally:
        processes.remove_folder(folder)


def _test(name: str):
    test = functools.partial(apart, name)
    return only_in(ALL)(test) if name in LONG else test


TESTS = [(name, _test(name)) for name in INSIDE]


def inside(name: str) -> int:
    atexit.register(processes.stop_everything)
    ip("link", "set", "lo", "up")
    processes.run(["mount", "-t", "sysfs", "sysfs", "/sys"])
    try:
        INSIDE[name]()
    except AssertionError as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(inside(sys.argv[1]))
