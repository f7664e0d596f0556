"""What must hold of the agent as it is shipped: out/firstlight, run on this machine.

Each runs in namespaces of its own, in a root that holds the binary and what the test puts there.
"""

import http.server
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import processes
import supply_chain
from paths import AGENT, TREE

NAME = "images.example"
DNS_ADDRESS = "127.0.0.53"
WEB_ADDRESS = "127.0.0.80"
WEB_PORT = 8080
CONTENT = b"what the server holds\n" * 1000


def statically_linked() -> None:
    said = processes.run(["file", "--brief", AGENT]).decode()
    assert "static-pie linked" in said, said


def asks_for_no_dynamic_loader() -> None:
    headers = processes.run(["readelf", "--wide", "--program-headers", "--dynamic", AGENT]).decode()
    assert "INTERP" not in headers, headers
    assert "NEEDED" not in headers, headers


def opens_a_luks2_header() -> None:
    folder = processes.temporary_folder("luks")
    try:
        image = folder / "disk.img"
        with open(image, "wb") as file:
            file.truncate(32 << 20)
        uuid = "6a1c1b5e-52a8-4c5c-9b9b-1f0a6d2f7f10"
        processes.run(
            ["cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--key-file", "-", "--label", "vault",
             "--uuid", uuid, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", image],
            input=b"open sesame")
        text = processes.run([AGENT, "probe", image]).decode()  # raises unless it exits with 0
        found = json.loads(text)
        wanted = {"version": 2, "uuid": uuid, "label": "vault"}
        assert found["luks"] == wanted, text
    finally:
        processes.remove_folder(folder)


def unwinds_a_thread() -> None:
    """libargon2 ends its threads with pthread_exit: a binary without unwind tables aborts there."""
    frames = processes.run(["readelf", "--debug-dump=frames-interp", "--wide", AGENT]).decode(errors="replace")
    assert frames.count(" FDE ") > 10000, "the binary has no unwind tables"
    processes.run([AGENT, "self-test"])


def derives_a_key_of_a_default_volume() -> None:
    """A volume made with cryptsetup's defaults: the key is derived on all processors, and a wrong one is told."""
    folder = processes.temporary_folder("luks")
    try:
        image = folder / "disk.img"
        with open(image, "wb") as file:
            file.truncate(32 << 20)
        processes.run(["cryptsetup", "luksFormat", "--batch-mode", "--key-file", "-", image], input=b"open sesame")
        dump = processes.run(["cryptsetup", "luksDump", image]).decode()
        assert "argon2id" in dump and "Threads:    1" not in dump, dump
        config = folder / "config.ign"
        config.write_text(json.dumps({"ignition": {"version": "3.4.0"}, "storage": {"luks": [
            {"name": "vault", "device": str(image), "keyFile": {"source": "data:,wrong"}}]}}))
        done = subprocess.run([AGENT, "plan", "--config", config], capture_output=True, text=True, timeout=300)
        assert done.returncode == 1 and 'the key of "vault" does not open' in " ".join(done.stderr.split()), done
    finally:
        processes.remove_folder(folder)


def resolves_a_name_from_hosts() -> None:
    fetches_from_a_root_with({"etc/hosts": f"{WEB_ADDRESS} {NAME}\n"})


def resolves_a_name_from_dns() -> None:
    fetches_from_a_root_with({"etc/resolv.conf": f"nameserver {DNS_ADDRESS}\n"})


def starts_as_pid_1_with_nothing_mounted() -> None:
    root = empty_root({})
    try:
        said = processes.run(
            ["unshare", "--pid", "--fork", "--mount", "chroot", root, "/firstlight", "--version"], timeout=60)
        assert said.startswith(b"firstlight "), said
        assert (root / "proc").is_dir(), "it ran without mounting /proc"
    finally:
        processes.remove_folder(root)


def documentation_lists_the_arguments_it_honours() -> None:
    table = processes.run([AGENT, "arguments"]).decode()
    assert table.startswith("|"), table
    text = (TREE / "docs/kernel-arguments.md").read_text()
    assert table in text, "the table of arguments is out of date: make arguments"


def plans_what_a_config_refers_to() -> None:
    disk = {"ignition": {"version": "3.4.0"}, "storage": {"disks": [{"device": "/dev/nowhere", "wipeTable": True}]}}
    merging = {"config": {"merge": [{"source": "data:," + urllib.parse.quote(json.dumps(disk))}]}}
    said = plan({"ignition": {"version": "3.4.0", **merging}}, "--offline")
    assert said.returncode == 1 and "/dev/nowhere" in said.stderr, said
    # What stands beside a replacement is not planned.
    replaced = {"config": {"replace": {"source": "http://127.0.0.1:9/x.ign"}}}
    said = plan({"ignition": {"version": "3.4.0", **replaced}, "storage": disk["storage"]}, "--offline")
    assert said.returncode == 1 and "needs the network" in said.stderr and "nowhere" not in said.stderr, said
    arguments = {"ignition": {"version": "3.4.0"}, "kernelArguments": {"shouldExist": ["surely.not.there=1"]}}
    said = plan(arguments)
    assert said.returncode == 0 and "surely.not.there=1" in said.stdout, said
    told = json.loads(plan(arguments, "--json").stdout)
    assert told["kernelArguments"] == {"missing": ["surely.not.there=1"], "unwanted": []}, told


def plan(config: dict, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([AGENT, "plan", "--config", "-", *words], input=json.dumps(config), capture_output=True,
                          text=True, timeout=60)


def mistyped_flags_exit_non_zero() -> None:
    lines = ("firstlight --plna", "firstlight plan --config - --jsn", "firstlight stage fetch --x",
             "firstlight validate --jsn -", "firstlight fetch data:, --hsah x", "ignition -platfrom metal",
             "ignition-apply --of -", "ignition-rmcfg --platfrom metal", "ignition-validate -verison",
             "modprobe --quite loop")
    for line in lines:
        done = subprocess.run(line.split(), executable=AGENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert done.returncode > 0 and done.stderr, f"{line}: {done}"


def an_empty_value_takes_no_other_word() -> None:
    """What a script has in --root="$ROOT" where nothing is set."""
    for line in ("plan --config= /dev/null", "plan --config - --offline --root= --json", "fetch data:,x --hash= --gzip",
                 "fetch --output= data:,x", "network --keyfiles= ip=dhcp"):
        done = subprocess.run(["firstlight", *line.split()], executable=AGENT, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        named = next(word for word in line.split() if word.endswith("="))[:-1]
        assert done.returncode > 0 and not done.stdout, f"{line}: {done}"
        assert f"{named} is empty" in done.stderr.decode(), f"{line}: {done}"


def what_cannot_be_read_is_named() -> None:
    missing = "/nonexistent/config.ign"
    for line in (f"firstlight plan --config {missing}", f"firstlight validate {missing}",
                 f"firstlight-image rootfs {missing} -o /nonexistent/out",
                 f"firstlight-image initramfs --ignition {missing} -o /nonexistent/out"):
        program, *rest = line.split()
        done = subprocess.run([AGENT.with_name(program), *rest], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        said = done.stderr.decode().split("\n")[0]
        assert done.returncode == 1 and f"cannot read {missing}: No such file or directory" in said, f"{line}: {said}"


def conflicts_are_json_too() -> None:
    folder = processes.temporary_folder("conflict")
    try:
        disk, config = folder / "disk", folder / "config.ign"
        with open(disk, "wb") as image:
            image.truncate(16 << 20)
        processes.run(["mkfs.ext4", "-q", "-F", disk])
        wanted = {"disks": [{"device": str(disk), "partitions": [{"label": "var"}]}]}
        config.write_text(json.dumps({"ignition": {"version": "3.4.0"}, "storage": wanted}))
        done = subprocess.run([AGENT, "plan", "--json", "--config", config], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60)
        told = json.loads(done.stdout)
        assert done.returncode == 1 and told["conflicts"], done
        assert "ext4" in json.dumps(told["conflicts"]), told
    finally:
        processes.remove_folder(folder)


def help_fits_the_console() -> None:
    tool = AGENT.with_name("firstlight-image")
    for program in [p for p in (AGENT, tool) if p.exists()]:
        commands = [""] + re.findall(r"^  ([a-z-]+)  ", processes.run([program, "--help"]).decode(), re.MULTILINE)
        assert len(commands) > 3, commands
        for command in commands:
            text = processes.run([program, *command.split(), "--help"]).decode()
            wide = [line for line in text.splitlines() if len(line) > 80]
            assert not wide, f"{program.name} {command}: {wide}"


def fetching_tells_how_far_it_is() -> None:
    """With -o on a terminal: a line that is drawn over while the file comes."""
    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(10 << 20))
            self.end_headers()
            for _ in range(10):
                self.wfile.write(bytes(1 << 20))
                time.sleep(0.2)

        def log_message(self, *_) -> None:
            pass

    folder = processes.temporary_folder("fetch")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ours, theirs = pty.openpty()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/image"
        done = subprocess.run([AGENT, "fetch", url, "-o", folder / "image"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=theirs, timeout=60)
        said = os.read(ours, 1 << 16).decode()
        assert done.returncode == 0 and (folder / "image").stat().st_size == 10 << 20, said
        assert len(re.findall(r"\r\d+(?:\.\d)? of 10 MiB  \d+ %", said)) >= 3, said
    finally:
        os.close(ours)
        os.close(theirs)
        server.shutdown()
        server.server_close()
        processes.remove_folder(folder)


TESTS = [(test.__name__.replace("_", "-"), test) for test in (
    statically_linked,
    asks_for_no_dynamic_loader,
    opens_a_luks2_header,
    unwinds_a_thread,
    derives_a_key_of_a_default_volume,
    resolves_a_name_from_hosts,
    resolves_a_name_from_dns,
    starts_as_pid_1_with_nothing_mounted,
    documentation_lists_the_arguments_it_honours,
    plans_what_a_config_refers_to,
    mistyped_flags_exit_non_zero,
    an_empty_value_takes_no_other_word,
    what_cannot_be_read_is_named,
    conflicts_are_json_too,
    help_fits_the_console,
    fetching_tells_how_far_it_is,
)] + supply_chain.TESTS


def empty_root(files: "dict[str, str]") -> Path:
    """A root with the agent in it and nothing else but `files`."""
    root = processes.temporary_folder("root")
    (root / "firstlight").write_bytes(AGENT.read_bytes())
    (root / "firstlight").chmod(0o755)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def fetches_from_a_root_with(files: "dict[str, str]") -> None:
    root = empty_root(files)
    (root / "proc").mkdir()
    try:
        fetched = processes.run(
            ["unshare", "--net", "--mount", sys.executable, __file__, root], timeout=90)
        assert fetched == CONTENT, f"{len(fetched)} bytes that are not the server's"
    finally:
        processes.remove_folder(root)


# --- Inside the namespaces -------------------------------------------------------------------------


def answer_names(server: socket.socket) -> None:
    """Answers every question for NAME's IPv4 address, every other kind with nothing (RFC 1035, 4.1)."""
    while True:
        query, client = server.recvfrom(512)
        end = query.index(b"\0", 12)
        labels, position = [], 12
        while position < end:
            length = query[position]
            labels.append(query[position + 1:position + 1 + length].decode().lower())
            position += 1 + length
        kind = struct.unpack_from(">H", query, end + 1)[0]
        known = ".".join(labels) == NAME
        found = known and kind == 1
        reply = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, int(found), 0, 0)
        reply += query[12:end + 5]
        if found:
            reply += struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(WEB_ADDRESS)
        server.sendto(reply, client)


class OneFile(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_arguments) -> None:
        pass


def serve_and_fetch(root: str) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", f"{root}/proc"], check=True)
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((DNS_ADDRESS, 53))
    threading.Thread(target=answer_names, args=(names,), daemon=True).start()
    web = http.server.ThreadingHTTPServer((WEB_ADDRESS, WEB_PORT), OneFile)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    url = f"http://{NAME}:{WEB_PORT}/file"
    return subprocess.run(["chroot", root, "/firstlight", "fetch", url]).returncode


if __name__ == "__main__":
    sys.exit(serve_and_fetch(sys.argv[1]))
