"""A TFTP server on loopback: octet mode, the options blksize and tsize.

    tftp_server.py FOLDER LOG [silent-after=N]

It prints its port and serves the files of FOLDER. The first request that reaches block N is left
without a further answer; every later one is served whole. Each request becomes a line of LOG.
"""

import pathlib
import socket
import struct
import sys

ERROR_NOT_FOUND = struct.pack("!HH", 5, 1) + b"not found\0"


def serve(folder, log, request, client, silent_after):
    fields = request[2:].split(b"\0")
    print(fields[0].decode(), file=log, flush=True)
    options = {fields[i].lower(): fields[i + 1] for i in range(2, len(fields) - 1, 2)}
    file = folder / fields[0].decode().lstrip("/")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(5)
        if not file.is_file():
            peer.sendto(ERROR_NOT_FOUND, client)
            return False
        data = file.read_bytes()
        size = int(options.get(b"blksize", b"512"))
        accepted = b""
        if b"blksize" in options:
            accepted += b"blksize\0%d\0" % size
        if b"tsize" in options:
            accepted += b"tsize\0%d\0" % len(data)
        if accepted:
            exchange(peer, client, struct.pack("!H", 6) + accepted, 0)
        for block in range(len(data) // size + 1):
            if silent_after is not None and block >= silent_after:
                return True
            number = (block + 1) & 0xFFFF
            packet = struct.pack("!HH", 3, number) + data[block * size:(block + 1) * size]
            exchange(peer, client, packet, number)
    return False


def exchange(peer, client, packet, number):
    while True:
        peer.sendto(packet, client)
        try:
            answer = peer.recv(1024)
        except socket.timeout:
            continue
        if answer[:2] == b"\0\4" and struct.unpack("!H", answer[2:4])[0] == number:
            return
        if answer[:2] == b"\0\5":
            raise ConnectionAbortedError


def main(arguments):
    folder, log = pathlib.Path(arguments[0]), open(arguments[1], "a")
    silent_after = int(arguments[2].split("=")[1]) if len(arguments) > 2 else None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            request, client = listener.recvfrom(2048)
            if request[:2] != b"\0\1":
                continue
            try:
                if serve(folder, log, request, client, silent_after):
                    silent_after = None
            except ConnectionAbortedError:
                pass


main(sys.argv[1:])
