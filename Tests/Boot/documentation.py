"""What the documentation shows, done as it stands there."""

import base64
import json
import re

import images
import rootfs
from boot import PROVISION, boot_test, facts
from console import Unmet
from paths import TREE
from tiers import ALL

BUSES = {"/dev/sd": "sata", "/dev/vd": "virtio", "/dev/nvme": "nvme"}
FACTS = """#!/bin/sh
for place in %s; do
    echo "@fact mounted $(findmnt --noheadings --output TARGET,FSTYPE --mountpoint "$place")"
    echo boot >>"$place/kept"
    echo "@fact kept $place $(wc -l <"$place/kept")"
done >/dev/console
echo "@fact end" >/dev/console
exec systemctl poweroff
"""
UNIT = ("[Unit]\nDescription=Tell what is mounted\nAfter=local-fs.target\n\n[Service]\nType=oneshot\n"
        "ExecStart=/usr/local/bin/facts\n\n[Install]\nWantedBy=multi-user.target\n")


def data(text: str) -> str:
    return "data:;base64," + base64.b64encode(text.encode()).decode()


def documented_configs() -> "list[tuple[str, str]]":
    """The whole configs among the JSON of the README and of docs, with the file and the line of each."""
    found = []
    for file in [TREE / "README.md", *sorted((TREE / "docs").glob("**/*.md"))]:
        text = file.read_text()
        for block in re.finditer(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            place = f"{file.relative_to(TREE)}:{text[:block.start()].count(chr(10)) + 1}"
            try:
                content = json.loads(block[1])
            except ValueError as fault:
                raise Unmet(f"{place} is no JSON: {fault}") from fault
            if isinstance(content, dict) and "ignition" in content:
                found.append((place, block[1]))
    return found


@boot_test(tier=ALL)
def configs_of_the_documentation(bench):
    """Every config of the README and of docs is booted twice as it stands there: what it mounts is kept."""
    image = images.root_image(rootfs.debian())
    initrd = [images.initramfs("virtio", rootfs=image)]
    configs = documented_configs()
    assert configs, "the documentation has no config"
    for place, text in configs:
        storage = json.loads(text).get("storage", {})
        disks = [bench.disk(bus=next(bus for name, bus in BUSES.items() if disk["device"].startswith(name)))
                 for disk in storage.get("disks", [])]
        mounts = sorted(one["path"] for one in storage.get("filesystems", []) if "path" in one)
        around = {
            "ignition": {"version": "3.4.0", "config": {"merge": [{"source": data(text)}]}},
            "storage": {"files": [{"path": "/usr/local/bin/facts", "mode": 0o755,
                                   "contents": {"source": data(FACTS % " ".join(mounts))}}]},
            "systemd": {"units": [{"name": "facts.service", "enabled": True, "contents": UNIT}]}}
        server = bench.nginx({"rootfs.img": image, "config.ign": json.dumps(around)})
        for number in ("1", "2"):
            machine = bench.boot(
                f"{PROVISION} coreos.live.rootfs_url={server.url}/rootfs.img "
                f"ignition.config.url={server.url}/config.ign", initrd=initrd, disks=disks)
            found = facts(machine, 600)
            mounted = [line.split()[0] for line in found.get("mounted", []) if line]
            assert mounted == mounts, f"{place}: of {mounts} the running system has {mounted} mounted"
            kept = [f"{path} {number}" for path in mounts]
            assert found.get("kept", []) == kept, f"{place}, boot {number}: {found.get('kept')}, wanted {kept}"
