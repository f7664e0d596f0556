"""What the agent says when it stops: the texts of its failures, read from the sources."""

import re
from pathlib import Path

from paths import TREE

# Modules that only the image tool links: what they say stands on the terminal of whoever typed the command.
OF_THE_TOOL = {"BootMedia", "Butane", "ImageMaking", "InitramfsImage", "MediaEditing", "firstlight-image"}
# What stops a boot inside of another error's text.
PARTS = {"FileConflict", "MountRefusal", "ProgramObstacle"}
# Words in capitals that stand for themselves.
THEMSELVES = {"URL", "GPT", "MBR", "RAM", "RAID", "LUKS", "DHCP", "DNS", "HTTP", "TLS", "TFTP", "PEM", "VLAN", "JSON", "MAC"}
DECLARATION = re.compile(r"^( *)(?:(?:public|package|private|fileprivate|final|indirect) +)*"
                         r"(?:struct|class|enum|extension) +([\w.]+)(?:: *([^{]*))?")
TEXT = re.compile(r"^( *)(?:(?:public|package) +)?var (?:description|message): String \{(.*)$")


def sources() -> "list[Path]":
    return [file for file in sorted((TREE / "Sources").glob("*/**/*.swift"))
            if file.relative_to(TREE).parts[1] not in OF_THE_TOOL]


def owners(lines: "list[str]") -> "list[tuple[str, str]]":
    """For each line the type that it stands in, as `Outer.Inner`, and what that is declared to conform to."""
    found, open_types = [], []
    for line in lines:
        if line.strip():
            depth = len(line) - len(line.lstrip())
            open_types = [entry for entry in open_types if entry[0] < depth]
        if match := DECLARATION.match(line):
            open_types.append((len(match[1]), match[2], match[3] or ""))
        found.append((".".join(entry[1] for entry in open_types), open_types[-1][2] if open_types else ""))
    return found


def failures() -> "dict[str, list[tuple[str, str]]]":
    """The texts of each type that is an error: a case each, with its place."""
    lines = {file: file.read_text().splitlines() for file in sources()}
    errors = {name for of_file in lines.values() for name, conforming in owners(of_file)
              if re.search(r"\b(Error|Advising)\b", conforming)} | PARTS
    found: "dict[str, list[tuple[str, str]]]" = {}
    for file, of_file in lines.items():
        for number, (line, (name, _)) in enumerate(zip(of_file, owners(of_file))):
            match = TEXT.match(line)
            if match and name in errors:
                place = f"{file.relative_to(TREE)}:{number + 1}"
                found.setdefault(name, []).extend((place, text) for text in cases(of_file, number, match))
    return found


def cases(lines: "list[str]", start: int, match: "re.Match[str]") -> "list[str]":
    """The body of a description from its first line on, in pieces that begin at each case of its outermost switch."""
    if match[2].strip().endswith("}"):
        return list(filter(None, [told(match[2])]))
    end = next(index for index in range(start + 1, len(lines)) if lines[index] == match[1] + "}")
    pieces: "list[list[str]]" = [[]]
    for line in lines[start + 1:end]:
        if re.match(rf"{match[1]}    (case |default:)", line):
            pieces.append([])
        pieces[-1].append(re.sub(r" // .*", "", line))
    return list(filter(None, map(told, map("\n".join, pieces))))


def told(code: str) -> str:
    """The strings in a piece of code, joined where + joins them; empty where no two words stand together."""
    joined = re.sub(r'"\s*\+\s*"', "", code).replace('\\"', "\0")
    said = " ".join(re.findall(r'"([^"]*)"', joined))
    return joined.replace("\0", '"') if re.search(r"[a-z]{2,} [a-z]{2,}", re.sub(r"\\\([^()]*\)", "", said)) else ""


def pattern(text: str) -> "re.Pattern[str]":
    """A text of the page, whose words in capitals stand for what differs."""
    literal = "|".join(sorted(THEMSELVES))
    pieces = [re.escape(piece) for piece in re.split(rf"\b(?!(?:{literal})\b)(?:[A-Z]{{2,}}|[NV])\b", text)]
    return re.compile(".{1,400}?".join(pieces), re.DOTALL)


# Types whose texts have no row of their own in docs/troubleshooting.md, and why.
WITHOUT_ROW = {
    "Digest.Fault": "a mistake in the config, with line and column",
    "JSONSyntaxError": "a mistake in the config, with line and column",
    "SpecVersion.Fault": "a mistake in the config, with line and column",
    "UnitText.Fault": "a mistake in the config, with line and column",
    "DataURL.Fault": "a mistake in one URL, behind what has that URL",
    "SourceURL.Fault": "a mistake in one URL, behind what has that URL",
    "FlagFault": "Ignition's words for a wrong call",
    "InvocationFault": "Ignition's words for a wrong call",
    "StandIns.Failure": "a wrong call of `firstlight plan`",
    "NewcError": "the reason behind `is not a root image`",
    "RootImageFault": "the reason behind `is not a root image`",
    "StreamHashMismatch": "the reason behind `is not the root image that belongs to this initramfs`",
    "StreamHash.Malformed": "the reason behind `which tells the right root image from others`",
    "NewcWriter.Failure": "the image tool's: the agent writes no archive",
}
# Texts of other types, and why.
UNTOLD = {
    "no longer wanted": "given up since another stage failed, and the report names that one",
    "was ended: nobody needs it any more": "given up since another stage failed, and the report names that one",
    "fetching the root image was cancelled": "given up since another stage failed, and the report names that one",
}
