"""What the programs say is plain English: no `"x" is no name` for `"x" is not a name`.

Read line by line, without comments: code itself has no such words.
"""

import re
import sys
from pathlib import Path

# Each with what to write in its place.
REFUSED = {
    re.compile(r"(?<!there )\b(is|are) no (?!longer\b)", re.I): "write `is not a`; `there is no` is fine",
    re.compile(r"\bbe (it|they) (a|an|the|that|those)\b", re.I): "write `even` or `whether ... or ...`",
}


def complaints(root: Path) -> "list[str]":
    """The lines of Sources and dracut that say it otherwise."""
    wrong = []
    files = [file for ending in ("swift", "c", "h", "sh", "service")
             for folder in ("Sources", "dracut") for file in sorted((root / folder).glob(f"**/*.{ending}"))]
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            said = re.sub(r"(^|\s)//.*", "", line)
            wrong += [f"{file.relative_to(root)}:{number}: {better}: {line.strip()}"
                      for refused, better in REFUSED.items() if refused.search(said)]
    return wrong


if __name__ == "__main__":
    objections = complaints(Path(__file__).resolve().parents[2])
    for objection in objections:
        print(f"lint: {objection}", file=sys.stderr)
    sys.exit(1 if objections else 0)
