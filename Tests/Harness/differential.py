"""Verdicts side by side: our ignition-validate and Debian's, on the same configs.

The configs are the fixtures of the config engine, and sound configs of each version of the specification,
whole and broken in one way. A verdict is the exit status and whether there are errors, warnings or nothing.
Debian's is of release 2.14 and knows the versions up to 3.3.0; its verdicts are recorded (oracles.py). Where ours
differs on purpose, Fixtures/config/differences.txt says why.
"""

import copy
import fnmatch
import hashlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import oracles
from paths import AGENT, FIXTURES

NEWEST_COMPARED = 3
DIFFERENCES = FIXTURES / "config" / "differences.txt"
ORACLE = "verdicts"
WORDS = ["ignition-validate", "-"]


def same_verdicts_as_debians_ignition() -> None:
    configs = all_configs()
    assert len(configs) >= 300, f"only {len(configs)} configs"
    theirs = oracles.load(ORACLE, oracles.VALIDATOR, as_cases(configs))
    ours = verdicts(AGENT, configs)
    reasons = differences()
    wrong, used = [], set()
    for name, mine in ours.items():
        pattern = next((one for one in reasons if fnmatch.fnmatchcase(name, one)), None)
        if mine == theirs[name]:
            continue
        if pattern is None or reasons[pattern] != (mine, theirs[name]):
            wrong.append(f"{name}: {mine}, Debian's {theirs[name]}")
        else:
            used.add(pattern)
    wrong += [f"{one}: listed as different and is not" for one in reasons if one not in used]
    oracles.agree(wrong, len(configs))


def fresh() -> dict:
    """The records, made anew."""
    configs = all_configs()
    return oracles.document(oracles.VALIDATOR, as_cases(configs), verdicts(oracles.VALIDATOR, configs))


def as_cases(configs: "dict[str, bytes]") -> "dict[str, object]":
    return {name: {"words": WORDS, "input": hashlib.sha256(text).hexdigest()} for name, text in configs.items()}


def verdicts(program: Path, configs: "dict[str, bytes]") -> "dict[str, str]":
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(configs, pool.map(lambda text: verdict(program, text), configs.values())))


def verdict(program: Path, text: bytes) -> str:
    done = subprocess.run(WORDS, executable=program, input=text, capture_output=True, timeout=60)
    if done.returncode not in (0, 1):
        return f"exit {done.returncode}"
    lines = done.stdout.splitlines()
    if done.returncode == 1:
        return "error"
    assert not any(line.startswith(b"error") for line in lines), done.stdout
    return "warning" if lines else "clean"


def differences() -> "dict[str, tuple[str, str]]":
    """Patterns of names, and what ours and Debian's say of them."""
    found = {}
    for line in DIFFERENCES.read_text().splitlines():
        if line and not line.startswith(("#", " ")):
            pattern, mine, theirs = line.split()
            found[pattern] = (mine, theirs)
    return found


def all_configs() -> "dict[str, bytes]":
    return {**fixtures(), **generated()}


def fixtures() -> "dict[str, bytes]":
    """The committed configs of versions that both know, or of none."""
    configs = {}
    for file in sorted((FIXTURES / "config").glob("*/*.ign")):
        text = file.read_bytes()
        if not any(f'"3.{minor}.0'.encode() in text for minor in range(NEWEST_COMPARED + 1, 10)):
            configs[f"{file.parent.name}/{file.stem}"] = text
    return configs


# --- Configs made here ------------------------------------------------------------------------------

HASH = "sha512-" + "0a" * 64
UNIT = "[Unit]\nDescription=a\n\n[Install]\nWantedBy=multi-user.target\n"


def generated() -> "dict[str, bytes]":
    """A sound config of each version, and copies of it with one place changed."""
    configs = {}
    for minor in range(NEWEST_COMPARED + 1):
        whole = sound(minor)
        configs[f"3.{minor}/whole"] = encoded(whole)
        for path, value in leaves(whole):
            name = ".".join(str(step) for step in path)
            for kind, broken in ways(path, value):
                config = copy.deepcopy(whole)
                assign(config, path, broken)
                configs[f"3.{minor}/{name}={kind}"] = encoded(config)
        for path in lists(whole):
            config = copy.deepcopy(whole)
            entries = at(config, path)
            entries.append(copy.deepcopy(entries[0]))
            configs[f"3.{minor}/{'.'.join(str(step) for step in path)}=twice"] = encoded(config)
        for path in objects(whole):
            name = ".".join(str(step) for step in path) or "whole"
            config = copy.deepcopy(whole)
            at(config, path)["surplus"] = 1
            configs[f"3.{minor}/{name}=unknown-key"] = encoded(config)
    return configs


def encoded(config: dict) -> bytes:
    return json.dumps(config, indent=1).encode()


def sound(minor: int) -> dict:
    """As many fields as a version has."""
    file = {"path": "/etc/file", "mode": 420, "overwrite": True, "user": {"id": 0}, "group": {"name": "adm"},
            "contents": {"source": "data:,a%20b", "compression": "", "verification": {"hash": HASH}},
            "append": [{"source": "http://example.org/more"}]}
    config = {
        "ignition": {
            "version": f"3.{minor}.0",
            "config": {"merge": [{"source": "https://example.org/a.ign"}], "replace": {"source": "tftp://h/b.ign"}},
            "timeouts": {"httpResponseHeaders": 5, "httpTotal": 60},
            "security": {"tls": {"certificateAuthorities": [{"source": "https://example.org/ca.pem"}]}}},
        "storage": {
            "disks": [{"device": "/dev/vda", "wipeTable": True, "partitions": [
                {"number": 1, "label": "one", "startMiB": 1, "sizeMiB": 10, "shouldExist": True,
                 "typeGuid": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
                 "guid": "6a1c1b5e-52a8-4c5c-9b9b-1f0a6d2f7f10", "wipePartitionEntry": False}]}],
            "raid": [{"name": "md", "level": "raid1", "devices": ["/dev/vdb", "/dev/vdc"], "spares": 1, "options": ["--x"]}],
            "filesystems": [{"device": "/dev/vda1", "format": "xfs", "path": "/var", "label": "var", "uuid": "u",
                             "options": ["-q"], "wipeFilesystem": True}],
            "files": [file],
            "directories": [{"path": "/etc/folder", "mode": 493, "overwrite": False, "user": {"name": "root"}}],
            "links": [{"path": "/etc/link", "target": "/etc/file", "hard": False, "user": {"id": 1}}]},
        "systemd": {"units": [{"name": "a.service", "enabled": True, "mask": False, "contents": UNIT,
                               "dropins": [{"name": "b.conf", "contents": "[Service]\nNice=1\n"}]}]},
        "passwd": {
            "users": [{"name": "core", "uid": 1000, "gecos": "Core", "homeDir": "/home/core", "shell": "/bin/sh",
                       "passwordHash": "*", "primaryGroup": "core", "groups": ["adm"], "noCreateHome": False,
                       "noUserGroup": True, "noLogInit": True, "system": False,
                       "sshAuthorizedKeys": ["ssh-ed25519 A"]}],
            "groups": [{"name": "core", "gid": 1000, "passwordHash": "*", "system": False}]}}
    if minor >= 1:
        config["ignition"]["proxy"] = {
            "httpProxy": "http://p", "httpsProxy": "https://p", "noProxy": ["localhost"]}
        file["append"][0]["httpHeaders"] = [{"name": "A", "value": "b"}]
        config["storage"]["filesystems"][0]["mountOptions"] = ["noatime"]
    if minor >= 2:
        config["storage"]["disks"][0]["partitions"][0]["resize"] = True
        config["storage"]["luks"] = [
            {"name": "vault", "device": "/dev/vdc", "label": "vault", "uuid": "u", "options": ["--x"],
             "wipeVolume": True, "keyFile": {"source": "data:,key"},
             "clevis": {"tpm2": True, "threshold": 1, "tang": [{"url": "http://tang", "thumbprint": "t"}]}},
            {"name": "other", "device": "/dev/vdd",
             "clevis": {"custom": {"pin": "sss", "config": "{}", "needsNetwork": True}}}]
        for entry in config["passwd"]["users"] + config["passwd"]["groups"]:
            entry["shouldExist"] = True
    if minor >= 3:
        config["kernelArguments"] = {"shouldExist": ["quiet"], "shouldNotExist": ["debug"]}
    return config


def ways(path: tuple, value: object) -> "list[tuple[str, object]]":
    """What a value is changed to, with a name for the change."""
    field = path[-1]
    if isinstance(value, bool):
        return [("null", None), ("other", not value), ("string", "true"), ("number", 1)]
    if isinstance(value, int):
        return [("null", None), ("zero", 0), ("negative", -1), ("large", 1 << 40), ("string", "1"),
                ("fraction", 1.5), ("huge", 1 << 70), ("true", True)]
    changes = [("null", None), ("empty", ""), ("number", 1), ("list", ["a"]), ("object", {}),
               ("long", "a" * 300), ("blank", "a b"), ("colon", "a:b"), ("slash", "a/b"), ("unicode", "\u00e9\u0301")]
    if field in ("source", "httpProxy", "httpsProxy", "url"):
        changes += [("ftp", "ftp://h/a"), ("http", "http://h/a"), ("gs", "gs://bucket/a"), ("capitals", "HTTP://h/a"),
                    ("escape", "http://h/%4"), ("data-base64", "data:;base64,YQ=="),
                    ("data-unpadded", "data:;base64,YQ"), ("data-type", "data:a/b,c"), ("data-hash", "data:,#a"),
                    ("port", "http://h:99999999/"), ("ipv6", "http://[::1]:80/a"), ("query", "https://h/a?b=c#d"),
                    ("user", "https://a:b@h/"), ("s3", "s3://bucket/a?versionId=")]
    if field in ("path", "device", "target"):
        changes += [("relative", "a"), ("dots", "/a/../b"), ("slashes", "/a//b"), ("root", "/"), ("end", "/a/"),
                    ("link", "/etc/link/below"), ("unit", "/etc/systemd/system/a.service")]
    if field == "contents":
        changes += [("open", "[Unit"), ("name", "[Unit]\nA\n"), ("no-install", "[Unit]\nA=b\n"), ("text", "a")]
    if field == "hash":
        changes += [("sha256", "sha256-" + "0" * 64), ("md5", "md5-" + "0" * 32), ("short", HASH[:-1])]
    return changes


def leaves(value: object, path: tuple = ()) -> "list[tuple[tuple, object]]":
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, (*path, index))]
    return [(path, value)]


def lists(value: object, path: tuple = ()) -> "list[tuple]":
    found = [path] if isinstance(value, list) else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [one for key, inner in pairs for one in lists(inner, (*path, key))]


def objects(value: object, path: tuple = ()) -> "list[tuple]":
    found = [path] if isinstance(value, dict) else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [one for key, inner in pairs for one in objects(inner, (*path, key))]


def at(config: object, path: tuple) -> object:
    for step in path:
        config = config[step]
    return config


def assign(config: object, path: tuple, value: object) -> None:
    at(config, path[:-1])[path[-1]] = value


TESTS = [("same-verdicts-as-debians-ignition", same_verdicts_as_debians_ignition)]
