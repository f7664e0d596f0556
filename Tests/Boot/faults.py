"""Servers and networks that go wrong for a while: the boot goes on."""

import re

import images
import processes
from boot import boot_test, facts, tiny_image
from servers import HOST, Redirect, Reset, Stall, Status, free_port
from tiers import ALL


@boot_test()
def resume_after_reset(bench):
    """A connection reset in mid transfer: the rest is asked for with Range and If-Range."""
    image = tiny_image()
    half = image.stat().st_size // 2
    server = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Reset(half), Reset(half + 100_000)]})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)])
    facts(machine)
    gets = server.gets("/rootfs.img")
    assert len(gets) == 3, gets
    for earlier, request in zip((0, half), gets[1:]):
        start = int(re.fullmatch(r"bytes=(\d+)-", request.range or "")[1])
        assert earlier <= start, f"asked again from {start}, {half} bytes had come"
        assert request.if_range, "no If-Range: a changed file would be spliced"
    assert re.search(r"rootfs .*again", machine.console.unwrapped), "the console does not tell of it"


@boot_test(tier=ALL)
def restart_without_validator(bench):
    """A server that sends no validator: after a reset the transfer starts over and is right."""
    image = tiny_image()
    server = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Reset(image.stat().st_size // 2)]},
                          validator=False)
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)])
    facts(machine)
    gets = server.gets("/rootfs.img")
    assert len(gets) == 2 and gets[1].range is None, gets


@boot_test(tier=ALL)
def server_errors_pass(bench):
    """503 and 429 are tried again."""
    image = tiny_image()
    server = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Status(503), Status(429), Status(502)]})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)])
    facts(machine)
    assert len(server.gets("/rootfs.img")) == 4


@boot_test(tier=ALL)
def stall_resumes(bench):
    """A server that falls silent for 30 seconds is given up, and the transfer resumed."""
    image = tiny_image()
    server = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Stall(image.stat().st_size // 2)]})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)])
    facts(machine, timeout=150)
    assert server.gets("/rootfs.img")[1].range, "started over instead of resuming"


@boot_test()
def mirrors(bench):
    """The second URL takes over from a server that is not there and goes on after one that resets."""
    image = tiny_image()
    half = image.stat().st_size // 2
    first = bench.faulty({"/rootfs.img": image}, {"/rootfs.img": [Reset(half)]})
    second = bench.faulty({"/other/rootfs.img": image})
    machine = bench.boot(
        f"coreos.live.rootfs_url={first.url}/rootfs.img coreos.live.rootfs_url={second.url}/other/rootfs.img",
        initrd=[images.initramfs(rootfs=image)])
    facts(machine)
    assert first.gets("/rootfs.img") and second.gets("/other/rootfs.img")


@boot_test(tier=ALL)
def mirror_not_there(bench):
    """A first mirror where nothing listens is passed over."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image})
    machine = bench.boot(
        f"coreos.live.rootfs_url=http://{HOST}:{free_port()}/rootfs.img "
        f"coreos.live.rootfs_url={server.url}/rootfs.img", initrd=[images.initramfs(rootfs=image)])
    facts(machine)


@boot_test()
def server_comes_late(bench):
    """A server that is not up yet is waited for."""
    image = tiny_image()
    port = free_port()
    machine = bench.boot(f"coreos.live.rootfs_url=http://{HOST}:{port}/rootfs.img",
                         initrd=[images.initramfs(rootfs=image)])
    machine.console.expect(r"rootfs .*cannot connect", 60, never=r"^firstlight stopped")
    bench.faulty({"/rootfs.img": image}, port=port)
    facts(machine)


@boot_test()
def silent_config_server(bench):
    """A config server that refuses is told of with its URL and the reason, also with `quiet`, until it is there."""
    image = tiny_image()
    port = free_port()
    machine = bench.boot(
        f"quiet ignition.firstboot ignition.platform.id=metal ignition.config.url=http://{HOST}:{port}/config.ign",
        initrd=[images.initramfs(rootfs=image), image])
    machine.console.expect(rf"^ *[0-9.]+ s  config    http://{HOST}:{port}/config\.ign: cannot", 90,
                           never=r"^firstlight stopped|^@fact")
    bench.faulty({"/config.ign": bench.config()}, port=port)
    facts(machine)
    assert re.search(r"attempts since second [0-9.]+, still trying\. Check that the server runs", machine.console.unwrapped)


@boot_test()
def two_silent_servers(bench):
    """Of two servers that refuse at the same time, both are told of, each with its URL."""
    image = tiny_image()
    ports = {"config.ign": free_port(), "rootfs.img": free_port()}
    urls = {name: f"http://{HOST}:{port}/{name}" for name, port in ports.items()}
    machine = bench.boot(
        f"quiet ignition.firstboot ignition.platform.id=metal ignition.config.url={urls['config.ign']} "
        f"coreos.live.rootfs_url={urls['rootfs.img']}", initrd=[images.initramfs(rootfs=image)])
    told = {machine.console.expect(r"^ *[0-9.]+ s  (?:config|rootfs)    http://\S+/(\S+): cannot", 90,
                                   never=r"^firstlight stopped|^@fact")[1] for _ in ports}
    assert told == set(ports), told
    bench.faulty({"/config.ign": bench.config()}, port=ports["config.ign"])
    bench.faulty({"/rootfs.img": image}, port=ports["rootfs.img"])
    facts(machine)


@boot_test(tier=ALL)
def redirects(bench):
    """Redirects are followed."""
    image = tiny_image()
    target = bench.nginx({"rootfs.img": image})
    server = bench.faulty({"/here": image}, {"/here": [Redirect(f"{target.url}/rootfs.img")] * 3})
    machine = bench.boot(f"coreos.live.rootfs_url={server.url}/here", initrd=[images.initramfs(rootfs=image)])
    facts(machine)
    assert any("GET /rootfs.img" in line for line in target.requests())


@boot_test(tier=ALL)
def proxy(bench):
    """firstlight.proxy= is used for the root image."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image})
    port = free_port()
    configuration = bench.folder / "tinyproxy.conf"
    log = bench.folder / "tinyproxy.log"
    # Only the proxy knows what is behind that name.
    configuration.write_text(
        f'Port {port}\nListen 127.0.0.1\nTimeout 60\nLogFile "{log}"\nLogLevel Connect\n'
        f'Upstream http 127.0.0.1:{server.port} "images.example"\n')
    program = processes.start(["tinyproxy", "-d", "-c", configuration])
    try:
        machine = bench.boot(
            f"coreos.live.rootfs_url=http://images.example/rootfs.img firstlight.proxy=http://{HOST}:{port}",
            initrd=[images.initramfs(rootfs=image)])
        facts(machine)
    finally:
        processes.stop(program)
    # The proxy asks with the whole URL, which nobody but it does.
    assert any(re.search(r"images\.example(:80)?/rootfs\.img", line) for line in server.requests()), server.requests()


@boot_test()
def static_address(bench):
    """A fixed ip= with a name server: no DHCP, and the real root gets the same."""
    image = tiny_image()
    server = bench.nginx({"rootfs.img": image})
    machine = bench.boot(
        f"coreos.live.rootfs_url={server.url}/rootfs.img "
        "ip=10.0.2.77::10.0.2.2:255.255.255.0:node7:eth0:none nameserver=10.0.2.3 net.ifnames=0",
        initrd=[images.initramfs(rootfs=image)], script="ip -4 addr show; ip route")
    found = facts(machine)
    assert any("10.0.2.77/24" in line for line in found["run"]), found["run"]
    assert any("default via 10.0.2.2" in line for line in found["run"]), found["run"]
    assert found["hostname"] == ["node7"]
    assert found["resolver"] == ["nameserver 10.0.2.3"]
    machine.console.refuse(r"10\.0\.2\.15")
