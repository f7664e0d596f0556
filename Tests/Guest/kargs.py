#!/usr/bin/python3
# limit: 60
"""Kernel arguments on a live system: left to the distribution's helper where there is one, told where there is none."""
import json
import os
import subprocess
from pathlib import Path

AGENT = os.environ["AGENT"]
HELPER = Path("/usr/sbin/ignition-kargs-helper")
WANTED = {"shouldExist": ["mitigations=auto,nosmt", "a b", "quiet"], "shouldNotExist": ["debug", "absent"]}


def stage(name, **sections):
    config = {"ignition": {"version": "3.4.0"}, **sections}
    Path("/config.ign").write_text(json.dumps(config))
    done = subprocess.run([AGENT, "stage", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"$ stage {name}\n{done.stdout}", flush=True)
    return done.returncode, " ".join(done.stdout.split())


def fresh(**sections):
    subprocess.run(["rm", "-rf", "/run/firstlight"], check=True)
    status, said = stage("fetch", **sections)
    assert status == 0 and "PXE" not in said, said
    return stage("kargs", **sections)


def helper(line):
    HELPER.write_text(f"#!/bin/sh\n{line}\n")
    HELPER.chmod(0o755)


Path("cmdline").write_text("quiet debug ignition.firstboot ignition.platform.id=metal\n")
subprocess.run(["mount", "--bind", "cmdline", "/proc/cmdline"], check=True)
HELPER.unlink(missing_ok=True)

# Nobody to do it: what to do is told, in the report too, and the boot goes on.
status, said = fresh(kernelArguments=WANTED)
assert status == 0
assert "add to the PXE command line: mitigations=auto,nosmt a b" in said, said
assert "take off the PXE command line: debug" in said, said
warnings = json.loads(Path("/run/firstlight/report.json").read_text())["warnings"]
assert len(warnings) == 2 and all("PXE" in warning for warning in warnings), warnings

# One call, in the original's order, whatever the command line has already.
helper('printf "%s\\n" "$@" >/run/helped')
status, said = fresh(kernelArguments=WANTED)
assert status == 0 and "PXE" not in said, said
assert Path("/run/helped").read_text().splitlines() == [
    "--should-exist", "mitigations=auto,nosmt", "--should-exist", "a b", "--should-exist", "quiet",
    "--should-not-exist", "debug", "--should-not-exist", "absent"]

# Nothing asked for: it is not called, not even one that fails.
helper("echo no boot loader >&2; exit 3")
assert fresh(storage={"files": [{"path": "/a"}]})[0] == 0
status, said = fresh(kernelArguments=WANTED)
assert status != 0 and "ignition-kargs-helper failed (exit status 3): no boot loader" in said, said
HELPER.unlink()
