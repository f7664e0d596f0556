#!/usr/bin/python3
# limit: 60
"""Kernel arguments on a live system: left to the distribution's helper where there is one, told where there is none."""
import json
from pathlib import Path

from guestlib import FIRST_BOOT, STATE, configure, folded, forget, stages

HELPER = Path("/usr/sbin/ignition-kargs-helper")
WANTED = {"shouldExist": ["mitigations=auto,nosmt", "a b", "quiet"], "shouldNotExist": ["debug", "absent"]}


def fresh(**sections):
    """A new boot with this config; how the stage kargs ends, and what it says."""
    configure(**sections)
    forget()
    said = stage("fetch").stdout
    assert "PXE" not in said, said
    done = stage("kargs", check=False)
    return done.returncode, folded(done.stdout)


def stage(name, check=True):
    return stages(name, line=f"quiet debug {FIRST_BOOT}", check=check)


def helper(line):
    HELPER.write_text(f"#!/bin/sh\n{line}\n")
    HELPER.chmod(0o755)


HELPER.unlink(missing_ok=True)

# Nobody to do it: what to do is told, in the report too, and the boot goes on.
status, said = fresh(kernelArguments=WANTED)
assert status == 0
assert "add to the kernel command line: mitigations=auto,nosmt a b" in said, said
assert "remove from the kernel command line: debug" in said, said
warnings = json.loads((STATE / "report.json").read_text())["warnings"]
assert len(warnings) == 2 and all("kernel command line" in warning for warning in warnings), warnings

# One call, in Ignition's order, whatever the command line has already.
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
