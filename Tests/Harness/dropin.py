"""`ignition` side by side: our agent under that name and Debian's Ignition 2.14, on the same inputs.

What needs no root of its own runs here: command lines, and the two fetch stages with all they read (system
config folders, the platform `file`, references) and leave (cache, state, the file that asks for the network).
What Debian's leaves is recorded (oracles.py). The other stages are compared in a guest, by Tests/Guest/drop-in.py.
Where ours differs on purpose, Fixtures/ignition/differences.txt says why.
"""

import json
import os
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import oracles
from paths import AGENT, FIXTURES

DIFFERENCES = FIXTURES / "ignition" / "differences.txt"
ORACLE = "command-lines"
# With the folder of a run for "{0}".
OPTIONS = ["-log-to-stdout", "-root", "{0}", "-config-cache", "{0}/cache/ignition.json", "-neednet", "{0}/flags/neednet",
           "-state-file", "{0}/state/state"]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "IGNITION_SYSTEM_CONFIG_DIR": "{0}/system",
               "IGNITION_SYSTEM_LOCAL_CONFIG_DIR": "{0}/none", "IGNITION_SYSTEM_RUNTIME_CONFIG_DIR": "{0}/none",
               "container": "test"}
OFFLINE = "-platform file -stage fetch-offline"


@dataclass
class Case:
    """A run: its flags, and the files it finds below its folder."""

    line: str = OFFLINE
    config: "dict | str | None" = None
    files: dict = field(default_factory=dict)
    program: str = "ignition"


def config(*files: str, version: str = "3.3.0", ignition: "dict | None" = None, **more) -> dict:
    entries = [{"path": path} if isinstance(path, str) else path for path in files]
    whole = {"ignition": {"version": version, **(ignition or {})}, **more}
    if entries:
        whole["storage"] = {"files": entries}
    return whole


def remote(path: str, source: str) -> dict:
    return {"path": path, "contents": {"source": source}}


def data(value: "dict | str") -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "data:," + "".join(f"%{byte:02x}" for byte in text.encode())


def merging(*sources: str) -> dict:
    return {"config": {"merge": [{"source": source} for source in sources]}}


def cases() -> "dict[str, Case]":
    """By the names that the list of differences uses."""
    usage = {
        "none": "", "unknown-flag": "-bogus", "unknown-platform": "-platform nowhere", "unknown-stage":
        "-platform file -stage boot", "no-stage": "-platform file", "help": "-h", "help-long": "--help",
        "three-dashes": "---root", "equals": "-=x", "no-value": "-platform", "bad-switch": "-version=perhaps",
        "bad-time": "-fetch-timeout 5 -platform file", "ends-at-word": "x -bogus", "ends-at-dash": "- -bogus",
        "ends-at-dashes": "-- -bogus", "version-off": "-version=false", "empty-platform": "-platform=",
        "version-wins": "-platform file -version", "bad-before-version": "-stage boot -version",
    }
    found = {f"usage/{name}": Case(line) for name, line in usage.items()}
    found |= {f"stage/{stage}-without-cache": Case(f"-platform metal -stage {stage}")
              for stage in ("kargs", "disks", "mount", "files", "umount")}
    found |= {
        "stage/state-is-no-json": Case(files={"state/state": "{"}, config=config()),
        "stage/state-is-a-list": Case(files={"state/state": "[]"}, config=config()),
        "stage/state-is-a-folder": Case(files={"state/state/x": ""}, config=config()),
        "stage/state-goes-on": Case(config=config(), files={"state/state": json.dumps(
            {"fetchedConfigs": [{"kind": "user", "source": "qemu", "referenced": False}],
             "luksPersistKeyFiles": {"a": "data:,a"}, "notatedDirectories": ["/a"]})}),
    }
    configs = {
        "plain": config("/a"), "only-version": config(), "spec-3.0": config("/a", version="3.0.0"),
        "missing": None, "empty": "", "blank": " \n", "null": "null", "object": "{}", "list": "[]", "open": "{",
        "cloud-config": "#cloud-config\n", "spec-2": '{"ignition": {"version": "2.3.0"}}',
        "unknown-key": {**config("/a"), "surplus": 1}, "invalid": config({"path": "relative"}),
        "data": config(remote("/a", "data:,a")), "no-source": config(remote("/a", "")),
        "http-file": config(remote("/a", "http://127.0.0.1:1/a")),
        "tftp-file": config(remote("/a", "tftp://127.0.0.1:1/a")),
        "append": config({"path": "/a", "append": [{"source": "https://127.0.0.1:1/a"}]}),
        "luks-key": config(storage={"luks": [{"name": "a", "device": "/dev/a",
                                              "keyFile": {"source": "http://127.0.0.1:1/a"}}]}),
        "tang": config(storage={"luks": [{"name": "a", "device": "/dev/a", "clevis": {
            "tang": [{"url": "http://127.0.0.1:1/", "thumbprint": "x"}]}}]}),
        "custom-pin": config(storage={"luks": [{"name": "a", "device": "/dev/a", "clevis": {
            "custom": {"pin": "sss", "config": "{}", "needsNetwork": True}}}]}),
        "authority": config(ignition={"security": {"tls": {"certificateAuthorities": [
            {"source": "http://127.0.0.1:1/ca"}]}}}),
        "merge-data": config("/a", ignition=merging(data(config("/b")), data(config("/c")))),
        "merge-http": config("/a", ignition=merging(data(config("/b")), "http://127.0.0.1:1/")),
        "merge-nested": config("/a", ignition=merging(data(config("/b", ignition=merging(data(config("/c"))))))),
        "merge-invalid": config("/a", ignition=merging(data("{"))),
        "merge-empty": config("/a", ignition=merging("data:,")),
        "replace-data": config("/a", ignition={"config": {"replace": {"source": data(config("/r"))}}}),
        "replace-empty": config("/a", ignition={"config": {"replace": {"source": "data:,"}}}),
        "replace-http": config("/a", ignition={"config": {"replace": {"source": "http://127.0.0.1:1/"}}}),
        "wrong-hash": config(ignition={"config": {"merge": [
            {"source": data(config("/b")), "verification": {"hash": "sha256-" + "0" * 64}}]}}),
        "users": config(passwd={"users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 A"]}]}),
        "kernel-arguments": config(kernelArguments={"shouldExist": ["quiet"], "shouldNotExist": ["debug"]}),
        "timeouts": config(ignition={"timeouts": {"httpTotal": 3}}),
    }
    found |= {f"config/{name}": Case(config=one) for name, one in configs.items()}
    base = json.dumps(config("/base", remote("/both", "data:,base")))
    user = config("/user", remote("/both", "data:,user"))
    folders = {
        "fragment": {"system/base.d/10": base},
        "two": {"system/base.d/20": json.dumps(config("/20")), "system/base.d/10.ign": base},
        "platform": {"system/base.platform.d/file/10": base},
        "other-platform": {"system/base.platform.d/qemu/10": "{"},
        "remote": {"system/base.d/10": json.dumps(config(remote("/a", "http://127.0.0.1:1/")))},
        "merging": {"system/base.d/10": json.dumps(config(ignition=merging("http://127.0.0.1:1/")))},
        "empty": {"system/base.d/10": ""}, "invalid": {"system/base.d/10": "{"},
        "folder": {"system/base.d/10/x": ""}, "platform-empty": {"system/base.platform.d/file/10": ""},
        "platform-invalid": {"system/base.platform.d/file/10": "{", "system/base.d/10": base},
        "no-folder": {"system/base.d": ""},
        "user": {"system/user.ign": json.dumps(config("/system"))},
        "user-empty": {"system/user.ign": ""}, "user-invalid": {"system/user.ign": "{"},
    }
    found |= {f"system/{name}": Case(config=user, files=files) for name, files in folders.items()}
    found["system/user-on-metal"] = Case("-platform metal -stage fetch-offline", files=folders["user"])
    found["system/metal"] = Case("-platform metal -stage fetch-offline", files=folders["fragment"])
    found |= {f"fetch/{name}": Case("-platform file -stage fetch", config=configs[name])
              for name in ("plain", "empty", "merge-data", "http-file", "invalid", "missing", "wrong-hash")}
    return found | apply_cases(configs) | {
        f"rmcfg/{name}": Case(line, program="ignition-rmcfg") for name, line in {
            "none": "", "unknown-flag": "--bogus --platform file", "word": "--platform file x", "file":
            "--platform file --log-to-stdout", "metal": "--log-to-stdout --platform=metal", "no-value": "--platform",
            "single-dash": "-platform file", "unknown-platform": "--platform nowhere"}.items()}


def apply_cases(configs: dict) -> "dict[str, Case]":
    lines = {"none": "", "unknown-flag": "--bogus", "single-dash": "-root root", "two-files": "a b",
             "help": "--help", "bad-switch": "--offline=perhaps config.ign", "no-root": "--root nowhere config.ign"}
    found = {f"apply/{name}": Case(line, config(), program="ignition-apply") for name, line in lines.items()}
    whole = config(
        {"path": "/etc/a", "mode": 0o640, "contents": {"source": "data:,a"}},
        {"path": "/b", "append": [{"source": "data:,more"}]},
        systemd={"units": [{"name": "a.service", "contents": "[Service]\nExecStart=/bin/true\n",
                            "dropins": [{"name": "b.conf", "contents": "[Service]\nNice=1\n"}]},
                           {"name": "c.service", "mask": True}]})
    whole["storage"] |= {"directories": [{"path": "/d", "mode": 0o700}],
                         "links": [{"path": "/l", "target": "/etc/a"},
                                   {"path": "/h", "target": "/etc/a", "hard": True}]}
    texts = {"whole": whole, "merging": configs["merge-data"], "users": configs["users"],
             "kernel-arguments": configs["kernel-arguments"], "tang": configs["tang"], "invalid": configs["invalid"],
             "no-json": "{", "empty": "", "missing": None, "unknown-key": configs["unknown-key"]}
    for name, text in texts.items():
        found[f"apply/{name}"] = Case("--root root config.ign", text, program="ignition-apply")
        found[f"apply/{name}-ignored"] = Case(
            "config.ign --ignore-unsupported --offline --root=root", text, program="ignition-apply")
    for name in ("http-file", "merge-http"):
        found[f"apply/{name}-offline"] = Case(
            "--offline --root root config.ign", configs[name], program="ignition-apply")
    return found


def left(program: Path, case: Case) -> dict:
    """What a run ends with: exit status, words on its streams, and what is in its folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "system").mkdir()
        for path, text in case.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        if case.config is not None:
            text = case.config if isinstance(case.config, str) else json.dumps(case.config)
            (folder / "config.ign").write_text(text)
        (folder / "root").mkdir()
        before = {path for path in folder.rglob("*")}
        words = [case.program]
        if "-stage" in case.line and "boot" not in case.line:
            words += [option.format(name) for option in OPTIONS]
        environment = {variable: value.format(name) for variable, value in ENVIRONMENT.items()}
        (folder / "cache").mkdir()
        done = subprocess.run(words + case.line.split(), executable=program, cwd=folder, env=environment,
                              capture_output=True, text=True, timeout=60)
        result = {"exit": done.returncode}
        lines = done.stdout.splitlines()
        result["critical"] = any(line.startswith("CRITICAL : Ignition failed: ") for line in lines)
        result["success"] = "INFO     : Ignition finished successfully" in lines
        result["stage line"] = next((line for line in lines if line.startswith("INFO     : Stage: ")), None)
        result["passed"] = any(line.endswith(" passed") and line.startswith("INFO     : ") for line in lines)
        if cache := read(folder / "cache/ignition.json"):
            result["cache"] = tidy(json.loads(cache))
            result["cache"]["ignition"].pop("version")
        result["neednet"] = read(folder / "flags/neednet")
        if state := read(folder / "state/state"):
            result["state"] = state if case.files.get("state/state") == state else tidy(json.loads(state))
        known = ("cache", "flags", "state")
        result["root"] = {str(path.relative_to(folder)): described(path) for path in (folder / "root").rglob("*")}
        result["others"] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*")
                                  if path not in before and path.relative_to(folder).parts[0] not in known)
        return result


def described(path: Path) -> str:
    status = path.lstat()
    content = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else ""
    return f"{status.st_mode:o} {status.st_nlink if path.is_file() else 0} {content}"


def read(path: Path) -> "str | None":
    return path.read_text() if path.is_file() else None


def tidy(value: object) -> object:
    """Without members that say nothing: null, and objects and lists with nothing in them."""
    if isinstance(value, dict):
        inner = {key: tidy(one) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one not in (None, {}, [])}
    return [tidy(one) for one in value] if isinstance(value, list) else value


def leaves_what_debians_ignition_leaves() -> None:
    theirs, ours = oracles.load(ORACLE, oracles.ENGINE, as_cases()), all_left(AGENT)
    reasons = differences()
    wrong, used = [], set()
    for name, mine in ours.items():
        for key in sorted(mine.keys() | theirs[name].keys()):
            if mine.get(key) == theirs[name].get(key):
                continue
            if (name, key) in reasons:
                used.add((name, key))
            else:
                wrong.append(f"{name}: {key} is {mine.get(key)}, Debian's {theirs[name].get(key)}")
    wrong += [f"{name} {key}: listed as different and is not" for name, key in reasons - used]
    oracles.agree(wrong, len(ours))


def fresh() -> dict:
    """The records, made anew."""
    return oracles.document(oracles.ENGINE, as_cases(), all_left(oracles.ENGINE))


def as_cases() -> "dict[str, object]":
    return {name: {**asdict(case), "options": OPTIONS, "environment": ENVIRONMENT} for name, case in cases().items()}


def all_left(program: Path) -> "dict[str, dict]":
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(cases(), pool.map(lambda case: left(program, case), cases().values())))


def differences() -> "set[tuple[str, str]]":
    """Names of cases, and what of them differs."""
    lines = DIFFERENCES.read_text().splitlines()
    pairs = [tuple(line.split(maxsplit=1)) for line in lines if "/" in line.split(" ")[0] and line[0] not in "# "]
    return {pair for pair in pairs if len(pair) == 2}


def versions_are_named() -> None:
    """One line for each of the names, with both versions."""
    for name, flag in {"ignition": "-version", "ignition-apply": "--version", "ignition-rmcfg": "--version"}.items():
        done = subprocess.run([name, flag], executable=AGENT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stdout.startswith("Ignition 2.26.0, Firstlight "), (name, done)
        assert done.stdout.count("\n") == 1


def ends_where_sigchld_is_ignored() -> None:
    """As below a shell with `trap '' CHLD`; whoever waits for a child must not wait for ever."""
    done = subprocess.run(["ignition", "-version"], executable=AGENT, capture_output=True, text=True, timeout=60,
                          preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert done.stdout.startswith("Ignition "), done


TESTS = [("what Debian's leaves", leaves_what_debians_ignition_leaves), ("versions", versions_are_named),
         ("ends where SIGCHLD is ignored", ends_where_sigchld_is_ignored)]
