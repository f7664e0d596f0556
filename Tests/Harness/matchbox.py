"""What matchbox does with its files, as far as a rack needs it: profiles, groups and Ignition configs below one folder.

Debian has no package of it. The layout and the answers are those of its documentation: a group selects machines by
their labels and names a profile; the profile has kernel, initrd and arguments for iPXE, and the config's file.
"""

import http.server
import json
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

CHAIN = "#!ipxe\nchain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&domain=${domain}&hostname=${hostname}&serial=${serial}\n"


@dataclass
class Report:
    path: str
    body: bytes


class Matchbox:
    """The service on the loopback, and beside it a place for reports: whatever is posted below /reports/."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.asked: "list[str]" = []
        self.reports: "list[Report]" = []
        outer = self

        class Handler(_Handler):
            matchbox = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def profile_of(self, labels: "dict[str, str]") -> "dict | None":
        """The profile of the group that asks for most of these labels."""
        groups = [json.loads(file.read_text()) for file in sorted((self.data / "groups").glob("*.json"))]
        fitting = [group for group in groups
                   if all(labels.get(key) == value for key, value in group.get("selector", {}).items())]
        if not fitting:
            return None
        group = max(fitting, key=lambda group: len(group.get("selector", {})))
        return json.loads((self.data / "profiles" / f"{group['profile']}.json").read_text())

    def answer(self, target: str) -> "tuple[int, bytes]":
        self.asked.append(target)
        url = urllib.parse.urlsplit(target)
        if url.path == "/boot.ipxe":
            return 200, CHAIN.encode()
        profile = self.profile_of(labels_of(url.query))
        if not profile or url.path not in ("/ipxe", "/ignition"):
            return 404, b""
        if url.path == "/ignition":
            return 200, (self.data / "ignition" / profile["ignition_id"]).read_bytes()
        start = profile["boot"]
        lines = ["#!ipxe", f"kernel {start['kernel']} {' '.join(start['args'])}"]
        lines += [f"initrd {name}" for name in start["initrd"]] + ["boot", ""]
        return 200, "\n".join(lines).encode()


def labels_of(query: str) -> "dict[str, str]":
    """The labels of a request; an address is the same however it is written."""
    labels = dict(urllib.parse.parse_qsl(query))
    if "mac" in labels:
        labels["mac"] = labels["mac"].replace("-", ":").lower()
    return labels


class _Handler(http.server.BaseHTTPRequestHandler):
    matchbox: Matchbox
    protocol_version = "HTTP/1.0"

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self._send(*self.matchbox.answer(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_report = self.path.startswith("/reports/")
        if is_report:
            self.matchbox.reports.append(Report(urllib.parse.unquote(self.path), body))
        self._send(204 if is_report else 404, b"")

    def _send(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
