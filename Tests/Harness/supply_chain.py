"""What the shipped agent is made of: that it is what was asked for, that it is told, and how it is hardened."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import processes
from paths import AGENT, TREE

RECIPE = TREE / "Sources/StaticLibraries/build"
BILL = AGENT.with_name("firstlight.spdx.json")


# --- The bill of materials -------------------------------------------------------------------------


def names_its_libraries() -> None:
    """`--version --libraries` and the bill tell the same, with the versions that were linked."""
    said = processes.run([AGENT, "--version", "--libraries"]).decode().splitlines()
    assert said[0].startswith("firstlight "), said
    told = {line.split()[0]: line.split()[1] for line in said[1:]}
    assert told == {name: it["versionInfo"] for name, it in bill().items() if name != "firstlight"}, told
    for name in ("openssl", "curl", "cryptsetup", "libdevmapper", "util-linux", "json-c", "argon2", "libuuid", "zlib",
                 "glibc", "gcc", "swift-runtime", "swift-argument-parser", "swift-log", "swift-system"):
        assert told.get(name), f"{name} is missing: {told}"
    for line in (libraries() / "manifest").read_text().splitlines():
        if re.match(r"(openssl|curl|cryptsetup|util-linux) ", line):
            name, version = line.split()
            assert told[name] == version, f"{line} was built, {told[name]} is told"
    alone = processes.run([AGENT, "--version"]).decode().splitlines()
    assert alone == said[:1], alone


def the_bill_is_of_this_binary() -> None:
    document = json.loads(BILL.read_text())
    assert document["spdxVersion"] == "SPDX-2.3" and document["dataLicense"] == "CC0-1.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["creationInfo"]["created"])
    packages = bill()
    [checksum] = packages["firstlight"]["checksums"]
    assert checksum == {"algorithm": "SHA256", "checksumValue": hashlib.sha256(AGENT.read_bytes()).hexdigest()}
    identifiers = [it["SPDXID"] for it in document["packages"]]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", it) for it in identifiers), identifiers
    linked = {it["relatedSpdxElement"] for it in document["relationships"] if it["relationshipType"] == "STATIC_LINK"}
    assert linked == set(identifiers) - {"SPDXRef-firstlight"}, linked
    for it in document["packages"]:
        assert {"name", "versionInfo", "downloadLocation", "licenseConcluded", "copyrightText"} <= it.keys(), it
    for name in ("openssl", "curl", "cryptsetup", "util-linux"):
        assert re.search(r"\.dsc sha256:[0-9a-f]{64}", packages[name]["sourceInfo"]), packages[name]


def bill() -> "dict[str, dict]":
    return {it["name"]: it for it in json.loads(BILL.read_text())["packages"]}


def libraries() -> Path:
    """The prefix that the agent was linked from."""
    where = processes.run(["env", "ALLOW_OLDER=1", RECIPE, "--where"]).decode().strip()
    return Path(where)


# --- The recipe ------------------------------------------------------------------------------------

# An archive that lists the wanted versions and one older of each, and serves only what SERVED names.
FAKE_APT = """#!/bin/bash
case "$(basename "$0") $*" in
"apt-get "*update*) ;;
"apt-get "*--download-only*)
    for package; do :; done
    grep -qxF "$package" "$SERVED" || exit 100
    touch "${package%%=*}.dsc"
    ;;
"apt-cache showsrc "*) sed -n "s/^$2=/Version: /p" "$LISTED" ;;
esac
"""


def an_older_library_is_refused() -> None:
    """What the archive lists and does not serve stops the build, unless ALLOW_OLDER=1 says that older will do."""
    folder = processes.temporary_folder("recipe")
    try:
        for name in ("apt-get", "apt-cache"):
            (folder / name).write_text(FAKE_APT)
            (folder / name).chmod(0o755)
        wanted = wanted_sources()
        older = dict(wanted, openssl="3.0.1-1")
        listed = [f"{name}={version}" for name, version in wanted.items()] + ["openssl=3.0.1-1", "openssl=9.9-1"]
        (folder / "listed").write_text("\n".join(listed) + "\n")

        def fetch(served: "dict[str, str]", *words: str) -> "subprocess.CompletedProcess[str]":
            lines = [f"{name}={version}" for name, version in served.items()] + ["openssl=9.9-1"]
            (folder / "served").write_text("\n".join(lines) + "\n")
            environment = dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}", SERVED=f"{folder}/served",
                               LISTED=f"{folder}/listed", FIRSTLIGHT_CACHE=f"{folder}/cache")
            environment.pop("ALLOW_OLDER", None)
            environment |= dict(word.split("=") for word in words)
            return subprocess.run([RECIPE, "--sources"], env=environment, capture_output=True, text=True)

        run = fetch(wanted)
        assert run.returncode == 0, run.stderr
        assert dict(line.split() for line in run.stdout.splitlines()) == wanted, run.stdout
        for words in ([], ["ALLOW_OLDER=0"]):
            run = fetch(older, *words)
            assert run.returncode == 1 and not run.stdout, (run.stdout, run.stderr)
            for text in (f"openssl {wanted['openssl']}", "3.0.1-1", "ALLOW_OLDER=1"):
                assert text in run.stderr, run.stderr
        run = fetch(older, "ALLOW_OLDER=1")
        assert run.returncode == 0, run.stderr
        assert dict(line.split() for line in run.stdout.splitlines()) == older, run.stdout
    finally:
        processes.remove_folder(folder)


def wanted_sources() -> "dict[str, str]":
    """The source packages of the recipe at the versions of the installed headers."""
    text = RECIPE.read_text()
    pairs = re.search(r"^sources=\(([^)]*)\)", text, re.MULTILINE)[1].split()
    assert len(pairs) >= 5, pairs
    found = {}
    for pair in pairs:
        name, package = pair.split(":")
        found[name] = processes.run(["dpkg-query", "-W", "-f", "${source:Version}", package]).decode()
    return found


def what_stands_in_has_a_key_of_its_own() -> None:
    """A prefix that holds older libraries is never found under the name of the newer ones."""
    folder = processes.temporary_folder("recipe")
    try:
        def where(*words: str) -> str:
            environment = ["FIRSTLIGHT_CACHE=" + str(folder), *words]
            return processes.run(["env", "-u", "ALLOW_OLDER", *environment, RECIPE, "--where"]).decode().strip()

        wanted = Path(where())
        assert where("ALLOW_OLDER=1") == str(wanted)
        other = wanted.with_name("0123456789abcdef")
        other.mkdir(parents=True)
        (other / "manifest").write_text("openssl 3.0.1-1\n")
        (wanted.parent / "stand-ins").mkdir()
        (wanted.parent / "stand-ins" / wanted.name).write_text(other.name + "\n")
        assert where() == str(wanted), "an older library stands in silently"
        assert where("ALLOW_OLDER=1") == str(other)
        wanted.mkdir()
        (wanted / "manifest").write_text("openssl 3.0.22-1\n")
        assert where("ALLOW_OLDER=1") == str(wanted), "an older library is used though the newer one is there"
    finally:
        processes.remove_folder(folder)


def swift_packages_are_pinned() -> None:
    text = (TREE / "Package.swift").read_text()
    urls = re.findall(r"\.package\(url:[^)]*\)", text)
    assert len(urls) >= 3 and all(re.search(r'exact: "\d+\.\d+\.\d+"', it) for it in urls), urls


# --- Hardening -------------------------------------------------------------------------------------


def loads_at_any_address() -> None:
    """A static PIE without relocations in its code, and no memory that can be written and run."""
    said = readelf("--file-header", "--program-headers", "--dynamic")
    assert re.search(r"Type:\s+DYN ", said), said
    assert re.search(r"\(FLAGS_1\).*\bPIE\b", said), said
    assert "TEXTREL" not in said, said
    segments = re.findall(r"^  (LOAD|GNU_STACK) +(?:0x\w+ +){4}0x\w+ ([R ][W ][E ])", said, re.MULTILINE)
    assert [kind for kind, _ in segments].count("LOAD") >= 3 and ("GNU_STACK", "RW ") in segments, said
    assert not any("W" in flags and "E" in flags for _, flags in segments), said


def is_read_only_after_its_start() -> None:
    """What the start fills in lies under RELRO, and what is called read-only is."""
    said = readelf("--program-headers", "--dynamic")
    assert re.search(r"\(FLAGS_1\).*\bNOW\b", said), said
    start, size = (int(it, 16) for it in re.search(r"GNU_RELRO +0x\w+ 0x(\w+) 0x\w+ 0x\w+ 0x(\w+)", said).groups())
    lines = re.findall(r"^  \[ *\d+\] (\S+) +\S+ +(\w+) \w+ (\w+) \w+ +([A-Za-z]*)", readelf("--section-headers"),
                       re.MULTILINE)
    sections = {name: (int(address, 16), int(length, 16), flags) for name, address, length, flags in lines}
    for name in (".rodata", ".text", ".eh_frame"):
        assert "W" not in sections[name][2], f"{name} is writable"
    for name in (".data.rel.ro", ".init_array", ".fini_array", ".got", ".dynamic"):
        address, length, _ = sections[name]
        assert start <= address and address + length <= start + size, f"{name} is writable after the start"
    named = [name for name, (_, _, flags) in sections.items() if "W" in flags and "rodata" in name]
    assert not named, named


def readelf(*words: str) -> str:
    return processes.run(["readelf", "--wide", *words, AGENT]).decode()


def libraries_are_built_as_debian_builds_them() -> None:
    """Stack protector and fortified string functions are in every library that is built here."""
    for name in ("blkid", "crypto", "cryptsetup", "curl", "devmapper", "fdisk", "mount", "ssl"):
        archive = libraries() / f"lib/lib{name}.a"
        wanted = set(re.findall(r" U (\w+)$", processes.run(["nm", archive]).decode(), re.MULTILINE))
        assert "__stack_chk_fail" in wanted, f"{archive}: no stack protector"
        assert any(re.fullmatch(r"__\w+_chk", it) for it in wanted), f"{archive}: not fortified"


TESTS = [(test.__name__.replace("_", "-"), test) for test in (
    names_its_libraries,
    the_bill_is_of_this_binary,
    an_older_library_is_refused,
    what_stands_in_has_a_key_of_its_own,
    swift_packages_are_pinned,
    loads_at_any_address,
    is_read_only_after_its_start,
    libraries_are_built_as_debian_builds_them,
)]
