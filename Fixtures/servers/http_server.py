"""An HTTP server on loopback that misbehaves as it is told.

    http_server.py FOLDER LOG [--tls PEM] [PATH=BEHAVIOUR;BEHAVIOUR;...]...

It prints its port and serves the files of FOLDER. Each request of a PATH uses up its next
BEHAVIOUR; after the last one it behaves. A behaviour is words separated by blanks:

    cut:N reset:N stall:N   close, reset, or fall silent after N bytes of the body
    silent                  never answer
    status:CODE  retry:S    answer with CODE, and with Retry-After
    norange                 ignore Range
    wrongrange              answer a Range request with another range
    etag:X                  the entity tag (default "v1"); etag: alone is none, etag:W is a weak one
    nodate                  no Last-Modified
    nolength                HTTP/1.0 without Content-Length
    chunked                 chunked transfer coding
    file:NAME               another file's content
    short:N                 a file that is N bytes long
    flip:N                  with byte N changed
    redirect:URL            302
    header:NAME=VALUE       one more field in the answer
    date:SECONDS            another Date in the answer, in seconds since 1970
    wait:S                  answer after so many seconds

A POST is answered with 204 where nothing else is asked for.

Every request becomes a line of LOG: method, path, status, bytes sent, then its header fields, all
separated by tabs, the port of the client as client-port, and what a POST brought as body.
"""

import http.server
import os
import pathlib
import socket
import ssl
import struct
import sys
import threading
import time


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder, log, scripts):
        self.folder, self.log, self.scripts = pathlib.Path(folder), open(log, "a"), scripts
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request, address):
        pass

    def next_behaviour(self, path):
        with self.lock:
            script = self.scripts.get(path)
            words = script.pop(0).split() if script else []
        return dict((word.split(":", 1) + [""])[:2] for word in words)

    def note(self, handler, status, sent):
        fields = [f"{name.lower()}: {value}" for name, value in handler.headers.items()]
        fields.append(f"client-port: {handler.client_address[1]}")
        if handler.command == "POST":
            fields.append(f"body: {handler.body}")
        with self.lock:
            print(handler.command, handler.path, status, sent, *fields, sep="\t", file=self.log, flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    date = "Mon, 01 Jan 2024 00:00:00 GMT"

    def log_message(self, *arguments):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.told if timestamp is None else timestamp)

    told = None

    def do_CONNECT(self):
        self.refuse(int(self.server.next_behaviour("CONNECT").get("status", 403)), {})

    def do_HEAD(self):
        self.do_GET()

    def do_PUT(self):
        self.do_GET()

    def do_POST(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        act = self.server.next_behaviour(self.path.split("?")[0])
        if "redirect" in act:
            self.send_response(307)
            self.send_header("Location", act["redirect"])
            self.send_header("Content-Length", "0")
            self.server.note(self, 307, 0)
            return self.end_headers()
        if "silent" in act:
            self.server.note(self, 0, 0)
            time.sleep(60)
        if "status" in act:
            return self.refuse(int(act["status"]), act)
        self.send_response(204)
        self.server.note(self, 204, 0)
        self.end_headers()

    def do_GET(self):
        path = "/" + self.path.split("/", 3)[3] if self.path.startswith("http://") else self.path
        path = path.split("?")[0]
        act = self.server.next_behaviour(path)
        self.told = float(act["date"]) if "date" in act else None
        time.sleep(float(act.get("wait", 0)))
        if "silent" in act:
            self.server.note(self, 0, 0)
            time.sleep(60)
            return
        if "status" in act:
            return self.refuse(int(act["status"]), act)
        if "redirect" in act:
            self.send_response(302)
            self.send_header("Location", act["redirect"])
            self.send_header("Content-Length", "0")
            self.server.note(self, 302, 0)
            return self.end_headers()
        file = self.server.folder / act.get("file", path.lstrip("/"))
        if not file.is_file():
            return self.refuse(404, act)
        self.serve(bytearray(file.read_bytes()), act)

    def refuse(self, status, act):
        body = b"<html>no</html>"
        self.send_response(status)
        if "retry" in act:
            self.send_header("Retry-After", act["retry"])
        self.send_asked_header(act)
        self.send_header("Content-Length", str(len(body)))
        self.server.note(self, status, len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_asked_header(self, act):
        if "header" in act:
            self.send_header(*act["header"].split("=", 1))

    def serve(self, data, act):
        if "flip" in act:
            data[int(act["flip"])] ^= 0xFF
        if "short" in act:
            del data[int(act["short"]):]
        tag = {"": None, "W": 'W/"v1"'}.get(act.get("etag", "v1"), f'"{act.get("etag", "v1")}"')
        date = None if "nodate" in act else self.date
        start, status = 0, 200
        wanted = self.headers.get("Range")
        if wanted and "norange" not in act and self.headers.get("If-Range", tag or date) in (tag, date):
            start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
            if start >= len(data):
                return self.refuse(416, act)
            if "wrongrange" in act:
                start -= 1
        body = bytes(data[start:])
        if "nolength" in act:
            self.protocol_version = "HTTP/1.0"
            self.close_connection = True
        self.send_response(status)
        if tag:
            self.send_header("ETag", tag)
        if date:
            self.send_header("Last-Modified", date)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if "chunked" in act:
            self.send_header("Transfer-Encoding", "chunked")
        elif "nolength" not in act:
            self.send_header("Content-Length", str(len(body)))
        self.send_asked_header(act)
        self.end_headers()
        if self.command == "HEAD":
            return self.server.note(self, status, 0)
        stop = next((int(act[how]) for how in ("cut", "reset", "stall") if how in act), len(body))
        self.wfile.flush()
        self.server.note(self, status, min(stop, len(body)))
        self.send(body[:stop], "chunked" in act)
        if "stall" in act:
            time.sleep(60)
        if "reset" in act:
            time.sleep(0.1)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
        if "cut" in act:
            self.close_connection = True
        elif "chunked" in act:
            self.wfile.write(b"0\r\n\r\n")

    def send(self, body, chunked):
        if not chunked:
            return self.wfile.write(body)
        for start in range(0, len(body), 50000):
            part = body[start:start + 50000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))


def main(arguments):
    folder, log, *rest = arguments
    pem = None
    if rest[:1] == ["--tls"]:
        pem, rest = rest[1], rest[2:]
    scripts = {path: behaviours.split(";") for path, behaviours in (word.split("=", 1) for word in rest)}
    server = Server(folder, log, scripts)
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    server.serve_forever()


main(sys.argv[1:])
