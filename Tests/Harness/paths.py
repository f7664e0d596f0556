"""Where things are: the tree, its products, the cache, the kernel that tests boot."""

import hashlib
import os
import re
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
OUT = TREE / "out"
LOGS = OUT / "logs"
FIXTURES = TREE / "Fixtures"
AGENT = OUT / "firstlight"
TOOL = OUT / "firstlight-image"


def cache_folder() -> Path:
    """The folder that outlives a clean clone: root filesystems, peers' initramfs images."""
    given = os.environ.get("FIRSTLIGHT_CACHE")
    folder = Path(given) if given else Path.home() / ".cache" / "firstlight"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def recipe_key(*parts: "str | bytes | Path") -> str:
    """A short digest of everything a cached product depends on; a folder counts with all its files."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = [part] if part.is_file() else sorted(part.rglob("*"))
            for file in files:
                name = file.relative_to(part.parent)
                if file.is_symlink():
                    digest.update(f"{name} -> {file.readlink()}\n".encode())
                elif file.is_file():
                    digest.update(f"{name} {file.stat().st_mode:o}\n".encode())
                    digest.update(file.read_bytes())
        else:
            digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def kernel_version() -> str:
    """The newest of Debian's kernels that has both an image and modules here."""

    def order(version: str) -> list:
        return [int(word) if word.isdigit() else 0 for word in re.split(r"[.-]", version)]

    found = [p.name.removeprefix("vmlinuz-") for p in Path("/boot").glob("vmlinuz-*-amd64")]
    found = [v for v in found if (modules_folder(v) / "modules.dep").exists()]
    if not found:
        raise SystemExit("no Debian kernel in /boot: apt-get install linux-image-amd64")
    return max(found, key=order)


def kernel_image() -> Path:
    return Path("/boot") / f"vmlinuz-{kernel_version()}"


def modules_folder(version: str) -> Path:
    return Path("/lib/modules") / version
