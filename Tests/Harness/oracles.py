"""Recorded oracles: what Debian's Ignition leaves of a case, each a file in Fixtures/oracles.

    {"original": {"package": "...",       name and version of the Debian package
                  "program": "...",       where the program is
                  "sha256": "...",
                  "version": "..."},      the line that it says of itself
     "records": {CASE: [DIGEST, LEFT]}}   what it left of the case of that digest

The digest is of all that an outcome depends on: the config, what was there before, how the program was run. Tests of
`make test` run our agent alone and compare what it leaves with these records. `make test-oracles` runs Ignition
again on every case and fails where it leaves something else; with RECORD=1 it writes the records.
"""

import functools
import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from console import Unmet
from paths import FIXTURES, LOGS

FOLDER = FIXTURES / "oracles"
ENGINE = Path("/usr/lib/dracut/modules.d/30ignition/ignition")
VALIDATOR = Path("/usr/bin/ignition-validate")
PACKAGE = "ignition"
# Whom the comparisons are made for; ours names itself otherwise.
VERSION = re.compile(r"Ignition Debian (2\.14\.\S+)")
WIDTH = 118
AGAIN = "`make test-oracles RECORD=1` records it"


class Unsound(Unmet):
    """Records that nothing can be compared with."""


def original(program: Path) -> "dict[str, str]":
    """Who makes the records: what is known of a program of Debian's package."""
    package = installed()
    said = subprocess.run([program, "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    who = {"package": f"{PACKAGE} {package}", "program": str(program), "sha256": checksum(program),
           "version": said.stdout.strip()}
    if complaint := wrong_program(who, program):
        raise Unsound(f"{program} {complaint}")
    return who


@functools.cache
def installed() -> "str | None":
    """The version of Debian's package on this machine."""
    said = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", PACKAGE], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return said.stdout if said.returncode == 0 and said.stdout else None


@functools.cache
def checksum(program: Path) -> str:
    return hashlib.sha256(program.read_bytes()).hexdigest()


def wrong_program(who: object, program: Path) -> "str | None":
    """Why those who made records were not Ignition."""
    if not isinstance(who, dict) or not all(isinstance(who.get(key), str) for key in ("package", "program", "sha256", "version")):
        return "does not say who made it"
    version = VERSION.fullmatch(who["version"])
    if not version or who["program"] != str(program) or who["package"] != f"{PACKAGE} {version[1]}":
        return f"was made by {who['package']}, {who['program']}, which says {who['version']!r}: not by Debian's {program}"
    if not re.fullmatch("[0-9a-f]{64}", who["sha256"]):
        return "lacks the checksum of who made it"
    # Another version than that of the records is a matter of `make test-oracles`.
    if installed() == version[1] and who["sha256"] != checksum(program):
        return f"was made by something else than Debian's {program} {version[1]}: the checksums differ"
    return None


def digest(case: object) -> str:
    """Of a case as a JSON value: 12 digits of the SHA-256 of its text, with sorted keys."""
    return hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()[:12]


# --- Reading ------------------------------------------------------------------------------------------


def load(name: str, program: Path, cases: "dict[str, object]", folder: Path = FOLDER) -> "dict[str, object]":
    """What Ignition left of each of these cases, which are all that the file has to have.

    Throws ``Unsound`` where one has no record, an empty one or that of another case, and where Ignition did not
    make them.
    """
    file = folder / f"{name}.json"
    try:
        document = json.loads(file.read_text())
        who, records = document["original"], dict(document["records"])
    except (OSError, ValueError, KeyError, TypeError) as reason:
        raise Unsound(f"no records in {shown(file)}: {reason!r}; {AGAIN}") from None
    if complaint := wrong_program(who, program):
        raise Unsound(f"{shown(file)} {complaint}; {AGAIN}")
    wrong = [f"{case}: {complaint}" for case in {**records, **cases} if (complaint := unsound(case, records, cases))]
    if not cases:
        wrong.append("no cases")
    if wrong:
        raise Unsound("\n".join([f"expected: a record of each of {len(cases)} cases in {shown(file)}; {len(wrong)} wrong; "
                                 f"{AGAIN}", *wrong]))
    return {case: records[case][1] for case in cases}


def unsound(name: str, records: dict, cases: dict) -> "str | None":
    if name not in cases:
        return "there is a record and no case"
    if name not in records:
        return "there is no record"
    match records[name]:
        case [str(of), left] if of == digest(cases[name]):
            return None if left or left is False else "its record is empty"
        case [str(_), _]:
            return "its record is of another case of this name"
    return "its record is none"


# --- Recording -----------------------------------------------------------------------------------------


def leave(name: str, program: Path, cases: "dict[str, object]", left: "dict[str, object]") -> None:
    """In a guest: leaves the records of a fresh run for the harness outside."""
    Path(os.environ["RESULTS"], f"{name}.json").write_text(text(document(program, cases, left)))


def document(program: Path, cases: "dict[str, object]", left: "dict[str, object]") -> dict:
    assert left.keys() == cases.keys() and cases, "a case was not run"
    return {"original": original(program), "records": {case: [digest(cases[case]), left[case]] for case in cases}}


def text(document: dict) -> str:
    return written(document) + "\n"


def written(value: object, indent: str = "") -> str:
    """JSON with sorted keys, on one line where that is short."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(indent + line) <= WIDTH and indent or not isinstance(value, (dict, list)) or not value:
        return line
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {written(one, inner)}" for key, one in sorted(value.items())]
    else:
        parts = [inner + written(one, inner) for one in value]
    ends = "{}" if isinstance(value, dict) else "[]"
    return ends[0] + "\n" + ",\n".join(parts) + "\n" + indent + ends[1]


def judge(name: str, fresh: dict, record: bool, folder: Path = FOLDER, logs: Path = LOGS) -> None:
    """Compares records of a fresh run with those that are kept, or keeps the fresh ones."""
    kept = folder / f"{name}.json"
    if record:
        folder.mkdir(exist_ok=True)
        # Whole or not at all.
        half = folder / f".{name}.json.new"
        half.write_text(text(fresh))
        half.replace(kept)
        return
    log = logs / f"oracles.{name}.json"
    logs.mkdir(parents=True, exist_ok=True)
    log.write_text(text(fresh))
    try:
        old = json.loads(kept.read_text())
        records, who = old["records"], old["original"]
    except (OSError, ValueError, KeyError, TypeError) as reason:
        raise Unsound(f"no records in {shown(kept)}: {reason!r}; {AGAIN}") from None
    wrong = [f"{part}: {who.get(part)}, now {fresh['original'][part]}" for part in fresh["original"]
             if who.get(part) != fresh["original"][part]]
    wrong += [f"{case}: {json.dumps(records.get(case))}, now {json.dumps(fresh['records'].get(case))}"
              for case in sorted({**records, **fresh["records"]}) if records.get(case) != fresh["records"].get(case)]
    if wrong:
        raise Unmet("\n".join([f"expected: what {shown(kept)} has; {len(wrong)} differ in {shown(log)}", *wrong]))


# --- Telling -------------------------------------------------------------------------------------------


def agree(wrong: "list[str]", cases: int) -> None:
    """Throws what differs from what Ignition left of so many cases."""
    if wrong:
        raise Unmet("\n".join([f"expected: what Ignition left of {cases} cases; {len(wrong)} wrong", *wrong]))


def shown(file: Path) -> Path:
    return file.relative_to(FIXTURES.parent) if file.is_relative_to(FIXTURES.parent) else file


# --- That records are checked ----------------------------------------------------------------------------


def refuses_records_that_are_none() -> None:
    """Each way in which records may be worth nothing is found, and said."""
    cases = {"one": {"config": 1}, "two": {"config": 2}}
    sound = document(VALIDATOR, cases, {"one": "clean", "two": {"exit": 0}})
    ours = {**sound["original"], "version": "Ignition 2.26.0, Firstlight 1.0"}

    def records(**changed: object) -> dict:
        found = {**sound["records"], **changed}
        return {**sound, "records": {name: record for name, record in found.items() if record is not None}}

    broken = {
        "no records in": [None, "", "[]", "{}", json.dumps({"records": sound["records"]})],
        "does not say who made it": [{**sound, "original": {}}, {**sound, "original": "Debian"}],
        "which says 'Ignition 2.26.0, Firstlight 1.0': not by Debian's": [{**sound, "original": ours}],
        "made by ignition 2.13.0": [{**sound, "original": {**sound["original"], "package": "ignition 2.13.0"}}],
        "/bin/true, which says": [{**sound, "original": {**sound["original"], "program": "/bin/true"}}],
        "lacks the checksum": [{**sound, "original": {**sound["original"], "sha256": ""}}],
        "the checksums differ": [{**sound, "original": {**sound["original"], "sha256": "0" * 64}}],
        "two: there is no record": [records(two=None), {**sound, "records": {}}],
        "two: its record is empty": [records(two=[sound["records"]["two"][0], empty]) for empty in ("", {}, [], None)],
        "two: its record is of another case": [records(two=sound["records"]["one"])],
        "two: its record is none": [records(two="clean"), records(two=[])],
        "three: there is a record and no case": [records(three=sound["records"]["one"])],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "some.json"
        file.write_text(text(sound))
        assert load("some", VALIDATOR, cases, folder) == {"one": "clean", "two": {"exit": 0}}
        assert text(json.loads(file.read_text())) == file.read_text(), "what was read is written in another way"
        for wanted, documents in broken.items():
            for one in documents:
                file.unlink(missing_ok=True)
                if one is not None:
                    file.write_text(one if isinstance(one, str) else json.dumps(one))
                assert wanted in said_of(lambda: load("some", VALIDATOR, cases, folder)), (wanted, one)
        # A record that is kept takes the place of the old one, and leaves nothing beside it.
        file.write_text("{")
        judge("some", sound, True, folder, folder)
        assert file.read_text() == text(sound) and [path.name for path in folder.iterdir()] == ["some.json"]
        # A fresh run that leaves something else, and one of another program, differ.
        judge("some", sound, False, folder, folder)
        for other in (records(two=[sound["records"]["two"][0], {"exit": 1}]), {**sound, "original": ours}):
            assert "1 differ in" in said_of(lambda: judge("some", other, False, folder, folder)), other
        assert "no records in" in said_of(lambda: judge("none", sound, False, folder, folder))


def said_of(action: "callable") -> str:
    try:
        action()
    except Unmet as failed:
        return str(failed)
    return "nothing: it was taken for good"


TESTS = [("refuses-records-that-are-none", refuses_records_that_are_none)]
