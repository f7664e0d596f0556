"""Fetching against real peers: nginx, tftpd-hpa, tinyproxy, each in a network namespace of the test's own.

`firstlight fetch` is what is tested; FIRSTLIGHT may name another binary than out/firstlight. The
namespace has a loopback with one address more, 192.0.2.1, since 127.0.0.1 is never asked through a proxy.
"""

import atexit
import functools
import gzip
import hashlib
import http.server
import json
import os
import re
import resource
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import processes
import speed
from paths import AGENT
from servers import FaultServer, Reset, Stall, free_port

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


# --- TLS -------------------------------------------------------------------------------------------


def private_authority() -> None:
    site = Site()
    run = Run(f"{SECURE}/file").refused(r"https://127\.0\.0\.1:8443/file: the server's certificate is not to be trusted")
    assert run.attempts == 1, run.said
    Run("--ca", site.ca, "--hash", SHA256, f"{SECURE}/file").brought()


def authority_that_is_none() -> None:
    site = Site()
    Run("--ca", site.folder / "key.pem", f"{SECURE}/file").refused("not usable as a certificate authority")


def expired_certificate() -> None:
    Run("--ca", Site().ca, "https://127.0.0.1:8444/file").refused(
        r"certificate was valid until 2021-01-01 00:00 UTC, and this machine's clock says 20\d\d-\d\d-\d\d \d\d:\d\d UTC")


def certificate_of_the_future() -> None:
    Run("--ca", Site().ca, "https://127.0.0.1:8447/file").refused(
        r"certificate is valid only from 2090-01-01 00:00 UTC, and this machine's clock says 20\d\d-")


def weak_certificate() -> None:
    """OpenSSL's security level is Debian's: a key that can be broken proves nothing."""
    folder = processes.temporary_folder("weak")
    try:
        for bits, port in ((1024, 9001), (2048, 9002)):
            key, certificate = folder / f"{bits}.key", folder / f"{bits}.pem"
            processes.run(["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-days", "30", "-subj",
                           "/CN=weak", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            context.load_cert_chain(certificate, key)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.RequestHandlerClass.log_message = lambda *_words: None
            threading.Thread(target=server.serve_forever, daemon=True).start()
        Run("--timeout", 5, "--ca", folder / "1024.pem", "https://127.0.0.1:9001/").refused("key too small|too weak")
        strong = Run("--ca", folder / "2048.pem", "https://127.0.0.1:9002/")
        assert strong.status == 0, strong.said
    finally:
        processes.remove_folder(folder)


def certificate_of_another_host() -> None:
    Run("--ca", Site().ca, "https://127.0.0.1:8445/file").refused("not to be trusted.*127.0.0.1")


def client_certificate_only() -> None:
    run = Run("--ca", Site().ca, "https://127.0.0.1:8446/file").refused("HTTP status 400")
    assert run.attempts == 1, run.said


# --- HTTP ------------------------------------------------------------------------------------------


def redirects_drop_headers() -> None:
    site = Site()
    Run("--ca", site.ca, "--header", "X-Token: secret", f"{PLAIN}/moved").brought()
    first, second = site.seen()
    assert re.search(r'302 "Ignition/\S+" "secret"$', first), first
    assert second.endswith('200 "-" "-"'), second


def redirects_in_circles() -> None:
    Site()
    assert Run(f"{PLAIN}/circle").refused("redirects in circles").attempts == 1
    Run(f"{PLAIN}/elsewhere").refused("redirects to file:")


def refusals_are_final() -> None:
    Site()
    assert Run(f"{PLAIN}/nothing?token=secret").refused(r"8080/nothing: HTTP status 404").attempts == 1
    run = Run(f"{PLAIN}/forbidden?token=secret").refused(r"HTTP status 403 \(forbidden\)")
    assert run.attempts == 1 and "secret" not in run.said, run.said


def throttled() -> None:
    Site()
    # Slower than the limit for the start of an answer, which is not one for the whole.
    run = Run("--answer-timeout", "1", "--hash", SHA256, f"{PLAIN}/throttled").brought()
    assert run.attempts == 1, run.said


def unavailable_then_there() -> None:
    Site()
    urllib.request.urlopen(f"{PLAIN}/scarce").read()  # uses up this second's request
    run = Run("--hash", SHA256, f"{PLAIN}/scarce").brought()
    assert run.attempts > 1 and "HTTP status 503" in run.said, run.said


def truncated() -> None:
    site = Site({"/file": [Reset(300_000), Reset(0)]})
    run = Run("--hash", SHA256, f"{PLAIN}/behind/file").brought()
    assert len(site.behind.gets("/file")) == 3 and "connection lost" in run.said, run.said
    output = site.folder / "out"
    site.behind.faults["/file"] = [Reset(300_000)] * 50
    Run("--timeout", "2", "--output", output, f"{PLAIN}/behind/file").refused("not here after 2 s.*connection lost")
    assert not output.exists(), "half of a file stays"


def stalled() -> None:
    Site({"/file": [Stall(300_000)]})
    Run("--timeout", "3", f"{PLAIN}/behind/file").refused("not here after 3 s")


def silent() -> None:
    site = Site()
    assert site  # its listener lives as long as it does
    run = Run("--timeout", "4", "--answer-timeout", "1", f"{PLAIN}/silent/file").refused("no answer within 1 s")
    assert run.attempts >= 2, run.said


def server_that_comes_late() -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(Run, "--hash", SHA256, f"{PLAIN}/file")
        time.sleep(1)
        Site()
        run = running.result().brought()
    assert "cannot connect" in run.said, run.said


def verified() -> None:
    site = Site()
    sha512 = "sha512-" + hashlib.sha512(CONTENT).hexdigest()
    Run("--hash", sha512[:7] + sha512[7:].upper(), f"{PLAIN}/file").brought()
    (site.folder / "www/other").write_bytes(CONTENT[:-1] + b"x")
    output = site.folder / "out"
    Run("--hash", sha512, "--output", output, f"{PLAIN}/other").refused("its hash is sha512-")
    assert not output.exists(), "a file with a wrong hash stays"
    os.mkfifo(output)
    with open(os.open(output, os.O_RDWR), "rb", closefd=True):
        Run("--hash", sha512, "--output", output, f"{PLAIN}/nothing").refused("HTTP status 404")
    assert output.is_fifo(), "what is no file of ours is removed"


def compressed() -> None:
    site, half = Site(), len(CONTENT) // 2
    packed = gzip.compress(CONTENT[:half]) + gzip.compress(CONTENT[half:])
    for name, content in {"f.gz": packed, "cut.gz": packed[:-9], "more.gz": packed + b"more"}.items():
        (site.folder / "www" / name).write_bytes(content)
    Run("--gzip", "--hash", SHA256, f"{PLAIN}/f.gz").brought()
    Run("--gzip", f"{PLAIN}/cut.gz").refused("compression ends early")
    Run("--gzip", f"{PLAIN}/more.gz").refused("compression is damaged")
    Run("--gzip", f"{PLAIN}/file").refused("not gzip-compressed")


def a_gigabyte_in_little_memory() -> None:
    site, size = Site(), 1 << 30
    with open(site.folder / "www/big", "wb") as file:
        file.truncate(size)
    digest, block = hashlib.sha256(), bytes(1 << 20)
    for _ in range(size >> 20):
        digest.update(block)
    output = site.folder / "out"
    Run("--hash", f"sha256-{digest.hexdigest()}", "--output", output, f"{PLAIN}/big").brought(b"")
    assert output.stat().st_size == size, f"{output.stat().st_size} bytes"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    assert peak < 100, f"{peak} MiB of memory for {size >> 20} MiB of content"


# --- Proxies ---------------------------------------------------------------------------------------


class Proxy:
    def __init__(self) -> None:
        self.folder = processes.temporary_folder("proxy")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        configuration = self.folder / "tinyproxy.conf"
        configuration.write_text(
            f"Port {self.port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\nLogFile "
            f"\"{self.folder}/log\"\nAllow 127.0.0.1\nConnectPort 8443\n")
        processes.start(["tinyproxy", "-d", "-c", configuration], dying_signal="TERM", stdout=subprocess.DEVNULL)
        wait_for_port(self.port)

    def asked(self) -> int:
        """How many requests went through it."""
        return len(re.findall(r"Request \(file descriptor", (self.folder / "log").read_text()))


def through_a_proxy() -> None:
    site, proxy = Site(), Proxy()
    Run("--proxy", proxy.url, "--hash", SHA256, f"http://{OUTSIDE}:8080/file").brought()
    assert proxy.asked() == 1, "not asked for http"
    Run("--proxy", proxy.url, "--ca", site.ca, f"https://{OUTSIDE}:8443/file").brought()
    assert proxy.asked() == 2, "not asked for https"
    # The one port that it connects to is 8443.
    Run("--proxy", proxy.url, "--timeout", "3", f"https://{OUTSIDE}:8080/file").refused("the proxy refuses")


def past_a_proxy() -> None:
    Site()
    proxy = Proxy()
    for rule in [OUTSIDE, "192.0.2.0/24", f"{OUTSIDE}:8080", "*"]:
        Run("--proxy", proxy.url, "--no-proxy", rule, f"http://{OUTSIDE}:8080/file").brought()
    Run("--proxy", proxy.url, f"{PLAIN}/file").brought()
    assert proxy.asked() == 0, "asked all the same"
    for rule in ["192.0.3.0/24", f"{OUTSIDE}:80", "example.com"]:
        Run("--proxy", proxy.url, "--no-proxy", rule, f"http://{OUTSIDE}:8080/file").brought()
    assert proxy.asked() == 3, "not asked"


def environment_names_no_proxy() -> None:
    Site()
    nowhere = "http://127.0.0.1:9"
    Run(f"http://{OUTSIDE}:8080/file",
        environment={name: nowhere for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]}).brought()


# --- TFTP ------------------------------------------------------------------------------------------


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


# --- The stages ------------------------------------------------------------------------------------


class Boot:
    """The stages that fetch, one process each, on a command line and a root of the test's own.

    They run on an overlay of this system: nothing they write outlives the test.
    """

    def __init__(self, arguments: str) -> None:
        # No folder of processes.temporary_folder: what removes those would go on into what is mounted here.
        layers = Path("/mnt")
        processes.run(["mount", "-t", "tmpfs", "tmpfs", layers])
        system = layers / "system"
        for name in ["upper", "work", "system"]:
            (layers / name).mkdir()
        processes.run(["mount", "-t", "overlay", "overlay", "-o",
                       f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work", system])
        for name in ["run", "dev"]:
            processes.run(["mount", "-t", "tmpfs", "tmpfs", system / name])
        for name, minor in {"null": 3, "urandom": 9}.items():
            os.mknod(system / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        processes.run(["mount", "-t", "proc", "proc", system / "proc"])
        (layers / "cmdline").write_text(arguments + "\n")
        processes.run(["mount", "--bind", layers / "cmdline", system / "proc/cmdline"])
        self._system = system
        self.state, self.root = system / "run/firstlight", system / "sysroot"
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (self.root / "etc/group").write_text("root:x:0:\n")

    def stage(self, name: str) -> subprocess.CompletedProcess:
        program = os.environ.get("FIRSTLIGHT", AGENT)
        return subprocess.run(["chroot", self._system, program, "stage", name], capture_output=True, text=True,
                              timeout=60)


def config_with(site: Site, files: "list[dict]", ca: str) -> str:
    """Serves a config that trusts one more authority; returns its URL."""
    (site.folder / "www/config.ign").write_text(json.dumps({
        "ignition": {"version": "3.4.0", "security": {"tls": {"certificateAuthorities": [{"source": ca}]}}},
        "storage": {"files": files},
    }))
    return f"{PLAIN}/config.ign"


def files_from_a_private_site() -> None:
    site, count = Site(), 60
    for number in range(count):
        (site.folder / f"www/f{number}").write_bytes(CONTENT[number:number + 5000])
    (site.folder / "www/ca.pem").write_bytes(site.ca.read_bytes())
    files = [{"path": f"/srv/d/f{number}", "contents": {"source": f"{SECURE}/f{number}"}} for number in range(count)]
    boot = Boot("ignition.firstboot ignition.config.url=" + config_with(site, files, f"{PLAIN}/ca.pem"))
    done = boot.stage("fetch")
    assert done.returncode == 0, done.stderr
    kept = json.loads((boot.state / "config.ign").read_text())
    [authority] = kept["ignition"]["security"]["tls"]["certificateAuthorities"]
    assert authority["source"].startswith("data:;base64,"), authority
    done = boot.stage("files")
    assert done.returncode == 0, done.stderr
    for number in range(count):
        assert (boot.root / f"srv/d/f{number}").read_bytes() == CONTENT[number:number + 5000], f"file {number}"
    assert sorted(os.listdir(boot.root / "srv/d")) == sorted(f"f{number}" for number in range(count))
    assert sum("/ca.pem" in line for line in site.seen()) == 1, "the authority is fetched twice"


def a_missing_file_ends_the_stage() -> None:
    site = Site()
    files = [{"path": f"/srv/{name}", "contents": {"source": f"http://127.0.0.1:8080/{place}"}}
             for name, place in [("first", "file"), ("gone", "gone"), ("never", "silent/file")]]
    (site.folder / "www/ca.pem").write_bytes(site.ca.read_bytes())
    boot = Boot("ignition.firstboot ignition.config.url=" + config_with(site, files, f"{PLAIN}/ca.pem"))
    assert boot.stage("fetch").returncode == 0
    done = boot.stage("files")
    assert done.returncode == 1 and "8080/gone: HTTP status 404" in done.stderr, done.stderr
    assert os.listdir(boot.root / "srv") == ["first"], os.listdir(boot.root / "srv")


def an_authority_that_is_missing_ends_the_fetch() -> None:
    site = Site()
    boot = Boot("ignition.firstboot ignition.config.url=" + config_with(site, [], f"{PLAIN}/ca.pem"))
    done = boot.stage("fetch")
    assert done.returncode == 1 and "8080/ca.pem: HTTP status 404" in done.stderr, done.stderr


INSIDE = {test.__name__.replace("_", "-"): test for test in (
    private_authority, authority_that_is_none, expired_certificate, certificate_of_the_future, weak_certificate,
    certificate_of_another_host, client_certificate_only, redirects_drop_headers, redirects_in_circles,
    refusals_are_final, throttled,
    unavailable_then_there, truncated, stalled, silent, server_that_comes_late, verified, compressed,
    a_gigabyte_in_little_memory, through_a_proxy, past_a_proxy, environment_names_no_proxy,
    tftp_with_large_blocks, tftp_with_lost_packets, tftp_refusals_are_final,
    files_from_a_private_site, a_missing_file_ends_the_stage, an_authority_that_is_missing_ends_the_fetch,
)}


def apart(name: str) -> None:
    """Runs one of the above in namespaces that end with it, servers included."""
    folder = processes.temporary_folder(name)
    try:
        processes.run(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                       sys.executable, __file__, name], timeout=180,
                      env={**os.environ, "TMPDIR": str(folder)})
    finally:
        processes.remove_folder(folder)


TESTS = [(name, functools.partial(apart, name)) for name in INSIDE]


def inside(name: str) -> int:
    # Not processes.stop_on_signals: in a process namespace of its own every other harness seems to be dead, and
    # its folders left over.
    atexit.register(processes.stop_everything)
    for words in (["link", "set", "lo", "up"], ["addr", "add", f"{OUTSIDE}/32", "dev", "lo"]):
        processes.run(["ip", *words])
    try:
        INSIDE[name]()
    except AssertionError as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(inside(sys.argv[1]))
