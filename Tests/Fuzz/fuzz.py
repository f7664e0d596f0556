#!/usr/bin/python3
"""Throws what libFuzzer thinks of at the parsers; each *.swift beside this file is one target.

A target imports the modules that need no libc; these are compiled with what they import. What it takes of the others
stands in its line `// with:`: files that are compiled together with it.

    python3 Tests/Fuzz/fuzz.py [--seconds N] [--runs N] [--build] [--check] [--keep] [--record] [--list] [--libraries]
                               [TARGET...]

Each *.c beside this file is a target, too: a C library that reads what comes from outside, built once with
AddressSanitizer and coverage for this by `libraries`. They take part with --libraries, or by name.

The corpus starts from Fixtures and grows in out/fuzz. An input that crashes a parser, hangs it or breaks
what must hold is left in out/fuzz/TARGET-*, and belongs into Fixtures with the correction.

How much each target was tried, and which state of it, stands in Fixtures/fuzz/record.json: --record adds a run to it
and ends where enough is on record, --list prints it.
"""

import argparse
import fcntl
import gzip
import io
import json
import lzma
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
OUT = TREE / "out" / "fuzz"
# Swift's own checks stay on in optimised code, and none of the parsers does without them:
# AddressSanitizer would find nothing more and take most of the time.
FLAGS = ["-O", "-enable-testing", "-package-name", "firstlight", "-swift-version", "6", "-parse-as-library",
         "-sanitize=fuzzer", "-use-ld=lld", "-I", str(OUT)]
# Bytes of an input.
LONGEST = {"accounts": 1024, "archive": 1024, "butane": 2048, "config": 2048, "data-url": 512, "dhcpv6": 512,
           "dns-answer": 512, "elf": 1024,
           "embed-areas": 4096, "initrd": 4096, "installer-config": 512, "iso": 6144, "kargs-json": 1024,
           "kernel-arguments": 256, "keyfile": 1024, "lease": 512, "libblkid": 8192, "libcryptsetup": 4096, "libcurl": 2048,
           "libyaml": 1024, "miniso": 1024,
           "ovf": 1024, "partition-table": 1024, "pe": 1024, "plan": 3072, "response-head": 256, "root-image": 8192,
           "router-advertisement": 256, "rules": 256, "stream-hash": 1024, "superblock": 1100, "tar": 3072,
           "token": 1024}
# With Swift's own handler of crashes, libFuzzer has none, and keeps no input.
ENVIRONMENT = {**os.environ, "SWIFT_BACKTRACE": "enable=no"}
# Of what is kept in Fixtures, for each target; of a library all that its coverage needs, so that hours add up.
KEPT, KEPT_OF_LIBRARIES = 48, 1000
RECORD = TREE / "Fixtures" / "fuzz" / "record.json"
# Enough of a parser of ours, and of a C library: executions, and seconds of a processor without anything new.
EXECUTIONS = 10_000_000
QUIET = 2 * 3600


def main() -> int:
    targets = {file.stem: file for file in sorted([*HERE.glob("*.swift"), *HERE.glob("*.c")])}
    parser = argparse.ArgumentParser(description="Fuzz the parsers.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target; 0: no limit")
    parser.add_argument("--runs", type=int, default=-1, help="at most so many executions of each")
    parser.add_argument("--build", action="store_true", help="compile the targets, and run none")
    parser.add_argument("--check", action="store_true",
                        help="check the Swift targets against the modules of the unit tests' build, and run none")
    parser.add_argument("--keep", action="store_true", help="put the smallest part of each corpus into Fixtures")
    parser.add_argument("--record", action="store_true", help="add to the record, and end where enough is there")
    parser.add_argument("--list", action="store_true", help="print the targets, their inputs in Fixtures and the record")
    parser.add_argument("--libraries", action="store_true", help="the C libraries")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets))
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.targets if name not in targets]:
        raise SystemExit(f"no such target: {', '.join(unknown)}; there are {', '.join(targets)}")
    if arguments.list:
        return listed(targets)

    if arguments.check:
        wrong = [name for name in arguments.targets or targets if not checked(targets[name])]
        return 1 if wrong else 0

    OUT.mkdir(parents=True, exist_ok=True)
    failed = []
    ending = ".c" if arguments.libraries else ".swift"
    for name in arguments.targets or [name for name, file in targets.items() if file.suffix == ending]:
        program = built(name, targets[name])
        if arguments.build:
            print(f"built  {name}", flush=True)
        elif arguments.keep:
            keep(name, program)
        elif not fuzzed(name, program, arguments):
            failed.append(name)
    return 1 if failed else 0


def listed(targets: "dict[str, Path]") -> int:
    found = record()
    print(f"{'':<22}{'inputs kept':>12}{'executions':>14}{'hours':>8}{'nothing new for':>18}{'places':>9}")
    for name in targets:
        kept = len(list((TREE / "Fixtures" / "fuzz" / name).glob("*")))
        known = found.get(name, NOTHING)
        print(f"{name:<22}{kept:>12}{known['executions']:>14,}{known['seconds'] / 3600:>8.1f}"
              f"{known['quiet'] / 3600:>16.1f} h{known['places']:>9,}")
    return 0


# What is on record of a target that was never run: `places` is the most that one run covered, `quiet` the seconds
# since that was reached, both of a processor.
NOTHING = {"executions": 0, "seconds": 0, "quiet": 0, "places": 0}


def record() -> "dict[str, dict[str, int]]":
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def fuzzed(name: str, program: Path, arguments: argparse.Namespace) -> bool:
    """Runs a target and tells what came of it."""
    known = record().get(name, NOTHING) if arguments.record else NOTHING
    runs = arguments.runs
    if arguments.record and name.startswith("lib"):
        if known["quiet"] >= QUIET:
            return True
    elif arguments.record:
        runs = EXECUTIONS - known["executions"]
        if runs <= 0:
            return True
    corpus = OUT / f"{name}-corpus"
    corpus.mkdir(exist_ok=True)
    for index, text in enumerate(seeds(name)):
        (corpus / f"seed-{index}").write_bytes(text)
    watched = Watched(known["places"], QUIET - known["quiet"] if arguments.record and runs < 0 else None)
    status = watched.run(
        [program, corpus, f"-max_total_time={arguments.seconds}", f"-runs={runs}", "-timeout=120",
         "-rss_limit_mb=2048", f"-max_len={LONGEST[name]}", "-print_final_stats=1", "-reload=0",
         f"-artifact_prefix={OUT}/{name}-"], OUT / f"{name}.log")
    seconds, executed = watched.seconds, watched.executed
    print(f"{'FAILED' if status else 'ok    '} {name}: {executed} executions in {seconds:.0f} s, "
          f"{executed / max(seconds, 1):.0f} a second; {watched.places or '?'} places covered", flush=True)
    if status:
        print("\n".join(f"         | {line}" for line in watched.last), flush=True)
    elif arguments.record:
        bank(name, watched)
    return status == 0


def bank(name: str, watched: "Watched") -> None:
    """Adds a run to the record; others may have added to it meanwhile, or do at this moment."""
    with open(OUT / "record.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = record()
        known = found.get(name, NOTHING)
        seconds = watched.seconds
        found[name] = {
            "executions": known["executions"] + watched.executed, "seconds": known["seconds"] + round(seconds),
            "quiet": round(seconds - watched.newest) + (known["quiet"] if watched.places <= known["places"] else 0),
            "places": max(known["places"], watched.places)}
        RECORD.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")


class Watched:
    """A run of a target: what libFuzzer says of it, and when."""

    def __init__(self, places: int, quiet: "float | None"):
        self.most, self.quiet = places, quiet
        self.places = self.executed = 0
        # Seconds of a processor: where others want it, too, an hour tries less.
        self.seconds = self.newest = 0.0
        self.last: "list[str]" = []

    def run(self, command: list, log: Path) -> int:
        """0 also where it was ended from outside, or since it was quiet for long enough."""
        with open(log, "w") as told:
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=ENVIRONMENT)
            ended = False

            def end(*_) -> None:
                nonlocal ended
                ended = True
                # It prints its figures then.
                process.send_signal(signal.SIGINT)

            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, end)
            for line in process.stderr:
                told.write(line)
                self.last = [*self.last[-24:], line.rstrip("\n")]
                self.seconds = processor_seconds(process.pid) or self.seconds
                if match := re.search(r"\bcov: (\d+)", line):
                    self.places = int(match.group(1))
                    if self.places > self.most:
                        self.most, self.newest = self.places, self.seconds
                if match := re.match(r"stat::number_of_executed_units: (\d+)", line):
                    self.executed = int(match.group(1))
                # libFuzzer prints a line now and then also where nothing is new.
                if not ended and self.quiet is not None and self.seconds - self.newest >= self.quiet:
                    end()
            status = process.wait()
        return 0 if ended else status


def processor_seconds(process: int) -> float:
    """What a process has had of the processors; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def keep(name: str, program: Path) -> None:
    """The fewest inputs that cover what the corpus covers, the shortest of them into Fixtures."""
    merged = OUT / f"{name}-merged"
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    subprocess.run([program, "-set_cover_merge=1", f"-max_len={LONGEST[name]}", merged, OUT / f"{name}-corpus"],
                   check=True, stderr=subprocess.DEVNULL)
    given = set(seeds(name))
    chosen = [file for file in sorted(merged.iterdir(), key=lambda file: (file.stat().st_size, file.name))
              if file.read_bytes() not in given][:KEPT_OF_LIBRARIES if name.startswith("lib") else KEPT]
    place = TREE / "Fixtures" / "fuzz" / name
    place.mkdir(parents=True, exist_ok=True)
    for file in chosen:
        shutil.copyfile(file, place / file.name[:12])
    # What a library's coverage needs no more; an input that has a name of its own showed a fault once.
    needed = {file.read_bytes() for file in merged.iterdir()}
    stale = [file for file in place.iterdir()
             if name.startswith("lib") and re.fullmatch(r"[0-9a-f]{12}", file.name) and file.read_bytes() not in needed]
    for file in stale:
        file.unlink()
    print(f"kept   {name}: {len(chosen)} inputs, {len(stale)} left out", flush=True)


def checked(source: Path) -> bool:
    """Whether the compiler takes a target, as `make test` asks: what it calls may have changed."""
    if source.suffix == ".c":
        return True
    flags = FLAGS[1:FLAGS.index("-sanitize=fuzzer")]
    headers = [word for file in sorted(TREE.glob("Sources/*/module.modulemap")) for word in ("-I", str(file.parent))]
    return subprocess.run(["swiftc", "-typecheck", *flags, "-I", TREE / ".build/debug/Modules", *headers,
                           "-module-name", "Fuzz", *made_of(source)]).returncode == 0


def made_of(source: Path) -> "list[Path]":
    """A Swift target, and the files that are compiled with it."""
    return [source, *(TREE / file for line in re.findall(r"^// with: (.*)$", source.read_text(), re.MULTILINE)
                      for file in line.split())]


def built(name: str, source: Path) -> Path:
    """The program of a target, made again where something that it is made of is newer."""
    program = OUT / name
    if source.suffix == ".c":
        return built_library(program, source)
    sources = made_of(source)
    modules = [module for file in sources for module in imported(file)]
    objects, libraries = compiled(modules)
    if newest([*sources, *objects]) > age(program):
        run(["swiftc", *FLAGS, *libraries, "-module-name", "Fuzz", *sources, *objects, "-o", program])
    return program


def built_library(program: Path, source: Path) -> Path:
    """The same of a C library."""
    prefix = subprocess.run([HERE / "libraries"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if age(source) > age(program):
        libraries = re.findall(r"^// with: (.*)$", source.read_text(), re.MULTILINE)[0].split()
        run(["clang", "-O1", "-g", "-Wall", "-Wno-unused-result", "-fsanitize=address,fuzzer", "-fuse-ld=lld",
             f"-I{prefix}/include", source, "-o", program, f"-L{prefix}/lib", *libraries])
    return program


def compiled(modules: "list[str]") -> "tuple[list[Path], list[str]]":
    """The objects of these modules and of all that they import, and the flags for the C libraries among them."""
    objects, libraries = {}, {}

    def compile(module: str) -> None:
        folder = TREE / "Sources" / module
        if module in objects or module in libraries or not folder.exists():
            return
        if (folder / "module.modulemap").exists():
            libraries[module] = ["-I", str(folder)]
            return
        sources = sorted(folder.glob("*.swift"))
        needed = sorted({name for file in sources for name in imported(file)})
        for name in needed:
            compile(name)
        result = OUT / f"{module}.o"
        if newest([*sources, *(objects[name] for name in needed if name in objects)]) > age(result):
            run(["swiftc", *FLAGS, *(word for words in libraries.values() for word in words),
                 "-whole-module-optimization", "-module-name", module, "-emit-module",
                 "-emit-module-path", OUT / f"{module}.swiftmodule", "-c", *sources, "-o", result])
        objects[module] = result

    for module in modules:
        compile(module)
    return list(objects.values()), [word for words in libraries.values() for word in words]


def imported(file: Path) -> "list[str]":
    return re.findall(r"^(?:@testable |public )?import (\w+)", file.read_text(), re.MULTILINE)


def age(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0


def newest(files: "list[Path]") -> float:
    return max(age(file) for file in files)


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
    return [bytes([kind, 9]) + text for kind in range(4) for text in packed]


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


def disks() -> "list[bytes]":
    """Signatures of every kind that the makers here make, as pieces at their places."""
    sys.path.insert(0, str(TREE / "Tests" / "Harness"))
    import disk_images
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("lvm", "raid", "raid090", "raid10", "isw", "drbd", "ceph", "zfs", "luks-mark", "btrfs-mark", "geom",
                     "swap", "ext4", "vfat", "squashfs"):
            size = 16 << 20
            pieces = disk_images.content(kind, size if kind != "zfs" else 400 << 20, 512, Path(folder))
            text = bytes([2 if kind != "zfs" else 3])
            for at, data in pieces[:24]:
                data = data[:1100].rstrip(b"\0")
                if len(text) + len(data) + 6 <= LONGEST["libblkid"]:
                    text += struct.pack("<IH", at // 16, len(data)) + data
            found.append(text)
    table = tables()[0][2:]
    found += [bytes([0x12, 32, 0, 0, 0, 92, 0]) + table[:92], bytes([0x12]) + struct.pack("<IH", 510 // 16, 18) + bytes(14)
              + b"\x55\xaa" + bytes(2) + struct.pack("<IH", 32, 92) + table[:92] + struct.pack("<IH", 64, 256) + table[184:]]
    return found


def luks_headers() -> "list[bytes]":
    area = {"type": "raw", "offset": "32768", "size": "131072", "encryption": "aes-xts-plain64", "key_size": 64}
    text = {"keyslots": {"0": {"type": "luks2", "key_size": 64, "priority": 1,
                               "af": {"type": "luks1", "stripes": 4000, "hash": "sha256"}, "area": area,
                               "kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": 1000, "salt": "YWJj"}}},
            "tokens": {"0": {"type": "clevis", "keyslots": ["0"], "jwe": {}}},
            "segments": {"0": {"type": "crypt", "offset": "1048576", "size": "dynamic", "iv_tweak": "0",
                               "encryption": "aes-xts-plain64", "sector_size": 512}},
            "digests": {"0": {"type": "pbkdf2", "keyslots": ["0"], "segments": ["0"], "hash": "sha256",
                              "iterations": 1000, "salt": "YWJj", "digest": "YWJj"}},
            "config": {"json_size": "12288", "keyslots_size": "1015808", "flags": ["allow-discards"]}}
    first = (b"aes".ljust(32, b"\0") + b"xts-plain64".ljust(32, b"\0") + b"sha256".ljust(32, b"\0")
             + struct.pack(">II", 4096, 64) + bytes(52) + struct.pack(">I", 1000) + b"0a1b2c3d-0000-4000-8000-000000000001")
    slot = struct.pack(">II", 0x00AC71F3, 1000) + bytes(32) + struct.pack(">II", 8, 4000)
    whole = json.dumps(text).encode()
    return [bytes([2]) + whole, bytes([6]) + json.dumps(text, separators=(",", ":")).encode(), b"\1" + first + bytes(4) + slot * 8]


def tars() -> "list[bytes]":
    """Archives of each format, with a long name, links and a device; every header is sealed anew."""
    found = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=kind) as archive:
            for name, type, size in (("a", tarfile.REGTYPE, 5), ("l", tarfile.SYMTYPE, 0), ("d", tarfile.CHRTYPE, 0),
                                     ("x" * (90 if kind == tarfile.USTAR_FORMAT else 120), tarfile.REGTYPE, 0)):
                member = tarfile.TarInfo(name)
                member.type, member.size, member.linkname, member.devmajor = type, size, "a" if type == b"2" else "", 1
                if kind == tarfile.PAX_FORMAT:
                    member.pax_headers = {"SCHILY.xattr.user.a": "b", "mtime": "-1.5"}
                archive.addfile(member, io.BytesIO(bytes(size)))
        found.append(b"\xff" + made.getvalue()[:LONGEST["tar"] - 1])
    return found


def programs() -> "list[bytes]":
    """Headers of a stub with one section and room for three more."""
    head = b"MZ".ljust(0x3c, b"\0") + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 160, 0)
    optional = bytearray(160)
    struct.pack_into("<H", optional, 0, 0x20b)
    struct.pack_into("<II", optional, 32, 4096, 512)
    struct.pack_into("<I", optional, 60, 512)
    struct.pack_into("<H", optional, 68, 10)
    struct.pack_into("<I", optional, 108, 6)
    section = b".text\0\0\0" + struct.pack("<IIII", 16, 4096, 16, 512) + bytes(16)
    whole = (head + optional + section).ljust(512, b"\0") + bytes(16)
    return [bytes([9, 2]) + whole, bytes([255, 40]) + whole]


def elves() -> "list[bytes]":
    """A program with a loader, a library and a section."""
    def segment(kind: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQQQ", kind, 0, offset, offset, 0, size, size, 0)
    text = b"\0/lib/ld.so\0libc.so\0.modinfo\0"
    strings = 64 + 3 * 56
    dynamic = strings + len(text)
    tags = b"".join(struct.pack("<QQ", *pair) for pair in ((1, 12), (5, strings), (29, 1), (0, 0)))
    sections = dynamic + len(tags)
    head = (b"\x7fELF" + bytes([2, 1, 1]) + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, sections, 0, 64, 56, 3, 64, 2, 0))
    body = head + segment(1, 0, 1024) + segment(3, strings + 1, 11) + segment(2, dynamic, len(tags)) + text + tags
    body += struct.pack("<IIQQQQ", 20, 3, 0, 0, strings, len(text)).ljust(64, b"\0") * 2
    return [body, bytes([0x24, 5, 9, 0, 0, 7])]


SEEDS = {
    "accounts": lambda: [b"\0".join([
        b"root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/sh\n", b"root:x:0:\nwheel:x:10:core\n",
        b"core:!:19000:0:99999:7:::\n", b"wheel:!::core\n", b"core:100000:65536\n", b"UID_MIN 1000\nUSERGROUPS_ENAB yes\n",
        b"EXPIRE=2031-01-31\nINACTIVE=5\n", b"", b"docker:x:950:\n"])],
    "archive": lambda: [text for text in archives() if len(text) <= 1024],
    "butane": butane_cases,
    "config": lambda: files("config/*/*.ign"),
    "data-url": lambda: [text for file in files("config/rules/*.ign") for text in file.split(b'"') if b":" in text],
    "elf": elves,
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
    "libblkid": disks,
    "libcryptsetup": luks_headers,
    "libcurl": lambda: [bytes([kind]) + text for kind in (0, 1, 2, 6) for text in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"a\"\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\nTrailer: a\r\n\r\n3\r\nabc\r\n0\r\na: b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\n\r\n",
        b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 206 Part\r\nContent-Range: bytes 1-2/3\r\nConnection: close\r\n\r\nbc",
        b"https://user:secret@[fe80::1%25eth0]:8443/a/../b?c=d#e")],
    "libyaml": lambda: [text for text in butane_cases() if len(text) <= 1024] + [b"a: &x [1, *x]\n", b"%YAML 1.1\n---\n!!str |+2\n   a\n...\n"],
    "miniso": minisos,
    "ovf": lambda: [b'<Environment xmlns:oe="o"><oe:Property oe:key="guestinfo.ignition.config.data" '
                    b"oe:value='{&quot;a&#10;&#x41;&lt;'/></Environment>"],
    "partition-table": tables,
    "pe": programs,
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
    "tar": tars,
    "token": lambda: [b'{"type":"clevis","keyslots":["1"],"jwe":{"protected":"eyJjbGV2aXMiOnt9fQ","encrypted_key":"",'
                      b'"iv":"a","ciphertext":"b","tag":"c"}}',
                      b'{"clevis":{"pin":"sss","sss":{"t":1,"jwe":["eyJ9.a"]}}}', b'{"pins":{"tang":[{"url":"http://t"}],'
                      b'"tpm2":{"pcr_ids":"7"}},"t":2}'],
}


def run(command: list) -> None:
    subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    sys.exit(main())
