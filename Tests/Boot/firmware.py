"""Real firmware starts the kernel."""

import images
from boot import UNATTENDED, boot_test, facts, tiny_image
from paths import kernel_image

IPXE = """#!ipxe
set base {url}
kernel ${{base}}/vmlinuz initrd=main {arguments} coreos.live.rootfs_url=${{base}}/rootfs.img
initrd --name main ${{base}}/initramfs.img
boot
"""


@boot_test()
def pxe(bench):
    """A network card's iPXE: DHCP, a script by TFTP, kernel and initramfs by HTTP, the root by the agent."""
    image = tiny_image()
    server = bench.nginx({"vmlinuz": kernel_image(), "initramfs.img": images.initramfs(rootfs=image),
                          "rootfs.img": image})
    folder = bench.folder / "tftp"
    folder.mkdir()
    (folder / "boot.ipxe").write_text(IPXE.format(url=server.url, arguments=UNATTENDED))
    machine = bench.boot(boot="network", tftp=folder, bootfile="/boot.ipxe")
    facts(machine, timeout=150)
    asked = [line.split('"')[1].split()[1] for line in server.requests() if '"GET' in line]
    assert asked == ["/vmlinuz", "/initramfs.img", "/rootfs.img"], asked
