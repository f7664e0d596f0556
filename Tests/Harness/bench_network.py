"""How long the network takes until what the boot needs answers, beside the exchange itself and beside dracut.

Two parts. In namespaces, with dnsmasq on the other side (networks.py), at this machine's own speed: the exchange is
busybox's udhcpc alone, which the agent runs too; what the agent takes longer is its own. A second card without a cable
and a network with IPv6 alone are measured beside it. And whole boots in a virtual machine with one virtio card, from
the kernel's start of `/init` to the first byte that is asked of the server: Firstlight, which asks for a config, the
floor of peers.py, and dracut 059 with network-legacy and with NetworkManager, which ask for a root image.
"""

import http.server
import json
import os
import statistics
import subprocess
import sys
import threading
import time

import images
import networks
import peers
import processes
from bench_guest import target
from boot import PROVISION
from console import Unmet
from machine import UNDER_LOAD, Settings, VirtualMachine
from outcome import say
from paths import kernel_image
from servers import HOST

ROUNDS, BOOTS = 5, 3
MORE, ALONE6 = 0.15, 1.5  # seconds: at most this much more than the exchange, and this long with IPv6 alone
CASES = ["exchange", "one card", "a second card without a cable", "IPv6 alone"]
BOOTED = ["Firstlight", "floor", "dracut, network-legacy", "dracut, NetworkManager"]
STARTED = r"Run /init as init process"


def measure() -> dict:
    say(f"the network: {ROUNDS} rounds of each, in namespaces with dnsmasq")
    seconds: "dict[str, list[float]]" = {case: [] for case in CASES + BOOTED}
    for _ in range(ROUNDS):
        for case in CASES:
            folder = processes.temporary_folder("bench-network")
            try:
                words = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                         sys.executable, __file__, case]
                done = subprocess.run(words, capture_output=True, text=True, timeout=60,
                                      env={**os.environ, "TMPDIR": str(folder)})
                if done.returncode != 0:
                    raise Unmet(f"{case} to be measured", done.stderr[-500:])
                seconds[case].append(json.loads(done.stdout.splitlines()[-1]))
            finally:
                processes.remove_folder(folder)
    say(f"the network: {BOOTS} boots of each, in a virtual machine under emulation")
    own = f"{PROVISION} ignition.config.url={{url}} coreos.live.rootfs_url={{url}}"
    systems = {
        "Firstlight": (lambda: images.initramfs("virtio"), own),
        "floor": (peers.floor, "floor.url={url} floor.sha256=0"),
        "dracut, network-legacy": (lambda: peers.dracut(announce=say), peers.dracut_arguments("{url}")),
        "dracut, NetworkManager": (lambda: peers.dracut_network_manager(announce=say), peers.dracut_arguments("{url}")),
    }
    for name, (make, arguments) in systems.items():
        try:
            initramfs = make()
            for _ in range(BOOTS):
                seconds[name].append(_boot(name, initramfs, arguments))
        except (Unmet, processes.ProgramFailed) as failed:
            # One that is not to be had here does not keep us from knowing the others.
            say(f"the network: {name} is left out: {failed}")
    return {case: round(statistics.median(found), 3) for case, found in seconds.items() if found}


def _boot(name: str, initramfs, arguments: str) -> float:
    """Seconds from the start of /init to the first request that comes to the server."""
    asked = threading.Event()
    at: "list[float]" = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            at.append(time.monotonic())
            asked.set()
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_) -> None:
            """The machine goes as soon as it has asked, maybe before it is answered."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # The kernel tells of /init only where it tells all that it does.
    settings = Settings(
        kernel=kernel_image(), initrd=[initramfs], processors=2,
        arguments=f"console=ttyS0 loglevel=7 panic=-1 {UNDER_LOAD} " +
        arguments.format(url=f"http://{HOST}:{server.server_address[1]}/first.squashfs"))
    try:
        with VirtualMachine(settings, f"bench.network.{name.split()[-1].lower()}") as machine:
            machine.start()
            machine.console.expect(STARTED, 120)
            began = time.monotonic()
            if not asked.wait(300):
                raise Unmet(f"{name} to ask its server", "\n".join(machine.last_lines()))
            return at[0] - began
    finally:
        server.shutdown()
        server.server_close()


def table(figures: dict) -> "list[str]":
    """The figures as people read them, 80 columns."""
    least, written = figures["exchange"], "{:.2f} s".format
    return [
        *(f"{case:<44}{figures[case]:>8.2f} s" for case in CASES), "", "From /init to the first byte, under emulation",
        *(f"{case:<44}{figures[case]:>8.2f} s" for case in BOOTED if case in figures), "", "To reach",
        *(target(f"{title}, beyond the exchange", figures[case] - least, MORE, written)
          for title, case in zip(("one card", "two cards"), CASES[1:3])),
        target("IPv6 alone", figures["IPv6 alone"], ALONE6, written)]


def inside(case: str) -> float:
    """One of the above, in namespaces of its own: seconds."""
    networks.ip("link", "set", "lo", "up")
    processes.run(["mount", "-t", "sysfs", "sysfs", "/sys"])
    site = networks.Site(2 if "second" in case else 1)
    if case == "IPv6 alone":
        site.address("2001:db8::1/64")
        site.dnsmasq("--enable-ra", "--dhcp-range=2001:db8::,ra-only,64")
        site.web("2001:db8::1")
    else:
        site.address("192.0.2.1/24")
        site.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.200,255.255.255.0,300", "--dhcp-option=option:router,192.0.2.1")
        site.web("192.0.2.1")
    time.sleep(1.5)
    if case == "exchange":
        began = time.monotonic()
        networks.ip("link", "set", "card0", "up")
        processes.run(["busybox", "udhcpc", "-f", "-q", "-n", "-i", "card0", "-s", "/bin/true", "-T", "1"])
        return time.monotonic() - began
    if case == "IPv6 alone":
        return networks.Trial("ip=card0:auto", url="http://[2001:db8::1]/").seconds
    names = ["ip=card0:dhcp"]
    if "second" in case:
        networks.ip("link", "set", "far1", "down", servers=True)
        names.append("ip=card1:dhcp")
    return networks.Trial(*names, url="http://192.0.2.1/").seconds


if __name__ == "__main__":
    # What the rest of the harness says goes elsewhere than the figure.
    found = inside(sys.argv[1])
    processes.stop_everything()
    print(json.dumps(found))
