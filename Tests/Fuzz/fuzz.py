#!/usr/bin/python3
"""Throws what libFuzzer thinks of at the parsers; each *.swift beside this file is one target.

A target imports the modules that need no libc. What it takes of the others stands in its line `// with:`: files that
are compiled together with it.

    python3 Tests/Fuzz/fuzz.py [--seconds N] [--runs N] [TARGET...]

The corpus starts from Fixtures and grows in out/fuzz. An input that crashes a parser, hangs it or breaks
what must hold is left in out/fuzz/TARGET-*, and belongs into Fixtures with the correction.
"""

import argparse
import gzip
import json
import lzma
import re
import struct
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
OUT = TREE / "out" / "fuzz"
# In the order of their imports.
MODULES = ["Reporting", "Encoding", "JSONText", "BootArguments", "IgnitionConfig", "LiveImage", "DiskFormats",
           "DeviceNames", "NetworkPlanning", "BootReport", "DiskPlanning", "Accounts", "BootMedia", "Butane"]
# What BootMedia and Butane read compressed data and YAML with.
LIBRARIES = ["CLibyaml", "CLzma", "CZlib", "CZstd"]
# Swift's own checks stay on in optimised code, and none of the parsers does without them:
# AddressSanitizer would find nothing more and take most of the time.
FLAGS = ["-O", "-enable-testing", "-package-name", "firstlight", "-swift-version", "6", "-parse-as-library",
         "-sanitize=fuzzer", "-use-ld=lld", "-I", str(OUT),
         *(word for library in LIBRARIES for word in ("-I", str(TREE / "Sources" / library)))]
# Bytes of an input.
LONGEST = {"accounts": 1024, "archive": 1024, "butane": 2048, "config": 2048, "data-url": 512, "dhcpv6": 512,
           "dns-answer": 512,
           "embed-areas": 4096, "initrd": 4096, "installer-config": 512, "iso": 6144, "kargs-json": 1024,
           "kernel-arguments": 256, "keyfile": 1024, "lease": 512, "miniso": 1024,
           "ovf": 1024, "partition-table": 1024, "plan": 3072, "response-head": 256, "root-image": 8192,
           "router-advertisement": 256, "rules": 256, "stream-hash": 1024, "superblock": 1100, "token": 1024}


def main() -> int:
    targets = {file.stem: file for file in sorted(HERE.glob("*.swift"))}
    parser = argparse.ArgumentParser(description="Fuzz the parsers.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="at most so many executions of each")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets))
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.targets if name not in targets]:
        raise SystemExit(f"no such target: {', '.join(unknown)}; there are {', '.join(targets)}")

    OUT.mkdir(parents=True, exist_ok=True)
    objects = [compiled(module, sorted((TREE / "Sources" / module).glob("*.swift"))) for module in MODULES]
    failed = []
    for name in arguments.targets or targets:
        program = OUT / name
        more = [TREE / file for line in re.findall(r"^// with: (.*)$", targets[name].read_text(), re.MULTILINE)
                for file in line.split()]
        run(["swiftc", *FLAGS, "-module-name", "Fuzz", targets[name], *more, *objects, "-o", program])
        corpus = OUT / f"{name}-corpus"
        corpus.mkdir(exist_ok=True)
        for index, text in enumerate(seeds(name)):
            (corpus / f"seed-{index}").write_bytes(text)
        log = OUT / f"{name}.log"
        with open(log, "w") as told:
            done = subprocess.run(
                [program, corpus, f"-max_total_time={arguments.seconds}", f"-runs={arguments.runs}", "-timeout=10",
                 "-rss_limit_mb=2048", f"-max_len={LONGEST[name]}", "-print_final_stats=1",
                 f"-artifact_prefix={OUT}/{name}-"], stderr=told)
        lines = log.read_text(errors="replace").splitlines()
        executed = next((line.split()[-1] for line in lines if "number_of_executed" in line), "?")
        print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name}: {executed} executions", flush=True)
        if done.returncode:
            failed.append(name)
            print("\n".join(f"         | {line}" for line in lines[-25:]), flush=True)
    return 1 if failed else 0


def compiled(module: str, sources: "list[Path]") -> Path:
    """The object of a module, made again where a source is newer."""
    built = OUT / f"{module}.o"
    newest = max(file.stat().st_mtime for file in [*sources, Path(__file__)])
    if not built.exists() or built.stat().st_mtime < newest:
        run(["swiftc", *FLAGS, "-whole-module-optimization", "-module-name", module, "-emit-module",
             "-emit-module-path", OUT / f"{module}.swiftmodule", "-c", *sources, "-o", built])
    return built


def seeds(target: str) -> "list[bytes]":
    """What a target's corpus starts with."""
    texts = SEEDS[target]()
    own = sorted((TREE / "Fixtures" / "fuzz" / target).glob("*"))
    return sorted({text for text in [*texts, *(file.read_bytes() for file in own)] if len(text) <= LONGEST[target]})


def files(pattern: str) -> "list[bytes]":
    return [file.read_bytes() for file in sorted((TREE / "Fixtures").glob(pattern)) if file.is_file()]


def lines(pattern: str) -> "list[bytes]":
    return [line for text in files(pattern) for line in text.splitlines()]


def newc(name: bytes, data: bytes, mode: int = 0o100644) -> bytes:
    head = b"070701" + b"".join(b"%08X" % value for value in (
        1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)) + name + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archives() -> "list[bytes]":
    image = bytearray(b"hsqs" + bytes(1996))
    struct.pack_into("<Q", image, 40, 2000)
    end = newc(b"TRAILER!!!", b"", 0)
    whole = newc(b"root.squashfs", bytes(image)) + newc(b"etc/coreos-live-rootfs", b"1\n") + end
    small = newc(b"a", b"12345") + newc(b"b\0\0\0", b"") + end
    erofs = bytearray(2100)
    struct.pack_into("<I", erofs, 1024, 0xE0F5E1E2)
    erofs[1024 + 12] = 12
    struct.pack_into("<I", erofs, 1024 + 36, 1)
    return [b"\xff" + text for text in (whole, small, bytes(image), bytes(erofs))]


def tables() -> "list[bytes]":
    """Two headers, and two entries."""
    def header(alternate: int, first: int) -> bytes:
        return (b"EFI PART" + struct.pack("<IIIIQQQQ", 0x10000, 92, 0, 0, 1, alternate, 34, 700) + bytes(16)
                + struct.pack("<QIII", first, 2, 128, 0)).ljust(92, b"\0")
    entry = bytes(range(16)) + bytes(range(16, 32)) + struct.pack("<QQQ", 34, 99, 0) + "var".encode("utf-16-le")
    return [bytes([flags, size]) + header(767, 2) + header(1, 700) + entry.ljust(128, b"\0") * 2
            for flags in (6, 7) for size in (0, 1)]


def superblocks() -> "list[bytes]":
    ext = bytearray(1024)
    struct.pack_into("<IIIIII", ext, 0, 100, 4096, 0, 2000, 90, 0)
    struct.pack_into("<I", ext, 24, 2)
    xfs = bytearray(512)
    struct.pack_into(">4sIQ", xfs, 0, b"XFSB", 4096, 100_000)
    member = bytearray(260)
    struct.pack_into("<II", member, 0, 0xA92B4EFC, 1)
    struct.pack_into("<I", member, 92, 2)
    struct.pack_into("<I", member, 220, 2)
    fat = bytearray(512)
    struct.pack_into("<HBH", fat, 11, 512, 8, 32)
    struct.pack_into("<I", fat, 32, 200_000)
    return [bytes([kind, 2]) + bytes(block) for kind in range(7) for block in (ext, xfs, member, fat)]


def plans() -> "list[bytes]":
    """The configs that ask for disks, with some bytes to make these of."""
    found = [text for text in files("config/*/*.ign") if b'"storage"' in text and b"\0" not in text]
    for text in files("disks/*.json"):
        try:
            found.append(json.dumps({"ignition": {"version": "3.4.0"}, **json.loads(text)["config"]}).encode())
        except (KeyError, TypeError, ValueError):
            continue
    return [text + b"\0" + bytes((11 * index + 7 * place) % 256 for place in range(80))
            for index, text in enumerate(found)]


def areas() -> "list[bytes]":
    """igninfo.json, kargs.json, the old header, the area itself; 0xfe between them."""
    kargs = json.dumps({"default": "a b", "size": 16, "files": [
        {"path": "images/ignition.img", "offset": 2048 + at, "pad": "#", "end": "\n"} for at in (0, 16)]}).encode()
    header = b"coreKarg" + struct.pack("<8Q", 16, 23 * 2048 + 2048, 23 * 2048 + 2048, 23 * 2048 + 2064, 0, 0, 0, 0)
    place = b'{"file": "images/ignition.img", "offset": 0, "length": 2048}'
    line = b"a b\n".ljust(16, b"#")
    found = []
    for area in (bytes(2048), newc(b"config.ign", b"{}") + newc(b"TRAILER!!!", b"", 0)):
        body = area.ljust(2048, b"\0") + line * 2
        found += [b"\xfe".join(parts) for parts in (
            [place, kargs, b"", body], [place, b"", header, body], [b"", kargs, header, body])]
    return found


def directories() -> "list[bytes]":
    """The root's record, and the sectors from the root's on."""
    def record(name: bytes, sector: int, length: int, flags: int) -> bytes:
        body = (struct.pack("<BI4xI4x", 0, sector, length) + bytes(7) + bytes([flags]) + bytes(6) + bytes([len(name)]) + name)
        return bytes([len(body) + 1]) + body
    root = record(b"\0", 18, 2048, 2)
    first = (root + record(b"\1", 18, 2048, 2) + record(b"COREOS", 19, 2048, 2) + record(b"A.;1", 20, 4, 0)).ljust(2048, b"\0")
    second = (record(b"KARGS.JSO;1", 20, 4, 0) + record(b"LOOP", 18, 2048, 2)).ljust(2048, b"\0")
    return [root + first + second, root + first]


def initrds() -> "list[bytes]":
    plain = newc(b"etc", b"", 0o40755) + newc(b"etc/a", b"12345") + newc(b"TRAILER!!!", b"", 0)
    packed = [plain, gzip.compress(plain), lzma.compress(plain, check=lzma.CHECK_CRC32), plain + bytes(8) + gzip.compress(plain)]
    packed.append(subprocess.run(["zstd", "-c"], input=plain, capture_output=True, check=True).stdout)
    return [bytes([kind, 9]) + text for kind in range(3) for text in packed]


def minisos() -> "list[bytes]":
    packed = lzma.compress(b"x" * 5000)
    table = bytes([2, 1, 2, 251]) + struct.pack("<H", 3000) + bytes([9, 252]) + struct.pack("<I", 70000) + bytes([7])
    return [b"MINISO\0\0" + bytes([1, 6]) + b"0.11.0" + table + bytes(32) + bytes([len(packed)]) + packed + bytes(9)]


def butane_cases() -> "list[bytes]":
    """The configs of the cases of Fixtures/butane."""
    found = []
    for text in files("butane/*.txt"):
        for case in re.split(rb"^== ", text, flags=re.MULTILINE)[1:]:
            _, head, *rest = case.split(b"\n")
            body = b"\n".join(line for line in rest if not re.match(rb"->|!|//", line))
            words = head.split()
            front = b"" if words[0] == b"-" else b"variant: %s\nversion: %s\n" % (words[0], words[1])
            found.append(front + re.sub("«[0-9]".encode(), b"", body))
    return found


SEEDS = {
    "accounts": lambda: [b"\0".join([
        b"root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/sh\n", b"root:x:0:\nwheel:x:10:core\n",
        b"core:!:19000:0:99999:7:::\n", b"wheel:!::core\n", b"core:100000:65536\n", b"UID_MIN 1000\nUSERGROUPS_ENAB yes\n",
        b"EXPIRE=2031-01-31\nINACTIVE=5\n", b"", b"docker:x:950:\n"])],
    "archive": lambda: [text for text in archives() if len(text) <= 1024],
    "butane": butane_cases,
    "config": lambda: files("config/*/*.ign"),
    "data-url": lambda: [text for file in files("config/rules/*.ign") for text in file.split(b'"') if b":" in text],
    "embed-areas": areas,
    "initrd": initrds,
    "installer-config": lambda: [
        b"dest-device: /dev/sda\nappend-karg:\n- a\n- 'b: c'\n", b"NetworkManager:\n- - a.nmconnection\n  - |\n    [connection]\n",
        b"console: [ttyS0,115200n8]\nfetch-retries: 3\n", b"a: &x [1, *x]\n", b"ttyAMA1,9600n8", b"a/**/[!a-c]?*"],
    "iso": directories,
    "kargs-json": lambda: [
        b'{"default": "a", "files": [{"path": "x", "offset": 3, "pad": "\\u0000", "end": "\\n"}], "size": 1139}',
        b"a b a\nc\na\nk=o=n"],
    "kernel-arguments": lambda: lines("arguments/*/*"),
    "keyfile": lambda: files("network/keyfiles/*"),
    "lease": lambda: [b"interface=eth0\0ip=192.0.2.9\0mask=24\0router=192.0.2.1\0dns=192.0.2.53 192.0.2.54\0mtu=1400"
                      b"\0staticroutes=10.0.0.0/8 192.0.2.2\0domain=a.example\0hostname=h\0lease=3600\0serverid=192.0.2.1"],
    "miniso": minisos,
    "ovf": lambda: [b'<Environment xmlns:oe="o"><oe:Property oe:key="guestinfo.ignition.config.data" '
                    b"oe:value='{&quot;a&#10;&#x41;&lt;'/></Environment>"],
    "partition-table": tables,
    "plan": plans,
    "response-head": lambda: [b"HTTP/1.1 206 Partial Content\nETag: \"a\"\nContent-Range: bytes 7-19/20\nRetry-After: 3",
                              b"HTTP/1.1 200 OK\nContent-Length: 18446744073709551615\nLast-Modified: x"],
    "root-image": archives,
    "dhcpv6": lambda: [bytes([7, 0, 1, 0, 10, 0, 3, 0, 1, 82, 84, 0, 18, 52, 86, 0, 2, 0, 1, 9, 0, 23, 0, 16]) + bytes(16)],
    "dns-answer": lambda: [bytes([0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0,
                                  0, 9, 0, 4, 192, 0, 2, 1])],
    "router-advertisement": lambda: [bytes([25, 3, 0, 0, 0, 0, 0, 60]) + bytes(range(16)), bytes(48)],
    "rules": lambda: [b"https://host.example:8443/a\n.example\n10.0.0.0/8\n[::1]:80\n*.b:443",
                      b"s3://bucket/a%20b?versionId=x", b"arn:aws:s3:eu-west-1:123:accesspoint/a/object/k",
                      b"gs://bucket/o"],
    "stream-hash": lambda: [b"stream-hash sha256 64\n" + b"0a" * 32 + b"\n" + b"ff" * 32 + b"\n"],
    "superblock": superblocks,
    "token": lambda: [b'{"type":"clevis","keyslots":["1"],"jwe":{"protected":"eyJjbGV2aXMiOnt9fQ","encrypted_key":"",'
                      b'"iv":"a","ciphertext":"b","tag":"c"}}',
                      b'{"clevis":{"pin":"sss","sss":{"t":1,"jwe":["eyJ9.a"]}}}', b'{"pins":{"tang":[{"url":"http://t"}],'
                      b'"tpm2":{"pcr_ids":"7"}},"t":2}'],
}


def run(command: list) -> None:
    subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    sys.exit(main())
