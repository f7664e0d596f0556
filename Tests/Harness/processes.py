"""Programs the harness starts, every one of which ends with it.

Each runs in a session of its own, so that a whole family can be stopped at once, and asks the
kernel to be told when the harness dies, so that not even `kill -9` leaves one behind.
"""

import atexit
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import speed

PREFIX = "firstlight-harness-"

_running: "set[subprocess.Popen]" = set()
_folders: "dict[Path, int | None]" = {}  # with the descriptor that locks each
_lock = threading.Lock()


class ProgramFailed(Exception):
    """A program that had to succeed did not."""


def start(arguments, *, dying_signal: str = "KILL", **options) -> subprocess.Popen:
    """Starts a program; `stop` ends it with all its children.

    The kernel sends `dying_signal` when the thread that called this ends.
    """
    wrapped = ["setpriv", "--pdeathsig", dying_signal, "--", *map(str, arguments)]
    process = subprocess.Popen(wrapped, start_new_session=True, **options)
    with _lock:
        _running.add(process)
    return process


def stop(process: subprocess.Popen, grace: float = 3) -> None:
    """Ends a program and its children: asked first, then killed."""
    _signal(process, signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        pass
    _signal(process, signal.SIGKILL)
    process.wait()
    with _lock:
        _running.discard(process)


def run(arguments, *, timeout: float = 600, input: "bytes | None" = None, **options) -> bytes:
    """Runs a program to its end and returns what it wrote to standard output.

    `timeout` is in seconds of the machine that speed.py measures by, as all limits are.
    """
    words = f"`{' '.join(map(str, arguments))}`"
    process = start(
        arguments,
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    try:
        output, complaint = process.communicate(input, speed.limit(timeout))
    except subprocess.TimeoutExpired:
        raise ProgramFailed(f"expected: {words} to end\nfound:    it still ran after {speed.told(timeout)}") from None
    finally:
        stop(process, grace=0)
    if process.returncode != 0:
        text = complaint.decode(errors="replace").strip()
        raise ProgramFailed(f"expected: {words} to exit with 0\nfound:    {process.returncode}: {text[-2000:]}")
    return output


def temporary_folder(name: str) -> Path:
    """A folder for scratch files that goes away with the harness."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{name}-"))
    with _lock:
        _folders[folder] = _claim(folder)
    return folder


def _claim(folder: Path) -> "int | None":
    """Locks a folder for as long as this process lives; `None` where another one holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except OSError:
        os.close(descriptor)
        return None


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with _lock:
        descriptor = _folders.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


def remove_leftovers() -> None:
    """Removes the folders of harnesses that were killed before they could.

    Process numbers would not tell which these are: another harness may run in a container of its own.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            # A new one is locked a moment after it was made.
            is_new = time.time() - folder.stat().st_mtime < 60
            claim = None if is_new else _claim(folder)
        except OSError:
            continue
        if claim is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(claim)


def stop_everything() -> None:
    with _lock:
        processes, folders = list(_running), list(_folders)
    for process in processes:
        _signal(process, signal.SIGKILL)
    for process in processes:
        process.wait()
    for folder in folders:
        remove_folder(folder)


def stop_on_signals() -> None:
    """Ctrl-C, a closed terminal and `kill` clean up before the harness ends."""

    def handler(number, _frame):
        stop_everything()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)
    atexit.register(stop_everything)
    remove_leftovers()


def _signal(process: subprocess.Popen, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass
