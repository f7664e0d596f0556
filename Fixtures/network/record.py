"""What NetworkManager makes of command lines and keyfiles, recorded in Fixtures/oracles/network.json.

    python3 Fixtures/network/record.py            compares the records with what Debian's programs say now
    python3 Fixtures/network/record.py --record   writes them

Its package is fetched and unpacked, never installed. `nm-initrd-generator` reads each line of
Fixtures/network/lines.txt; `nmcli --offline` reads each keyfile of Fixtures/network/keyfiles and writes it again.
The unit tests of Hardware compare our own reading with the records.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[1]
RECORDS = FIXTURES / "oracles/network.json"
# What differs from run to run, and what says nothing of the connection.
LEFT_OUT = re.compile(r"(uuid|timestamp|autoconnect-retries|multi-connect|wait-device-timeout)=|#|$")


def unpacked(folder: Path) -> "tuple[dict, str]":
    """Debian's NetworkManager below `folder`: the environment for its programs, and its version."""
    for package in ["network-manager", "libnm0"]:
        subprocess.run(["apt-get", "download", "-q", package], cwd=folder, check=True, capture_output=True)
    version = ""
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", archive, folder / "root"], check=True)
        if archive.name.startswith("network-manager_"):
            version = archive.name.split("_")[1]
    [library] = (folder / "root/usr/lib").glob("*/libnm.so.0")
    return {**os.environ, "LD_LIBRARY_PATH": str(library.parent)}, version


def connections(printed: str) -> "dict[str, str]":
    """The keyfiles in what the generator prints, by name; a controller's UUID is replaced by its interface's name."""
    files: "dict[str, list[str]]" = {}
    uuids: "dict[str, str]" = {}
    current: "list[str] | None" = None
    for line in printed.splitlines():
        if heading := re.fullmatch(r"\*\*\* Connection '(.*)' \*\*\*", line):
            current = files.setdefault(heading[1], [])
        elif line.startswith("*** "):
            current = None
        elif current is not None:
            if line.startswith("uuid="):
                uuids[line[5:]] = heading_of(files, current)
            if not LEFT_OUT.match(line) and not line.startswith("[user]") and not line.startswith("org."):
                current.append(line)
    return {name: "\n".join(re.sub(r"(?<=^master=).*", lambda found: uuids.get(found[0], found[0]), line)
                            for line in lines) + "\n" for name, lines in sorted(files.items())}


def heading_of(files: dict, wanted: list) -> str:
    return next(name for name, lines in files.items() if lines is wanted)


def generated(line: str, root: Path, environment: dict) -> "dict[str, str]":
    program = root / "usr/lib/NetworkManager/nm-initrd-generator"
    words = [program, "-s", "-d", "/nonexistent", "--", *shlex.split(line)]
    return connections(subprocess.run(words, env=environment, capture_output=True, text=True).stdout)


def rewritten(file: Path, root: Path, environment: dict) -> "str | None":
    """The keyfile as NetworkManager writes what it has read; `None` where it refuses."""
    words = [root / "usr/bin/nmcli", "--offline", "connection", "modify", "connection.zone", ""]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, stdin=open(file))
    if done.returncode != 0:
        return None
    return "\n".join(line for line in done.stdout.splitlines() if not LEFT_OUT.match(line)) + "\n"


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment, version = unpacked(folder)
        root = folder / "root"
        lines = (FIXTURES / "network/lines.txt").read_text().splitlines()
        keyfiles = sorted((FIXTURES / "network/keyfiles").glob("*.nmconnection"))
        records = {"package": f"network-manager {version}",
                   "lines": {line: generated(line, root, environment) for line in lines},
                   "keyfiles": {file.name: rewritten(file, root, environment) for file in keyfiles}}
    if "--record" in sys.argv:
        RECORDS.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")
        print(f"{len(records['lines'])} lines and {len(records['keyfiles'])} keyfiles of {records['package']}")
        return 0
    known = json.loads(RECORDS.read_text())
    differing = [f"{kind} {key}" for kind in ("lines", "keyfiles") for key in records[kind]
                 if records[kind][key] != known[kind].get(key)]
    print("\n".join(differing) or "as recorded")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
