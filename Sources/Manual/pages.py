#!/usr/bin/python3
"""Makes the man pages firstlight(8), firstlight-image(1) and firstlight.cmdline(7).

    python3 Sources/Manual/pages.py PROGRAMS FOLDER

They hold what the programs in the folder PROGRAMS say of themselves: their help as data, and the table of kernel
arguments. So nothing here goes out of date but the few sentences about files.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

FILES = {
    "firstlight": [
        ("/run/firstlight/log", "The log of this boot; for root."),
        ("/run/firstlight/plan.json", "What was planned for the disks."),
        ("/run/firstlight/report.json", "What each stage kept, created, changed and destroyed."),
        ("/config.ign", "In the initramfs: the config that it brings."),
    ],
    "firstlight-image": [
        ("/lib/modules/VERSION", "Where kernels and their modules are looked for."),
        ("~/.cache/firstlight/packed", "Packed modules and agents, for the next initramfs of the same parts; below "
                                       "XDG_CACHE_HOME where that is set."),
        (".NAME.firstlight-undo", "Beside an ISO that is being changed in place: what stood in it. Where a command was "
                                  "interrupted, the next one that changes the ISO in place writes it back."),
    ],
}
SECTIONS = {"firstlight": 8, "firstlight-image": 1, "firstlight.cmdline": 7}


def main(programs: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    version = said(programs / "firstlight", "--version").split()[1]
    for name in ("firstlight", "firstlight-image"):
        command = json.loads(said(programs / name, "--experimental-dump-help"))["command"]
        write(folder, name, version, command["abstract"].rstrip("."), program_page(name, command))
    table = said(programs / "firstlight", "arguments")
    write(folder, "firstlight.cmdline", version, "kernel arguments that firstlight honours", argument_page(table))


def said(program: Path, *words: str) -> str:
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


def write(folder: Path, name: str, version: str, abstract: str, body: "list[str]") -> None:
    section = SECTIONS[name]
    others = [f"{bold(other)}({SECTIONS[other]})" for other in SECTIONS if other != name]
    lines = [f'.TH "{name.upper()}" "{section}" "" "firstlight {version}" "Firstlight"', ".SH NAME",
             f"{plain(name)} \\- {plain(abstract[:1].lower() + abstract[1:])}", *body,
             ".SH SEE ALSO", ", ".join(others)]
    (folder / f"{name}.{section}").write_text("\n".join(lines) + "\n")


def program_page(name: str, command: dict) -> "list[str]":
    lines = [".SH SYNOPSIS", f"{bold(name)} {italic('command')} [{italic('options')}]"]
    if "discussion" in command:
        lines += [".SH DESCRIPTION", plain(command["discussion"])]
    lines += [".SH OPTIONS", *arguments(command), ".SH COMMANDS"]
    for path, each in leaves(command):
        lines += [f'.SS "{path}"', bold(f"{name} {path}") + synopsis(each), ".PP", plain(each["abstract"])]
        if "discussion" in each:
            lines += [".PP", *paragraphs(each["discussion"])]
        lines += arguments(each, but=("version", "help"))
    lines.append(".SH FILES")
    for path, meaning in FILES[name]:
        lines += [".TP", bold(path), plain(meaning)]
    return lines


def leaves(command: dict, above: str = "") -> "list[tuple[str, dict]]":
    """The commands that hold no others, each with its words: `iso kargs show`."""
    found = []
    for each in command.get("subcommands", []):
        if not each.get("shouldDisplay", True) or each["commandName"] == "help":
            continue
        path = f"{above} {each['commandName']}".strip()
        inner = leaves(each, path)
        found += inner or [(path, each)]
    return found


def paragraphs(text: str) -> "list[str]":
    """Text line by line, since examples have lines of their own."""
    lines: "list[str]" = []
    for line in text.splitlines():
        lines += [".br", plain(line)] if line.startswith(" ") else [".PP"] if not line else [plain(line)]
    return lines


def displayed(command: dict) -> "list[dict]":
    return [each for each in command.get("arguments", []) if each.get("shouldDisplay", True)]


def synopsis(command: dict) -> str:
    """What has to be given, and that there are options."""
    given = [each for each in displayed(command) if not each["isOptional"]]
    words = [f" {names(each)}" + (" ..." if each["isRepeating"] else "") for each in given]
    others = [each for each in displayed(command)
              if each["isOptional"] and each["valueName"] not in ("version", "help")]
    return "".join(words) + (f" [{italic('options')}]" if others else "")


def arguments(command: dict, but: "tuple[str, ...]" = ()) -> "list[str]":
    """Each with its meaning; those of every command are told once."""
    lines: "list[str]" = []
    for each in displayed(command):
        if each["valueName"] in but and each["kind"] == "flag":
            continue
        lines += [".TP", names(each), plain(each.get("abstract", ""))]
        if default := each.get("defaultValue"):
            lines.append(f"(default: {plain(default)})")
        if "discussion" in each:
            lines.append(plain(each["discussion"]))
    return lines


def names(argument: dict) -> str:
    """`-o, --output output`, or the value alone of what has no name."""
    value = italic(argument["valueName"])
    if argument["kind"] == "positional":
        return value
    order = {"short": 0, "long": 1}
    found = sorted(argument["names"], key=lambda name: order.get(name["kind"], 2))
    text = ", ".join(bold(("-" if name["kind"] == "short" else "--") + name["name"]) for name in found)
    return text if argument["kind"] == "flag" else f"{text} {value}"


def argument_page(table: str) -> "list[str]":
    rows = re.findall(r"^\| `(.*?)` \| (.*) \|$", table, re.MULTILINE)
    lines = [".SH DESCRIPTION",
             plain("Words are split at blanks outside double quotes. Where a key is repeated, the last one counts "
                   "unless its text says otherwise. 0, no and off are false, a bare word is true."),
             ".SH ARGUMENTS"]
    for argument, meaning in rows:
        lines += [".TP", bold(argument), re.sub(r"`(.*?)`", lambda code: marked(code[1]), escaped(meaning))]
    return lines


def escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


def plain(text: str) -> str:
    """One line of text; one that begins like a request is none."""
    line = " ".join(escaped(text).split())
    return f"\\&{line}" if line[:1] in (".", "'") else line


def marked(text: str) -> str:
    return f"\\fB{text}\\fR"


def bold(text: str) -> str:
    return marked(escaped(text))


def italic(text: str) -> str:
    return f"\\fI{escaped(text)}\\fR"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
