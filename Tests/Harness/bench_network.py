"""How long the network takes until what the boot needs answers, beside the exchange itself.

In namespaces, with dnsmasq on the other side (networks.py). The exchange is busybox's udhcpc alone, which the agent
runs too: what the agent takes longer is its own. A second card without a cable and a network with IPv6 alone are
measured beside it. dracut's network-legacy and NetworkManager are not: they take a whole initramfs, whose boot `make
bench` measures.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import networks
import processes
from bench_guest import target
from outcome import say

ROUNDS = 5
MORE, ALONE6 = 0.15, 1.5  # seconds: at most this much more than the exchange, and this long with IPv6 alone
CASES = ["exchange", "one card", "a second card without a cable", "IPv6 alone"]


def measure() -> dict:
    say(f"the network: {ROUNDS} rounds of each, in namespaces with dnsmasq")
    seconds: "dict[str, list[float]]" = {case: [] for case in CASES}
    for _ in range(ROUNDS):
        for case in CASES:
            folder = processes.temporary_folder("bench-network")
            try:
                words = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                         sys.executable, __file__, case]
                done = subprocess.run(words, capture_output=True, text=True, timeout=60,
                                      env={**os.environ, "TMPDIR": str(folder)})
                seconds[case].append(json.loads(done.stdout.splitlines()[-1]))
            finally:
                processes.remove_folder(folder)
    return {case: round(statistics.median(found), 3) for case, found in seconds.items()}


def table(figures: dict) -> "list[str]":
    """The figures as people read them, 80 columns."""
    least, written = figures["exchange"], "{:.2f} s".format
    return [
        *(f"{case:<44}{figures[case]:>8.2f} s" for case in CASES), "", "To reach",
        *(target(f"{case}, beyond the exchange", figures[case] - least, MORE, written) for case in CASES[1:3]),
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
