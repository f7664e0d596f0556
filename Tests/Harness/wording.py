"""What the programs, their comments, the tests and the pages say is plain English: `"x" is not a name`.

Read line by line: code itself has no such words.
"""

import re
import sys
from pathlib import Path

# Each with what to write in its place.
REFUSED = {
    re.compile(r"(?<!there )\b(is|are) no (?!longer\b)", re.I): "write `is not a`; `there is no` is fine",
    re.compile(r"\bbe (it|they) (a|an|the|that|those)\b", re.I): "write `even` or `whether ... or ...`",
}


# Where, and in which files.
READ = {"Sources": ("swift", "c", "h", "sh", "service", "py"), "dracut": ("sh", "service"), "docs": ("md",),
        "Tests": ("swift", "py", "c", "sh"), ".": ("md",)}
# What quotes the words that are refused.
PASSED_OVER = {"Tests/Harness/wording.py", "CONTRIBUTING.md", "CHANGELOG.md"}


def complaints(root: Path) -> "list[str]":
    """The lines that say it otherwise."""
    wrong = []
    files = [file for folder, endings in READ.items() for ending in endings
             for file in sorted((root / folder).glob(f"{'' if folder == '.' else '**/'}*.{ending}"))]
    for file in files:
        name = str(file.relative_to(root))
        for number, line in enumerate(file.read_text().splitlines() if name not in PASSED_OVER else [], 1):
            wrong += [f"{name}:{number}: {better}: {line.strip()}"
                      for refused, better in REFUSED.items() if refused.search(line)]
    return wrong


if __name__ == "__main__":
    objections = complaints(Path(__file__).resolve().parents[2])
    for objection in objections:
        print(f"lint: {objection}", file=sys.stderr)
    sys.exit(1 if objections else 0)
