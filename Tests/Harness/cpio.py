"""Writes the archives a kernel unpacks at boot (cpio "newc"), for the harness's own initramfs images."""

import stat
from pathlib import Path


class Archive:
    """Members in the order they are added; parents of a member come by themselves."""

    def __init__(self) -> None:
        self._parts: "list[bytes]" = []
        self._names: "set[str]" = set()

    def folder(self, name: str, mode: int = 0o755) -> None:
        if name and name not in self._names:
            self._add(name, stat.S_IFDIR | mode, b"")

    def file(self, name: str, data: "bytes | str", mode: int = 0o644) -> None:
        self._add(name, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def copy(self, source: Path, name: str) -> None:
        self.file(name, source.read_bytes(), stat.S_IMODE(source.stat().st_mode))

    def link(self, name: str, target: str) -> None:
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        self._add(name, stat.S_IFCHR | mode, b"", (major, minor))

    def finished(self) -> bytes:
        """The whole archive, padded so that another may follow it."""
        return b"".join(self._parts) + _member("TRAILER!!!", 0, b"", 0, (0, 0))

    def _add(self, name: str, mode: int, data: bytes, device: "tuple[int, int]" = (0, 0)) -> None:
        parent = name.rpartition("/")[0]
        if parent:
            self.folder(parent)
        self._names.add(name)
        self._parts.append(_member(name, mode, data, len(self._parts) + 1, device))


def _member(name: str, mode: int, data: bytes, inode: int, device: "tuple[int, int]") -> bytes:
    text = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    numbers = [inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(text), 0]
    header = b"070701" + b"".join(b"%08X" % number for number in numbers) + text
    return _padded(header) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
