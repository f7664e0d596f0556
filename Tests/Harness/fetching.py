"""Fetching against real peers: nginx, tftpd-hpa, tinyproxy, each in a network namespace of the test's own.

The namespace has a loopback with one address more, 192.0.2.1, since 127.0.0.1 is never asked through a proxy.
"""

import atexit
import functools
import gzip
import hashlib
import http.server
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import processes
from fetching_site import CONTENT, OUTSIDE, PLAIN, SECURE, SHA256, Run, Site, wait_for_port
from fetching_stages import (
    a_missing_file_ends_the_stage, an_authority_that_is_missing_ends_the_fetch, files_from_a_private_site)
from fetching_tftp import tftp_refusals_are_final, tftp_with_large_blocks, tftp_with_lost_packets
from servers import Reset, Stall, free_port

# --- TLS -------------------------------------------------------------------------------------------


def private_authority() -> None:
    site = Site()
    run = Run(f"{SECURE}/file").refused(r"https://127\.0\.0\.1:8443/file: the server's certificate is not trusted")
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
    Run("--ca", Site().ca, "https://127.0.0.1:8445/file").refused("not trusted.*127.0.0.1")


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
    Run("--timeout", "2", "--output", output, f"{PLAIN}/behind/file").refused("not fetched within 2 s.*connection lost")
    assert not output.exists(), "half of a file stays"


def stalled() -> None:
    Site({"/file": [Stall(300_000)]})
    Run("--timeout", "3", f"{PLAIN}/behind/file").refused("not fetched within 3 s")


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
    assert output.is_fifo(), "what is not a file of ours is removed"


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
