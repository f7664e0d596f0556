#!/usr/bin/python3
# limit: 300
"""Hostile disks as the kernel sees them: what `plan` tries of them is read-only and ends, whatever their headers say.

Image files are planned for by the thousand on the build machine. Here are those images of which `plan` asks more of the
kernel than to read them: a table is scanned, a filesystem mounted, a volume opened with its key, an array assembled.
Two of each kind are spoiled, six where $TIER is `all`; one is whole, so that the kernel takes some, which is asked for
at the end.
"""
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_images  # noqa: E402
import hostile  # noqa: E402
from guestlib import AGENT, run  # noqa: E402
from loops import Loop  # noqa: E402

KINDS = ["gpt", "ext4", "xfs", "btrfs", "vfat", "luks", "md12", "md10"]
ARRAYS = [kind for kind in KINDS if kind.startswith("md")]
OF_EACH, AT_ONCE = 6 if os.environ.get("TIER") == "all" else 2, 2
SEED = 2


def wanted(image: hostile.Image, number: int, devices: "list[Loop]") -> dict:
    kind, device = image.name.split()[0], str(devices[0])
    if kind == "gpt":
        return {"disks": [{"device": device, "partitions": [{"number": 1, "label": "one"}]}],
                "filesystems": [{"device": f"{device}p1", "format": "ext4"}]}
    if kind == "luks":
        return {"luks": [{"name": f"v{number}", "device": device, "keyFile": {"source": "data:,correct%20horse"}}]}
    if kind in ARRAYS:
        return {"raid": [{"name": "data", "level": "raid1", "devices": list(map(str, devices))}]}
    return {"filesystems": [{"device": device, "format": kind}]}


def second_member(kind: str) -> hostile.Image:
    """The member beside the one that is spoiled, as it should be."""
    block = bytearray(disk_images.raid_member(8 << 20, "any:data", "1.2" if kind == "md12" else "1.0"))
    block[160], block[168] = 1, 1  # its role, and a UUID of its own
    place = 4096 if kind == "md12" else (8 << 20) - 8192
    return hostile.Image(kind, 8 << 20, [(place, disk_images.raid_sealed(block))])


def planned(number: int, image: hostile.Image) -> "tuple[int | None, list[str]]":
    """How `plan` ends for one image, and what is wrong with that."""
    kind = image.name.split()[0]
    image.size = max(image.size // 512 * 512, 512)
    parts = [image] + ([second_member(kind)] if kind in ARRAYS else [])
    files = [Path(f"image{number}-{index}").resolve() for index in range(len(parts))]
    for part, file in zip(parts, files):
        part.write(file)
    loops = [Loop(file, 512) for file in files]
    status, wrong = None, []
    try:
        before = [disk_images.digest(file) for file in files]
        config = Path(f"config{number}")
        config.write_text(json.dumps({"ignition": {"version": "3.5.0"}, "storage": wanted(image, number, loops)}))
        done = subprocess.run([AGENT, "plan", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=60)
        status = done.returncode
        if status not in (0, 1, 2):
            wrong.append(f"exit status {status}: {done.stdout[-800:]}")
        for loop in loops:
            loop.flush()
        if [disk_images.digest(file) for file in files] != before:
            wrong.append("written to")
        if Path(f"/dev/mapper/v{number}").exists():
            wrong.append("its volume is left open")
        if kind in ARRAYS and "active" in Path("/proc/mdstat").read_text():
            wrong.append("its array is left running")
    except subprocess.TimeoutExpired:
        wrong.append("no answer after a minute")
    finally:
        for loop in loops:
            loop.detach()
        for file in files:
            file.unlink()
    print(f"{'failed' if wrong else 'ok':6} {status}  {image.name}", *wrong, sep="\n      ", flush=True)
    return status, wrong


def orphans() -> "list[str]":
    """An ext4 with a file that was deleted while it was open: whoever mounts it, even read-only, removes the file."""
    image = Path("orphans").resolve()
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", image)
    Path("deleted").write_bytes(b"x" * 5000)
    for command in ("write deleted deleted", "sif <12> links_count 0", "ssv last_orphan 12"):
        run("debugfs", "-w", "-R", command, image)
    before = disk_images.digest(image)
    loop = Loop(image, 512)
    config = Path("orphans.ign")
    config.write_text(json.dumps({"ignition": {"version": "3.5.0"},
                                  "storage": {"filesystems": [{"device": loop.path, "format": "ext4"}]}}))
    done = run(AGENT, "plan", "--config", config, check=False)
    loop.flush()
    loop.detach()
    changed = disk_images.digest(image) != before
    print(f"orphans: {done.returncode}, {'written to' if changed else 'untouched'}", flush=True)
    return ["orphans"] if done.returncode != 0 or changed else []


def main() -> int:
    os.environ["DM_DISABLE_UDEV"] = "1"  # there is none here to make the nodes
    run("modprobe", "-a", "loop", "dm-crypt", "raid1", "vfat", "btrfs", "xfs", "ext4")
    whole = hostile.bases(Path.cwd())
    work = [whole[kind] for kind in KINDS] + hostile.images(OF_EACH * len(KINDS), Path.cwd(), SEED, KINDS)
    jobs = list(enumerate(work))
    # Arrays share a name, so they come one after the other.
    arrays = [job for job in jobs if job[1].name.split()[0] in ARRAYS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = dict(zip((number for number, _ in jobs if (number, _) not in arrays),
                         pool.map(lambda job: planned(*job), [job for job in jobs if job not in arrays])))
    ended.update({number: planned(number, image) for number, image in arrays})
    failed = [work[number].name for number, (_, wrong) in ended.items() if wrong]
    for kind in KINDS:
        # Where the kernel took none, this kind has shown nothing.
        kept = [number for number, (status, _) in ended.items() if status == 0 and work[number].name.split()[0] == kind]
        print(f"{kind}: {len(kept)} of {1 + OF_EACH} kept")
        failed += [] if kept else [f"every {kind}"]
    failed += orphans()
    trouble = [line for line in run("dmesg").stdout.splitlines() if "BUG:" in line or "Oops" in line]
    left = [name for name in os.listdir("/dev/mapper") if name != "control"]
    print(f"{len(work)} images, failed: {failed}, in the kernel's log: {trouble}, left: {left}")
    return 1 if failed or trouble or left else 0


if __name__ == "__main__":
    sys.exit(main())
