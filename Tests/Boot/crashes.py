"""The agent dies in the middle of a boot: that is told as every other stop is, and the boot can go on.

The shell of rd.break starts the killer, which waits for the moment in the background. What it kills is the one
process called `init` beside PID 1.
"""

import os
import re
import signal

import images
import rootfs
from boot import PROVISION, QUIETLY, boot_test, embedded, facts, stopped, tiny_image
from machine import MIB
from servers import Stall

PROMPT = r"[#$] $"
DEATHS = {"ILL": "it died of SIGILL", "SEGV": "it died of SIGSEGV", "ABRT": "it died of SIGABRT",
          "KILL": "it was ended by SIGKILL"}
OUT_OF_MEMORY = {"OOM": "the kernel ran out of memory and ended it"}
STEP = "/run/firstlight/step"
# Of all processes the agent is the one that the kernel ends first when these two have taken all memory. It stands still
# until then: how long that takes is not known, nor how long the stage would.
HOG = ("for p in $(pidof init); do [ $p = 1 ] || { kill -STOP $p; echo 1000 >/proc/$p/oom_score_adj; }; done; "
       "for i in 1 2; do dd if=/dev/zero of=/dev/null bs=700M & done; wait")


def kill_at(machine, moment, number):
    """Has the agent killed when the shell's condition `moment` is true; `exit` lets the boot go on until then."""
    act = HOG if number == "OOM" else f"for p in $(pidof init); do [ $p = 1 ] || kill -{number} $p; done"
    machine.type(f"cat >/run/killer <<'END'\nuntil {moment}; do sleep 0.05; done; {act}\nEND\n")
    # In a session of its own: the shell's ends with it.
    machine.type("setsid sh /run/killer </dev/null >/dev/null 2>&1 & sleep 1; echo armed\n")
    machine.console.expect(r"^armed$", 30)
    machine.console.expect(PROMPT, 30)
    machine.type("exit\n")


def at_break(console):
    console.expect(r"rd\.break", 120, never="Kernel panic")
    console.expect(PROMPT, 30)


def expect_death(machine, words, act, seconds=120):
    console = machine.console
    console.expect(rf"^firstlight stopped: {words}", seconds, never="Kernel panic")
    console.expect(rf"^  while {act}", 10)


@boot_test()
def killed_while_downloading(bench):
    """The agent dies of each signal, and of too little memory, while it gets the image: reported; `exit` tries again."""
    # So large that some of it is kept before the rest is there.
    filesystem = bench.folder / "root.squashfs"
    filesystem.write_bytes(rootfs.tiny().read_bytes() + os.urandom(8 * MIB))
    image = images.root_image(filesystem)
    half = image.stat().st_size // 2
    server = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Stall(half)] * (len(DEATHS) + 1)})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img rd.break=initqueue", base=QUIETLY,
                         # Without a hash what arrives is kept at once: there is something to drop.
                         initrd=[images.initramfs()])
    console = machine.console
    moment = f"[ -s /run/firstlight/image/* ] && grep -q 'getting the root' {STEP}"
    for number, words in {**DEATHS, **OUT_OF_MEMORY}.items():
        at_break(console)
        kill_at(machine, moment, number)
        expect_death(machine, words, "getting the root filesystem")
        if number == "OOM":
            console.expect("more RAM", 10)
        console.expect(PROMPT, 30)
        # What had come is of no use to anybody; nothing of the dead agent's is left running.
        machine.type("ls /run/firstlight/image | wc -l; pidof dd udhcpc; echo status $?; rm /run/firstlight/step\n")
        console.expect(r"^0$", 20)
        console.expect(r"^status 1$", 20)
        console.expect(PROMPT, 30)
        machine.type("exit\n")
    at_break(console)
    machine.type("exit\n")
    facts(machine)
    assert "Nothing was written to any disk" in console.text


STORAGE = {
    "disks": [{"device": "/dev/vda", "wipeTable": True, "partitions": [
        {"label": "data", "sizeMiB": 100}, {"label": "vault"}]}],
    # Without options: the key is derived as cryptsetup does it by default, which takes its time.
    "luks": [{"name": "vault", "device": "/dev/disk/by-partlabel/vault",
              "keyFile": {"source": "data:,correct%20horse"}}],
    "filesystems": [{"device": "/dev/disk/by-partlabel/data", "format": "ext4", "label": "data", "path": "/srv"},
                    {"device": "/dev/mapper/vault", "format": "ext4", "label": "inside", "path": "/var"}]}
# The table is there, the volume is not.
HALFWAY = f"[ -e /dev/disk/by-partlabel/vault ] && grep -q 'preparing the disks' {STEP}"


@boot_test()
def killed_while_preparing_disks(bench):
    """The agent dies of each signal, and of too little memory, while it makes the disks; `exit` ends what was begun."""
    disk = bench.disk(size=600 * MIB)
    initrd = embedded(bench, storage=STORAGE)
    machine = bench.boot(f"{PROVISION} rd.break=mount", base=QUIETLY, initrd=initrd, disks=[disk], processors=2, network=False,
                         script="ls /dev/mapper; echo whole")
    console = machine.console
    for number, words in {**DEATHS, **OUT_OF_MEMORY}.items():
        at_break(console)
        kill_at(machine, HALFWAY, number)
        expect_death(machine, words, "preparing the disks")
        console.expect(r"Written so far: .*/dev/vda", 10)
        if number == "OOM":
            console.expect("more RAM", 10)
        console.expect(PROMPT, 30)
        machine.type("rm /run/firstlight/step; exit\n")
    at_break(console)
    machine.type("exit\n")
    assert facts(machine, timeout=400)["run"][-1] == "whole"


@boot_test()
def killed_and_powered_off(bench):
    """rd.emergency=poweroff after the agent's death; the next boot ends what was begun, and the one after writes nothing."""
    disk = bench.disk(size=600 * MIB)
    initrd = embedded(bench, storage=STORAGE)
    machine = bench.boot(f"{PROVISION} rd.break=mount rd.emergency=poweroff", base=QUIETLY, initrd=initrd, disks=[disk],
                         network=False)
    at_break(machine.console)
    kill_at(machine, HALFWAY, "SEGV")
    stopped(machine, "it died of SIGSEGV", "while preparing the disks", "Written so far: .*/dev/vda", "defect",
            r"Powering off \(rd\.emergency=poweroff\)")

    script = "ls /dev/mapper; mount | grep -c mapper; echo whole"
    machine = bench.boot(PROVISION, initrd=initrd, disks=[disk], network=False, script=script)
    assert facts(machine, timeout=400)["run"][-1] == "whole"
    before = disk.path.read_bytes()
    machine = bench.boot(PROVISION, initrd=initrd, disks=[disk], network=False, script=script)
    assert facts(machine, timeout=400)["run"][-1] == "whole"
    assert re.search(r"plan .*nothing destroyed", machine.console.unwrapped)
    after = disk.path.read_bytes()
    for start, end, what in [(0, 1, "the table"), (101, 117, "the volume's header")]:
        assert after[start * MIB:end * MIB] == before[start * MIB:end * MIB], f"{what} was written again"


@boot_test()
def panic_restarts(bench):
    """With rd.emergency=reboot even a kernel panic restarts the machine; the real root's init begins as a kernel starts it."""
    image = tiny_image()
    words = "rd.break=pre-pivot rd.shell=0 rd.emergency=reboot"
    machine = bench.boot(words, base=QUIETLY.replace("panic=-1", ""), initrd=[images.initramfs(rootfs=image), image],
                         network=False, script="cat /proc/sys/kernel/panic /proc/1/oom_score_adj; "
                         "grep -E '^(SigBlk|SigIgn|VmLck)' /proc/1/status")
    at_break(machine.console)
    machine.type("cat /proc/sys/kernel/panic; for p in $(pidof init); do cat /proc/$p/oom_score_adj; done\n")
    machine.console.expect(r"^10\n0\n-1000\n", 20)
    machine.type("sleep 1000 & exit\n")
    found = facts(machine)["run"]
    assert found[:2] == ["0", "0"], found
    status = dict(line.split(":\t", 1) for line in found[2:])
    # The tiny root's init is a shell, which itself ignores SIGQUIT.
    ignored = int(status["SigIgn"], 16) & ~(1 << signal.SIGQUIT - 1)
    assert ignored == 0 and int(status["SigBlk"], 16) == 0 and status["VmLck"].split()[0] == "0", status
