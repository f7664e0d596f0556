"""What the agent is made of: for the agent itself to tell, and as a bill of materials in SPDX 2.3.

    bill_of_materials.py header PREFIX OUTPUT
    bill_of_materials.py spdx PREFIX BINARY OUTPUT

PREFIX holds the static libraries and their manifest, as `build` beside this file leaves them. The same sources
give the same output: the date is SOURCE_DATE_EPOCH, or that of the last commit.
"""

import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
# Binary packages whose archives are taken as they are, by the name that people know.
NAMES = {"uuid-dev": "libuuid", "libjson-c-dev": "json-c", "libargon2-dev": "argon2", "zlib1g-dev": "zlib",
         "lvm2": "libdevmapper"}


@dataclass
class Component:
    name: str
    version: str
    origin: str
    locator: str  # a package URL
    supplier: str = "NOASSERTION"
    files: "dict[str, str]" = field(default_factory=dict)  # name: SHA-256
    note: str = ""


def main(arguments: "list[str]") -> int:
    if len(arguments) == 3 and arguments[0] == "header":
        replace(Path(arguments[2]), header(components(Path(arguments[1]))))
    elif len(arguments) == 4 and arguments[0] == "spdx":
        document = spdx(components(Path(arguments[1])), Path(arguments[2]))
        replace(Path(arguments[3]), json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    return 0


def replace(output: Path, text: str) -> None:
    """Leaves a file that is as wanted alone: nothing that depends on it is built again then."""
    if output.exists() and output.read_text() == text:
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)


# --- What there is ---------------------------------------------------------------------------------


def components(prefix: Path) -> "list[Component]":
    found = from_manifest((prefix / "manifest").read_text()) + from_toolchain() + from_swift_packages()
    return sorted(found, key=lambda component: component.name)


def from_manifest(text: str) -> "list[Component]":
    """Lines `NAME VERSION`, each followed by `  SHA256  FILE` for its files; `note: ...` where one stands in."""
    found: "list[Component]" = []
    notes: "dict[str, str]" = {}
    for line in text.splitlines():
        if line.startswith("note: "):
            notes[line.split()[1]] = line.removeprefix("note: ")
        elif line.startswith("  "):
            digest, name = line.split()
            found[-1].files[name] = digest
        else:
            package, version = line.split()
            binary = package.endswith("-dev")
            found.append(Component(
                NAMES.get(package, package), version, "Debian" + ("'s archive" if binary else " source, built here"),
                debian(package, version) + ("" if binary else "?arch=source"), "Organization: Debian",
                note=notes.get(package, "")))
    return found


def debian(package: str, version: str) -> str:
    return f"pkg:deb/debian/{package}@{urllib.parse.quote(version, safe='~')}"


def from_toolchain() -> "list[Component]":
    """What the linker takes from Debian by itself, libgcc and libstdc++ among it, and Swift's own."""
    found = []
    compiler = subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip()
    for name, package in {"glibc": "libc6-dev", "gcc": f"libgcc-{compiler}-dev"}.items():
        version = subprocess.run(["dpkg-query", "-W", "-f", "${source:Version}", package],
                                 capture_output=True, text=True, check=True).stdout
        found.append(Component(name, version, "Debian's archive", debian(package, version), "Organization: Debian"))
    said = subprocess.run(["swift", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"Swift version (\S+)", said)[1]
    found.append(Component("swift-runtime", version, "Swift toolchain", f"pkg:generic/swift@{version}"))
    return found


def from_swift_packages() -> "list[Component]":
    """The versions that Package.swift pins; there are no others in the build."""
    pins = re.findall(r'\.package\(url: "https://([^"]+)", exact: "([^"]+)"\)', (TREE / "Package.swift").read_text())
    if not pins:
        raise SystemExit("Package.swift pins no package")
    return [Component(url.rsplit("/", 1)[1], version, "Swift package", f"pkg:swift/{url}@{version}")
            for url, version in pins]


def source_date() -> int:
    if os.environ.get("SOURCE_DATE_EPOCH"):
        return int(os.environ["SOURCE_DATE_EPOCH"])
    said = subprocess.run(["git", "-C", TREE, "log", "-1", "--format=%ct"], capture_output=True, text=True)
    if said.returncode == 0 and said.stdout.strip():
        return int(said.stdout)
    # An archive of a commit has the commit's date on its files.
    files = [TREE / "Package.swift", *(TREE / "Sources").rglob("*")]
    return int(max(file.stat().st_mtime for file in files))


def version() -> str:
    text = (TREE / "Sources/Reporting/Version.swift").read_text()
    return re.search(r'firstlightVersion = "([^"]+)"', text)[1]


# --- What is made of it ------------------------------------------------------------------------------


def header(found: "list[Component]") -> str:
    lines = [json.dumps(f"{it.name}\t{it.version}\t{it.origin}\n") for it in found]
    return (f"#define FIRSTLIGHT_BUILD_DATE {source_date()}\n"
            "#define FIRSTLIGHT_BUILD_LIBRARIES \\\n    " + " \\\n    ".join(lines) + "\n")


def spdx(found: "list[Component]", binary: Path) -> dict:
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    created = datetime.datetime.fromtimestamp(source_date(), datetime.timezone.utc)
    agent = {
        "SPDXID": "SPDXRef-firstlight", "name": "firstlight", "versionInfo": version(),
        "packageFileName": "firstlight", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest}], "primaryPackagePurpose": "APPLICATION",
    }
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"firstlight-{version()}",
        "documentNamespace": f"https://spdx.org/spdxdocs/firstlight-{version()}-{digest}",
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                         "creators": ["Tool: firstlight-bill_of_materials"]},
        "packages": [agent, *map(package, found)],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
             "relatedSpdxElement": "SPDXRef-firstlight"},
            *({"spdxElementId": "SPDXRef-firstlight", "relationshipType": "STATIC_LINK",
               "relatedSpdxElement": identifier(it)} for it in found),
        ],
    }


def identifier(it: Component) -> str:
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", it.name)


def package(it: Component) -> dict:
    described = {
        "SPDXID": identifier(it), "name": it.name, "versionInfo": it.version, "supplier": it.supplier,
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION", "primaryPackagePurpose": "LIBRARY",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": it.locator}],
    }
    if it.files:
        described["sourceInfo"] = "; ".join(f"{name} sha256:{digest}" for name, digest in it.files.items())
    if it.note:
        described["comment"] = it.note
    return described


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
