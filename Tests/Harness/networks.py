"""The network beside real servers, dnsmasq and radvd, in network namespaces of each test's own.

`firstlight network --up` is what is tested; FIRSTLIGHT may name another binary than out/firstlight. It runs on an
overlay of this system, in a namespace with cards `card0`, `card1`..., one end each of a pair whose other end, `far0`,
`far1`..., is with the servers. The kernel takes no such pair for a card with a device behind it, so each is named.
What takes bonds and VLANs is tested by booting: this machine's kernel may have neither.
"""

import atexit
import functools

import json
import os
import re
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
                 timeout: float = 60, patience: float = 0, hands_over: bool = False,
                 root: "list[str] | None" = None) -> None:
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
        self.root = self.system / "run/root"
        if hands_over:
            (self.root / "etc").mkdir(parents=True)
            for name in root or []:
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                (self.root / name).write_text("set\n")
            options += ["--root", "/run/root"]
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

    def left(self) -> "list[str]":
        """The name servers that the real root is left, when the trial has ended by itself."""
        _, said = self.process.communicate(timeout=self.timeout)
        assert self.process.returncode == 0, said
        return (self.root / "etc/resolv.conf").read_text().splitlines()

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
    assert trial.state["interfaces"][0]["time"] == ["192.0.2.123"], trial.state
    assert trial.seconds < 3, f"{trial.seconds} s"


def route_that_the_kernel_refuses() -> None:
    """It is left out, and costs neither the lease nor the other routes."""
    site = Site()
    site.address("192.0.2.1/24")
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300",
                 "--dhcp-option=121,169.254.169.254/32,127.0.0.1,198.51.100.0/24,192.0.2.9,0.0.0.0/0,192.0.2.2")
    trial = Trial("ip=card0:dhcp")
    assert re.match(r"card0 192\.0\.2\.1\d\d/24 by DHCP, gateway 192\.0\.2\.2", trial.summary), trial.summary
    assert "default via 192.0.2.2 dev card0" in routes() and "198.51.100.0/24 via 192.0.2.9" in routes(), routes()
    assert re.search(r"some of the DHCP server's routes are left out: .*169\.254\.169\.254", trial.said), trial.said


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


# --- The real root ---------------------------------------------------------------------------------

# What tells that a real root has a service, and starts it.
NETWORK_MANAGER = ["usr/sbin/NetworkManager", "etc/systemd/system/multi-user.target.wants/NetworkManager.service"]
NETWORKD = ["usr/lib/systemd/systemd-networkd", "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"]


def handed_over(*words: str, root: "list[str]", at: str = "card0") -> Trial:
    site = Site(2)
    site.address("192.0.2.1/24")
    site.address("2001:db8::1/64")
    site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300", "--dhcp-option=option:router,192.0.2.1",
                 "--dhcp-option=option:dns-server,192.0.2.53")
    trial = Trial(f"ip={at}:dhcp", "ip=[2001:db8::9]:::64:node:card1:none", *words, hands_over=True, root=root)
    assert re.search(r"192\.0\.2\.1\d\d/24 by DHCP", trial.summary), trial.summary
    return trial


def is_untouched(card: str) -> bool:
    seen = addresses(card)
    return "inet" not in seen and "UP" not in seen.split("\n")[0]


def network_manager_begins_anew() -> None:
    """NetworkManager would leave a card with addresses to whoever made it, and renew no lease."""
    trial = handed_over(root=NETWORK_MANAGER)
    for card in ["card0", "card1"]:
        assert is_untouched(card), addresses(card)
    assert not routes() and "card" not in routes("-6"), routes() + routes("-6")
    assert "127.0.0.1/8" in addresses("lo"), addresses("lo")
    assert (trial.root / "etc/resolv.conf").read_text() == "nameserver 192.0.2.53\n"
    assert (trial.root / "etc/hostname").read_text() == "node\n"
    profiles = trial.root / "etc/NetworkManager/system-connections"
    assert {file.name for file in profiles.iterdir()} == {
        "firstlight-card0.nmconnection", "firstlight-card1.nmconnection"}, list(profiles.iterdir())


def network_manager_makes_links_itself() -> None:
    trial = handed_over("bridge=br0:card0", root=NETWORK_MANAGER, at="br0")
    assert not Path("/sys/class/net/br0").exists()
    assert is_untouched("card0") and "master" not in addresses("card0"), addresses("card0")
    assert (trial.root / "etc/NetworkManager/system-connections/firstlight-br0.nmconnection").exists()


def goes_on(*root: str) -> None:
    """The network stays as it is for whoever takes it over so, and where nobody does."""
    handed_over(root=list(root))
    assert "192.0.2.1" in addresses("card0") and "2001:db8::9" in addresses("card1"), addresses("card0")
    assert "default via 192.0.2.1" in routes(), routes()


def nobody_manages_the_network() -> None:
    goes_on("usr/sbin/NetworkManager", "etc/machine-id")


def networkd_goes_on() -> None:
    goes_on(*NETWORKD, *NETWORK_MANAGER)


def nothing_is_left_on_request() -> None:
    trial = handed_over("coreos.no_persist_ip", root=NETWORK_MANAGER)
    assert [file.name for file in (trial.root / "etc").iterdir()] == ["systemd"]
    assert is_untouched("card0"), addresses("card0")


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


INSIDE = {test.__name__.replace("_", "-"): test for test in (
    lease, route_that_the_kernel_refuses, what_a_client_says, fixed_address_beside_dhcp, router_advertisement,
    ipv6_alone_over_which_the_server_answers, dhcpv6_address, dhcpv6_settings, keyfiles, bridge,
    network_manager_begins_anew, network_manager_makes_links_itself, networkd_goes_on, nobody_manages_the_network,
    nothing_is_left_on_request,
    two_cards_of_which_the_second_has_the_server, two_cards_on_one_subnet, late_carrier, late_server,
    limits_of_the_operator,
)}
# What waits for half a minute shows nothing that the others do not rest on.
LONG = {"late-server"}


def apart(name: str, file: str = __file__) -> None:
    """Runs a test of that file in namespaces that end with it, servers included."""
    folder = processes.temporary_folder(name)
    try:
        processes.run(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                       sys.executable, file, name], timeout=180, env={**os.environ, "TMPDIR": str(folder)})
    finally:
        processes.remove_folder(folder)


def tests(inside: dict, long: "set[str]", file: str) -> list:
    """What the harness runs of a file like this one."""

    def test(name: str):
        found = functools.partial(apart, name, file)
        return only_in(ALL)(found) if name in long else found

    return [(name, test(name)) for name in inside]


TESTS = tests(INSIDE, LONG, __file__)


def inside(test) -> int:
    """Runs one test in the namespaces that were made for it."""
    atexit.register(processes.stop_everything)
    ip("link", "set", "lo", "up")
    processes.run(["mount", "-t", "sysfs", "sysfs", "/sys"])
    try:
        test()
    except AssertionError as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(inside(INSIDE[sys.argv[1]]))
