"""Servers and routers that answer wrongly, in namespaces like those of networks.py: they are in this process, and say
whatever a test has them say."""

import ctypes
import os
import random
import re
import socket
import struct
import sys
import threading
import time

import processes
from networks import SERVERS, Site, Trial, addresses, eventually, inside, tests


class HostileDHCP:
    """A DHCP server in this process, on the far side: what it makes of a request is `answer`'s."""

    def __init__(self, answer) -> None:
        self.requests = 0
        self.socket = far_socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
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


def far_socket(family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket of this process on the far side."""
    with open(f"/run/netns/{SERVERS}") as space:
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            enter(space.fileno())
            made = socket.socket(family, kind, protocol)
        finally:
            enter(own)
            os.close(own)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"far0")
    return made


def enter(descriptor: int) -> None:
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
    """A lease of seconds is renewed while the boot lasts; refused, another address takes its place. Each time the server
    names another name server, and that one is asked."""
    site = Site()
    site.address("192.0.2.1/24")
    state = {"address": "192.0.2.50", "server": "192.0.2.53", "granted": 0}

    def answer(request: bytes, kind: int, number: int) -> "list[bytes]":
        server = b"\x06\x04" + socket.inet_aton(state["server"])
        if kind == 1:
            return [reply(request, 2, state["address"], 12, server)]
        asked = dict(options_of(request)).get(50, request[12:16])
        if kind == 3 and asked == socket.inet_aton(state["address"]):
            state["granted"] += 1
            return [reply(request, 5, state["address"], 12, server)]
        return [reply(request, 6, "0.0.0.0", 12)]

    HostileDHCP(answer)
    trial = Trial("ip=card0:dhcp", stay=60)
    assert "192.0.2.50/24" in trial.summary and "nameserver 192.0.2.53" in trial.resolver, trial.summary
    state["server"] = "192.0.2.54"
    eventually("the lease is renewed", lambda: state["granted"] >= 2, 30)
    eventually("another name server", lambda: "nameserver 192.0.2.54" in trial.resolver, 10)
    state["address"], state["server"] = "192.0.2.51", "192.0.2.55"
    eventually("another address", lambda: "192.0.2.51/24" in addresses("card0"), 40)
    assert "192.0.2.50/24" not in addresses("card0"), "the old address stays"
    eventually("its name server", lambda: "nameserver 192.0.2.55" in trial.resolver, 10)
    assert not {"nameserver 192.0.2.53", "nameserver 192.0.2.54"} & set(trial.resolver), trial.resolver
    trial.end()


def renewal_by_dhcpv6_that_names_others() -> None:
    """What a renewal by DHCPv6 names is asked from then on, and the real root is told that one."""
    site = Site()
    router = Router(site)
    state = {"server": "2001:db8::53", "domain": b"\x03old\x07example\0", "granted": 0}

    def answer(request: bytes) -> "list[bytes]":
        state["granted"] += request[0] != 1
        server = socket.inet_pton(socket.AF_INET6, state["server"])
        return [reply6(request, lives=40, more=field(23, server) + field(24, state["domain"]))]

    HostileDHCPv6(router, answer)
    router.again_and_again(b"", flags=0x80)
    trial = Trial("ip=card0:dhcp6", stay=25, hands_over=True)
    assert trial.resolver[:2] == ["search old.example", "nameserver 2001:db8::53"], trial.resolver
    state["server"], state["domain"] = "2001:db8::54", b"\x03new\x07example\0"
    eventually("the lease is renewed", lambda: state["granted"] >= 2, 20)
    eventually("another name server", lambda: "nameserver 2001:db8::54" in trial.resolver, 10)
    assert "nameserver 2001:db8::53" not in trial.resolver, trial.resolver
    left = trial.left()
    assert left == ["search new.example", "nameserver 2001:db8::54"], left


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
    check_resolver(trial)


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


def check_resolver(trial: Trial) -> None:
    """That nothing a server said has become more than a name or an address."""
    for line in trial.resolver:
        assert re.fullmatch(r"(nameserver|search|options) [\w.:% -]+", line), line
    assert len(trial.resolver) < 40, f"{len(trial.resolver)} lines"


# --- IPv6 ------------------------------------------------------------------------------------------

EVIL_NAME = b"\x0c$(touch /ru)\x07ev\n il;\x00\x01a\x07example\x00"
FAR = b"\xfe\x80" + bytes(13) + b"\x01"
RIGHT_SERVER = socket.inet_pton(socket.AF_INET6, "2001:db8::53")


class Router:
    """A router in this process, on the far side."""

    def __init__(self, site: Site) -> None:
        site.address("fe80::1/64")
        self.socket = far_socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        self.index = int(processes.run(["ip", "netns", "exec", SERVERS, "cat", "/sys/class/net/far0/ifindex"]))
        self.socket.bind(("fe80::1", 0, 0, self.index))

    def advertise(self, options: bytes, flags: int = 0) -> None:
        head = struct.pack("!BBHBBHII", 134, 0, 0, 64, flags, 1800, 0, 0)
        self.socket.sendto(head + options, ("ff02::1", 0, 0, self.index))

    def again_and_again(self, options: bytes, flags: int = 0, after=lambda: True) -> None:
        """Once a second from the moment on that `after` comes true."""

        def repeat() -> None:
            while True:
                if after():
                    self.advertise(options, flags)
                time.sleep(1)

        threading.Thread(target=repeat, daemon=True).start()


def option(kind: int, content: bytes) -> bytes:
    """An option of an advertisement, padded to units of eight bytes."""
    content += bytes(-(len(content) + 2) % 8)
    return bytes([kind, (len(content) + 2) // 8]) + content


def prefix(text: str = "2001:db8::") -> bytes:
    return option(3, struct.pack("!BBIII", 64, 0xc0, 3600, 1800, 0) + socket.inet_pton(socket.AF_INET6, text))


def name_servers(*servers: bytes) -> bytes:
    return option(25, struct.pack("!HI", 0, 600) + b"".join(servers))


def broken_advertisements() -> None:
    """A thousand advertisements that are wrong in some way, then one that is right: no crash, no hang, no shell."""
    site = Site()
    router = Router(site)
    chance = random.Random(15)
    sent = [0]

    def spoiled() -> bytes:
        """Options that no address comes of."""
        way = chance.randrange(6)
        if way == 0:  # whole in their form, with any content
            kinds = [chance.choice([25, 31, 25, 31, 1, 5, 24, 200]) for _ in range(chance.randrange(1, 6))]
            return b"".join(option(kind, chance.randbytes(6 + 8 * chance.randrange(12))) for kind in kinds)
        if way == 1:  # names that break lines, and servers without end
            return option(31, struct.pack("!HI", 0, 600) + EVIL_NAME + chance.randbytes(4)) \
                + name_servers(*(b"\x20\x01\x0d\xb8" + chance.randbytes(12) for _ in range(30)))
        if way == 2:  # a length that is nothing, or too much
            return bytes([chance.choice([3, 25, 31]), chance.choice([0, 255])]) + chance.randbytes(chance.randrange(60))
        if way == 3:  # cut short
            whole = name_servers(RIGHT_SERVER) + option(31, struct.pack("!HI", 0, 600) + EVIL_NAME)
            return whole[:chance.randrange(len(whole))]
        if way == 4:  # the lifetimes of what ends, and lengths that do not fit their kind
            return option(25, bytes(6) + chance.randbytes(16)) + option(25, chance.randbytes(14)) + option(31, b"\x3f")
        return bytes([chance.choice([4, 6, 25, 31, 255])]) + chance.randbytes(chance.randrange(1200))

    def flood() -> None:
        # Once the card is there and listens.
        time.sleep(0.5)
        for number in range(1000):
            try:
                router.advertise(spoiled(), chance.choice([0, 0x80, 0x40, 0xff]))
            except OSError:
                pass
            sent[0] += 1
            if number % 50 == 49:
                time.sleep(0.1)

    threading.Thread(target=flood, daemon=True).start()
    router.again_and_again(prefix() + name_servers(RIGHT_SERVER), after=lambda: sent[0] >= 1000)
    trial = Trial("ip=card0:auto6", timeout=60)
    assert sent[0] >= 1000, f"it ended after {sent[0]} of them: {trial.summary}"
    assert "2001:db8:" in trial.summary, trial.summary
    check_resolver(trial)
    assert not (trial.system / "run/owned").exists(), "a router's words were run"


class HostileDHCPv6:
    """A DHCPv6 server in this process, on the far side: what it makes of a request is `answer`'s."""

    def __init__(self, router: Router, answer) -> None:
        self.socket = far_socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.bind(("::", 547))
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                               socket.inet_pton(socket.AF_INET6, "ff02::1:2") + struct.pack("@I", router.index))
        self.answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            request, who = self.socket.recvfrom(2048)
            for packet in self.answer(request):
                self.socket.sendto(packet, who)


def field(code: int, content: bytes) -> bytes:
    return struct.pack("!HH", code, len(content)) + content


def fields_of(packet: bytes) -> "dict[int, bytes]":
    found, rest = {}, packet[4:]
    while len(rest) >= 4:
        code, length = struct.unpack("!HH", rest[:4])
        found[code] = rest[4:4 + length]
        rest = rest[4 + length:]
    return found


def reply6(request: bytes, address: str = "2001:db8::77", lives: int = 600, more: bytes = b"") -> bytes:
    """An advertisement for a solicitation, a reply for all else."""
    asked = fields_of(request)
    lease = field(5, socket.inet_pton(socket.AF_INET6, address) + struct.pack("!II", lives // 2, lives))
    return bytes([2 if request[0] == 1 else 7]) + request[1:4] + field(1, asked[1]) + field(2, b"\0\3\0\1server") \
        + field(3, asked.get(3, bytes(12))[:4] + bytes(8) + lease) + more


def broken_dhcpv6_answers() -> None:
    """The same of a DHCPv6 server; those of its answers that are for nobody, or give nothing, change nothing."""
    site = Site()
    router = Router(site)
    chance = random.Random(16)
    sent = [0]
    evil = field(24, EVIL_NAME) + field(23, RIGHT_SERVER + b"\x20")

    def spoiled(request: bytes) -> bytes:
        whole = reply6(request, "2001:db8::66", chance.choice([0, 1]), evil)
        way = chance.randrange(7)
        if way == 0:
            return whole[:chance.randrange(len(whole))]
        if way == 1:
            at = chance.randrange(4, len(whole))
            return whole[:at] + chance.randbytes(len(whole) - at)
        if way == 2:
            return whole[:1] + chance.randbytes(3) + whole[4:]
        if way == 3:
            at = chance.randrange(4, len(whole) - 1)
            return whole[:at] + struct.pack("!H", chance.choice([0, 1, 0x7fff, 0xffff])) + whole[at + 2:]
        if way == 4:
            return whole + field(13, struct.pack("!H", chance.randrange(1, 7)) + b"$(touch /run/owned)")
        if way == 5:
            return bytes([chance.randrange(256)]) + whole[1:4] + chance.randbytes(chance.randrange(1400))
        return reply6(request, "2001:db8::66", 0) + field(chance.randrange(100), chance.randbytes(chance.randrange(400)))

    def answer(request: bytes) -> "list[bytes]":
        if sent[0] >= 1000:
            return [reply6(request, more=evil)]
        sent[0] += 250
        return [spoiled(request) for _ in range(250)]

    HostileDHCPv6(router, answer)
    router.again_and_again(b"", flags=0x80)
    trial = Trial("ip=card0:dhcp6", timeout=90)
    assert sent[0] >= 1000 and "2001:db8::77/128" in trial.summary, f"after {sent[0]}: {trial.summary}"
    check_resolver(trial)
    assert not (trial.system / "run/owned").exists(), "a server's words were run"


def endless_refusals_by_dhcpv6() -> None:
    """A server that advertises an address and has none when it is asked for that."""
    site = Site()
    router = Router(site)
    none = field(13, struct.pack("!H", 2) + b"none left")
    HostileDHCPv6(router, lambda request: [reply6(request, more=none if request[0] != 1 else b"")])
    router.again_and_again(b"", flags=0x80)
    try:
        Trial("ip=card0:dhcp6", "rd.net.timeout.ipv6auto=6")
    except AssertionError as failed:
        assert "no IPv6 router answered on card0 within 6 s" in str(failed), failed
        return
    raise AssertionError("an address that was refused")


INSIDE = {test.__name__.replace("_", "-"): test for test in (
    renewal_and_a_changed_address, renewal_by_dhcpv6_that_names_others, broken_answers, endless_refusals,
    broken_advertisements, broken_dhcpv6_answers, endless_refusals_by_dhcpv6,
)}
LONG = {"renewal-and-a-changed-address", "renewal-by-dhcpv6-that-names-others", "broken-answers",
        "broken-advertisements", "broken-dhcpv6-answers", "endless-refusals-by-dhcpv6"}
TESTS = tests(INSIDE, LONG, __file__)

if __name__ == "__main__":
    sys.exit(inside(INSIDE[sys.argv[1]]))
