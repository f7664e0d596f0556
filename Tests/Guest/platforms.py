#!/usr/bin/python3
# disks: 1x512M virtio
# init: udev
# limit: 240
"""The fetch stage on platforms: real volumes that are found by label, real metadata services at their own address."""
import hashlib
import http.server
import shutil
import socket
import socketserver
import threading
from pathlib import Path

from guestlib import DISKS, STATE, forget, mounted, run, stages

DISK, = DISKS
MARK = '{"ignition": {"version": "3.4.0"}, "storage": {"directories": [{"path": "/%s"}]}}'


def fetch(line, check=True):
    """The fetch stage with this kernel command line; what it kept as the user's config."""
    forget()
    done = stages("fetch", line=f"ignition.firstboot {line}", check=check)
    kept = STATE / "config.ign"
    return done, kept.read_text() if kept.exists() else None


def volume(kind, label, path, text):
    """Puts a filesystem with one file onto the disk."""
    file = Path("volume") / path
    shutil.rmtree("volume", ignore_errors=True)
    Path("volume.iso").unlink(missing_ok=True)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    run("wipefs", "-a", DISK)
    if kind == "iso9660":
        run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", label, "-o", "volume.iso", "volume")
        run("dd", "if=volume.iso", f"of={DISK}", "conv=fsync", "status=none")
    else:
        run("mkfs.vfat", "-n", label, DISK)
        run("modprobe", "-a", "vfat", "nls_cp437", "nls_ascii")
        with mounted(DISK) as folder:
            shutil.copytree("volume", folder, dirs_exist_ok=True)
    run("udevadm", "trigger", "--settle", DISK)


class Service(http.server.BaseHTTPRequestHandler):
    """All clouds at once; each path is one cloud's, and wants that cloud's headers."""

    def answer(self, status, text=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):
        lives = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self.answer(200 if self.path == "/latest/api/token" and lives else 404, "token")

    def do_GET(self):
        wanted = {
            "/openstack/latest/user_data": ("openstack", {}),
            "/hetzner/v1/userdata": ("hetzner", {}),
            "/2019-10-01/user-data": ("aws", {"X-aws-ec2-metadata-token": "token"}),
            "/computeMetadata/v1/instance/attributes/user-data": ("gcp", {"Metadata-Flavor": "Google"}),
        }.get(self.path)
        if wanted is None:
            return self.answer(404)
        name, headers = wanted
        allowed = all(self.headers.get(header) == value for header, value in headers.items())
        self.answer(200 if allowed else 403, MARK % name)


def holds(config, name):
    assert config is not None and f'"/{name}"' in config, f"not the config of {name}: {config}"


for platform, label, path in [
    ("proxmoxve", "cidata", "user-data"), ("nutanix", "config-2", "openstack/latest/user_data"),
]:
    volume("iso9660", label, path, MARK % platform)
    holds(fetch(f"ignition.platform.id={platform}")[1], platform)

volume("vfat", "CFG", "deep/er/c.ign", MARK % "vfat")
holds(fetch("ignition.config.device=CFG ignition.config.path=/deep/../deep/er/./c.ign")[1], "vfat")
done, kept = fetch("ignition.config.device=CFG ignition.config.path=/none.ign", check=False)
assert done.returncode != 0 and kept is None and "there is no none.ign on" in done.stdout
assert "firstlight-volume" not in Path("/proc/self/mounts").read_text(), "a volume is still mounted"


def dirty(kind, *commands):
    """A filesystem that was in use when the power went: its journal is to be replayed, a file to be removed."""
    run("wipefs", "-a", DISK)
    run(f"mkfs.{kind}", "-q", "-L", "CFG", DISK)
    with mounted(DISK) as folder:
        (folder / "c.ign").write_text(MARK % kind)
        (folder / "open").write_bytes(b"x" * 5000)
    with mounted(DISK) as folder:
        (folder / "late").write_text("later than the config")
        if kind == "xfs":
            # What is not on the disk is in the log.
            run("xfs_io", "-x", "-c", "shutdown -f", folder)
    for command in commands:
        run("debugfs", "-w", "-R", command, DISK)
    run("udevadm", "trigger", "--settle", DISK)


def content():
    run("blockdev", "--flushbufs", DISK)
    return hashlib.file_digest(open(DISK, "rb"), "sha256").hexdigest()


# Whoever mounts such a filesystem, even read-only, replays the journal and removes the file.
for kind, commands in [
    ("ext4", ["feature needs_recovery", "sif open links_count 0", "ssv last_orphan 13"]), ("xfs", []), ("btrfs", []),
]:
    dirty(kind, *commands)
    before = content()
    holds(fetch("ignition.config.device=CFG ignition.config.path=/c.ign")[1], kind)
    assert content() == before, f"{kind} was written to"

# A disk with sectors of 4096 bytes, onto which an ISO was written.
volume("iso9660", "CFG", "c.ign", MARK % "sectors")
run("wipefs", "-a", DISK)
large = run("losetup", "--find", "--show", "--sector-size", "4096", "volume.iso").stdout.strip()
run("udevadm", "trigger", "--settle", large)
holds(fetch("ignition.config.device=CFG ignition.config.path=/c.ign")[1], "sectors")
run("losetup", "--detach", large)

run("modprobe", "dummy")
run("ip", "link", "add", "cloud", "type", "dummy")
run("ip", "address", "add", "169.254.169.254/32", "dev", "cloud")
run("ip", "link", "set", "cloud", "up")
server = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
for platform in ("openstack", "aws", "gcp", "hetzner"):
    holds(fetch(f"ignition.platform.id={platform}")[1], platform)
done, kept = fetch("ignition.platform.id=vultr")
assert kept is None and "gives none" in done.stdout
# Where no hypervisor has a transport, the kernel takes the host's address for its own.
for module in Path("/lib/modules").glob("*/kernel/net/vmw_vsock/vmw_vsock_virtio_transport.ko"):
    module.unlink()


class Host(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """What listens on the host of Apple's hypervisor."""

    address_family = socket.AF_VSOCK

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "d", 1024


class Apple(Service):
    def address_string(self):
        return "the guest"

    def do_GET(self):
        right = self.headers.get("Accept") == "application/json" and self.headers.get("Host") == "d"
        self.answer(200 if right and self.path == "/" else 403, MARK % ("applehv" + "l" * 300_000))


done, kept = fetch("ignition.platform.id=applehv rd.timeout=3", check=False)
assert done.returncode != 0 and kept is None and "/dev/vsock" in done.stdout, done.stdout
run("modprobe", "vsock_loopback")
host = Host((socket.VMADDR_CID_ANY, 1024), Apple)
threading.Thread(target=host.serve_forever, daemon=True).start()
holds(fetch("ignition.platform.id=applehv")[1], "applehv" + "l" * 300_000)
assert not list(Path("/run").glob("firstlight-relay*"))
