"""Package.swift, the imports of the sources and CONTRIBUTING's map say the same: who imports whom, one way.

Read as text: asking the package manager takes seconds.
"""

import re
import sys
from pathlib import Path

# A target imports targets of its own layer or of one below, never of one above.
LAYERS = ["C libraries", "Descriptions", "Decisions", "Effects", "Engine", "Ways in", "Programs"]
# What comes with the toolchain and needs no declaration.
TOOLCHAIN = {"Glibc", "Foundation", "Testing", "Synchronization", "PackageDescription"}
# Modules that packages bring, by the names that Package.swift gives their products.
PRODUCTS = {"system": "SystemPackage", "logging": "Logging", "arguments": "ArgumentParser"}
IMPORT = re.compile(r"^\s*(?:@\w+ +)*(?:(?:public|package|internal|private|fileprivate) +)?import +"
                    r"(?:(?:struct|class|enum|func|protocol|typealias|var|let) +)?(\w+)", re.M)


class Target:
    """One target: its name, folder, layer, and the modules that it may import."""

    def __init__(self, kind: str, name: str, text: str, layer: str) -> None:
        self.name, self.layer = name, layer
        path = re.search(r'path: "([^"]+)"', text)
        self.folder = path[1] if path else f"{'Tests' if kind == 'testTarget' else 'Sources'}/{name}"
        listed = re.search(r"dependencies: \[(.*?)\]", text, re.S)
        words = re.findall(r'"(\w[\w-]*)"|\b(\w+)\b', listed[1]) if listed else []
        # A program is imported by its module's name, which has no hyphen.
        self.declared = {quoted.replace("-", "_") or PRODUCTS.get(bare, bare) for quoted, bare in words}

    def imported(self, root: Path) -> "dict[str, list[str]]":
        """Each imported module, with the files that import it."""
        found: "dict[str, list[str]]" = {}
        for file in sorted((root / self.folder).rglob("*.swift")):
            for module in IMPORT.findall(file.read_text()):
                found.setdefault(module, []).append(str(file.relative_to(root)))
        return found


def targets(manifest: str) -> "list[Target]":
    """The targets of a Package.swift, in its order; the comments between them name the layers."""
    found, layer = [], LAYERS[0]
    start = manifest.index("targets: [")
    for part in re.finditer(r"// (.+)|\.(target|testTarget|executableTarget)\(|\blibrary\(", manifest[start:]):
        if part[1]:
            named = next((name for name in LAYERS if part[1].startswith(name)), None)
            layer = named or ("Tests" if "tests" in part[1].lower() else layer)
            continue
        text = call(manifest[start + part.end():])
        if name := re.search(r'"([\w-]+)"', text):
            found.append(Target(part[2] or "library", name[1], text, layer))
    return found


def call(text: str) -> str:
    """A call's arguments, up to its closing parenthesis."""
    depth = 1
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return text[:index]
    return text


def complaints(root: Path) -> "list[str]":
    """What does not agree, a line each."""
    all_targets = targets((root / "Package.swift").read_text())
    by_name = {target.name.replace("-", "_"): target for target in all_targets}
    layer_of = {name: target.layer for name, target in by_name.items()}
    found = []
    for target in all_targets:
        imported = target.imported(root)
        # A test may use what the tested target stands on, without saying so again.
        allowed = target.declared if target.layer in LAYERS else below(target, by_name)
        for module, files in imported.items():
            if module not in allowed | TOOLCHAIN | {target.name}:
                found.append(f"{files[0]} imports {module}, which {target.name} does not declare in Package.swift")
        for module in sorted(target.declared - set(imported)):
            # Of a C target no import can be seen.
            if any((root / target.folder).rglob("*.swift")):
                found.append(f"{target.name} declares {module} in Package.swift and imports it nowhere")
        if target.layer in LAYERS:
            for module in sorted(target.declared & set(layer_of)):
                if layer_of[module] not in LAYERS:
                    found.append(f"{target.name} imports {module}, which is there for tests")
                elif LAYERS.index(layer_of[module]) > LAYERS.index(target.layer):
                    found.append(f"{target.name} ({target.layer}) imports {module} ({layer_of[module]}): that is up")
    return found + unmapped(root, all_targets)


def below(target: Target, by_name: "dict[str, Target]") -> "set[str]":
    """All modules that a target imports, at whatever distance."""
    found: "set[str]" = set()
    left = set(target.declared)
    while left:
        module = left.pop()
        found.add(module)
        if module in by_name:
            left |= by_name[module].declared - found
    return found


def unmapped(root: Path, all_targets: "list[Target]") -> "list[str]":
    """Targets that CONTRIBUTING's map does not name, and names in it that are not targets."""
    text = (root / "CONTRIBUTING.md").read_text()
    table = text[text.index("| Target |"):text.index("\n\n", text.index("| Target |"))]
    named = set()
    wrong = []
    declared = {target.name: target.declared for target in all_targets}
    for row in table.splitlines()[2:]:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        name = cells[0].strip("`")
        for module in re.findall(r"`(\w+)`", cells[2]) if name in declared else []:
            if module not in declared[name]:
                wrong.append(f"CONTRIBUTING.md: by the map {name} imports {module}; by Package.swift it does not")
        named |= set(re.findall(r"`(\w[\w-]*)`", cells[0] if "**C**" not in cells[0] else " ".join(cells)))
    ours = {target.name for target in all_targets if target.layer in LAYERS}
    return (wrong + [f"CONTRIBUTING.md: the map lacks {name}" for name in sorted(ours - named)]
            + [f"CONTRIBUTING.md: the map names {name}, which is not a target" for name in
               sorted(name for name in named - ours if name[0].isupper() and "**C**" not in name)])


if __name__ == "__main__":
    objections = complaints(Path(__file__).resolve().parents[2])
    for objection in objections:
        print(f"lint: {objection}", file=sys.stderr)
    sys.exit(1 if objections else 0)
