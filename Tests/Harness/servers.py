"""Servers on the host's loopback, which a machine reaches at 10.0.2.2: nginx, and one that fails."""

import hashlib
import http.server
import itertools
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import processes
import speed
from console import Unmet

HOST = "10.0.2.2"  # the host's loopback as a machine with user-mode networking sees it

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    types {{ application/json ign; }}
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    server {{
        listen {address}:{port}{tls};
        root {root};
        {rate}
        {certificate}
    }}
}}
"""


# Below those that the kernel gives to whoever connects: one of these stays free until its server binds it.
# Harnesses that run beside each other begin at different ones.
_ports = itertools.count(random.randrange(10000))


def free_port() -> int:
    """A port on the loopback that nobody listens on, and that this harness gives to nobody else."""
    while True:
        port = 20000 + next(_ports) % 10000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Nginx:
    """A real web server for the files of one folder, over TLS where a certificate is given; on the network of a
    `Site` at the port where everybody looks for one.

    `rate` is how many bytes a second each answer may have; 0: as many as it likes.
    """

    def __init__(self, root: Path, certificate: "Certificate | None" = None, site=None, rate: int = 0) -> None:
        self._site = site
        address = site.ADDRESS if site else "127.0.0.1"
        scheme = "https" if certificate else "http"
        self.port = (443 if certificate else 80) if site else free_port()
        self.url = f"{scheme}://{address}" if site else f"{scheme}://{HOST}:{self.port}"
        self._folder = processes.temporary_folder("nginx")
        configuration = self._folder / "nginx.conf"
        configuration.write_text(NGINX.format(
            folder=self._folder, root=root, address="0.0.0.0" if site else address, port=self.port,
            rate=f"limit_rate {rate};" if rate else "", tls=" ssl" if certificate else "",
            certificate=f"ssl_certificate {certificate.chain};\nssl_certificate_key {certificate.key};"
            if certificate else "",
        ))
        words = ["nginx", "-e", self._folder / "error.log", "-p", self._folder, "-c", configuration]
        self._process = processes.start(site.inside(*words) if site else words, dying_signal="TERM")
        self._wait_until_it_answers()

    def requests(self) -> "list[str]":
        """The lines of its access log."""
        return (self._folder / "access.log").read_text().splitlines()

    def stop(self) -> None:
        processes.stop(self._process)
        processes.remove_folder(self._folder)

    def _wait_until_it_answers(self) -> None:
        deadline = speed.Deadline(10)
        while deadline.rest() > 0 and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.05)
        raise Unmet("nginx to start", (self._folder / "error.log").read_text())


    def _answers(self) -> bool:
        # Written once it listens. Nothing leads from here to the network of a site.
        if self._site:
            return (self._folder / "pid").exists()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False


@dataclass
class Certificate:
    """A self-signed certificate for one address and its key, as PEM files."""

    chain: Path
    key: Path

    @staticmethod
    def make(folder: Path, address: str = HOST, is_rsa: bool = False) -> "Certificate":
        made = Certificate(folder / "certificate.pem", folder / "key.pem")
        kind = ["rsa:2048"] if is_rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        processes.run(["openssl", "req", "-x509", "-newkey", *kind,
                       "-nodes", "-days", "30", "-subj", "/CN=Firstlight test", "-addext",
                       f"subjectAltName=IP:{address}", "-keyout", made.key, "-out", made.chain])
        return made


# What the failing server does with one request. Offsets count from the start of the file.


@dataclass
class Answer:
    """The whole file, or the range asked for."""


@dataclass
class Status:
    """Nothing but a status code."""

    code: int


@dataclass
class Redirect:
    """302 to another URL."""

    url: str


@dataclass
class Reset:
    """The file up to `after` bytes, then a connection reset."""

    after: int


@dataclass
class Truncate:
    """A file that ends after `after` bytes, as if that were all of it."""

    after: int


@dataclass
class Stall:
    """The file up to `after` bytes, then silence with the connection open."""

    after: int


@dataclass
class Request:
    path: str
    range: "str | None"
    if_range: "str | None"
    method: str
    body: bytes = b""


class FaultServer:
    """Serves files, takes posts, and goes wrong on purpose.

    `faults[path]` is what happens to the first, second... request for that path; after the last one
    the file is served well, and a post accepted. `requests` is what was asked, in order.
    """

    def __init__(self, files: "dict[str, Path]", faults: "dict[str, list] | None" = None,
                 validator: bool = True, port: int = 0) -> None:
        self.files = files
        self.faults = {path: list(each) for path, each in (faults or {}).items()}
        self.validator = validator  # whether answers carry an ETag
        self.requests: "list[Request]" = []
        self._ended = threading.Event()
        outer = self

        class Handler(_Handler):
            server_of_faults = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def gets(self, path: str) -> "list[Request]":
        return [r for r in self.requests if r.path == path and r.method == "GET"]

    def posts(self, path: str) -> "list[bytes]":
        return [r.body for r in self.requests if r.path == path and r.method == "POST"]

    def stop(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self, path: str):
        waiting = self.faults.get(path, [])
        return waiting.pop(0) if waiting else Answer()


class _Handler(http.server.BaseHTTPRequestHandler):
    server_of_faults: FaultServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        server = self.server_of_faults
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.requests.append(Request(self.path, None, None, self.command, body))
        fault = server.next_fault(self.path)
        if isinstance(fault, Stall):
            server._ended.wait(300)
            self.close_connection = True
            return
        self.send_response(fault.code if isinstance(fault, Status) else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, body: bool) -> None:
        server = self.server_of_faults
        wanted, if_range = self.headers.get("Range"), self.headers.get("If-Range")
        server.requests.append(Request(self.path, wanted, if_range, self.command))
        fault = server.next_fault(self.path) if body else Answer()
        file = server.files.get(self.path)
        code = fault.code if isinstance(fault, Status) else 404 if file is None else 0
        if isinstance(fault, Redirect):
            code = 302
        if code:
            self.send_response(code)
            if isinstance(fault, Redirect):
                self.send_header("Location", fault.url)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return

        size = file.stat().st_size
        tag = '"' + hashlib.sha256(file.read_bytes()).hexdigest()[:16] + '"' if server.validator else None
        start, end = 0, size
        if wanted and wanted.startswith("bytes=") and if_range in (None, tag):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, size) if last else size
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        else:
            self.send_response(200)
        if isinstance(fault, Truncate):
            end = min(end, fault.after)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(max(end - start, 0)))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        if not body:
            return
        stop_at = min(end, fault.after) if isinstance(fault, (Reset, Stall)) else end
        with open(file, "rb") as data:
            data.seek(start)
            while start < stop_at and (block := data.read(min(65536, stop_at - start))):
                self.wfile.write(block)
                start += len(block)
        if isinstance(fault, Reset):
            self.wfile.flush()
            time.sleep(0.3)  # what was sent arrives first
            linger = struct.pack("ii", 1, 0)  # closing now resets instead of finishing
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
        elif isinstance(fault, Stall):
            self.wfile.flush()
            server._ended.wait(300)
            self.close_connection = True
