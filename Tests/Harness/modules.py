"""Kernel modules with what they depend on, for the harness's own initramfs images."""

from pathlib import Path

from cpio import Archive
from paths import modules_folder


def load_order(names: "list[str]", version: str) -> "list[Path]":
    """The files to load, dependencies first; what is built into the kernel is left out."""
    folder = modules_folder(version)
    needs: "dict[str, tuple[str, list[str]]]" = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[_name(path)] = (path, rest.split())
    built_in = {_name(line) for line in (folder / "modules.builtin").read_text().split()}

    order: "list[Path]" = []

    def add(name: str) -> None:
        if name in built_in:
            return
        if name not in needs:
            raise LookupError(f"Linux {version} has no module {name}")
        path, dependencies = needs[name]
        if folder / path in order:
            return
        # modules.dep lists every dependency, the one to load first standing last.
        for dependency in reversed(dependencies):
            add(_name(dependency))
        if folder / path not in order:
            order.append(folder / path)

    for name in names:
        add(name.replace("-", "_"))
    return order


def add_modules(archive: Archive, names: "list[str]", version: str) -> "list[str]":
    """Puts modules below /modules and returns the paths in the order to load them."""
    paths = []
    for file in load_order(names, version):
        archive.file(f"modules/{file.name}", file.read_bytes())
        paths.append(f"/modules/{file.name}")
    return paths


def _name(path: str) -> str:
    return Path(path).name.partition(".ko")[0].replace("-", "_")
