"""A real root filesystem with systemd: the demo's scenario, with Firstlight as PID 1 and under dracut."""

import images
import processes
from boot import boot_test
from console import Unmet
from machine import SAME_ADDRESSES, UNDER_LOAD
from paths import AGENT, TREE, kernel_version, modules_folder
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


@boot_test(tier=ALL)
def dracut_twice(bench):
    """The same with the agent's stages as units of a dracut initramfs."""
    boot_twice(bench, lambda scenario: [dracut_initramfs(bench, scenario.image)],
               UNATTENDED)


def dracut_initramfs(bench, image):
    """`dracut --add firstlight`, with this tree's module in a copy of dracut's own folder."""
    result = bench.folder / "dracut.img"
    if result.exists():
        return result
    base = bench.folder / "dracut"
    base.mkdir()
    processes.run(["cp", "-a", "/usr/lib/dracut/.", base])
    processes.run(["cp", "-a", TREE / "dracut/50firstlight", base / "modules.d/50firstlight"])
    processes.run(["cp", AGENT, base / "modules.d/50firstlight/firstlight"])
    none = bench.folder / "no-configuration"
    none.mkdir()
    stamps = bench.folder / "stamps"
    (stamps / "etc").mkdir(parents=True)
    (stamps / "etc/coreos-live-initramfs").write_text(f"{images.VERSION}\n")
    (stamps / "etc/coreos-live-want-rootfs").write_bytes(images.stream_hash(image))
    processes.run(
        ["env", f"dracutbasedir={base}", f"FIRSTLIGHT_STAMPS={stamps}", "dracut", "--force", "--no-hostonly",
         "--no-hostonly-cmdline", "--no-early-microcode", "--zstd", "--add", "firstlight network-legacy",
         "--omit", "systemd-networkd systemd-network-management network-manager connman ignition",
         "--confdir", none, "--kver", kernel_version(),
         "--kmoddir", modules_folder(kernel_version()), result], timeout=1200)
    return result
