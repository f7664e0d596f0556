"""What guest tests share: programs run and shown, the stages as a boot starts them, what was written to disks.

No test of its own. A test has it at hand as `guestlib`, from the folder that it lies in.
"""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

AGENT = os.environ["AGENT"]
DISKS = [os.environ[f"DISK{number}"] for number in range(16) if f"DISK{number}" in os.environ]
CONFIG, STATE = Path("/config.ign"), Path("/run/firstlight")
FIRST_BOOT = "ignition.firstboot ignition.platform.id=metal"
# A key derivation that takes no time, for volumes of which the default is not what is tested.
CHEAP_KEY = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations=1000"]


def run(*words, check=True, **options) -> subprocess.CompletedProcess:
    """Runs a program and shows it with what it says; with `check`, it has to succeed."""
    words = [str(word) for word in words]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    print(f"$ {' '.join(words)}\n{done.stdout}", flush=True)
    assert not check or done.returncode == 0, f"{words[0]} exited with {done.returncode}"
    return done


def settle() -> None:
    run("udevadm", "settle")


def folded(text: str) -> str:
    """A text without its line breaks, which are where the screen ends."""
    return " ".join(text.split())


# --- Stages ----------------------------------------------------------------------------------------------


def configure(version="3.4.0", **sections) -> None:
    """The config of the next boot."""
    CONFIG.write_text(json.dumps({"ignition": {"version": version}, **sections}, indent=1))


def forget() -> None:
    """Nothing is left of an earlier boot's state."""
    shutil.rmtree(STATE, ignore_errors=True)


@contextlib.contextmanager
def command_line(text=FIRST_BOOT):
    """The kernel's command line, while that lasts."""
    Path("cmdline").write_text(f"{text}\n")
    run("mount", "--bind", "cmdline", "/proc/cmdline")
    try:
        yield
    finally:
        run("umount", "/proc/cmdline")


def stages(*names, line=FIRST_BOOT, check=True) -> subprocess.CompletedProcess:
    """These stages in turn, as units start them; the last one's outcome, which `check` is about."""
    with command_line(line):
        for name in names[:-1]:
            run(AGENT, "stage", name)
        return run(AGENT, "stage", names[-1], check=check)


def log() -> str:
    return (STATE / "log").read_text() if (STATE / "log").exists() else ""


def disks_stage(storage, *, fails=False, again=False, line=FIRST_BOOT) -> str:
    """Fetches a config and does what it says to disks, in a new boot or `again` in the same; what was told.

    A stage that `fails` has to write nothing; what it logged is told, too.
    """
    settle()
    configure(storage=storage)
    if not again:
        forget()
    before = written()
    done = stages("fetch", "disks", line=line, check=False)
    assert (done.returncode != 0) == fails, f"the disks stage exited with {done.returncode}"
    if fails:
        assert written() == before, "a refused config was partly carried out"
        return done.stdout + log()
    settle()
    return done.stdout


def plan(status: int) -> str:
    """What `plan` says of the config, its lines folded; it writes nothing."""
    before = written()
    said = run(AGENT, "plan", "--config", CONFIG, check=False)
    assert said.returncode == status, f"plan exited with {said.returncode}, wanted {status}"
    assert written() == before, f"plan wrote {written() - before} sectors"
    return folded(said.stdout)


# --- Disks -----------------------------------------------------------------------------------------------


def written() -> int:
    """Sectors written to all disks of the test since the machine started."""
    run("sync")
    return sum(int(Path(f"/sys/block/{Path(disk).name}/stat").read_text().split()[6]) for disk in DISKS)


def close(*volumes) -> None:
    """Closes LUKS volumes."""
    settle()
    for volume in volumes:
        run("cryptsetup", "close", volume)


@contextlib.contextmanager
def mounted(node, *options):
    """A filesystem at /mnt, while that lasts."""
    run("mount", *options, node, "/mnt")
    try:
        yield Path("/mnt")
    finally:
        run("umount", "/mnt")


def put(node, text: str) -> None:
    """Leaves a file in a filesystem, to be found again by ``held``."""
    with mounted(node) as folder:
        (folder / "data").write_text(text)


def held(node) -> str:
    with mounted(node, "-o", "ro") as folder:
        return (folder / "data").read_text()
