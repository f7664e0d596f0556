"""`firstlight-image iso` and `pxe` as people and scripts call them, under both names: words, statuses, texts, and images
that xorriso, xz and cpio made or read. What the commands do to bytes is tested in Tests/MediaEditingTests.
"""

import base64
import gzip
import json
import os
import re
import resource
import signal
import subprocess
from pathlib import Path

import processes
from paths import TOOL

NEEDS = {"tool"}
NAMES = ("firstlight-image", "coreos-installer")
DEFAULTS = "mitigations=auto,nosmt coreos.liveiso=fedora-coreos-40 ignition.firstboot ignition.platform.id=metal"
AREA = 1139
FEATURES = {"installer-config": True, "installer-config-directives": {"console": True}, "live-initrd-network": True}


class Ended:
    """How a call of the tool ended."""

    def __init__(self, words, name=NAMES[0], given=b"", **options):
        self.words = words
        done = subprocess.run([name, *map(str, words)], executable=TOOL, input=given, capture_output=True, timeout=120,
                              **options)
        self.status, self.output, self.told = done.returncode, done.stdout, done.stderr.decode()

    def expect(self, status: int, told: str = "", output: "bytes | None" = None) -> "Ended":
        assert self.status == status, f"{self.words}: {self.status} and not {status}: {self.told}"
        assert told in self.told, f"{self.words}: no {told!r} in {self.told!r}"
        assert output is None or self.output == output, f"{self.words}: {self.output[:200]!r}"
        return self


def live_iso(folder: Path, name: str = "live.iso", without: "tuple[str, ...]" = (), **sizes) -> Path:
    """A small live ISO of today's kind, made by xorriso."""
    tree = folder / f"{name}.tree"
    arguments = (DEFAULTS + "\n").ljust(AREA, "#")
    grub, syslinux = "linux /images/pxeboot/vmlinuz ", "append initrd=/images/pxeboot/initrd.img "
    files = {
        "EFI/fedora/grub.cfg": grub + arguments + " COREOS_KARG_EMBED_AREA\n",
        "isolinux/isolinux.cfg": syslinux + arguments + " COREOS_KARG_EMBED_AREA\n",
        "images/ignition.img": bytes(sizes.get("area", 262144)),
        "images/pxeboot/vmlinuz": b"the kernel" * 1000, "images/pxeboot/initrd.img": b"the initramfs" * 1000,
        "images/pxeboot/rootfs.img": os.urandom(300_000),
        "coreos/features.json": json.dumps(FEATURES), "coreos/miniso.dat": bytes(16384),
        "coreos/igninfo.json": json.dumps({"file": "images/ignition.img"}),
        "coreos/kargs.json": json.dumps({"default": DEFAULTS, "size": AREA, "files": [
            {"path": "EFI/fedora/grub.cfg", "offset": len(grub), "pad": "#", "end": "\n"},
            {"path": "isolinux/isolinux.cfg", "offset": len(syslinux), "pad": "#", "end": "\n"}]}, indent=2),
    }
    for path, contents in files.items():
        if path in without:
            continue
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    iso = folder / name
    processes.run(["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "1", "-V", "fedora-coreos-40", "-o", iso, tree])
    return iso


def in_folder(test):
    """Gives a test a folder of its own."""
    def run() -> None:
        folder = processes.temporary_folder("media")
        try:
            test(folder)
        finally:
            processes.remove_folder(folder)
    run.__name__ = test.__name__
    return run


# --- Words and statuses ----------------------------------------------------------------------------


def leaves(name: str, above: "tuple[str, ...]" = ()) -> "list[tuple[str, ...]]":
    text = Ended([*above, "--help"], name).expect(0).output.decode()
    found = []
    for word in re.findall(r"^  ([a-z-]+)  ", text.partition("SUBCOMMANDS:")[2], re.MULTILINE):
        path = (*above, word)
        found += leaves(name, path) or [path]
    return found


def help_fits_into_80_columns() -> None:
    for name in NAMES:
        known = leaves(name) + [("dev", "show", "iso"), ("dev", "show", "initrd"), ("dev", "extract", "initrd"),
                                ("pack", "minimal-iso"), ("iso", "embed"), ("iso", "show"), ("iso", "remove")]
        assert len(known) > 20, known
        for words in [(), ("iso",), ("pxe", "network"), *known]:
            for option in ("--help", "-h"):
                text = Ended([*words, option], name).expect(0).output.decode()
                assert f"USAGE: {name}" in text, text
                long = [line for line in text.splitlines() if len(line) > 80]
                assert not long, f"{name} {words}: {long}"
    for words in leaves(NAMES[0]):
        assert "example" in Ended([*words, "--help"]).expect(0).output.decode().lower(), f"{words}: no example"


def the_status_tells_what_kind_of_failure_it_was() -> None:
    usage = [["iso"], ["pxe"], ["iso", "kargs"], ["dev", "show"], ["iso", "nothing"], ["nothing"],
             ["iso", "reset"], ["iso", "reset", "--nothing", "x"], ["iso", "reset", "x", "-o"],
             ["iso", "reset", "x", "-o", "a", "-o", "b"], ["iso", "reset", "x", "-o", "a", "--output", "b"],
             ["iso", "ignition", "embed", "-f", "-f", "x"], ["iso", "ignition", "embed", "-i", "a", "-i", "b", "x"],
             ["iso", "network", "embed", "x"], ["pxe", "network", "wrap"], ["pxe", "customize", "x"],
             ["iso", "customize", "--dest-device", "a", "--dest-device", "b", "x"],
             ["iso", "customize", "--dest-console", "tty7", "x"], ["iso", "customize", "--dest-console", "/dev/tty0", "x"],
             ["dev", "show", "iso", "--ignition", "--kargs", "x"], ["iso", "extract", "pxe", "-o", "a", "-o", "b", "x"],
             ["iso", "extract", "minimal-iso", "--rootfs-url", "a", "--rootfs-url", "b", "x"],
             ["iso", "reset", "x", "y"], ["iso", "kargs", "show", "-d", "-d", "x"]]
    for name in NAMES:
        for words in usage:
            assert Ended(words, name).expect(2).output == b"", words
        Ended(["--version"], name).expect(0)
        Ended(["iso", "reset", "/nowhere"], name).expect(1, "Error: opening /nowhere\n\nCaused by:\n"
                                                            "    No such file or directory (os error 2)\n")
    Ended(["help"], "coreos-installer").expect(2)
    Ended([], "coreos-installer").expect(2)
    version = Ended(["--version"], "coreos-installer").output.decode()
    assert re.match(r"coreos-installer \d+\.\d+\.\d+ \(firstlight-image ", version), version


def what_installs_to_a_disk_says_so() -> None:
    for words in (["install", "/dev/sda"], ["install", "--image-file", "x", "-i", "y"], ["download"],
                  ["download", "-s", "stable", "-f", "iso"], ["list-stream"], ["pack", "osmet", "/dev/sda", "--fast"],
                  ["dev", "show", "fiemap", "x"], ["dev", "extract", "osmet", "--osmet", "a", "b", "c"]):
        Ended(words, "coreos-installer").expect(1, "belongs to installing to a disk", b"")
    for word in ("install", "download", "list-stream"):
        Ended([word]).expect(2)
        Ended([word, "--help"], "coreos-installer").expect(0)


@in_folder
def causes_are_numbered_where_there_are_several(folder: Path) -> None:
    iso = live_iso(folder, without=("coreos/igninfo.json", "images/ignition.img"))
    told = Ended(["iso", "ignition", "show", iso]).expect(1).told
    assert told.startswith("Error: Unrecognized CoreOS ISO image.\n\nCaused by:\n    0: finding initrd embed area\n    1: "), told
    plain = folder / "plain"
    plain.write_bytes(bytes(100_000))
    told = Ended(["iso", "ignition", "show", plain]).expect(1).told
    assert told.startswith("Error: parsing ISO9660 image\n\nCaused by:\n    0: "), told


# --- Images ----------------------------------------------------------------------------------------


@in_folder
def images_of_xorriso_are_customized_and_reset(folder: Path) -> None:
    iso = live_iso(folder)
    pristine = iso.read_bytes()
    config = folder / "config.ign"
    config.write_text('{"ignition": {"version": "3.3.0"}}')
    keyfile = folder / "eth0.nmconnection"
    keyfile.write_text("[connection]\nid=eth0\ntype=ethernet\n")
    outputs = []
    for number, name in enumerate(NAMES):
        output = folder / f"{number}.iso"
        Ended(["iso", "customize", "--live-ignition", config, "--network-keyfile", keyfile, "--live-karg-append", "x=y",
               "--dest-device", "/dev/sda", f"-o{output}", iso], name).expect(
            0, "Boot media will automatically install to /dev/sda without confirmation.")
        outputs.append(output.read_bytes())
    streamed = Ended(["iso", "customize", "--live-ignition", config, "--network-keyfile", keyfile, "--live-karg-append=x=y",
                      "--dest-device=/dev/sda", "-o", "-", iso]).expect(0).output
    assert iso.read_bytes() == pristine
    assert outputs[0] == outputs[1] == streamed != pristine
    Ended(["iso", "customize", "--live-ignition", config, "--network-keyfile", keyfile, "--live-karg-append", "x=y",
           "--dest-device", "/dev/sda", iso]).expect(0)
    assert iso.read_bytes() == streamed
    Ended(["iso", "kargs", "show", iso]).expect(0, output=f"{DEFAULTS} x=y\n".encode())
    Ended(["iso", "kargs", "show", "--default", iso]).expect(0, output=f"{DEFAULTS}\n".encode())
    Ended(["iso", "network", "extract", iso]).expect(
        0, output=b"########## eth0.nmconnection ##########\n" + keyfile.read_bytes())
    shown = json.loads(Ended(["iso", "ignition", "show", iso]).expect(0).output)
    assert [file["path"] for file in shown["storage"]["files"]] == ["/etc/coreos/installer.d/0000-customize.yaml"], shown
    Ended(["iso", "customize", iso]).expect(1, "Error: This ISO image is already customized; use -f to force.\n")
    # xorriso still reads it.
    processes.run(["xorriso", "-indev", iso, "-check_media", "--"])
    Ended(["iso", "reset", iso]).expect(0)
    assert iso.read_bytes() == pristine


@in_folder
def butane_is_translated_with_its_files_and_variables(folder: Path) -> None:
    iso = live_iso(folder)
    config = folder / "config.bu"
    config.write_text("variant: firstlight\nversion: 1.0.0\nstorage:\n  files:\n    - path: /etc/${name}\n"
                      "      contents: {local: text}\n    - path: /etc/key\n      contents: {inline: '${key}'}\n")
    files = folder / "files"
    files.mkdir()
    (files / "text").write_text("hello")
    (folder / "key").write_text("secret\n")
    options = ["--files-dir", files, "--set", "name=motd", "--set-secret", f"key=@{folder / 'key'}"]
    own = Ended(["butane", "--files-dir", files, *options[2:], config]).expect(0).output
    for words in (["iso", "ignition", "embed", "-f", "-i", config, iso], ["iso", "embed", "-f", "-c", config, iso]):
        Ended([*words, *options]).expect(0)
        assert json.loads(Ended(["iso", "ignition", "show", iso]).expect(0).output) == json.loads(own), words
    Ended(["iso", "ignition", "embed", "-f", iso, *options], given=config.read_bytes()).expect(0)
    assert json.loads(Ended(["iso", "ignition", "show", iso]).expect(0).output) == json.loads(own)
    wrapped = folder / "wrapped"
    Ended(["pxe", "ignition", "wrap", "-i", config, "-o", wrapped, *options]).expect(0)
    assert json.loads(Ended(["pxe", "ignition", "unwrap", wrapped]).expect(0).output) == json.loads(own)
    assert wrapped.stat().st_mode & 0o777 == 0o600, "a secret that everybody may read"
    Ended(["iso", "customize", "-f", "--live-ignition", config, "--dest-ignition", config, iso, *options]).expect(0)
    merged = json.loads(Ended(["iso", "ignition", "show", iso]).expect(0).output)["ignition"]["config"]["merge"]
    source = merged[0]["source"].partition("base64,")[2]
    assert json.loads(gzip.decompress(base64.b64decode(source))) == json.loads(own), merged
    # Nobody's files are read unasked, and what is missing is an error, without the secret.
    ended = Ended(["iso", "ignition", "embed", "-f", "-i", config, iso, *options[2:]]).expect(1, "config.bu")
    assert "secret" not in ended.told, ended.told
    Ended(["iso", "ignition", "embed", "-f", "-i", config, iso, "--files-dir", files]).expect(1, "name")
    # The other knows nothing of it.
    other = Ended(["iso", "ignition", "embed", "--help"], "coreos-installer").expect(0).output
    assert b"--set" not in other and b"--files-dir" not in other, other
    Ended(["iso", "ignition", "embed", "-f", "-i", config, iso, "--set", "a=b"], "coreos-installer").expect(2, "Butane")


@in_folder
def options_are_written_in_every_way(folder: Path) -> None:
    iso = live_iso(folder)
    config = folder / "c"
    config.write_text("{}")
    ways = (["-f", "-i", config, "-o", "-"], ["--force", f"--ignition-file={config}", "--output=-"], ["-fi", config, "-o-"],
            [f"-fi{config}", "-o=-"], [f"-i{config}", "-o", "-", "-f"])
    made = {Ended(["iso", "ignition", "embed", *way, iso]).expect(0).output for way in ways}
    made |= {Ended(["iso", "ignition", "embed", iso, *ways[0], "--"]).expect(0).output,
             Ended(["iso", "ignition", "embed", *ways[0], "--", iso]).expect(0).output}
    assert len(made) == 1 and iso.stat().st_size == len(made.pop())
    Ended(["iso", "kargs", "modify", "-a=x", "--append=-y", "-a", "z w", iso]).expect(0)
    Ended(["iso", "kargs", "show", iso]).expect(0, output=f"{DEFAULTS} x -y z w\n".encode())
    # An equals sign in a value ends nothing, and behind one a value may be empty: what a script has in `--append="$MORE"`.
    Ended(["iso", "reset", iso]).expect(0)
    for name in NAMES:
        made = folder / f"made={name}"
        Ended(["iso", "kargs", "modify", "-aconsole=ttyS0", "-a=x=1", "--append=y=2", "-ax=3", "-dx=3",
               "-rignition.platform.id=metal=aws", "--append=", "--delete=", "-a=", "-a", "", f"-o{made}", iso], name).expect(0)
        wanted = DEFAULTS.replace("metal", "aws") + " console=ttyS0 x=1 y=2 x=3\n"
        Ended(["iso", "kargs", "show", made], name).expect(0, output=wanted.encode())
        Ended(["iso", "ignition", "embed", f"-fi{config}", "--output=", iso], name).expect(1, "no parent directory")
        for words in (["-dx"], ["-d="], ["--default="], ["--default=x"]):
            Ended(["iso", "kargs", "show", *words, iso], name).expect(2)


def stopped_behind_the_first_area(iso: Path, is_killed: bool) -> Ended:
    """Changes all areas of an image where nothing can be written to the last one: an error, or the end."""
    places = [area["offset"] for area in json.loads(Ended(["dev", "show", "iso", "--kargs", iso]).output)["kargs"]]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if is_killed else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(places) - 1, max(places) - 1))

    return Ended(["iso", "customize", "--live-ignition", "/dev/stdin", "--live-karg-append", "x", iso],
                 given=b'{"ignition": {"version": "3.3.0"}}', preexec_fn=limit)


@in_folder
def an_image_is_never_left_half_changed(folder: Path) -> None:
    iso = live_iso(folder, area=4096)
    pristine = iso.read_bytes()
    stopped_behind_the_first_area(iso, is_killed=False).expect(1, "File too large (os error 27)")
    assert iso.read_bytes() == pristine and sorted(os.listdir(folder)) == ["live.iso", "live.iso.tree"]
    stopped_behind_the_first_area(iso, is_killed=True).expect(-signal.SIGXFSZ)
    assert iso.read_bytes() != pristine and ".live.iso.firstlight-undo" in os.listdir(folder)
    Ended(["iso", "reset", iso]).expect(0, "that is undone")
    assert iso.read_bytes() == pristine and sorted(os.listdir(folder)) == ["live.iso", "live.iso.tree"]


@in_folder
def what_is_killed_leaves_nothing(folder: Path) -> None:
    """A new file that is written when the tool is ended: it is gone, as hundreds of megabytes would else stay hidden."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen([TOOL, "pxe", "customize", "-o", folder / "new.img", "/dev/stdin"],
                                   stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        # More than a pipe holds: when it is written, the tool has taken the rest of it.
        process.stdin.write(bytes(4 << 20))
        process.stdin.flush()
        process.send_signal(number)
        assert process.wait(60) == -number, process.returncode
        process.stdin.close()
        assert os.listdir(folder) == [], os.listdir(folder)


@in_folder
def old_names_go_on(folder: Path) -> None:
    iso = live_iso(folder)
    pristine = iso.read_bytes()
    for name in NAMES:
        Ended(["iso", "embed", iso], name, b"{}").expect(0, "`iso embed` is deprecated")
        Ended(["iso", "show", iso], name).expect(0, "`iso show` is deprecated", b"{}")
        Ended(["iso", "embed", "-f", "-c", "/dev/null", iso], name).expect(0)
        Ended(["iso", "remove", iso], name).expect(0, "`iso remove` is deprecated")
        assert iso.read_bytes() == pristine


@in_folder
def wrapped_initrds_are_what_cpio_reads(folder: Path) -> None:
    keyfile = folder / "eth0.nmconnection"
    keyfile.write_text("[connection]\n")
    wrapped = Ended(["pxe", "network", "wrap", "-k", keyfile]).expect(0).output
    listed = subprocess.run("xz -dc | cpio -tv --quiet --numeric-uid-gid", shell=True, input=wrapped, capture_output=True,
                            check=True, env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}).stdout.decode()
    lines = [(line.split()[0], line.split()[-1]) for line in listed.splitlines()]
    assert lines == [("drwxr-xr-x", "etc"), ("drwxr-xr-x", "etc/coreos-firstboot-network"),
                     ("-rw-------", "etc/coreos-firstboot-network/eth0.nmconnection")], listed
    (folder / "w.xz").write_bytes(wrapped)
    robot = processes.run(["xz", "--robot", "--list", "-v", folder / "w.xz"]).decode()
    assert re.search(r"^stream\t.*\tCRC32\t", robot, re.MULTILINE), robot

    # What cpio and others packed is read.
    (folder / "tree").mkdir()
    (folder / "tree/config.ign").write_text("{}")
    plain = subprocess.run("find . -type f | sed 's,^./,,' | cpio -o -H newc --quiet", shell=True, cwd=folder / "tree",
                           capture_output=True, check=True).stdout
    for program in (["cat"], ["gzip", "-9"], ["xz", "--check=crc32"], ["zstd", "-19"], ["zstd", "-1", "--no-check"]):
        packed = subprocess.run(program, input=plain, capture_output=True, check=True).stdout
        Ended(["pxe", "ignition", "unwrap"], given=packed).expect(0, output=b"{}")
        Ended(["pxe", "ignition", "unwrap"], given=packed + bytes(512) + wrapped).expect(0, output=b"{}")
        Ended(["dev", "show", "initrd", "-"], given=packed + wrapped).expect(
            0, output=b"config.ign\netc/coreos-firstboot-network/eth0.nmconnection\n")
        if program != ["cat"]:
            Ended(["pxe", "ignition", "unwrap"], given=packed[:-3]).expect(1, "Error: ")
    for program in (["lz4"], ["bzip2"]):
        try:
            packed = subprocess.run(program, input=plain, capture_output=True, check=True).stdout
        except FileNotFoundError:
            continue
        Ended(["pxe", "ignition", "unwrap"], given=packed).expect(1, "reading CPIO entry")


@in_folder
def a_reader_that_leaves_ends_the_command_silently(folder: Path) -> None:
    iso = live_iso(folder)
    Ended(["iso", "ignition", "embed", iso], given=os.urandom(200_000)).expect(0)
    process = subprocess.Popen([TOOL, "iso", "ignition", "show", iso], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    process.stdout.close()
    told = process.stderr.read()
    assert process.wait() == -signal.SIGPIPE and told == b"", (process.returncode, told)


@in_folder
def minimal_isos_of_xorriso_are_packed_and_extracted(folder: Path) -> None:
    full = live_iso(folder, "full.iso")
    tree = folder / "full.iso.tree"
    for name in ("images/pxeboot/rootfs.img", "coreos/miniso.dat"):
        (tree / name).rename(folder / Path(name).name)
    minimal = folder / "minimal.iso"
    processes.run(["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "1", "-V", "fedora-coreos-40", "-o", minimal, tree])
    Ended(["pack", "minimal-iso", full, minimal]).expect(0, "Packing successful!")
    url = "https://boot.example/rootfs.img"
    Ended(["iso", "extract", "minimal-iso", "--output-rootfs", folder / "r", "--rootfs-url", url, full, folder / "m.iso"],
          "coreos-installer").expect(0, output=b"")
    assert (folder / "r").read_bytes() == (folder / "rootfs.img").read_bytes()
    # It is not packed into itself, and not deleted.
    before = full.read_bytes()
    (folder / "link.iso").symlink_to(full)
    Ended(["pack", "minimal-iso", "--consume", full, folder / "link.iso"]).expect(1, "are the same file")
    assert full.read_bytes() == before and (folder / "link.iso").is_symlink()
    streamed = Ended(["iso", "extract", "minimal-iso", "--rootfs-url", url, full]).expect(0).output
    assert streamed == (folder / "m.iso").read_bytes() and len(streamed) == minimal.stat().st_size
    without = DEFAULTS.replace("coreos.liveiso=fedora-coreos-40 ", "")
    Ended(["iso", "kargs", "show", folder / "m.iso"]).expect(0, output=f"{without} coreos.live.rootfs_url={url}\n".encode())
    Ended(["iso", "kargs", "show", "-d", folder / "m.iso"]).expect(0, output=f"{without}\n".encode())
    # But for the arguments it is the one that was packed.
    changed = sum(one != other for one, other in zip(streamed, minimal.read_bytes()))
    assert 0 < changed < 3 * AREA, changed
    Ended(["iso", "extract", "pxe", "-o", folder / "pxe", full]).expect(0)
    assert sorted(file.name for file in (folder / "pxe").iterdir()) == [
        "full-initrd.img", "full-rootfs.img", "full-vmlinuz"]


@in_folder
def nmstate_is_asked_where_it_is(folder: Path) -> None:
    iso = live_iso(folder)
    state = folder / "state.yaml"
    state.write_text("interfaces: []\n")
    words = ["iso", "customize", "--network-nmstate", state, iso]
    empty = {**os.environ, "PATH": str(folder)}
    if not any((Path(at) / "nmstatectl").exists() for at in ("/usr/sbin", "/usr/bin", "/sbin", "/bin")):
        Ended(words, env=empty).expect(1, "nmstatectl, which is not installed here")
    program = folder / "nmstatectl"
    program.write_text("#!/bin/sh\n[ \"$1\" = gc ] && [ -r \"$2\" ] || exit 3\n"
                       "printf 'NetworkManager:\\n- - eth1.nmconnection\\n  - |\\n    [connection]\\n    id=eth1\\n'\n")
    program.chmod(0o755)
    Ended(words, env=empty).expect(0)
    Ended(["iso", "network", "extract", iso]).expect(
        0, output=b"########## eth1.nmconnection ##########\n[connection]\nid=eth1\n")


@in_folder
def nothing_is_written_to_a_terminal(folder: Path) -> None:
    iso = live_iso(folder)
    for words in (["iso", "reset", "-o", "-", iso], ["pxe", "ignition", "wrap", "-i", "/dev/null"],
                  ["iso", "extract", "minimal-iso", iso]):
        leader, follower = os.openpty()
        process = subprocess.run([TOOL, *map(str, words)], stdin=subprocess.DEVNULL, stdout=follower, stderr=subprocess.PIPE)
        os.close(leader)
        os.close(follower)
        assert process.returncode == 1, words
        assert b"Refusing to write binary data to terminal" in process.stderr, process.stderr


TESTS = [(test.__name__.replace("_", "-"), test) for test in (
    help_fits_into_80_columns,
    the_status_tells_what_kind_of_failure_it_was,
    what_installs_to_a_disk_says_so,
    causes_are_numbered_where_there_are_several,
    images_of_xorriso_are_customized_and_reset,
    butane_is_translated_with_its_files_and_variables,
    options_are_written_in_every_way,
    an_image_is_never_left_half_changed,
    what_is_killed_leaves_nothing,
    old_names_go_on,
    wrapped_initrds_are_what_cpio_reads,
    a_reader_that_leaves_ends_the_command_silently,
    minimal_isos_of_xorriso_are_packed_and_extracted,
    nmstate_is_asked_where_it_is,
    nothing_is_written_to_a_terminal,
)]
