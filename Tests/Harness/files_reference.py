"""The files stage beside Debian's Ignition 2.14: the same config on the same root leaves the same tree.

The cases are those of Fixtures/files, of the accounts, and some more. What Debian's leaves of each is recorded
(oracles.py): here in a root of its own, and of those with units, of which it asks systemd, in a guest
(Tests/Oracles/units.py). The agent runs here: under the name `ignition` with firstlight.strict, which has to leave
the same, and under its own name, which is safe to run again. What is meant to differ is in
Fixtures/files/differences.txt, with its reason: a difference that is not listed fails, and so does a listed one that
is none.

    outcome, tree, marks    under the name `ignition`: whether it refuses; what it leaves; whether all is relabelled
                            that Debian's has relabelled
    own-outcome, own-tree   under the agent's own name
    refused-and-changed, own-refused-and-changed    what our refusal has changed

Where both refuse there is nothing to compare: Debian's has written half of it by then. Ours has written nothing.
"""
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import account_cases
import file_trees
import oracles
import private_root
from console import Unmet
from paths import AGENT, FIXTURES, LOGS

DIFFERENCES = FIXTURES / "files" / "differences.txt"
ORACLE, ORACLE_OF_UNITS = "files", "units"
FRESH = LOGS / "oracles.files.fresh.json"
MARKS = Path("/run/marks")
RESULT = "/etc/.ignition-result.json"
PRESETS = "/etc/systemd/system-preset/20-ignition.preset"
ARGUMENTS = ["--stage=files", "--platform=file", f"--root={file_trees.ROOT}", "--config-cache=cache", "--state-file=state",
             "--log-to-stdout"]
# What the fetch stage leaves of a config that was somebody's.
STATE = '{"fetchedConfigs": [{"kind": "user", "source": "file", "referenced": false}]}'
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "IGNITION_WRITE_AUTHORIZED_KEYS_FRAGMENT": "true",
               "IGNITION_SYSTEM_CONFIG_DIR": "/none", "IGNITION_SYSTEM_LOCAL_CONFIG_DIR": "/none",
               "IGNITION_SYSTEM_RUNTIME_CONFIG_DIR": "/none"}
# What each program takes; nothing in the cases is of a later version.
THEIR_VERSION, OUR_VERSION = "3.4.0-experimental", "3.6.0"
# The fixtures' users, and a policy: Debian's build takes a target without one for a fault.
BASE = {
    "/etc": "dir 755 0:0", "/etc/selinux": "dir 755 0:0", "/etc/selinux/config": "file 644 0:0 SELINUXTYPE=test\n",
    "/etc/selinux/test": "dir 755 0:0", "/etc/selinux/test/contexts": "dir 755 0:0",
    "/etc/selinux/test/contexts/files": "dir 755 0:0",
    "/etc/selinux/test/contexts/files/file_contexts": "file 644 0:0 /.* system_u:object_r:root_t:s0\n",
    "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000:Core:/home/core:/bin/bash\n",
    "/etc/group": "file 644 0:0 root:x:0:\ncore:x:1000:\nwheel:x:10:core\n",
}


@functools.cache
def cases() -> "dict[str, tuple[dict, dict[str, str | None]]]":
    """Name: the config without its version, and the root before."""
    found = {}
    for file in sorted((FIXTURES / "files").glob("*.json")):
        case = json.loads(file.read_text())
        found[f"files/{file.stem}"] = (case["config"], {**BASE, **case.get("before", {})})
    policy = {path: entry for path, entry in BASE.items() if path.startswith("/etc/selinux")}
    for name, (passwd, changed) in account_cases.CASES.items():
        found[f"accounts/{name}"] = ({"passwd": passwd}, {**account_cases.target(changed), **policy})
    keys = {"users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 A a", "ssh-ed25519 B b"]}]}
    for name, before in {
        "new": {}, "replaced": {"/home/core/.ssh": "dir 755 1000:1000", "/home/core/.ssh/authorized_keys": "file 644 0:0 x\n",
                                "/home/core/.ssh/authorized_keys.d": "dir 700 1000:1000",
                                "/home/core/.ssh/authorized_keys.d/ignition": "file 644 1000:1000 old\n"},
        "home-of-root": {"/home/core": "dir 755 0:0"}, "no-home": {"/home/core": None},
        "folder-of-root": {"/home/core/.ssh": "dir 755 0:0"},
        "home-through-a-link": {"/home": "link 0:0 srv", "/srv/core": "dir 700 1000:1000"},
    }.items():
        found[f"keys/{name}"] = ({"passwd": keys}, {**account_cases.target(before), **policy})
    install = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
    units = {"a.service": install, "t@.service": install}
    folder = {"/etc/systemd": "dir 755 0:0", "/etc/systemd/system": "dir 755 0:0",
              "/etc/systemd/system/multi-user.target.wants": "dir 755 0:0"}
    there = {**folder, **{f"/etc/systemd/system/{name}": f"file 644 0:0 {text}" for name, text in units.items()}}
    wanted = {f"/etc/systemd/system/multi-user.target.wants/{name}": f"link 0:0 /etc/systemd/system/{unit}"
              for name, unit in {"a.service": "a.service", "t@x.service": "t@.service"}.items()}
    for name, (one, before) in {
        "enable": ([{"name": "a.service", "enabled": True}], there),
        "enable-instances": ([{"name": "t@x.service", "enabled": True}, {"name": "t@y.service", "enabled": True}], there),
        "enable-template": ([{"name": "t@.service", "enabled": True}], there),
        "disable-enabled": ([{"name": "a.service", "enabled": False}], {**there, **wanted}),
        "disable-not-enabled": ([{"name": "a.service", "enabled": False}], there),
        "disable-absent": ([{"name": "no.service", "enabled": False}], there),
        "disable-instance": ([{"name": "t@x.service", "enabled": False}], {**there, **wanted}),
        "disable-and-mask": ([{"name": "a.service", "enabled": False, "mask": True}], {**there, **wanted}),
        "mask-with-contents": ([{"name": "b.service", "contents": install, "mask": True}], there),
        "mask-not": ([{"name": "b.service", "mask": False}],
                     {**there, "/etc/systemd/system/b.service": "link 0:0 /dev/null"}),
        "mask-not-a-link-elsewhere": ([{"name": "b.service", "mask": False}],
                                      {**there, "/etc/systemd/system/b.service": "link 0:0 a.service"}),
        "dropin-empty": ([{"name": "a.service", "dropins": [{"name": "x.conf", "contents": ""}]}], there),
        "dropin-replaced": ([{"name": "a.service", "dropins": [{"name": "x.conf", "contents": "[Unit]\n"}]}],
                            {**there, "/etc/systemd/system/a.service.d": "dir 700 0:0",
                             "/etc/systemd/system/a.service.d/x.conf": "file 600 5:5 old"}),
        "contents-replaced": ([{"name": "a.service", "contents": "[Unit]\n"}], there),
        "presets-there": ([{"name": "a.service", "enabled": True}], {
            **there, "/etc/systemd/system-preset": "dir 755 0:0",
            "/etc/systemd/system-preset/20-ignition.preset": "file 600 0:0 disable a.service\n"}),
    }.items():
        found[f"units/{name}"] = ({"systemd": {"units": one}}, {**BASE, **before})
    return found


# --- A run -----------------------------------------------------------------------------------------------


def left(words: "list[str]", program: Path, entries: "dict[str, str | None]") -> dict:
    """What a run leaves: what it changed; why it refused, or what was to be relabelled."""
    file_trees.make(entries)
    before, whole = file_trees.listing(), file_trees.listing(whole=True)
    (MARKS / "list").unlink(missing_ok=True)
    environment = ENVIRONMENT
    if program == AGENT:
        Path("strict").write_text("firstlight.strict\n")
        environment = {**ENVIRONMENT, "IGNITION_KERNEL_CMDLINE_PATH": "strict"}
    done = subprocess.run(words, executable=program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120)
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if re.search("CRITICAL|stopped|failed", line)]
        after = file_trees.listing(whole=True)
        after.pop("/etc/.pwd.lock", None)
        # A lock came and went in there.
        return {"refused": (said[-1] if said else done.stdout[-300:]).removeprefix("CRITICAL : Ignition failed: "),
                "changed": changes({**whole, "/etc": ""}, {**after, "/etc": ""})}
    marks = (MARKS / "list").read_text() if (MARKS / "list").exists() else ""
    return {"changed": changes(before, tidy(file_trees.listing())), "marks": sorted({
        os.path.realpath(os.path.dirname(path)).removeprefix(str(file_trees.ROOT)) + "/" + os.path.basename(path)
        for path in marks.split("\0") if os.path.lexists(path)})}


def changes(before: "dict[str, str]", after: "dict[str, str]") -> "dict[str, str | None]":
    """What is new or other, and as None what is gone."""
    return {path: after.get(path) for path in sorted({**before, **after}) if before.get(path) != after.get(path)}


def tidy(tree: "dict[str, str]") -> "dict[str, str]":
    """Without what is another at every run: the boot, and the order in which Debian's writes lines of its presets."""
    if RESULT in tree:
        tree[RESULT] = tree[RESULT].replace(Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "this boot")
    if PRESETS in tree:
        kind, mode, owner, text = tree[PRESETS].split(" ", 3)
        tree[PRESETS] = f"{kind} {mode} {owner} {sorted(text.splitlines())}"
    return tree


def under_its_name(name: str, program: Path, version: str) -> dict:
    """As `ignition`, Debian's or ours."""
    config, entries = cases()[name]
    Path("state").write_text(STATE)
    write(Path("cache"), config, version)
    return left(["ignition", *ARGUMENTS], program, entries)


def under_our_own(name: str) -> dict:
    config, entries = cases()[name]
    state = Path("/run/firstlight")
    for file in state.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    write(state / "config.ign", config, OUR_VERSION)
    (state / "config.json").write_text(json.dumps({"source": "config.ign", "isWhole": True}))
    return left(["firstlight", "stage", "files"], AGENT, entries)


def write(file: Path, config: dict, version: str) -> None:
    file.write_text(json.dumps({**config, "ignition": {**config.get("ignition", {}), "version": version}}))


def everywhere(run: "callable", names: "list[str]") -> "dict[str, object]":
    """What `run` tells of each case, in roots that are made for them."""
    program = Path("/usr/sbin/setfiles")
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/sh\ncat >{MARKS}/list\n")
    program.chmod(0o755)
    return dict(zip(names, file_trees.in_own_mounts(run, names, begin)))


def begin() -> None:
    MARKS.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "marks", MARKS], check=True)


# --- Ignition ----------------------------------------------------------------------------------------


def with_units() -> "list[str]":
    return [name for name, (config, _) in cases().items() if "systemd" in config]


def without_units() -> "list[str]":
    return [name for name, (config, _) in cases().items() if "systemd" not in config]


def as_cases(names: "list[str]") -> "dict[str, object]":
    return {name: {"config": cases()[name][0], "before": cases()[name][1], "arguments": ARGUMENTS, "state": STATE,
                   "version": THEIR_VERSION, "environment": ENVIRONMENT} for name in names}


def theirs(names: "list[str]") -> dict:
    # From RAM: in a guest Ignition is on a slow filesystem.
    program = Path(shutil.copy(oracles.ENGINE, "original")).absolute()
    found = everywhere(lambda name: under_its_name(name, program, THEIR_VERSION), names)
    for one in found.values():
        if "refused" in one:
            # What it has done by then is of no use to anybody.
            del one["changed"]
    return found


def leave_units() -> None:
    """In a guest."""
    oracles.leave(ORACLE_OF_UNITS, oracles.ENGINE, as_cases(with_units()), theirs(with_units()))


def fresh() -> dict:
    """The records of those without units, made anew."""
    private_root.run(Path(__file__), "theirs", "oracles.files", 300)
    return json.loads(FRESH.read_text())


# --- Ours ------------------------------------------------------------------------------------------------


def differences(theirs: dict, ours: dict, own: dict) -> "dict[str, list[str]]":
    """What differs, by its word in the list, with what there is to tell of it."""
    told = {}
    for found, prefix in ((ours, ""), (own, "own-")):
        if ("refused" in found) != ("refused" in theirs):
            told[f"{prefix}outcome"] = [f"ours: {found.get('refused', 'done')}", f"theirs: {theirs.get('refused', 'done')}"]
        elif "refused" not in theirs and found["changed"] != theirs["changed"]:
            told[f"{prefix}tree"] = file_trees.differing(found["changed"], theirs["changed"])
        if "refused" in found and found["changed"]:
            told[f"{prefix}refused-and-changed"] = [f"{path}: {entry}" for path, entry in found["changed"].items()]
    if "refused" not in theirs and "refused" not in ours:
        # With a folder goes what is in it. More than Debian's does no harm: it forgets some folders that it has made.
        if missing := [path for path in theirs["marks"] if not any(f"{path}/".startswith(f"{mark}/") for mark in ours["marks"])]:
            told["marks"] = [f"not relabelled: {missing}", f"ours: {ours['marks']}"]
    return told


def compare(names: "list[str]") -> None:
    recorded = {**oracles.load(ORACLE, oracles.ENGINE, as_cases(without_units())),
                **oracles.load(ORACLE_OF_UNITS, oracles.ENGINE, as_cases(with_units()))}
    assert len(recorded) >= 200, f"only {len(recorded)} configs"
    ours = everywhere(lambda name: (under_its_name(name, AGENT, OUR_VERSION), under_our_own(name)), names)
    told = {(name, what): lines for name in names for what, lines in differences(recorded[name], *ours[name]).items()}
    listed = {tuple(line.split()) for line in DIFFERENCES.read_text().splitlines() if re.match(r"\w+/\S+ \S+$", line)}
    wrong = ["\n    ".join([f"{name} {what}", *lines]) for (name, what), lines in told.items() if (name, what) not in listed]
    wrong += [f"{name} {what}: listed and no difference" for name, what in sorted(listed - told.keys()) if name in names]
    print(f"{len(names)} configs, {len(told)} differences", file=sys.stderr)
    oracles.agree(wrong, len(names))


def main(folder: str, side: str) -> int:
    # Of what is written later, only files that are open by now are the machine's.
    with open(FRESH if side == "theirs" else os.devnull, "w") as left_here:
        private_root.enter(Path(folder))
        if side == "theirs":
            found = theirs(without_units())
            left_here.write(oracles.text(oracles.document(oracles.ENGINE, as_cases(list(found)), found)))
            return 0
    try:
        compare(os.environ.get("CASE", "").split() or list(cases()))
    except Unmet as failed:
        print(failed)
        print(failed, file=sys.stderr)
        return 1
    return 0


def leaves_what_debians_ignition_leaves() -> None:
    private_root.run(Path(__file__), "ours", "host.files-reference.leaves-what-debians-leaves", 300)


TESTS = [("leaves-what-debians-leaves", leaves_what_debians_ignition_leaves)]

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
