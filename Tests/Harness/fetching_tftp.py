"""Fetching by TFTP from tftpd-hpa, packets lost or not. The tests run where fetching.py has them run."""

import socket
import threading
import time

import processes
from fetching_site import CONTENT, SHA256, Run


class TFTP:
    """tftpd-hpa, reached through a relay that counts and loses packets."""

    def __init__(self, loses=lambda number: False) -> None:
        folder = processes.temporary_folder("tftp")
        folder.chmod(0o755)
        (folder / "file").write_bytes(CONTENT)
        (folder / "file").chmod(0o644)
        (folder / "closed").write_bytes(CONTENT)
        (folder / "closed").chmod(0o600)
        processes.start(["in.tftpd", "--foreground", "--secure", "--address", "127.0.0.1:69",
                         "--user", "nobody", folder])
        self.lengths: "list[int]" = []  # of the server's packets
        self.lost = 0
        self._loses = loses
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"tftp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._relay, daemon=True).start()
        time.sleep(0.5)

    def _relay(self) -> None:
        while True:
            request, client = self._listener.recvfrom(2048)
            threading.Thread(target=self._carry, args=(request, client), daemon=True).start()

    def _carry(self, request: bytes, client) -> None:
        """One transfer: each side sees a port of its own."""
        near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        near.bind(("127.0.0.1", 0))
        far.bind(("127.0.0.1", 0))
        far.sendto(request, ("127.0.0.1", 69))
        peer: "list" = []

        def answers() -> None:
            for number in range(1 << 30):
                packet, address = far.recvfrom(70000)
                peer[:] = [address]
                self.lengths.append(len(packet))
                if self._loses(number):
                    self.lost += 1
                else:
                    near.sendto(packet, client)

        threading.Thread(target=answers, daemon=True).start()
        while True:
            packet, _ = near.recvfrom(2048)
            far.sendto(packet, peer[0])


def tftp_with_large_blocks() -> None:
    server = TFTP()
    Run("--hash", SHA256, f"{server.url}/file").brought()
    assert max(server.lengths) == 4 + 1428, f"packets of {max(server.lengths)} bytes"
    Run("--hash", SHA256, "tftp://127.0.0.1/file").brought()  # port 69


def tftp_with_lost_packets() -> None:
    server = TFTP(loses=lambda number: number in (7, 400))  # each costs the five seconds of a try
    assert Run("--hash", SHA256, f"{server.url}/file").brought().attempts == 1
    assert server.lost == 2, f"{server.lost} packets lost"


def tftp_refusals_are_final() -> None:
    server = TFTP()
    assert Run(f"{server.url}/nothing").refused(r"/nothing: the TFTP server refuses \(not found\)").attempts == 1
    Run(f"{server.url}/closed").refused("the TFTP server refuses")
