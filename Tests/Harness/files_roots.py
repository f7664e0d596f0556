"""What the files stage runs on in tests: kinds of real roots, and a boot with a config up to that stage.

All of it happens in a root of the tests' own; see private_root.py.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import file_trees
import private_root
from paths import AGENT as BUILT_AGENT

STATE, CONFIG = Path("/run/firstlight"), Path("/config.ign")
AGENT = Path("/run/agent")
ACCOUNT_PROGRAMS = ["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel"]


class InRAM:
    """A tmpfs, which is what in_own_mounts makes."""

    # Whether the config comes by the stage before, or is put where that stage leaves it, which is faster.
    is_fetched = False

    def begin(self) -> None:
        begin_boots()

    def lay(self, _name: str, entries: "dict[str, str | None]") -> None:
        file_trees.make(entries)


class OnDisk(InRAM):
    """An ext4 that keeps what was written, as where /var or all of the root persists."""

    def __init__(self, size: str = "64M", *options: str) -> None:
        self.size, self.options = size, options

    def begin(self) -> None:
        begin_boots()
        Path("disk").unlink(missing_ok=True)
        subprocess.run(["truncate", "-s", self.size, "disk"], check=True)
        subprocess.run(["mkfs.ext4", "-q", *self.options, "disk"], check=True)
        subprocess.run(["mount", "-o", "loop", "disk", file_trees.ROOT], check=True)
        (file_trees.ROOT / "lost+found").rmdir()


class OverImage:
    """How a live system has it: a squashfs image below, RAM to write above. The roots of all cases are one image."""

    IMAGE = Path("/run/image")
    is_fetched = True

    def __init__(self, trees: "dict[str, dict[str, str | None]]", limits: str = "size=50%", xino: str = "on") -> None:
        self.limits, self.xino = limits, xino
        real, build = file_trees.ROOT, Path("build")
        for name, entries in trees.items():
            file_trees.ROOT = build / name
            file_trees.ROOT.mkdir(parents=True)
            file_trees.make(entries)
        file_trees.ROOT = real
        subprocess.run(["mksquashfs", build, "image", "-noappend", "-quiet", "-no-progress"], check=True,
                       stdout=sys.stderr)
        shutil.rmtree(build)
        self.IMAGE.mkdir()
        subprocess.run(["mount", "-t", "squashfs", "-o", "loop,ro", "image", self.IMAGE], check=True)

    def begin(self) -> None:
        begin_boots()
        self.layer = Path("layer").absolute()
        self.layer.mkdir()
        self.is_mounted = False

    def lay(self, name: str, _entries: "dict[str, str | None]") -> None:
        if self.is_mounted:
            private_root.unmount(file_trees.ROOT)
            private_root.unmount(self.layer)
        self.is_mounted = True
        private_root.mount("firstlight", self.layer, "tmpfs", f"mode=0700,{self.limits}")
        for folder in ("upper", "work"):
            (self.layer / folder).mkdir()
        # As OverlayRoot.assemble mounts it.
        layers = f"lowerdir={self.IMAGE}/{name},upperdir={self.layer}/upper,workdir={self.layer}/work,xino={self.xino}"
        private_root.mount("firstlight", file_trees.ROOT, "overlay", layers)


# --- Programs of the initramfs --------------------------------------------------------------------------------


def take_agent() -> None:
    """From RAM it starts faster, and nobody builds another one meanwhile."""
    shutil.copy(BUILT_AGENT, AGENT)
    CONFIG.touch()


def hide(programs: "list[str]") -> None:
    """Takes programs from the initramfs, which here is the machine's own root in sight of the tests."""
    for name in programs:
        for folder in ("/usr/sbin", "/usr/bin"):
            Path(folder, name).unlink(missing_ok=True)


# --- Boots ----------------------------------------------------------------------------------------------------


def begin_boots() -> None:
    """Each worker embeds configs of its own."""
    Path("config.ign").touch()
    subprocess.run(["mount", "--bind", "config.ign", CONFIG], check=True)


def stage(name: str, *words: str) -> "tuple[int, str]":
    """The exit status of one stage, or of a program that runs it, and what it said in one line."""
    done = subprocess.run([*words, AGENT, "stage", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, " ".join(done.stdout.split())


def boot(kind: InRAM, config: dict, version: str = "3.6.0") -> "tuple[int, str]":
    """A new boot with a config, up to the files stage."""
    for path in STATE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = json.dumps({**config, "ignition": {"version": version, **config.get("ignition", {})}})
    if kind.is_fetched:
        Path("config.ign").write_text(text)
        return stage("fetch")
    (STATE / "config.ign").write_text(text)
    (STATE / "config.json").write_text(json.dumps({"source": "config.ign", "isWhole": True}))
    return 0, ""


# --- Cases by name, and what became of them -------------------------------------------------------------------


def chosen(names: "list[str]") -> "list[str]":
    """All of them, or those that the variable CASE names."""
    wanted = re.findall(r"[^\s,]+", os.environ.get("CASE", ""))
    if unknown := [name for name in wanted if name not in names]:
        raise SystemExit(f"no such case here: {', '.join(unknown)}")
    return [name for name in names if not wanted or name in wanted]


def is_whole() -> bool:
    """Whether no case was left out."""
    return not os.environ.get("CASE", "").strip()


def tell(troubles: "dict[str, str]", complaint: str = "") -> int:
    """Every failure to the log, the first one and the names of the others to whoever started this; the exit status."""
    wrong = {name: text for name, text in troubles.items() if text}
    for name, text in wrong.items():
        print(f"{name}: {text}", file=sys.stderr)
    print(f"{len(troubles)} cases, {len(wrong)} failed", file=sys.stderr)
    if wrong:
        first, text = next(iter(wrong.items()))
        names = ", ".join(list(wrong)[1:9]) + (", ..." if len(wrong) > 9 else "")
        print("\n".join([f"{len(wrong)} of {len(troubles)} cases failed; {first}:", *text.splitlines()[:5]]))
        if names:
            print(f"also {names}")
    if complaint:
        print(complaint)
    return 1 if wrong or complaint else 0


def difference(wanted: "dict[str, str]", found: "dict[str, str]") -> "list[str]":
    """Each path that is not as it should be: what was expected there and what was found."""
    lines = []
    for path in sorted({**wanted, **found}):
        if wanted.get(path) != found.get(path):
            lines += [f"{path}: expected {wanted.get(path, 'nothing')!r}", f"    found {found.get(path, 'nothing')!r}"]
    return lines
