"""A rack for a day: one boot server and three machines, that come up, are given a new version, and come up again.

The server is dnsmasq, nginx with TLS, and matchbox's layout of files, which a small program here reads as matchbox does.
The machines hang on taps of one bridge and boot by the firmware of their cards. All of it is in namespaces that end
with it. One page tells what the machines have posted: out/rack/report.html.

    blank   begins with an empty disk
    vault   has a LUKS volume with xfs from the day before, and keeps it
    patient sees the server go away in the middle of its download, and come back

Then the images are refreshed and all three boot again: blank and vault into the new version; patient's is broken on the
server, and it boots the older image.
"""

import atexit
import html
import json
import random
import shutil
import sys
import time
from pathlib import Path

import boot
import builds
import images
import processes
import recorded
import rootfs
from console import Unmet
from machine import GIB, UNDER_LOAD, Disk, Settings, VirtualMachine
from matchbox import Matchbox
from outcome import Outcome, say
from paths import LOGS, OUT, TOOL, kernel_image
from schedule import Job
from servers import Certificate

TITLE = "rack"
UNKNOWN = 420  # seconds, where its time was never recorded
SERVER = "192.0.2.1"
PAGE = OUT / "rack"
MACHINES = ("blank", "vault", "patient")
PADDING = 24 << 20  # bytes that no compression takes away: there is a middle of the download
RATE = "3m"  # bytes a second that one machine gets of an image
AWAY = 12  # seconds for which the server is gone
# Every machine of the rack runs it: it counts its boots where its state is kept.
DIARY = """mkdir -p /tmp/state
disk=/dev/mapper/vault; [ -e $disk ] || disk=/dev/vda1
mount -t xfs $disk /tmp/state && echo boot >>/tmp/state/diary
echo name=$(cat /etc/rack-name) version=$(cat /rack-version) boots=$(wc -l </tmp/state/diary)
umount /tmp/state"""

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {server}:80;
        listen {server}:443 ssl;
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key};
        location /assets/ {{ root {data}; }}
        location ~ ^/assets/.*/rootfs\\.img$ {{ root {data}; limit_rate {rate}; }}
        location / {{ proxy_pass http://127.0.0.1:{port}; }}
    }}
}}
"""


class Rack:
    """The server with its files, and the machines with their disks."""

    def __init__(self) -> None:
        self.folder = processes.temporary_folder("rack")
        self.folder.chmod(0o755)
        self.data = self.folder / "matchbox"
        for name in ("assets", "groups", "ignition", "profiles"):
            (self.data / name).mkdir(parents=True)
        self.certificate = Certificate.make(self.folder, SERVER)
        self.matchbox = Matchbox(self.data)
        self.boots: "list[dict]" = []
        self.disks = {name: Disk.blank(self.folder / name, GIB) for name in MACHINES}
        self._versions: "dict[str, Path]" = {}
        self._wire()
        self._serve_addresses()
        self.nginx = None
        self.start_nginx()

    # The network

    def _wire(self) -> None:
        def ip(*words) -> None:
            processes.run(["ip", *words])

        ip("link", "set", "lo", "up")
        ip("link", "add", "rack", "type", "bridge")
        ip("addr", "add", f"{SERVER}/24", "dev", "rack")
        for name in MACHINES:
            ip("tuntap", "add", "mode", "tap", name)
            ip("link", "set", name, "master", "rack", "up")
        ip("link", "set", "rack", "up")

    def _serve_addresses(self) -> None:
        tftp = self.folder / "tftp"
        tftp.mkdir()
        (tftp / "start.ipxe").write_text(f"#!ipxe\nchain http://{SERVER}/boot.ipxe\n")
        hosts = [f"--dhcp-host={self.address_of(name)},{name}" for name in MACHINES]
        processes.start([
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0", "--interface=rack",
            "--bind-interfaces", "--dhcp-authoritative", "--no-ping", f"--dhcp-leasefile={self.folder}/leases",
            "--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,3600", "--enable-tftp", f"--tftp-root={tftp}",
            "--dhcp-boot=start.ipxe", *hosts], dying_signal="TERM")

    def start_nginx(self) -> None:
        configuration = self.folder / "nginx.conf"
        configuration.write_text(NGINX.format(
            folder=self.folder, server=SERVER, certificate=self.certificate, data=self.data, rate=RATE,
            port=self.matchbox.port))
        self.nginx = processes.start(["nginx", "-e", self.folder / "error.log", "-p", self.folder, "-c", configuration],
                                     dying_signal="TERM")

    def stop_nginx(self) -> None:
        processes.stop(self.nginx)

    @staticmethod
    def address_of(name: str) -> str:
        return f"52:54:00:00:00:{MACHINES.index(name) + 1:02x}"

    # The files

    def publish(self, version: str, older: "str | None" = None) -> None:
        """Puts a version's kernel, initramfs and root image on the server, and points every machine to it."""
        image = self._versions[version] = root_of(version)
        options = {"ca": self.certificate.chain}
        if older:
            options["fallback-rootfs"] = self._versions[older]
        made = self.folder / version
        processes.run([
            TOOL, "pxe", "-o", made, "--url", f"http://{SERVER}/assets/{version}", "--kernel", kernel_image(),
            "--initramfs", images.initramfs(rootfs=image, **options), "--rootfs", image,
            "--kargs", f"console=ttyS0 loglevel=3 panic=-1 {UNDER_LOAD} rd.shell=0 rd.emergency=poweroff",
            "--config-url", f"https://{SERVER}/ignition?uuid=${{uuid}}&mac=${{mac}}"])
        shutil.copytree(made, self.data / "assets" / version)
        profile = json.loads((made / "matchbox/profiles/firstlight.json").read_text())
        arguments = [word.replace("rootfs_url=http://", "rootfs_url=https://") for word in profile["boot"]["args"]]
        arguments += [f"firstlight.report_url=https://{SERVER}/reports/${{mac}}", boot.run_argument(DIARY)]
        if older:
            arguments.append(f"firstlight.fallback_url=https://{SERVER}/assets/{older}/rootfs.img")
        for name in MACHINES:
            mine = {**profile, "id": name, "ignition_id": f"{name}.ign", "boot": {**profile["boot"], "args": arguments}}
            (self.data / "profiles" / f"{name}.json").write_text(json.dumps(mine, indent=2))
            group = {"id": name, "profile": name, "selector": {"mac": self.address_of(name)}}
            (self.data / "groups" / f"{name}.json").write_text(json.dumps(group, indent=2))
            (self.data / "ignition" / f"{name}.ign").write_text(json.dumps(config_of(name), indent=2))

    def break_image(self, version: str, name: str) -> None:
        """Has one machine be sent to a copy of the version's root image in which one bit is another."""
        source = self.data / "assets" / version / "rootfs.img"
        broken = self.data / "assets" / f"{version}-broken"
        broken.mkdir()
        content = bytearray(source.read_bytes())
        content[len(content) // 3] ^= 1
        (broken / "rootfs.img").write_bytes(content)
        profile = self.data / "profiles" / f"{name}.json"
        profile.write_text(profile.read_text().replace(f"/{version}/rootfs.img", f"/{version}-broken/rootfs.img"))

    # The machines

    def boot(self, name: str, when: str, meanwhile=lambda machine: None) -> dict:
        """Boots a machine to the end of its root's script; what the server knows of it then, and the console."""
        say(f"  {when}: {name} boots")
        before = len(self.matchbox.reports)
        settings = Settings(
            boot="network", network=False, disks=[self.disks[name]],
            extra=["-netdev", f"tap,id=net,ifname={name},script=no,downscript=no",
                   "-device", f"virtio-net-pci,netdev=net,mac={self.address_of(name)}"])
        with VirtualMachine(settings, f"rack.{name}.{when.replace(' ', '-')}") as machine:
            try:
                machine.start()
                meanwhile(machine)
                run = boot.facts(machine, timeout=400)["run"]
            except Unmet as unmet:
                raise Unmet(f"{name}, {when}: {unmet}", "\n".join(machine.last_lines())) from None
            text = machine.console.unwrapped
        reports = self.matchbox.reports[before:]
        if len(reports) != 1 or reports[0].path != f"/reports/{self.address_of(name)}":
            raise Unmet(f"one report of {name}", str([report.path for report in reports]))
        found = {"machine": name, "when": when, "report": json.loads(reports[0].body), "console": text,
                 **dict(word.split("=", 1) for word in run[-1].split())}
        self.boots.append(found)
        return found


def config_of(name: str) -> dict:
    """Matchbox serves one to each: its state on its disk, and its name."""
    state = {"format": "xfs", "label": "state", "path": "/state", "wipeFilesystem": False}
    storage = {"files": [{"path": "/etc/rack-name", "contents": {"source": f"data:,{name}"}}]}
    if name == "vault":
        storage["luks"] = [{"name": "vault", "device": "/dev/vda", "keyFile": {"source": f"https://{SERVER}/assets/key"},
                            "options": ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]}]
        storage["filesystems"] = [{"device": "/dev/mapper/vault", **state}]
    else:
        storage["disks"] = [{"device": "/dev/vda", "partitions": [{"number": 1, "label": "state"}]}]
        storage["filesystems"] = [{"device": "/dev/disk/by-partlabel/state", **state}]
    return {"ignition": {"version": "3.4.0"}, "storage": storage}


def root_of(version: str) -> Path:
    """The tiny root as that version: it says so, and is large enough to have a middle."""
    folder = processes.temporary_folder("root")
    try:
        tree = folder / "tree"
        tree.mkdir()
        # Names that the image does not have: what is added beside them would be called otherwise.
        (tree / "rack-version").write_text(version)
        (tree / "padding").write_bytes(random.Random(version).randbytes(PADDING))
        tiny = rootfs.tiny()
        image = folder / f"rack-{version}-{tiny.stem}.squashfs"
        shutil.copyfile(tiny, image)
        processes.run(["mksquashfs", tree, image, "-quiet", "-no-progress", "-no-recovery"])
        return images.root_image(image, version)
    finally:
        processes.remove_folder(folder)


# --- The day ---------------------------------------------------------------------------------------


def server_goes_away(rack: Rack):
    """What happens to the server while a machine downloads: it ends in the middle, and starts again."""

    def happen(machine: VirtualMachine) -> None:
        machine.console.expect(r"rootfs +\S+ of \S+ MiB +[4-7]\d %", 240, what="the download of the root image under way")
        rack.stop_nginx()
        machine.console.expect(r"rootfs +.*(lost|refused|cannot connect|answer)", 120,
                               what="the machine to tell that the server is gone")
        time.sleep(AWAY)
        rack.start_nginx()

    return happen


def day(rack: Rack) -> None:
    (rack.data / "assets/key").write_text("a key of some length")
    rack.publish("1")
    rack.boot("vault", "the day before")
    say("version 1")
    first = {
        "blank": rack.boot("blank", "version 1"),
        "vault": rack.boot("vault", "version 1"),
        "patient": rack.boot("patient", "version 1", server_goes_away(rack)),
    }
    say("the images are refreshed; patient's new one is broken")
    rack.publish("2", older="1")
    rack.break_image("2", "patient")
    second = {name: rack.boot(name, "version 2") for name in MACHINES}
    check(first, second)


def check(first: "dict[str, dict]", second: "dict[str, dict]") -> None:
    """All three end up right."""
    wrong = []

    def expect(holds: bool, what: str) -> None:
        if not holds:
            wrong.append(what)

    def changes(found: dict, kind: str) -> "list[str]":
        return [line for stage in found["report"]["stages"] if stage["stage"] == "disks" for line in stage[kind]]

    def has_xfs(lines: "list[str]") -> bool:
        return any('xfs "state"' in line for line in lines)

    for found in [*first.values(), *second.values()]:
        where = f"{found['machine']}, {found['when']}"
        expect(found["report"]["outcome"] == "done", f"{where}: {found['report']['outcome']}")
        expect(found["name"] == found["machine"], f"{where}: it has the config of {found['name']}")
        expect(found["report"]["destroyed"] == 0, f"{where}: something was destroyed")
    for name in ("blank", "patient"):
        expect(has_xfs(changes(first[name], "created")), f"{name}: its disk was not blank")
    expect(has_xfs(changes(first["vault"], "kept")), "vault: its filesystem was not kept")
    for name in MACHINES:
        expect(has_xfs(changes(second[name], "kept")) and not changes(second[name], "created"),
               f"{name}: its state was not kept: {changes(second[name], 'created')}")
    expect([first[name]["boots"] for name in MACHINES] == ["1", "2", "1"], f"diaries: {first}")
    expect([second[name]["boots"] for name in MACHINES] == ["2", "3", "2"], f"diaries: {second}")
    expect({found["version"] for found in first.values()} == {"1"}, "version 1 is not what runs first")
    expect([second[name]["version"] for name in MACHINES] == ["2", "2", "1"], "not the versions that were wanted")
    expect("trying again from" in first["patient"]["console"], "patient: the download did not go on where it ended")
    for name in MACHINES:
        fallback = second[name]["report"].get("fallback")
        expect((fallback is not None) == (name == "patient"), f"{name}: its report says of an older image: {fallback}")
    expect("the OLDER root image is booted" in second["patient"]["console"], "patient: its console does not tell")
    if wrong:
        raise Unmet("three machines that end up right", "; ".join(wrong))


# --- The page --------------------------------------------------------------------------------------


def page(boots: "list[dict]") -> str:
    """What the machines have posted, as one page for a browser."""
    rows = []
    for found in boots:
        report = found["report"]
        fallback = report.get("fallback")
        notes = ([f"the OLDER image runs, {fallback['image']}: {fallback['reason']}"] if fallback else []) \
            + [note for note in report["warnings"] if not fallback or note not in fallback["reason"]]
        cells = [found["when"], found["machine"], found["version"], report["outcome"], f"{report['seconds']:.1f} s",
                 *(str(report[kind]) for kind in ("kept", "created", "changed", "destroyed"))]
        done = [f"{stage['stage']}: {kind} {', '.join(stage[kind])}" for stage in report["stages"]
                for kind in ("destroyed", "created", "kept") if stage[kind]]
        rows.append(f"<tr{' class=older' if fallback else ''}>"
                    + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
                    + "<td>" + "<br>".join(html.escape(line) for line in notes + done) + "</td></tr>")
    heads = "".join(f"<th>{head}</th>" for head in (
        "when", "machine", "version", "outcome", "took", "kept", "created", "changed", "destroyed", "what"))
    return ("<!DOCTYPE html>\n<meta charset=utf-8><title>The rack</title>\n"
            "<style>body{font-family:sans-serif}table{border-collapse:collapse}td,th{border:1px solid #999;"
            "padding:.3em;text-align:left;vertical-align:top}.older{background:#fed}</style>\n"
            f"<h1>The rack</h1>\n<table>\n<tr>{heads}</tr>\n" + "\n".join(rows) + "\n</table>\n")


def main() -> int:
    """Builds what it takes, and lives the day; the exit status."""
    builds.make("agent", "tool")
    return 0 if run().passed else 1


def job(after: "list[Job]") -> Job:
    return Job(TITLE, recorded.seconds(TITLE, UNKNOWN), lambda: [run()], after)


def run() -> Outcome:
    """The day, in namespaces of its own."""
    began, told = time.monotonic(), LOGS / "rack.complaints"
    rootfs.tiny()
    with open(told, "wb") as complaints:
        ended = processes.start([
            "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, __file__],
            stderr=complaints).wait()
    reason = told.read_text(errors="replace").strip() or f"exit status {ended}" if ended else ""
    outcome = Outcome(TITLE, not ended, time.monotonic() - began, reason, LOGS / "rack")
    outcome.announce()
    return outcome


def inside() -> int:
    atexit.register(processes.stop_everything)
    rack = Rack()
    try:
        day(rack)
    except Unmet as unmet:
        print(unmet, file=sys.stderr)
        return 1
    finally:
        PAGE.mkdir(parents=True, exist_ok=True)
        (PAGE / "report.html").write_text(page(rack.boots))
        for number, found in enumerate(rack.boots, 1):
            (PAGE / f"{number}-{found['machine']}.json").write_text(json.dumps(found["report"], indent=2))
    say(f"what they posted: {(PAGE / 'report.html').relative_to(OUT.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(inside())
