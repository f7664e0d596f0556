"""What the documentation shows, done as it stands there."""

import base64
import json
import re
import shlex
from pathlib import Path

import images
import processes
import rootfs
from boot import PROVISION, boot_test, facts
from console import Unmet
from paths import TOOL, TREE
from tiers import ALL

BUSES = {"/dev/sd": "sata", "/dev/vd": "virtio", "/dev/nvme": "nvme"}
FACTS = """#!/bin/sh
for place in {mounts}; do
    echo "@fact mounted $(findmnt --noheadings --output TARGET,FSTYPE --mountpoint "$place")"
    echo boot >>"$place/kept"
    echo "@fact kept $place $(wc -l <"$place/kept")"
done >/dev/console
for path in {paths}; do echo "@fact there $(stat -c '%n %a %U' "$path")"; done >/dev/console
for user in {users}; do echo "@fact user $user $(id -Gn "$user" | tr ' ' ,)"; done >/dev/console
echo "@fact end" >/dev/console
exec systemctl poweroff
"""
UNIT = ("[Unit]\nDescription=Tell what is there\nAfter=local-fs.target\n\n[Service]\nType=oneshot\n"
        "ExecStart=/usr/local/bin/facts\n\n[Install]\nWantedBy=multi-user.target\n")
BLOCK = re.compile(r"(?:^<!-- (file|butane) (.*?) -->\n)?^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def data(text: str) -> str:
    return "data:;base64," + base64.b64encode(text.encode()).decode()


def documented_configs(folder: Path) -> "list[tuple[str, dict]]":
    """The Butane configs of the README and of docs, each with its file and line, translated as its comment says."""
    found = []
    for number, page in enumerate([TREE / "README.md", *sorted((TREE / "docs").glob("**/*.md"))]):
        text, place = page.read_text(), folder / str(number)
        place.mkdir()
        blocks = list(BLOCK.finditer(text))
        for block in blocks:
            if block[1] == "file":
                (place / block[2]).parent.mkdir(parents=True, exist_ok=True)
                (place / block[2]).write_text(block[3])
        for block in blocks:
            if block[1] == "file":
                continue
            where = f"{page.relative_to(TREE)}:{text[:block.start(3)].count(chr(10)) + 1}"
            (place / "config.bu").write_text(block[3])
            try:
                made = processes.run([TOOL, "butane", "--strict", *shlex.split(block[2] or ""), place / "config.bu"])
            except processes.ProgramFailed as failed:
                raise Unmet(f"{where} to be Butane", str(failed)) from failed
            found.append((where, json.loads(made)))
    return found


@boot_test(tier=ALL)
def configs_of_the_documentation(bench):
    """All Butane configs of the README and of docs are booted at once, twice: what they mount is kept."""
    configs = documented_configs(bench.folder)
    assert len(configs) >= 4, f"only {len(configs)} configs in the documentation"
    entries = [(where, kind, one) for where, config in configs
               for kind, some in config.get("storage", {}).items() for one in some]
    disks = [bench.disk(bus=next(bus for name, bus in BUSES.items() if one["device"].startswith(name)))
             for _, kind, one in entries if kind == "disks"]
    mounts = sorted(one["path"] for _, kind, one in entries if kind == "filesystems" and "path" in one)
    there = {f"{one['path']} {one.get('mode', default):o} {one.get('user', {}).get('name', 'root')}": where
             for where, kind, one in entries
             for default in [{"files": 0o644, "directories": 0o755}.get(kind)] if default}
    users: "dict[str, list[str]]" = {}
    for _, config in configs:
        for user in config.get("passwd", {}).get("users", []):
            users.setdefault(user["name"], []).extend(user.get("groups", []))
    assert mounts and there and users, "the documentation mounts, writes or creates nothing"
    script = FACTS.format(mounts=" ".join(mounts), paths=" ".join(line.split()[0] for line in there),
                          users=" ".join(users))
    around = {
        "ignition": {"version": "3.6.0", "config": {"merge": [
            {"source": data(json.dumps(config))} for _, config in configs]}},
        "storage": {"files": [{"path": "/usr/local/bin/facts", "mode": 0o755, "contents": {"source": data(script)}}]},
        "systemd": {"units": [{"name": "facts.service", "enabled": True, "contents": UNIT}]}}
    image = images.root_image(rootfs.debian())
    server = bench.nginx({"rootfs.img": image, "config.ign": json.dumps(around)})
    for number in ("1", "2"):
        machine = bench.boot(
            f"{PROVISION} coreos.live.rootfs_url={server.url}/rootfs.img "
            f"ignition.config.url={server.url}/config.ign",
            initrd=[images.initramfs("virtio", rootfs=image)], disks=disks)
        found = facts(machine, 600)
        mounted = [line.split()[0] for line in found.get("mounted", []) if line]
        assert mounted == mounts, f"of {mounts} the running system has {mounted} mounted"
        kept = [f"{path} {number}" for path in mounts]
        assert found.get("kept", []) == kept, f"boot {number}: {found.get('kept')}, wanted {kept}"
        missing = {line: where for line, where in there.items() if line not in found.get("there", [])}
        assert not missing, f"not as the documentation says: {missing}; there are {found.get('there')}"
        groups = dict(line.split(" ") for line in found.get("user", []))
        for user, wanted in users.items():
            assert set(wanted) <= set(groups.get(user, "").split(",")), f"{user} is in {groups.get(user)}, not {wanted}"
