"""Boot tests with another kernel than the installed one.

Such a test runs in a process and a mount namespace of its own, in which /boot and /lib/modules hold that kernel and
nothing else: what looks for the kernel there, the harness, the recipes of the documentation, dracut or mkinitramfs,
finds it.
"""

import atexit
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import kernels
import processes
import recorded
import tiers
from outcome import Outcome
from paths import LOGS
from schedule import Job

# By the names under which they are asked for.
KERNELS = {"debian13": kernels.of_next_release}
# What `make test-all` boots with each of them once more: what depends on the kernel's modules, or on its image.
AGAIN = """
    raid-array every-bus-and-format vlan-on-a-bond persistent-var
    pxelinux-second-initrd pxelinux-guide grub-netboot ipxe uefi-http-boot iso-bios-cd iso-uefi-cd
    older-image-from-the-firmware
    dracut-059-by-ipxe dracut-106-by-grub dracut-busybox-by-pxelinux initramfs-tools-by-pxelinux coreos-ipxe
""".split()

# $1: what is to be /lib/modules, $2: /boot; the rest is run.
THERE = 'mount --bind "$1" /lib/modules; mount --bind "$2" /boot; shift 2; exec "$@"'
UNKNOWN = 60  # seconds, of a test whose time was never recorded


@dataclass
class OtherKernelTest:
    """A boot test with one of these kernels."""

    test: object
    kernel: str
    tier = tiers.ALL

    @property
    def name(self) -> str:
        return self.test.name

    @property
    def needs(self) -> "set[str]":
        return self.test.needs

    @property
    def title(self) -> str:
        return f"{self.test.title} on {self.kernel}"

    @property
    def description(self) -> str:
        return self.test.description

    def job(self, after: "list[Job]") -> Job:
        return Job(self.title, recorded.seconds(self.title, UNKNOWN), lambda: [self.run()], after)

    def run(self) -> Outcome:
        began = time.monotonic()
        kernel = KERNELS[self.kernel]()
        logs = LOGS / logs_of(self.name, self.kernel)
        told, printed = Path(f"{logs}.reason"), Path(f"{logs}.output")
        told.unlink(missing_ok=True)
        with open(printed, "wb") as output:
            process = processes.start(
                ["unshare", "--mount", "bash", "-euc", THERE, "bash", kernel.modules.parent, kernel.image.parent,
                 sys.executable, __file__, self.name, self.kernel, told],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            status = process.wait()
            processes.stop(process)
        lines = printed.read_text(errors="replace").splitlines()
        reason = told.read_text() if told.exists() else f"exit status {status}" if status else ""
        outcome = Outcome(self.title, not reason, time.monotonic() - began, reason, logs, lines[-15:])
        outcome.announce()
        return outcome


def logs_of(name: str, kernel: str) -> str:
    return f"boot.{name}.{kernel}"


def again(boot_tests: list) -> "list[OtherKernelTest]":
    """Those that `make test-all` runs once more."""
    known = {test.name: test for test in boot_tests}
    return [OtherKernelTest(known[name], kernel) for kernel in KERNELS for name in AGAIN]


def main(name: str, kernel: str, told: str) -> int:
    """One test, in this process and this mount namespace; what went wrong goes to the file `told`."""
    import boot
    atexit.register(processes.stop_everything)
    test, = [test for test in boot.boot_tests() if test.name == name]
    outcome = boot.run(test, logs_of(name, kernel))
    if not outcome.passed:
        Path(told).write_text(outcome.reason)
        print("\n".join(outcome.last_lines))
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
