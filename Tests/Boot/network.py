"""Networks: which card is used, who gives the addresses, and what the real root inherits."""

import re

import images
from boot import boot_test, facts, stopped, tiny_image
from tiers import ALL

# The first card hangs on a wire with nobody else; the second has a DHCP server and a router.
TWO_CARDS = {
    "network": False,
    "extra": [
        "-netdev", "hubport,id=alone,hubid=0", "-device", "virtio-net-pci,netdev=alone,addr=0x10",
        "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,addr=0x11",
    ],
}
KEYFILE = """[connection]
id=wired
type=ethernet

[ethernet]
mac-address=52:54:00:12:34:57

[ipv4]
method=manual
address1=10.0.2.99/24,10.0.2.2
dns=10.0.2.3;
dns-search=example.com;

[ipv6]
method=disabled
"""


# Both cards have DHCP and a router; only behind the second is the host with the servers.
TWO_NETWORKS = {
    "network": False,
    "extra": [
        "-netdev", "user,id=cut,restrict=on,net=192.0.2.0/24", "-device", "virtio-net-pci,netdev=cut,addr=0x10",
        "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,addr=0x11",
    ],
}


@boot_test()
def server_behind_the_second_card(bench):
    """Of two cards that nobody named and that both get a lease, the one is used over which the server answers."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)], script="ip link; ip -4 addr; pidof udhcpc || true",
                         **TWO_NETWORKS)
    run = facts(machine)["run"]
    told = "network   ens17 10.0.2.15/24 by DHCP, gateway 10.0.2.2"
    assert told in machine.console.text, "the console does not tell who won"
    assert any("10.0.2.15/24" in line and "ens17" in line for line in run), run
    assert not any("ens16" in line and ",UP" in line for line in run), run
    assert not run[-1].strip().isdigit(), "a DHCP client is left running"


@boot_test()
def vlan_on_a_bond(bench):
    """A VLAN on a bond of two cards: made, given its address, and handed over as it is."""
    image = tiny_image()
    config = bench.config(storage={"files": [
        {"path": "/usr/lib/systemd/systemd-networkd", "mode": 0o755, "contents": {"source": "data:,"}}]})
    machine = bench.boot(
        "rd.neednet ignition.firstboot ignition.platform.id=metal bond=bond7:ens16,ens17:mode=active-backup,primary=ens17 "
        "vlan=bond7.5:bond7 ip=192.0.2.9::192.0.2.1:24:node7:bond7.5:none",
        initrd=[images.initramfs(rootfs=image), images.appendix({"config.ign": config.read_bytes()}), image],
        script="ip -d link; ip -4 addr; ip route; cat /sys/class/net/bond7/bonding/slaves "
               "/sys/class/net/bond7/bonding/active_slave; cd /run/systemd/network; ls; cat *", **TWO_CARDS)
    run = facts(machine)["run"]
    text = "\n".join(run)
    assert "ens16 ens17" in run and "ens17" in run, text
    assert "bond7.5@bond7" in text and "192.0.2.9/24" in text and "default via 192.0.2.1 dev bond7.5" in text, text
    assert not re.search(r"\bbond0\b", text), "a bond is left over"
    for line in ["Kind=bond", "Mode=active-backup", "Kind=vlan", "Id=5", "VLAN=bond7.5", "Bond=bond7"]:
        assert line in run, f"{line} is not handed over: {text}"
    assert text.count("PermanentMACAddress=") == 2, text


@boot_test()
def network_keyfile(bench):
    """A keyfile in the initramfs replaces ip=, and names the card by its MAC address."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image})
    keyfile = bench.folder / "wired.nmconnection"
    keyfile.write_text(KEYFILE)
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img ip=ens16:dhcp",
                         initrd=[images.initramfs(rootfs=image, network=keyfile)], script="ip -4 addr; ip route",
                         **TWO_CARDS)
    found = facts(machine)
    assert any("10.0.2.99/24" in line and "ens17" in line for line in found["run"]), found["run"]
    assert found["resolver"] == ["search example.com", "nameserver 10.0.2.3"], found["resolver"]
    machine.console.refuse(r"10\.0\.2\.15")


@boot_test()
def ipv6_autoconfiguration(bench):
    """rd.neednet and ip=IFACE:auto6: an address by router advertisement, and no DHCP."""
    image = tiny_image()
    machine = bench.boot("rd.neednet=1 ip=ens17:auto6", initrd=[images.initramfs(rootfs=image), image],
                         script="ip -6 addr; ip -6 route", **TWO_CARDS)
    run = facts(machine)["run"]
    assert any("fec0::" in line and "/64" in line for line in run), run
    assert any(line.startswith("default via fe80::2") for line in run), run
    machine.console.refuse(r"10\.0\.2\.15")


@boot_test(tier=ALL)
def no_such_interface(bench):
    """An interface that is not there: the report names those that are."""
    machine = bench.boot("rd.neednet=1 ip=ens9:dhcp rd.net.timeout.iflink=2", initrd=[images.initramfs()], **TWO_CARDS)
    stopped(machine, r"no network interface ens9", r"ens16 \(eth0\),\s+ens17 \(eth1\)", r"Nothing was written")


@boot_test(tier=ALL)
def channel_device_not_supported(bench):
    """rd.znet= is refused by name where the network is needed."""
    machine = bench.boot("rd.neednet=1 rd.znet=qeth,0.0.0600 ip=ens16:dhcp", initrd=[images.initramfs()], **TWO_CARDS)
    stopped(machine, r"rd.znet=qeth,0.0.0600: not supported", r"card of another kind")


@boot_test()
def lease_for_networkd(bench):
    """A real root with systemd-networkd is left what renews the lease."""
    config = bench.config(storage={"files": [
        {"path": "/usr/lib/systemd/systemd-networkd", "mode": 0o755, "contents": {"source": "data:,"}}]})
    image = tiny_image()
    machine = bench.boot(
        "rd.neednet ignition.firstboot ignition.platform.id=metal",
        initrd=[images.initramfs(rootfs=image), images.appendix({"config.ign": config.read_bytes()}), image],
        script="cd /run/systemd/network; ls; cat *; stat -c %a . *")
    run = facts(machine)["run"]
    assert re.fullmatch(r"90-firstlight-\S+\.network", run[0]), run
    assert "DHCP=ipv4" in run and "ClientIdentifier=mac" in run, run
    assert any(re.fullmatch(r"MACAddress=52:54:00:[0-9a-f:]+", line) for line in run), run
    assert run[-2:] == ["755", "644"], run
