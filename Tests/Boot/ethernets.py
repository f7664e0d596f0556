"""Networks that a machine's user-mode network cannot be: IPv6 alone, a late server, a link that goes away and comes
back."""

import re
import time

import images
from boot import PROVISION, boot_test, facts, put, tiny_image
from console import Unmet
from segments import DAYS_AHEAD, Segment
from tiers import ALL


@boot_test(tier=ALL)
def ipv6_alone_with_dhcpv6(bench):
    """No IPv4 and no argument: the address, the name servers and the time are the DHCPv6 server's."""
    image = tiny_image()
    www = bench.folder / "www"
    www.mkdir()
    put(image, www / "rootfs.img")
    config = bench.config(storage={"files": [
        {"path": "/usr/lib/systemd/systemd-timesyncd", "contents": {"source": "data:,"}},
        {"path": "/etc/chrony/chrony.conf", "contents": {"source": "data:,sourcedir%20/run/chrony-dhcp%0A"}}]})
    segment = Segment(bench.folder)
    try:
        segment.address("2001:db8::1/64")
        segment.dnsmasq("--enable-ra", "--dhcp-range=2001:db8::100,2001:db8::1ff,64,300",
                        "--dhcp-option=option6:dns-server,[2001:db8::53]", "--dhcp-option=option6:ntp-server,[2001:db8::1]",
                        "--dhcp-option=option6:domain-search,c.example")
        segment.web(www, "2001:db8::1")
        segment.time("2001:db8::1")
        machine = bench.boot(
            f"coreos.live.rootfs_url=http://[2001:db8::1]/rootfs.img {PROVISION}", network=False,
            initrd=[images.initramfs(rootfs=image), images.appendix({"config.ign": config.read_bytes()})],
            script="ip -4 addr; cat /run/systemd/timesyncd.conf.d/* /run/chrony-dhcp/*; date +%s",
            extra=[*segment.card(), "-rtc", "base=2001-01-01"])
        found = facts(machine)
    finally:
        segment.stop()
    console = machine.console.unwrapped
    assert re.search(r"network +ens16 .*2001:db8::1[0-9a-f]{2}/128 .*DNS 2001:db8::53", console), console
    assert found["resolver"] == ["search c.example", "nameserver 2001:db8::53"], found["resolver"]
    assert "the date that 2001:db8::1 tells" in console, "the clock is not the time server's"
    run = found["run"]
    assert not any("ens16" in line for line in run), f"an IPv4 address: {run}"
    assert "NTP=2001:db8::1" in run and "server 2001:db8::1 iburst" in run, run
    away = int(run[-1]) - time.time() - DAYS_AHEAD * 86400
    assert abs(away) < 600, f"the clock is {away} s from the server's"


@boot_test(tier=ALL)
def dhcp_server_three_minutes_late(bench):
    """A server that answers after three minutes, which the machine's clock jumps through: waited for, and told of."""
    image = tiny_image()
    # Eleven seconds for ten requests.
    segment = Segment(bench.folder, deaf=165)
    try:
        segment.address("192.0.2.1/24")
        segment.dnsmasq("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,3600")
        machine = bench.boot("rd.neednet", initrd=[images.initramfs(rootfs=image), image], network=False,
                             script="ip -4 addr", warps=True, extra=segment.card())
        run = facts(machine)["run"]
    finally:
        segment.stop()
    assert any(re.search(r"192\.0\.2\.1\d\d/24.*ens16", line) for line in run), run
    up = re.search(r"^ *(\d+)\.\d s  network +ens16 192", machine.console.text, re.MULTILINE)
    if not up or int(up[1]) < 170:
        raise Unmet("the network to be up after three minutes of the machine's time", up[0] if up else "no such line")
    told = len(re.findall(r"no DHCP answer on ens16", machine.console.unwrapped))
    assert told >= 3, f"told {told} times of what is waited for"


@boot_test(tier=ALL)
def link_lost_in_mid_download(bench):
    """A cable that is out for some seconds in the middle of the image: the download goes on."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image}, rate=image.stat().st_size // 15)
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img", initrd=[images.initramfs(rootfs=image)],
                         script="cat /sys/class/net/ens*/carrier_changes")
    machine.console.expect(r"s  network +ens", what="the network to be up")
    time.sleep(3)
    for up in (False, True):
        machine.control("set_link", name="net", up=up)
        time.sleep(5)
    run = facts(machine)["run"]
    assert int(run[0]) >= 3, f"{run[0]} changes of the carrier: the link was not lost"
    assert any(" 206 " in line or " 200 " in line for line in server.requests()), server.requests()
