"""A real root filesystem with systemd: the demo's scenario, with Firstlight as PID 1 and under dracut."""

import re

import images
import processes
from boot import boot_test
from console import Unmet
from machine import SAME_ADDRESSES, UNDER_LOAD
from paths import AGENT, TREE, kernel_version
from scenario import Scenario, check_boot, check_reuse
from tiers import ALL

# Nearly all of their time is that of Debian's own programs.
UNATTENDED = f"{UNDER_LOAD} {SAME_ADDRESSES} rd.shell=0 rd.emergency=poweroff"


def boot_twice(bench, initrd, arguments=""):
    """The demo's two boots. The machines' logs are the test's."""
    scenario = Scenario()
    try:
        found = []
        for number in (1, 2):
            with scenario.machine(initrd(scenario), f"boot.{bench.name}.{number}", arguments) as machine:
                bench.watch(machine)
                found.append(scenario.boot(machine, limit=900))
            check_boot(found[-1], number)
        check_reuse(*found)
        return found
    finally:
        scenario.clear()


@boot_test()
def debian_twice(bench):
    """Debian with systemd, the guide's persistent /var, a user, a file and units: two boots."""
    first, second = boot_twice(
        bench, lambda scenario: [images.initramfs("virtio", rootfs=scenario.image, fast=False)],
        UNATTENDED)
    if not second.first("plan", "nothing destroyed"):
        raise Unmet("the second boot's plan does not say that nothing is destroyed")
    # The second look tries the filesystem that is kept, and may end after the image where the machine is busy.
    if not first.answers["order"].startswith("disks are planned"):
        raise Unmet("the disks planned before the image has come", first.answers["order"])


@boot_test(tier=ALL)
def dracut_twice(bench):
    """The same with the agent's stages as units of a dracut initramfs."""
    boot_twice(bench, lambda scenario: [dracut_initramfs(bench, scenario.image)],
               UNATTENDED)


def dracut_initramfs(bench, image):
    """What the lines of docs/dracut.md make, run as they stand there; this machine's dracut stays as it is."""
    result = bench.folder / "dracut.img"
    if result.exists():
        return result
    modules = bench.folder / "modules.d"
    processes.run(["cp", "-a", "/usr/lib/dracut/modules.d", modules])
    for name, target in {"dracut": TREE / "dracut", "out": AGENT.parent}.items():
        (bench.folder / name).symlink_to(target)
    stamps = bench.folder / "stamps/etc"
    stamps.mkdir(parents=True)
    (stamps / "coreos-live-initramfs").write_text(f"{images.VERSION}\n")
    (stamps / "coreos-live-want-rootfs").write_bytes(images.stream_hash(image))
    lines = re.search(r"<!-- dracut -->\n```\n(.*?)```\n", (TREE / "docs/dracut.md").read_text(), re.DOTALL)[1]
    processes.run(["unshare", "--mount", "bash", "-euc",
                   f"mount --bind '{modules}' /usr/lib/dracut/modules.d; cd '{bench.folder}'; {lines}"], timeout=1800)
    return result


@boot_test()
def dracut_conflicts(bench):
    """An image with Debian's module ignition beside ours is refused while it is made, and told why."""
    modules = bench.folder / "modules.d"
    processes.run(["cp", "-a", "/usr/lib/dracut/modules.d", modules])
    processes.run(["cp", "-a", TREE / "dracut/50firstlight", modules])
    processes.run(["cp", AGENT, modules / "50firstlight/firstlight"])
    # dracut says much of modules that lack a program, before and after.
    said = bench.folder / "said"
    try:
        processes.run(["unshare", "--mount", "bash", "-euc",
                       f"mount --bind '{modules}' /usr/lib/dracut/modules.d; dracut --add firstlight --no-hostonly "
                       f"--kver '{kernel_version()}' '{bench.folder}/x.img' 2>'{said}'"], timeout=900)
    except processes.ProgramFailed:
        assert "add --omit ignition" in said.read_text(), said.read_text()
    else:
        raise Unmet("dracut to refuse both modules", "an image")
