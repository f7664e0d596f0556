"""One name, one type: what one module of Sources calls a type at its top level, no other module calls one of its own.

Names inside a type are read with the type's, so two types may each have a `Failure` or a `Kind`.
"""

import re
import sys
from pathlib import Path

TYPE = re.compile(r"^( *)(?:@\w+(?:\([^)]*\))? +)*((?:public|package|internal|private|fileprivate|final|indirect) +)*"
                  r"(?:struct|class|enum|actor|protocol|typealias) +([A-Z]\w*)", re.M)
# Names inside a type that may be one of another module's top level, and why.
ALLOWED = {
    "Content": "what a file, a tree or a memory holds is never read without the name of that",
    "Fetch": "the subcommand's name; inside a type it is the function that fetches",
    "Field": "a field of a text file's line",
    "Machine": "the word of the ELF format",
    "Member": "a member of an object, of an array",
    "Stage": "the subcommand's name; inside a report it is a stage's part",
}


def doubles(root: Path) -> "list[str]":
    """Each name that more than one module has, with its places."""
    found: "dict[str, dict[str, tuple[bool, str]]]" = {}
    for file in sorted((root / "Sources").glob("*/**/*.swift")):
        module = file.relative_to(root / "Sources").parts[0]
        text = file.read_text()
        for match in TYPE.finditer(text):
            place = f"{file.relative_to(root)}:{text.count(chr(10), 0, match.start(3)) + 1}"
            of_module = found.setdefault(match[3], {})
            is_top = not match[1]
            if module not in of_module or is_top:
                of_module[module] = (is_top, place)
    wrong = []
    for name, modules in sorted(found.items()):
        tops = sum(is_top for is_top, _ in modules.values())
        if len(modules) > 1 and (tops > 1 or tops == 1 and name not in ALLOWED):
            wrong.append(f"{name} is a type of {len(modules)} modules: " + ", ".join(at for _, at in modules.values()))
    return wrong


if __name__ == "__main__":
    objections = doubles(Path(__file__).resolve().parents[2])
    for objection in objections:
        print(f"lint: {objection}", file=sys.stderr)
    sys.exit(1 if objections else 0)
