"""A bond beside a switch that speaks LACP, and beside one that does not."""

import images
import rootfs
from boot import QUIETLY, boot_test, facts, tiny_image
from cpio import Archive
from machine import Settings, VirtualMachine
from modules import add_modules
from paths import kernel_version
from segments import Segment, wire
from tiers import ALL


@boot_test(tier=ALL)
def lacp_bond_beside_one_that_speaks_it(bench):
    """An 802.3ad bond and another machine's, since this one's kernel may know no bonds: both ports carry, and the lease
    comes by them."""

    def cards(own: str, other: str, mac: str, options: str = "") -> "list[str]":
        words: "list[str]" = []
        for number in (0, 1):
            words += wire(bench.folder, (f"{own}{number}", f"{other}{number}"), 0x10 + number,
                          f"{options},mac=52:54:00:{mac}:00:0{number + 1}")
        return words

    switch = VirtualMachine(
        Settings(arguments=QUIETLY, initrd=[_switch()], network=False, memory=256,
                 extra=cards("switch", "node", "aa", ",speed=1000,duplex=full")),
        f"{bench.logs}.switch")
    bench.watch(switch)
    switch.start()
    machine = bench.boot(
        "rd.neednet bond=bond0:ens16,ens17:mode=802.3ad,lacp_rate=fast ip=bond0:dhcp",
        initrd=[images.initramfs(rootfs=tiny_image()), tiny_image()], network=False, extra=cards("node", "switch", "bb"),
        script="cd /sys/class/net/bond0/bonding; for i in $(seq 30); do [ $(cat ad_num_ports) = 2 ] || sleep 1; done; "
               "cat mode ad_num_ports ad_partner_mac; ip -4 addr")
    run = facts(machine)["run"]
    assert run[:2] == ["802.3ad 4", "2"], run
    assert run[2].startswith("52:54:00:aa:00:0"), f"the partner is {run[2]}"
    assert any("192.0.2.1" in line and "bond0" in line for line in run), run


@boot_test(tier=ALL)
def lacp_bond_with_dhcp(bench):
    """An 802.3ad bond to a switch that does not speak it still gets its lease by one port; a card of QEMU tells no speed,
    without which a port never takes part."""
    segment = Segment(bench.folder, cards=2)
    try:
        segment.address("192.0.2.1/24")
        segment.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,300")
        machine = bench.boot(
            "rd.neednet bond=bond0:ens16,ens17:mode=802.3ad,lacp_rate=fast ip=bond0:dhcp", network=False,
            initrd=[images.initramfs(rootfs=tiny_image()), tiny_image()],
            script="cat /sys/class/net/bond0/bonding/mode; ip -4 addr",
            extra=[*segment.card(0, 0x10), *segment.card(1, 0x11)])
        run = facts(machine)["run"]
    finally:
        segment.stop()
    assert "802.3ad 4" in run and any("192.0.2.1" in line and "bond0" in line for line in run), run


def _switch() -> bytes:
    """An initramfs that is the other end of such a bond, with a DHCP server on it."""
    archive = Archive()
    for name in ["dev", "proc", "sys"]:
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    archive.copy(rootfs.BUSYBOX, "bin/busybox")
    for applet in ["cat", "insmod", "ip", "mount", "sh", "sleep", "touch", "udhcpd"]:
        archive.link(f"bin/{applet}", "busybox")
    order = add_modules(archive, ["virtio_pci", "virtio_net", "af_packet", "bonding"], kernel_version())
    archive.file("udhcpd.conf", "start 192.0.2.100\nend 192.0.2.110\ninterface bond0\nlease_file /leases\npidfile /pid\n"
                 "option subnet 255.255.255.0\noption router 192.0.2.1\noption lease 300\n")
    archive.file("init", f"""#!/bin/busybox sh
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in {' '.join(order)}; do insmod $module; done
cd /sys/class/net/bond0/bonding
echo 802.3ad > mode
echo fast > lacp_rate
echo 100 > miimon
for card in eth0 eth1; do echo +$card > slaves; done
ip link set bond0 up
ip addr add 192.0.2.1/24 dev bond0
touch /leases
udhcpd -f /udhcpd.conf &
while sleep 5; do cat /proc/net/bonding/bond0; done
""", 0o755)
    return archive.finished()
