"""A network of its own, as the guide's: one card of a machine, and the boot server at 192.0.2.1.

It is a network namespace with a tap, which goes with the process that holds it. Servers start in there at the ports
that they have everywhere, so that what the documentation shows is tried as it stands.
"""

import subprocess
from pathlib import Path

import processes
from console import Unmet


class Site:
    """The network. `stop` takes it down."""

    ADDRESS = "192.0.2.1"
    CARD = "eth0"

    def __init__(self, *others: str) -> None:
        """`others` are more addresses of the server's, which its machines reach through it."""
        addresses = " && ".join(f"ip address add {one}/24 dev {self.CARD}" for one in (self.ADDRESS, *others))
        script = (f"ip link set lo up && ip tuntap add dev {self.CARD} mode tap && {addresses} && "
                  f"ip link set {self.CARD} up && echo there && exec sleep infinity")
        self._holder = processes.start(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
        if self._holder.stdout.readline() != b"there\n":
            raise Unmet("a network namespace with a tap")
        self._servers: "list[subprocess.Popen]" = []

    def inside(self, *words) -> "list[str]":
        """A command line as it runs in there."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", *map(str, words)]

    def dnsmasq(self, configuration: Path) -> None:
        """Starts DHCP and TFTP with that configuration. Nobody else is here who could have an address already."""
        log = open(configuration.with_suffix(".log"), "wb")
        self._servers.append(processes.start(
            self.inside("dnsmasq", "--keep-in-foreground", f"--conf-file={configuration}", "--user=root", "--no-ping",
                        "--log-facility=-", "--log-dhcp", f"--pid-file={configuration.with_suffix('.pid')}",
                        f"--dhcp-leasefile={configuration.with_suffix('.leases')}"),
            dying_signal="TERM", stdout=log, stderr=log))

    def stop(self) -> None:
        for server in [*self._servers, self._holder]:
            processes.stop(server)
