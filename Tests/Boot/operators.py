"""What somebody at the console can do: shells, breakpoints, trying again."""

import re

import images
from boot import QUIETLY, boot_test, facts, tiny_image
from tiers import ALL

PROMPT = r"[#$] $"


@boot_test()
def shell_then_again(bench):
    """A failure ends in a shell with the log; after `exit` the boot is tried again and succeeds."""
    image = tiny_image()
    server = bench.nginx({})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img", base=QUIETLY,
                         initrd=[images.initramfs(rootfs=image)])
    console = machine.console
    console.expect(r"^firstlight stopped: .*404", 90)
    console.expect(PROMPT, 30)
    machine.type("grep -c . /run/firstlight/log; which mkfs.xfs mount\n")
    console.expect(r"^[1-9]\d*$", 20)
    console.expect(r"/mkfs\.xfs$", 20)
    (bench.folder / "www0" / "rootfs.img").write_bytes(image.read_bytes())
    machine.type("exit\n")
    # The end of the shell has hung up its terminal.
    console.expect(r"^.* rootfs .* from \S+/rootfs\.img", 60)
    facts(machine)


@boot_test()
def breakpoint(bench):
    """rd.break opens a shell before handing over, with the real root assembled; `exit` goes on."""
    image = tiny_image()
    machine = bench.boot("rd.break", base=QUIETLY, initrd=[images.initramfs(rootfs=image), image], network=False)
    machine.console.expect(r"rd\.break", 90)
    machine.console.expect(PROMPT, 30)
    machine.type("ls /sysroot/sbin/init && echo touched > /sysroot/root/by-hand\n")
    machine.console.expect(r"^/sysroot/sbin/init$", 20)
    machine.type("exit\n")
    facts(machine)


@boot_test(tier=ALL)
def mistyped_argument(bench):
    """An unknown firstlight.* argument warns and names the nearest known one."""
    image = tiny_image()
    machine = bench.boot("firstlight.overlay_sise=20%", initrd=[images.initramfs(rootfs=image), image], network=False)
    facts(machine)
    assert re.search(r"overlay_sise.*did you mean .*overlay_size", machine.console.unwrapped)


@boot_test()
def arguments_for_init(bench):
    """init=, the overlay's size, and what follows -- reach the real root."""
    image = tiny_image()
    machine = bench.boot("firstlight.overlay_size=64M", initrd=[images.initramfs(rootfs=image), image],
                         network=False, script="df -m / | tail -1")
    found = facts(machine)
    size = int(found["run"][0].split()[1])
    assert 60 <= size <= 64, f"the writable layer has {size} MiB"
    machine = bench.boot("init=/sbin/init -- one two", initrd=[images.initramfs(rootfs=image), image], network=False)
    found = facts(machine)
    assert found["arguments"] == ["one two"], found["arguments"]
