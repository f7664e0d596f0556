#!/usr/bin/python3
# init: systemd
# limit: 1200
"""The files stage beside Debian's Ignition 2.14: the same config on the same root leaves the same tree.

The cases are those of Fixtures/files, of the accounts, and some more. Each is run by Debian's, by the agent under the
name `ignition`, which has to leave the same, and by the agent under its own name, which is safe to run again. What is
meant to differ is in Fixtures/files/differences.txt, with its reason: a difference that is not listed fails, and so
does a listed one that is none.

    outcome, tree, marks    under the name `ignition`: whether it refuses; what it leaves; whether all is relabelled
                            that Debian's has relabelled
    own-outcome, own-tree   under the agent's own name
    refused-and-changed, own-refused-and-changed    what our refusal has changed

Where both refuse there is nothing to compare: Debian's has written half of it by then. Ours has written nothing.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(os.environ["TREE"])
sys.path.insert(0, str(TREE / "Tests/Harness"))
import account_cases  # noqa: E402
import file_trees  # noqa: E402

DIFFERENCES = TREE / "Fixtures/files/differences.txt"
# From RAM, not over 9p: each is started some hundred times.
DEBIANS = os.path.abspath(shutil.copy("/usr/lib/dracut/modules.d/30ignition/ignition", "debians"))
AGENT = os.path.abspath(shutil.copy(os.environ["AGENT"], "agent"))
MARKS = Path("/run/marks")
PRESETS = "/etc/systemd/system-preset/20-ignition.preset"
BEGAN = time.monotonic()
# The fixtures' users, and a policy: Debian's build takes a target without one for a fault.
BASE = {
    "/etc": "dir 755 0:0", "/etc/selinux": "dir 755 0:0", "/etc/selinux/config": "file 644 0:0 SELINUXTYPE=test\n",
    "/etc/selinux/test": "dir 755 0:0", "/etc/selinux/test/contexts": "dir 755 0:0",
    "/etc/selinux/test/contexts/files": "dir 755 0:0",
    "/etc/selinux/test/contexts/files/file_contexts": "file 644 0:0 /.* system_u:object_r:root_t:s0\n",
    "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000:Core:/home/core:/bin/bash\n",
    "/etc/group": "file 644 0:0 root:x:0:\ncore:x:1000:\nwheel:x:10:core\n",
}


def cases():
    """Name: the config without its version, and the root before."""
    found = {}
    for file in sorted((TREE / "Fixtures/files").glob("*.json")):
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


ALL = cases()
LISTED = {tuple(line.split()) for line in DIFFERENCES.read_text().splitlines() if re.match(r"\w+/\S+ \S+$", line)}


def write(path, config, version):
    Path(path).write_text(json.dumps({**config, "ignition": {**config.get("ignition", {}), "version": version}}))


def one(words, entries):
    """Whether it was done, and what was said; then what is left and was to be relabelled, or what a refusal changed."""
    file_trees.make(entries)
    # Of Debian's it is known, and looking takes its time.
    before = file_trees.listing(whole=True) if words[1] == AGENT else None
    (MARKS / "list").unlink(missing_ok=True)
    environment = {"PATH": os.environ["PATH"], "IGNITION_WRITE_AUTHORIZED_KEYS_FRAGMENT": "true",
                   "IGNITION_SYSTEM_CONFIG_DIR": "/none",
                   "IGNITION_SYSTEM_LOCAL_CONFIG_DIR": "/none", "IGNITION_SYSTEM_RUNTIME_CONFIG_DIR": "/none"}
    done = subprocess.run(words[0], executable=words[1], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120)
    marks = (MARKS / "list").read_text() if (MARKS / "list").exists() else ""
    names = sorted({os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
                    for path in marks.split("\0") if os.path.lexists(path)})
    changed, tree = [], {}
    if done.returncode == 0:
        tree = presets_sorted(file_trees.listing())
    elif before is not None:
        after = file_trees.listing(whole=True)
        after.pop("/etc/.pwd.lock", None)
        changed = [line for line in file_trees.differing(before, after) if not line.startswith("/etc\n")]
    said = [line for line in done.stdout.splitlines() if re.search("CRITICAL|ERROR|stopped|failed", line)]
    return {"ok": done.returncode == 0, "said": said[-3:] or done.stdout.splitlines()[-3:],
            "tree": tree, "marks": names, "changed": changed}


def presets_sorted(tree):
    """Debian's writes the lines of its presets in an order that is another at every run."""
    if PRESETS in tree:
        kind, mode, owner, text = tree[PRESETS].split(" ", 3)
        tree[PRESETS] = f"{kind} {mode} {owner} {sorted(text.splitlines())}"
    return tree


def run(name):
    config, entries = ALL[name]
    stage = ["--stage=files", "--platform=file", f"--root={file_trees.ROOT}", "--config-cache=cache",
             "--state-file=state", "--log-to-stdout"]
    found = {}
    for kind, program, version in (("theirs", DEBIANS, "3.4.0-experimental"), ("strict", AGENT, "3.6.0")):
        # What the fetch stage leaves of a config that was somebody's.
        Path("state").write_text('{"fetchedConfigs": [{"kind": "user", "source": "file", "referenced": false}]}')
        write("cache", config, version)
        found[kind] = one((["ignition", *stage], program), entries)
    state = Path("/run/firstlight")
    for file in state.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    write(state / "config.ign", config, "3.6.0")
    (state / "config.json").write_text(json.dumps({"source": "config.ign", "isWhole": True}))
    found["own"] = one((["firstlight", "stage", "files"], AGENT), entries)
    print(f"{time.monotonic() - BEGAN:6.1f} s  {name}", flush=True)
    told = differences(found)
    for what, lines in told.items():
        # At once: a run that is ended for its time has said this much.
        if (name, what) not in LISTED:
            print("\n      ".join([f"{name} {what}", *lines]), flush=True)
    return found["theirs"]["ok"], set(told)


def begin():
    MARKS.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "marks", MARKS], check=True)


def differences(found):
    """What differs, by its word in the list, with what there is to tell of it."""
    theirs, told = found["theirs"], {}
    for kind, prefix in (("strict", ""), ("own", "own-")):
        ours = found[kind]
        if ours["ok"] != theirs["ok"]:
            told[f"{prefix}outcome"] = ["ours: " + ("done" if ours["ok"] else " ".join(ours["said"])),
                                        "theirs: " + ("done" if theirs["ok"] else " ".join(theirs["said"]))]
        elif theirs["ok"] and ours["tree"] != theirs["tree"]:
            told[f"{prefix}tree"] = file_trees.differing(ours["tree"], theirs["tree"])
        if not ours["ok"] and ours["changed"]:
            told[f"{prefix}refused-and-changed"] = ours["changed"]
    ours = found["strict"]
    # With a folder goes what is in it. More than Debian's is no harm: it forgets some folders that it has made.
    missing = [path for path in theirs["marks"] if not any(f"{path}/".startswith(f"{mark}/") for mark in ours["marks"])]
    if theirs["ok"] and ours["ok"] and missing:
        told["marks"] = [f"not relabelled: {missing}; ours: {ours['marks']}"]
    return told


def main():
    program = Path("/usr/sbin/setfiles")
    program.write_text(f"#!/bin/sh\ncat >{MARKS}/list\n")
    program.chmod(0o755)
    wanted = [name for name in ALL if not sys.argv[1:] or name in sys.argv[1:]]
    try:
        results = dict(zip(wanted, file_trees.in_own_mounts(run, wanted, begin)))
    finally:
        program.unlink()
    different = {(name, what) for name, (_, told) in results.items() for what in told}
    for name, what in sorted(LISTED - different):
        if name in wanted:
            print(f"{name} {what}: listed and no difference")
    wrong = len(different ^ {pair for pair in LISTED if pair[0] in wanted})
    done = sum(isDone for isDone, _ in results.values())
    print(f"{len(results)} configs, {done} of them done by Debian's; {len(different & LISTED)} intended differences, "
          f"{wrong} wrong; {time.monotonic() - BEGAN:.0f} s", flush=True)
    assert not wrong and len(results) >= 200


main()
