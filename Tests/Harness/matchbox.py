"""A stand-in for matchbox, which Debian does not have: it serves its file layout as its documentation tells.

`DATA/groups/*.json` choose a profile by selectors, the one without any is for every machine, and
`DATA/profiles/ID.json` says what it boots, and which file of `DATA/ignition` is its config. The machine asks for
/boot.ipxe first, that for /ipxe with what it is, and for /ignition with the same.
"""

import http.server
import json
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from servers import HOST, free_port

# What iPXE is to tell of itself.
CHAIN = "#!ipxe\nchain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&hostname=${hostname}&serial=${serial}\n"


@dataclass
class Report:
    path: str
    body: bytes


class Matchbox:
    """The service on the host's loopback, and beside it a place for reports: whatever is posted below /reports/."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.requests: "list[str]" = []
        self.reports: "list[Report]" = []
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        outer = self

        class Handler(_Handler):
            matchbox = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def profile_of(self, labels: "dict[str, str]") -> "dict | None":
        """The profile of the group that matches these labels and says most of them."""
        groups = [json.loads(file.read_text()) for file in sorted((self.data / "groups").glob("*.json"))]
        fitting = [group for group in groups
                   if all(labels.get(name) == value for name, value in group.get("selector", {}).items())]
        if not fitting:
            return None
        group = max(fitting, key=lambda group: len(group.get("selector", {})))
        return json.loads((self.data / "profiles" / f"{group['profile']}.json").read_text())

    def answer(self, target: str) -> "bytes | None":
        self.requests.append(target)
        url = urllib.parse.urlsplit(target)
        if url.path == "/boot.ipxe":
            return CHAIN.encode()
        profile = self.profile_of(labels_of(url.query)) if url.path in ("/ipxe", "/ignition") else None
        if not profile:
            return None
        if url.path == "/ignition":
            return (self.data / "ignition" / profile["ignition_id"]).read_bytes()
        boot = profile["boot"]
        lines = ["#!ipxe", " ".join(["kernel", boot["kernel"], *boot.get("args", [])])]
        return "\n".join([*lines, *[f"initrd {one}" for one in boot.get("initrd", [])], "boot", ""]).encode()


def labels_of(query: str) -> "dict[str, str]":
    """The labels of a request; an address is the same however it is written."""
    labels = dict(urllib.parse.parse_qsl(query))
    labels["mac"] = labels.get("mac", "").replace("-", ":").lower()
    return labels


class _Handler(http.server.BaseHTTPRequestHandler):
    matchbox: Matchbox

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        answer = self.matchbox.answer(self.path)
        self._send(404 if answer is None else 200, answer or b"")

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
