#!/usr/bin/python3
# limit: 600
"""What the agent finds on a device is what blkid finds: every format a config may name, and LUKS."""
import json
import os
import subprocess

MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-L", "label"],
    "xfs": ["mkfs.xfs", "-q", "-L", "label"],
    "btrfs": ["mkfs.btrfs", "-q", "-L", "label"],
    "vfat": ["mkfs.vfat", "-n", "LABEL"],
    "swap": ["mkswap", "-q", "-L", "label"],
    "crypto_LUKS": ["cryptsetup", "luksFormat", "-q", "--label", "label", "--pbkdf", "pbkdf2",
                    "--pbkdf-force-iterations", "1000", "--key-file", "/etc/hostname"],
}


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


for name, words in MAKE.items():
    image = f"{name}.img"
    with open(image, "wb") as file:
        file.truncate(512 << 20)
    run(*words, image)
    found = run(os.environ["AGENT"], "probe", image)
    json.loads(found)
    for key in ("TYPE", "LABEL", "UUID"):
        value = run("blkid", "-p", "-o", "value", "-s", key, image).strip()
        assert value and value in found, f"{name}: {key} {value} is not in {found}"
