"""A site that files are fetched from, with every kind of certificate, and `firstlight fetch` that fetches them.

FIRSTLIGHT may name another binary than out/firstlight.
"""

import hashlib
import os
import re
import socket
import subprocess
import time

import processes
import speed
from paths import AGENT
from servers import FaultServer

OUTSIDE = "192.0.2.1"
CONTENT = bytes(range(251)) * 4000
SHA256 = "sha256-" + hashlib.sha256(CONTENT).hexdigest()

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    log_format seen '$request $status "$http_user_agent" "$http_x_token"';
    access_log {folder}/access.log seen;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    ssl_certificate_key {folder}/key.pem;
    limit_req_zone $uri zone=scarce:1m rate=60r/m;
    server {{
        listen 127.0.0.1:8080;
        listen {outside}:8080;
        root {folder}/www;
        location = /moved {{ return 302 https://127.0.0.1:8443/file; }}
        location = /circle {{ return 302 /circle; }}
        location = /elsewhere {{ return 302 file:///etc/passwd; }}
        location = /throttled {{ alias {folder}/www/file; limit_rate 400k; }}
        location = /scarce {{ alias {folder}/www/file; limit_req zone=scarce; }}
        location = /forbidden {{ return 403; }}
        location /behind/ {{ proxy_pass http://127.0.0.1:{behind}/; proxy_buffering off; }}
        location /silent/ {{ proxy_pass http://127.0.0.1:{silent}/; }}
    }}
    server {{
        listen 127.0.0.1:8443 ssl;
        listen {outside}:8443 ssl;
        ssl_certificate {folder}/good.pem;
        root {folder}/www;
    }}
    server {{ listen 127.0.0.1:8444 ssl; ssl_certificate {folder}/expired.pem; root {folder}/www; }}
    server {{ listen 127.0.0.1:8445 ssl; ssl_certificate {folder}/stranger.pem; root {folder}/www; }}
    server {{ listen 127.0.0.1:8447 ssl; ssl_certificate {folder}/early.pem; root {folder}/www; }}
    server {{
        listen 127.0.0.1:8446 ssl;
        ssl_certificate {folder}/good.pem;
        ssl_client_certificate {folder}/ca.pem;
        ssl_verify_client on;
        root {folder}/www;
    }}
}}
"""
PLAIN, SECURE = "http://127.0.0.1:8080", "https://127.0.0.1:8443"

AUTHORITY = """
[ca]
default_ca = tests
[tests]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca-key.pem
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


class Site:
    """An nginx with every kind of certificate, and what stands behind it."""

    def __init__(self, faults: "dict[str, list] | None" = None) -> None:
        self.folder = processes.temporary_folder("network")
        (self.folder / "www").mkdir()
        (self.folder / "www/file").write_bytes(CONTENT)
        self.ca = self.folder / "ca.pem"
        self._make_certificates()
        self.behind = FaultServer({"/file": self.folder / "www/file"}, faults)
        self._silent = socket.create_server(("127.0.0.1", 0))
        configuration = self.folder / "nginx.conf"
        configuration.write_text(NGINX.format(
            folder=self.folder, outside=OUTSIDE, behind=self.behind.port, silent=self._silent.getsockname()[1]))
        self._process = processes.start(
            ["nginx", "-e", self.folder / "error.log", "-p", self.folder, "-c", configuration], dying_signal="TERM")
        wait_for_port(8080)

    def seen(self) -> "list[str]":
        """The requests as nginx logged them."""
        return (self.folder / "access.log").read_text().splitlines()

    def _make_certificates(self) -> None:
        def openssl(*words) -> None:
            processes.run(["openssl", *words], cwd=self.folder)

        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *key, "-days", "30", "-subj", "/CN=Tests CA", "-keyout", "ca-key.pem", "-out", "ca.pem")
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("01\n")
        (self.folder / "ca.cnf").write_text(AUTHORITY.format(folder=self.folder))
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem")
        here = f"IP:127.0.0.1,IP:{OUTSIDE}"
        always, past, future = "20200101000000Z", "20210101000000Z", "20900101000000Z"
        for name, names, start, end in [("good", here, always, "20991231000000Z"), ("expired", here, always, past),
                                        ("early", here, future, "20991231000000Z"),
                                        ("stranger", "DNS:elsewhere.example", always, "20991231000000Z")]:
            openssl("req", "-new", "-key", "key.pem", "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
                    "-out", f"{name}.csr")
            openssl("ca", "-batch", "-config", "ca.cnf", "-notext", "-startdate", start, "-enddate", end,
                    "-in", f"{name}.csr", "-out", f"{name}.pem")


class Run:
    """One `firstlight fetch`: what it brought, what it said, how long it took."""

    def __init__(self, *words, environment: "dict[str, str] | None" = None) -> None:
        program = os.environ.get("FIRSTLIGHT", AGENT)
        began = time.monotonic()
        done = subprocess.run([program, "fetch", *map(str, words)], capture_output=True, timeout=120,
                              env={**os.environ, **(environment or {})})
        self.seconds = time.monotonic() - began
        self.status, self.bytes, self.said = done.returncode, done.stdout, done.stderr.decode()
        self.attempts = len(re.findall(r"attempt #", self.said))

    def brought(self, content: bytes = CONTENT) -> "Run":
        assert self.status == 0, f"exit status {self.status}: {self.said}"
        assert self.bytes == content, f"{len(self.bytes)} bytes that are not the server's: {self.said}"
        return self

    def refused(self, pattern: str) -> "Run":
        assert self.status == 1, f"exit status {self.status}, {len(self.bytes)} bytes: {self.said}"
        assert not self.bytes, f"{len(self.bytes)} bytes came all the same"
        assert re.search(pattern, self.said), f"nothing like {pattern!r} in: {self.said}"
        return self


def wait_for_port(port: int) -> None:
    deadline = speed.Deadline(10)
    while deadline.rest() > 0:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nobody listens at port {port}")
