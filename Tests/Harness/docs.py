"""The documentation against what it speaks of: links, files, options, kernel arguments, the texts of failures; and
the recipes of docs/getting-started.md, run as they stand there.

What only a boot can show (the configs of the documentation, its lines for dracut) is in Tests/Boot.
"""

import functools
import os
import re
from pathlib import Path

import processes
import stops
from paths import AGENT, TOOL, TREE, kernel_version
from tiers import ALL, only_in

NEEDS = {"agent", "tool"}
README_BYTES = 6 << 10
ROOTS = r"(?:Sources|Tests|Fixtures|docs|dracut|\.ci)/"
# What begins like an argument and is a field of a config.
FIELDS = ("ignition.config.merge", "ignition.config.replace", "ignition.proxy", "ignition.security",
          "ignition.timeouts", "ignition.version")
# At least so many characters of a text have to stand together in a string of the program.
SHORTEST = 7


def pages() -> "list[Path]":
    return [TREE / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] \
        + sorted((TREE / "docs").glob("**/*.md"))


def place(page: Path, text: str, position: int) -> str:
    return f"{page.relative_to(TREE)}:{text[:position].count(chr(10)) + 1}"


def prose(text: str) -> str:
    """The page without its blocks of code, every line still in its place."""
    return re.sub(r"^```.*?^```$", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> "list[tuple[str, str]]":
    """What a page has in backticks, and the lines of its blocks of code, each with its place."""
    text = page.read_text()
    found = [(place(page, text, span.start()), span[1].replace("\n", " "))
             for span in re.finditer(r"`([^`]+)`", prose(text))]
    for block in re.finditer(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        joined = re.sub(r"\\\n\s*", " ", block[1])
        found += [(place(page, text, block.start()), line) for line in joined.splitlines()]
    return found


def anchors(page: Path) -> "set[str]":
    """The names by which links reach a page's headings, as GitHub makes them; a second of one name is name-1."""
    found: "set[str]" = set()
    for heading in re.findall(r"^#+ +(.*)$", prose(page.read_text()), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number = sum(other == name or re.fullmatch(re.escape(name) + r"-\d+", other) is not None for other in found)
        found.add(f"{name}-{number}" if number else name)
    return found


def links_lead_somewhere() -> None:
    wrong, seen = [], 0
    for page in pages():
        text = prose(page.read_text())
        for link in re.finditer(r"\[[^\]]*\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", link[1]):
                continue
            seen += 1
            path, _, anchor = link[1].partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.is_relative_to(TREE) or not target.exists():
                wrong.append(f"{place(page, text, link.start())}: {link[1]}: no such file")
            elif anchor and anchor not in anchors(target):
                wrong.append(f"{place(page, text, link.start())}: {link[1]}: no such heading")
    assert seen > 20 and not wrong, "\n".join(wrong) or f"only {seen} links"


def files_that_are_named_are_there() -> None:
    wrong, seen = [], 0
    for page in pages():
        for where, code in code_of(page):
            for path in re.findall(rf"(?<![\w/.-])({ROOTS}[\w./*-]*)", code):
                seen += 1
                name = path.rstrip("./")
                if not (list(TREE.glob(name)) if "*" in name else (TREE / name).exists()):
                    wrong.append(f"{where}: {path}")
            # The short form, behind a file of the same folder: any file of this name.
            if re.fullmatch(r"\w[\w-]*\.(swift|c|py)", code):
                seen += 1
                if not any(list(TREE.glob(f"{top}/**/{code}")) for top in ("Sources", "Tests")):
                    wrong.append(f"{where}: {code}")
    assert seen > 50 and not wrong, "\n".join(wrong) or f"only {seen} files"


def types_and_functions_of_the_architecture_are_there() -> None:
    """`Type`, `Type.member`, `function()`: declared somewhere; and where a file follows in parentheses, in that file."""
    page = TREE / "docs/architecture.md"
    declared = r"\b(?:func|struct|class|enum|extension|protocol|typealias|case|var|let) +(?:[\w.]+\.)?%s\b"
    files = {file: file.read_text() for file in (TREE / "Sources").glob("**/*.swift")}
    everything = "\n".join(files.values())
    names = re.compile(r"(?:[A-Z]\w*(?:\.\w+)*|\w+)(?:\((?:\w+:)*\))?")
    wrong, seen = [], 0
    for where, code in code_of(page):
        # Functions by their parentheses, types by their capital; what has neither is a file, a field or a word.
        is_other = code.isupper() or code.endswith(".swift") or (TREE / "Sources" / code).is_dir()
        if names.fullmatch(code) and (code[0].isupper() or code.endswith(")")) and not is_other:
            seen += 1
            parts = re.sub(r"\(.*", "", code).split(".")
            wrong += [f"{where}: {code}" for part in parts if part != "init" and not re.search(declared % part, everything)]
    text = prose(page.read_text())
    for pair in re.finditer(r"`([A-Z]\w*|\w+\(\))`\s*\(`((?:\w+/)*\w+\.swift)`\)", text):
        seen += 1
        name = pair[1].removesuffix("()")
        if not any(re.search(declared % name, body) for file, body in files.items() if str(file).endswith("/" + pair[2])):
            wrong.append(f"{place(page, text, pair.start())}: {pair[1]} is not in {pair[2]}")
    assert seen > 40 and not wrong, "\n".join(wrong) or f"only {seen} names"


@functools.cache
def options(program: Path, command: str) -> "set[str]":
    """The options that the help of a program, or of one of its commands, tells."""
    text = processes.run([program, *command.split(), "--help"]).decode()
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


@functools.cache
def commands(program: Path, above: str = "") -> "list[str]":
    """What the help of a program shows as its commands, or of one of its groups: `iso`."""
    text = processes.run([program, *above.split(), "--help"]).decode()
    return re.findall(r"^  ([a-z-]+)(?: \(default\))?  ", text.partition("SUBCOMMANDS:")[2], re.MULTILINE)


def leaves(program: Path, above: str = "") -> "list[str]":
    """The commands that hold no others: `iso kargs show`."""
    found = []
    for name in commands(program, above):
        path = f"{above} {name}".strip()
        found += leaves(program, path) or [path]
    return found


def command_of(program: Path, words: "list[str]") -> str:
    """The longest command that the words begin with."""
    path = ""
    for word in words:
        known = commands(program, path)
        if not path and program == TOOL:
            known = known + GROUPS_FOR_MAKERS
        if word not in known:
            break
        path = f"{path} {word}".strip()
    # What a group does that is given no command.
    return f"{path} make" if "make" in commands(program, path) else path


def options_that_are_named_are_known() -> None:
    wrong, seen = [], 0
    everywhere = {option for program in (AGENT, TOOL) for command in ["", *leaves(program)]
                  for option in options(program, command)}
    everywhere |= {option for group in GROUPS_FOR_MAKERS for command in leaves(TOOL, group)
                   for option in options(TOOL, command)}
    for page in pages():
        for where, code in code_of(page):
            # An option by itself is told of one of the programs.
            if re.match(r"--[a-z]", code):
                seen += 1
                option = re.match(r"--[a-z][a-z-]*", code)[0]
                if option not in everywhere | OTHERS:
                    wrong.append(f"{where}: {option}: no program has it")
            # Behind dracut's --add it is a module.
            for call in re.finditer(r"(?<![\w/.-])(?<!--add )(?<!--add .)(?:out/)?(firstlight(?:-image)?)(?= )([^#|;&]*)",
                                    code):
                program = {"firstlight": AGENT, "firstlight-image": TOOL}[call[1]]
                words = call[2].split()
                command = command_of(program, words)
                if words and not command and re.fullmatch(r"[a-z][a-z-]*", words[0]) and words[0] not in HIDDEN:
                    wrong.append(f"{where}: {call[1]} has no command {words[0]}")
                for option in re.findall(r"(?<= )--[a-z][a-z-]*", call[2]):
                    seen += 1
                    if option not in options(program, command):
                        wrong.append(f"{where}: {call[1]} {command} has no {option}")
    assert seen > 20 and not wrong, "\n".join(wrong) or f"only {seen} options"


# Options of dracut and of ignition-apply that stand by themselves.
OTHERS = {"--add", "--no-hostonly", "--omit", "--ignore-unsupported"}
# Groups of the tool that its help does not show.
GROUPS_FOR_MAKERS = ["dev", "pack"]
# Commands that the help does not show, and words of a boot's console behind the program's name.
HIDDEN = {"boot", "boot-ended", "stage-ended", "stopped", "watch-medium"}


@functools.cache
def arguments() -> "set[str]":
    """Every key of the table, and those that a row's meaning names beside its own."""
    rows = re.findall(r"^\| `(.*?)` \| (.*) \|$", processes.run([AGENT, "arguments"]).decode(), re.MULTILINE)
    keys = {re.split(r"[=\[ ]", argument)[0] for argument, _ in rows}
    return keys | {word for _, meaning in rows for word in re.findall(r"`([a-z_]+\.[\w.-]+)`", meaning)}


def kernel_arguments_that_are_named_are_known() -> None:
    wrong, seen = [], 0
    families = tuple(key[:-1] for key in arguments() if key.endswith("*"))
    for page in pages():
        for where, code in code_of(page):
            for word in re.findall(r"(?<![\w./-])((?:firstlight|coreos|rd|ignition)\.[a-z](?:[\w.-]*\w)?)(?==|\b)", code):
                if word.startswith(FIELDS) or f"{word}.".startswith(families) or word in THEIRS:
                    continue
                seen += 1
                if word not in arguments():
                    wrong.append(f"{where}: {word}")
    assert seen > 50 and not wrong, "\n".join(wrong) or f"only {seen} arguments"


# dracut's own, and the name of a file.
THEIRS = {"rd.live.check", "firstlight.spdx.json"}


def the_readme_is_short() -> None:
    size = (TREE / "README.md").stat().st_size
    assert size <= README_BYTES, f"{size} bytes, {README_BYTES} at most: what is not for everybody belongs into docs"


def consoles_are_shown_as_the_program_writes_them() -> None:
    """The lines of a console in a block: the seconds, a topic of the program, a text from the 21st column on."""
    sources = "\n".join(file.read_text() for folder in ("Boot", "ProvisioningEngine")
                        for file in sorted((TREE / "Sources" / folder).glob("*.swift")))
    topics = set(re.findall(r'(?:topic: |say\()"(\w+)"', sources))
    wrong, seen = [], {}
    for page in pages():
        text = page.read_text()
        for block in re.finditer(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if not re.search(r"^ *\d+\.\d s  ", block[1], re.MULTILINE):
                continue
            for line in block[1].splitlines():
                # A line by itself, one of the report's page below it, and what continues either.
                new = re.fullmatch(r"(?= {0,5}\d).{6} s  (?P<topic>\w+) +(?<=^.{20})\S.*", line)
                stage = re.fullmatch(r" {10}(?P<topic>\w+) +\d+\.\d s  \S.*", line)
                told = new or stage
                if told:
                    seen.setdefault(page.name, []).append(line)
                if len(line) > 80 or not (told and told["topic"] in topics or re.match(r" {20}(?: {9})?\S", line)
                                          or line.startswith("firstlight ")):
                    wrong.append(f"{place(page, text, block.start())}: {line}")
    of_readme = "\n".join(seen.get("README.md", []))
    for part in (" root      handing over to ", " report    provisioned in "):
        if part not in of_readme:
            wrong.append(f"README.md: no line with{part}")
    assert len(topics) > 5 and not wrong, "\n".join(wrong)


def stops_are_told_as_the_program_tells_them() -> None:
    """Each text of docs/troubleshooting.md is one of the program's: its parts between words in capitals are."""
    strings = "\n".join(literals(file) for ending in ("swift", "c")
                        for file in sorted((TREE / "Sources").glob(f"**/*.{ending}")))
    strings += (TREE / "Sources/InitramfsTools/scripts/firstlight").read_text()
    page = TREE / "docs/troubleshooting.md"
    text, wrong, seen = page.read_text(), [], 0
    for row in re.finditer(r"^\| (`.*?) \|", text, re.MULTILINE):
        for told in re.findall(r"`([^`]+)`", row[1]):
            parts = [part.strip(" :") for part in re.split(r"\b(?:[A-Z]{2,}|[NV])\b", told)]
            long = [part for part in parts if len(part) >= SHORTEST]
            if told in ELSEWHERE or not re.search(r"[a-z] [a-z]", told):
                continue
            seen += 1
            where = place(page, text, row.start())
            wrong += [f"{where}: {part!r}, of {told!r}" for part in long if part not in strings]
    assert seen > 150 and not wrong, "\n".join(wrong) or f"only {seen} texts"


def stops_of_the_program_are_told() -> None:
    """Each text of a failure of the agent has a row in docs/troubleshooting.md, or stands in a list with the reason."""
    page = (TREE / "docs/troubleshooting.md").read_text()
    rows = [stops.pattern(told) for row in re.finditer(r"^\| (`.*?) \|", page, re.MULTILINE)
            for told in re.findall(r"`([^`]+)`", row[1]) if len(re.findall("[a-z]", told)) >= SHORTEST]
    failures = stops.failures()
    wrong, seen, left = [], 0, set(stops.UNTOLD)
    for name, texts in failures.items():
        for where, text in texts:
            seen += 1
            untold = {part for part in stops.UNTOLD if part in text}
            left -= untold
            if name not in stops.WITHOUT_ROW and not untold and not any(row.search(text) for row in rows):
                wrong.append(f"{where}: {name} has no row for {' '.join(text.split())}")
    wrong += [f"stops.py lists {name}, which is not a failure" for name in sorted(set(stops.WITHOUT_ROW) - set(failures))]
    wrong += [f"stops.py lists {text!r}, which nothing says" for text in sorted(left)]
    assert seen > 250 and not wrong, "\n".join(wrong) or f"only {seen} texts"


# The kernel's own words, and those of its system calls.
ELSEWHERE = {"the kernel's own Out of memory", "cannot ACT PATH: No space left on device"}


def literals(file: Path) -> str:
    """The program text with strings that are joined by + made one, and quotes as they are shown."""
    joined = re.sub(r'"\s*\+\s*"', "", file.read_text())
    return joined.replace('\\"', '"')


def every_option_of_the_image_commands_names_its_test() -> None:
    """docs/image-tool.md: each option of iso, pxe, dev and pack has a row, and each test that a row names is there."""
    sources = "\n".join(file.read_text() for file in sorted((TREE / "Tests").glob("*/*.swift")))
    here = "\n".join((TREE / f"Tests/Harness/media_{name}.py").read_text() for name in ("commands", "options"))
    told: "dict[str, set[str]]" = {}
    wrong, commands_of_row, seen = [], [], 0
    for row in re.finditer(r"^\| (.*?) ?\| (.*?) \| (`.*?) \|$", (TREE / "docs/image-tool.md").read_text(), re.MULTILINE):
        commands_of_row = re.findall(r"`([a-z -]+)`", row[1]) or commands_of_row
        for command in commands_of_row:
            told.setdefault(command, set()).update(re.findall(r"--[a-z-]+", row[2]))
        for test in re.findall(r"`([^`]+)`", row[3]):
            seen += 1
            if not (re.search(rf"\b(func|struct) {re.escape(test)}\b", sources)
                    or f"def {test.replace('-', '_')}(" in here):
                wrong.append(f"no test {test}")
    told["pxe customize"] = told["iso customize"]
    # What makes images of one's own is not a command of the other tool; its options are told where it is.
    own = (TREE / "docs/image-tool.md").read_text().split("## Making images")[1]
    told["iso make"] = told["pxe make"] = set(re.findall(r"--[a-z-]+", own))
    for group in ("iso", "pxe", "dev", "pack"):
        for command in leaves(TOOL, group):
            if command in REFUSED:
                continue
            missing = options(TOOL, command) - {"--help", "--version"} - told.get(command, set())
            wrong += [f"{command}: no row for {option}" for option in sorted(missing)]
    assert seen > 40 and not wrong, "\n".join(wrong) or f"only {seen} tests"


# Commands of coreos-installer that belong to installing to a disk.
REFUSED = {"pack osmet", "dev show fiemap", "dev extract osmet"}


def man_pages_hold_the_help_and_the_arguments() -> None:
    folder = processes.temporary_folder("man")
    try:
        processes.run(["python3", TREE / "Sources/Manual/pages.py", AGENT.parent, folder])
        for program, file in {AGENT: "firstlight.8", TOOL: "firstlight-image.1"}.items():
            text = page_text(folder / file)
            for command in leaves(program):
                assert f'\n.SS "{command}"\n' in text, f"{file} has no {command}"
            wanted = {option for command in ["", *leaves(program)] for option in options(program, command)}
            missing = [option for option in wanted if f"\\fB{option}\\fR" not in text]
            assert len(wanted) > 5 and not missing, f"{file} has none of {missing}"
        text = page_text(folder / "firstlight.cmdline.7")
        rows = re.findall(r"^\| `(.*?)` \|", processes.run([AGENT, "arguments"]).decode(), re.MULTILINE)
        missing = [row for row in rows if f"\n.TP\n\\fB{row}\\fR\n" not in text]
        assert len(rows) > 50 and not missing, missing
    finally:
        processes.remove_folder(folder)


def page_text(file: Path) -> str:
    """A man page with its hyphens as they are typed, whose requests are all known ones."""
    text = file.read_text().replace("\\-", "-")
    strange = [line for line in text.splitlines() if re.match(r"[.'](?!(TH|SH|SS|TP|PP|br)\b)", line)]
    assert not strange, strange
    return text


# --- Recipes ---------------------------------------------------------------------------------------


def recipe(mark: str) -> str:
    """The lines below `<!-- mark -->` in docs/getting-started.md."""
    text = (TREE / "docs/getting-started.md").read_text()
    return re.search(rf"^<!-- {mark} -->\n```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]


def follow(marks: str, folder: Path, before: str = "", timeout: float = 600, edit=lambda text: text, **options) -> None:
    """Runs recipes in that folder, which has what the tree and its programs are reached by.

    `edit` is given each as it stands, and returns what is run.
    """
    for name, target in {"out": AGENT.parent, "Fixtures": TREE / "Fixtures"}.items():
        if not (folder / name).exists():
            (folder / name).symlink_to(target)
    steps = "\n".join(edit(recipe(mark)) for mark in marks.split())
    # What a recipe mounts goes with it.
    processes.run(["unshare", "--mount", "bash", "-euc", f"cd '{folder}'\n{before}\n{steps}"], timeout=timeout,
                  **options)


def the_config_of_the_guide_is_one() -> None:
    folder = processes.temporary_folder("guide")
    try:
        (folder / ".ssh").mkdir()
        processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / ".ssh/id_ed25519"])
        # Nobody is there to type the password that openssl asks for.
        follow("config", folder, 'openssl() { command openssl "$@" secret; }', env={**os.environ, "HOME": str(folder)})
        text = (folder / "config.ign").read_text()
        assert '"passwordHash":"$6$' in text and '"ssh-ed25519 AAAA' in text, text
    finally:
        processes.remove_folder(folder)


def the_iso_of_the_guide_has_its_files() -> None:
    folder = processes.temporary_folder("guide")
    try:
        for name in ("initramfs.img", "rootfs.img"):
            (folder / name).write_text(name)
        follow("iso-by-hand", folder, f"kernel={kernel_version()}")
        listed = processes.run(
            ["xorriso", "-indev", folder / "live.iso", "-pvd_info", "-find", "/", "-type", "f"]).decode()
        for name in ("vmlinuz", "initrd.img", "rootfs.img"):
            assert f"'/images/pxeboot/{name}'" in listed, listed
        assert re.search(r"^Volume Id *: LIVE$", listed, re.MULTILINE), listed
    finally:
        processes.remove_folder(folder)


@only_in(ALL)
def the_root_of_the_guide_holds_nothing_of_its_builder() -> None:
    folder = processes.temporary_folder("guide")
    try:
        follow("root root-image", folder, timeout=1800)
        root = folder / "root"
        secrets = [str(file) for file in (root / "etc/ssh").glob("ssh_host_*")]
        assert not secrets, secrets
        for name in ("etc/resolv.conf", "etc/machine-id", "var/lib/dbus/machine-id"):
            assert not (root / name).exists() and not (root / name).is_symlink(), name
        assert (root / "etc/hostname").read_text() == "live\n"
        assert (root / "etc/systemd/system/ssh.service.requires/ssh-host-key.service").is_symlink()
        assert (root / "usr/sbin/sshd").exists() and (root / "usr/bin/sudo").exists()
        assert (folder / "rootfs.img").stat().st_size > 50_000_000
        # A second call makes the image of what is there now.
        (root / "etc/second").write_text("2")
        follow("root-image", folder, timeout=1800)
        listed = processes.run(["unsquashfs", "-l", "-offset", "124", folder / "rootfs.img", "etc/second", "usr_1"]).decode()
        assert "squashfs-root/etc/second" in listed and "usr_1" not in listed, listed
    finally:
        processes.remove_folder(folder)


TESTS = [(test.__name__.replace("_", "-"), test) for test in (
    links_lead_somewhere,
    files_that_are_named_are_there,
    types_and_functions_of_the_architecture_are_there,
    options_that_are_named_are_known,
    kernel_arguments_that_are_named_are_known,
    the_readme_is_short,
    consoles_are_shown_as_the_program_writes_them,
    stops_are_told_as_the_program_tells_them,
    stops_of_the_program_are_told,
    every_option_of_the_image_commands_names_its_test,
    man_pages_hold_the_help_and_the_arguments,
    the_config_of_the_guide_is_one,
    the_iso_of_the_guide_has_its_files,
    the_root_of_the_guide_holds_nothing_of_its_builder,
)]
