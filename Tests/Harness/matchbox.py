"""A stand-in for matchbox, which Debian does not have: it serves its file layout by iPXE as its documentation tells.

`DATA/groups/*.json` choose a profile by selectors, the one without any is for every machine, and
`DATA/profiles/ID.json` says what it boots. The machine asks for /boot.ipxe first, and that for /ipxe with what it is.
"""

import http.server
import json
import threading
import urllib.parse
from pathlib import Path

from servers import HOST, free_port

# What iPXE is to tell of itself.
CHAIN = "#!ipxe\nchain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&hostname=${hostname}&serial=${serial}\n"


class Matchbox:
    """The server, on the host's loopback."""

    def __init__(self, data: Path) -> None:
        self.requests: "list[str]" = []
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                text = outer.answer(data, urllib.parse.urlsplit(self.path))
                self.send_response(404 if text is None else 200)
                self.send_header("Content-Length", str(len(text or "")))
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def answer(data: Path, url: urllib.parse.SplitResult) -> "str | None":
        if url.path == "/boot.ipxe":
            return CHAIN
        if url.path != "/ipxe":
            return None
        labels = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
        labels["mac"] = labels.get("mac", "").replace("-", ":").lower()
        groups = [json.loads(file.read_text()) for file in sorted((data / "groups").glob("*.json"))]
        # Of those that match the one that says most.
        groups.sort(key=lambda group: -len(group.get("selector", {})))
        for group in groups:
            if all(labels.get(name) == value for name, value in group.get("selector", {}).items()):
                boot = json.loads((data / f"profiles/{group['profile']}.json").read_text())["boot"]
                lines = ["#!ipxe", " ".join(["kernel", boot["kernel"], *boot.get("args", [])])]
                return "\n".join([*lines, *[f"initrd {one}" for one in boot.get("initrd", [])], "boot", ""])
        return None
