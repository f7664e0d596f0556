"""Every option of `firstlight-image iso`, `pxe`, `dev` and `pack`, as it is written on a command line: that it does what
it says, and nothing that another one says. What the commands do to bytes is tested in Tests/MediaEditingTests.
"""

import base64
import gzip
import json
import os
import subprocess
from pathlib import Path

import yaml

import processes
from cpio import Archive
from media_commands import DEFAULTS, FEATURES, NAMES, Ended, in_folder, live_iso

NEEDS = {"tool"}
EMPTY = {"ignition": {"version": "3.3.0"}}
MARK = "etc/coreos-live-initramfs"


def written(folder: Path, **files: "str | dict") -> "dict[str, Path]":
    """Files by the names of their keys: `a__b` is b in the folder a."""
    made = {}
    for key, contents in files.items():
        file = folder / key.replace("__", "/")
        file.parent.mkdir(exist_ok=True)
        file.write_text(contents if isinstance(contents, str) else json.dumps(contents))
        made[key] = file
    return made


def with_file(path: str) -> dict:
    return {**EMPTY, "storage": {"files": [{"path": path}]}}


def initramfs(features: dict = FEATURES) -> bytes:
    """An initramfs as Fedora CoreOS has it: microcode, the distribution's, its own."""
    parts = [Archive(), Archive(), Archive()]
    parts[0].file("kernel/x86/microcode/GenuineIntel.bin", bytes(3000))
    parts[1].file("usr/bin/init", "init")
    parts[2].file(MARK, "40\n")
    parts[2].file("etc/coreos/features.json", json.dumps(features))
    microcode, main, own = [part.finished() for part in parts]
    zstd = subprocess.run(["zstd", "-q"], input=main, capture_output=True, check=True).stdout
    own = gzip.compress(own)
    return microcode + bytes(512) + zstd + bytes(-len(zstd) % 4) + own + bytes(-len(own) % 4)


def content(resource: dict) -> str:
    assert resource["compression"] == "gzip", resource
    return gzip.decompress(base64.b64decode(resource["source"].removeprefix("data:;base64,"))).decode()


def files_of(config: dict) -> "dict[str, str]":
    return {file["path"]: content(file["contents"]) for file in config["storage"]["files"]}


# --- customize -------------------------------------------------------------------------------------


@in_folder
def each_option_of_customize_reaches_the_image(folder: Path) -> None:
    iso, initrd = live_iso(folder), folder / "initrd.img"
    initrd.write_bytes(initramfs())
    at = written(
        folder, dest=with_file("/dest"), second=with_file("/second"), live=with_file("/live"), more=with_file("/more"),
        ca="-----BEGIN CERTIFICATE-----\n", pre="#!/bin/pre\n", post="#!/bin/post\n", yaml="secure-ipl: true\n",
        keyfile="[connection]\nid=eth0\n")
    keyfile = at["keyfile"].rename(folder / "eth0.nmconnection")
    common = ["--dest-ignition", at["dest"], "--dest-ignition", at["second"], "--dest-device", "/dev/vdz",
              "--dest-console", "ttyS1,115200", "--dest-console=tty0", "--dest-karg-append", "added=1", "--dest-karg-append",
              "more", "--dest-karg-delete", "taken=1", "--network-keyfile", keyfile, "--ignition-ca", at["ca"],
              "--pre-install", at["pre"], "--post-install", at["post"], "--installer-config", at["yaml"],
              "--live-ignition", at["live"], "--live-ignition", at["more"]]
    live = ["--live-karg-append", "a=1", "--live-karg-append=b", "--live-karg-delete", "mitigations=auto,nosmt",
            "--live-karg-replace", "ignition.platform.id=metal=qemu"]
    shown = set()
    for name in NAMES:
        made = folder / f"{name}.iso"
        Ended(["iso", "customize", *common, *live, "--output", made, iso], name).expect(0)
        Ended(["iso", "kargs", "show", made], name).expect(
            0, output=b"coreos.liveiso=fedora-coreos-40 ignition.firstboot ignition.platform.id=qemu a=1 b\n")
        Ended(["iso", "network", "extract", made], name).expect(
            0, output=b"########## eth0.nmconnection ##########\n" + keyfile.read_bytes())
        shown.add(Ended(["iso", "ignition", "show", made], name).expect(0).output)
        made = folder / f"{name}.img"
        Ended(["pxe", "customize", *common, "--output", made, initrd], name).expect(0, "ignition.firstboot")
        assert made.read_bytes().startswith(initrd.read_bytes()), "the input is not what the output begins with"
        Ended(["pxe", "network", "unwrap", made], name).expect(
            0, output=b"########## eth0.nmconnection ##########\n" + keyfile.read_bytes())
        shown.add(Ended(["pxe", "ignition", "unwrap", made], name).expect(0).output)
    assert len(shown) == 1, shown
    config = json.loads(shown.pop())
    assert config["ignition"]["version"] == "3.3.0", config
    ignition = config["ignition"]
    assert [json.loads(content(each)) for each in ignition["config"]["merge"]] == [with_file("/live"), with_file("/more")]
    assert [content(each) for each in ignition["security"]["tls"]["certificateAuthorities"]] == [at["ca"].read_text()]
    files = files_of(config)
    dest = json.loads(files["/etc/coreos/dest.ign"])["ignition"]
    assert [json.loads(content(each)) for each in dest["config"]["merge"]] == [with_file("/dest"), with_file("/second")]
    assert [content(each) for each in dest["security"]["tls"]["certificateAuthorities"]] == [at["ca"].read_text()]
    assert files["/usr/local/bin/pre-install-pre"] == "#!/bin/pre\n", files
    assert files["/usr/local/bin/post-install-post"] == "#!/bin/post\n", files
    assert files["/etc/coreos/installer.d/0000-yaml"] == "secure-ipl: true\n", files
    assert yaml.safe_load(files["/etc/coreos/installer.d/0001-customize.yaml"]) == {
        "ignition-file": "/etc/coreos/dest.ign", "console": ["ttyS1,115200n8", "tty0"], "append-karg": ["added=1", "more"],
        "delete-karg": ["taken=1"], "copy-network": True, "dest-device": "/dev/vdz"}, files
    modes = {file["path"]: file["mode"] for file in config["storage"]["files"]}
    assert {path for path, mode in modes.items() if mode == 0o700} == {
        "/usr/local/bin/pre-install-pre", "/usr/local/bin/post-install-post"}, modes
    assert all(mode in (0o600, 0o700) for mode in modes.values()), modes
    assert [unit["name"] for unit in config["systemd"]["units"]] == ["pre-install-pre.service", "post-install-post.service"]


@in_folder
def force_replaces_what_customize_refuses(folder: Path) -> None:
    iso = live_iso(folder)
    at = written(folder, one=with_file("/one"), other=with_file("/other"))
    Ended(["iso", "customize", "--live-ignition", at["one"], iso]).expect(0)
    words = ["iso", "customize", "--live-ignition", at["other"], iso]
    Ended(words).expect(1, "This ISO image is already customized; use -f to force.")
    for force in ("-f", "--force"):
        made = folder / f"made{force}"
        Ended([*words[:2], force, "-o", made, *words[2:]], NAMES[1]).expect(0)
        shown = json.loads(Ended(["iso", "ignition", "show", made]).expect(0).output)
        assert [json.loads(content(each)) for each in shown["ignition"]["config"]["merge"]] == [with_file("/other")], shown


@in_folder
def each_option_of_butane_reaches_the_config(folder: Path) -> None:
    """Files, and variables from the command line, from files and from the environment, for each command with a config."""
    iso, initrd = live_iso(folder), folder / "initrd.img"
    initrd.write_bytes(initramfs())
    names = ["given", "secret", "file", "surroundings"]
    lines = "".join(f"    - path: /{name}\n      contents: {{inline: '${{{name}}}'}}\n" for name in names)
    at = written(
        folder, config="variant: firstlight\nversion: 1.0.0\nstorage:\n  files:\n" + lines
        + "    - path: /local\n      contents: {local: text}\n", files__text="local", key="secret\n",
        values="# values\nfile=file\n")
    options = ["--files-dir", folder / "files", "--set", "given=given", "--set-secret", f"secret=@{at['key']}",
               "--set-from", at["values"], "--env", "surroundings"]
    surroundings = {**os.environ, "surroundings": "surroundings"}
    made, image = folder / "made.iso", folder / "made.img"
    for words, show in (
            (["iso", "ignition", "embed", "-i", at["config"], "-o", made, iso], ["iso", "ignition", "show", made]),
            (["iso", "customize", "--live-ignition", at["config"], "-o", made, iso], ["iso", "ignition", "show", made]),
            (["pxe", "ignition", "wrap", "-i", at["config"], "-o", image], ["pxe", "ignition", "unwrap", image]),
            (["pxe", "customize", "--live-ignition", at["config"], "-o", image, initrd], ["pxe", "ignition", "unwrap", image])):
        for file in (made, image):
            file.unlink(missing_ok=True)
        Ended([*words, *options], env=surroundings).expect(0)
        config = json.loads(Ended(show).expect(0).output)
        if "customize" in words:
            config = json.loads(content(config["ignition"]["config"]["merge"][0]))
        sources = {file["path"]: file["contents"]["source"] for file in config["storage"]["files"]}
        assert sources == {f"/{name}": f"data:,{name}" for name in [*names, "local"]}, (words, sources)
        # Each of them is needed.
        for index in range(0, len(options), 2):
            for file in (made, image):
                file.unlink(missing_ok=True)
            Ended([*words, *options[:index], *options[index + 2:]], env=surroundings).expect(1)
            assert not made.exists() and not image.exists(), (words, options[index])


# --- ignition, network, kargs ------------------------------------------------------------------------


@in_folder
def configs_are_embedded_shown_and_removed(folder: Path) -> None:
    iso, pristine = live_iso(folder), (folder / "live.iso").read_bytes()
    at = written(folder, one="one", other="other")
    for number, (name, source, target) in enumerate((name, source, target) for name in NAMES
                                                    for source, target in (("-i", "-o"), ("--ignition-file", "--output"))):
        made, without = folder / f"made{number}", folder / f"without{number}"
        Ended(["iso", "ignition", "embed", source, at["one"], target, made, iso], name).expect(0, output=b"")
        Ended(["iso", "ignition", "show", made], name).expect(0, output=b"one")
        Ended(["iso", "ignition", "embed", source, at["other"], made], name).expect(1, "use -f to force")
        Ended(["iso", "ignition", "embed", "-f", source, at["other"], made], name).expect(0)
        Ended(["iso", "ignition", "remove", target, without, made], name).expect(0)
        assert without.read_bytes() == pristine
        Ended(["iso", "ignition", "show", made], name).expect(0, output=b"other")
        Ended(["iso", "ignition", "remove", made], name).expect(0)
        assert made.read_bytes() == pristine
        # The old names, too.
        old, gone = folder / f"old{number}", folder / f"gone{number}"
        Ended(["iso", "embed", "--config" if number % 2 else "-c", at["one"], target, old, iso], name).expect(0, "deprecated")
        Ended(["iso", "embed", "--force", "-c", at["other"], old], name).expect(0)
        Ended(["iso", "show", old], name).expect(0, output=b"other")
        Ended(["iso", "remove", target, gone, old], name).expect(0)
        assert gone.read_bytes() == pristine
        # And as an initrd of its own; what is there is replaced.
        wrapped = folder / "wrapped"
        Ended(["pxe", "ignition", "wrap", source, at["one"], target, wrapped], name).expect(0, output=b"")
        Ended(["pxe", "ignition", "unwrap", wrapped], name).expect(0, output=b"one")
    assert iso.read_bytes() == pristine


@in_folder
def keyfiles_are_embedded_extracted_and_removed(folder: Path) -> None:
    iso, pristine = live_iso(folder), (folder / "live.iso").read_bytes()
    for name in ("one", "other"):
        (folder / f"{name}.nmconnection").write_text(f"[connection]\nid={name}\n")
    one, other = folder / "one.nmconnection", folder / "other.nmconnection"
    for number, name in enumerate(NAMES):
        key, to, target = (("-k", "-C", "-o"), ("--keyfile", "--directory", "--output"))[number]
        made, without, out = folder / f"made{number}", folder / f"without{number}", folder / f"out{number}/deep"
        Ended(["iso", "network", "embed", key, one, key, other, target, made, iso], name).expect(0, output=b"")
        Ended(["iso", "network", "extract", to, out, made], name).expect(
            0, output=f"{out}/one.nmconnection\n{out}/other.nmconnection\n".encode())
        assert (out / "other.nmconnection").read_bytes() == other.read_bytes()
        Ended(["iso", "network", "extract", to, out, made], name).expect(1, "File exists (os error 17)")
        Ended(["iso", "network", "embed", key, other, made], name).expect(1, "use -f to force")
        Ended(["iso", "network", "embed", "--force" if number else "-f", key, other, made], name).expect(0)
        shown = Ended(["iso", "network", "extract", made], name).expect(0).output
        assert shown == b"########## other.nmconnection ##########\n" + other.read_bytes(), shown
        Ended(["iso", "network", "remove", target, without, made], name).expect(0)
        assert without.read_bytes() == pristine and made.read_bytes() != pristine
        wrapped, unwrapped = folder / "wrapped", folder / f"unwrapped{number}"
        Ended(["pxe", "network", "wrap", key, one, key, other, target, wrapped], name).expect(0, output=b"")
        Ended(["pxe", "network", "unwrap", to, unwrapped, wrapped], name).expect(0)
        assert sorted(os.listdir(unwrapped)) == ["one.nmconnection", "other.nmconnection"]
        # Here - is a file.
        Ended(["pxe", "network", "wrap", key, one, target, "-"], name, cwd=folder).expect(0, output=b"")
        assert (folder / "-").read_bytes()[:6] == b"\xfd7zXZ\0"
        (folder / "-").unlink()


@in_folder
def arguments_are_modified_shown_and_reset(folder: Path) -> None:
    iso, pristine = live_iso(folder), (folder / "live.iso").read_bytes()
    for number, name in enumerate(NAMES):
        add, take, put, target = (("-a", "-d", "-r", "-o"), ("--append", "--delete", "--replace", "--output"))[number]
        made, again = folder / f"made{number}", folder / f"again{number}"
        Ended(["iso", "kargs", "modify", put, "ignition.platform.id=metal=aws", add, "x=1", add, "y", take, "x=1", take,
               "ignition.firstboot", target, made, iso], name).expect(0, output=b"")
        Ended(["iso", "kargs", "show", made], name).expect(
            0, output=b"mitigations=auto,nosmt coreos.liveiso=fedora-coreos-40 ignition.platform.id=aws x=1 y\n")
        Ended(["iso", "kargs", "show", "--default" if number else "-d", made], name).expect(0, output=f"{DEFAULTS}\n".encode())
        Ended(["iso", "kargs", "reset", target, again, made], name).expect(0)
        assert again.read_bytes() == pristine
        Ended(["iso", "kargs", "modify", put, "a=b", made], name).expect(1, "format should be: KEY=OLD=NEW")
        Ended(["iso", "reset", target, folder / f"third{number}", made], name).expect(0)
        assert (folder / f"third{number}").read_bytes() == pristine


# --- extract, dev, pack -------------------------------------------------------------------------------


@in_folder
def files_are_extracted_where_it_is_asked_for(folder: Path) -> None:
    iso = live_iso(folder)
    for number, name in enumerate(NAMES):
        out = folder / f"out{number}"
        out.mkdir()
        told = Ended(["iso", "extract", "pxe", *([] if number else ["--output-dir", out]), iso], name, cwd=out).expect(0).output
        names = ["live-initrd.img", "live-rootfs.img", "live-vmlinuz"]
        assert sorted(os.listdir(out)) == names, os.listdir(out)
        assert sorted(Path(line).name for line in told.decode().split("\n") if line) == names, told
        for file in names:
            source = folder / "live.iso.tree/images/pxeboot" / file.removeprefix("live-")
            assert (out / file).read_bytes() == source.read_bytes(), file


@in_folder
def initrds_and_isos_are_looked_into(folder: Path) -> None:
    iso, initrd = live_iso(folder), folder / "initrd.img"
    initrd.write_bytes(initramfs())
    names = [MARK, "etc/coreos/features.json", "kernel/x86/microcode/GenuineIntel.bin", "usr/bin/init"]
    for number, name in enumerate(NAMES):
        Ended(["dev", "show", "initrd", initrd], name).expect(0, output="".join(f"{each}\n" for each in names).encode())
        Ended(["dev", "show", "initrd", "-", "usr/*", "etc/*mfs"], name, initrd.read_bytes()).expect(
            0, output=f"{MARK}\nusr/bin/init\n".encode())
        to, talk, out = ("-C", "-v", folder / "out0") if number else ("--directory", "--verbose", folder / "out1")
        Ended(["dev", "extract", "initrd", to, out, initrd, "usr/bin/*"], name).expect(0, output=b"")
        assert (out / "usr/bin/init").read_text() == "init" and os.listdir(out) == ["usr"]
        Ended(["dev", "extract", "initrd", to, out, initrd], name).expect(1, "File exists (os error 17)")
        here = folder / f"here{number}"
        here.mkdir()
        Ended(["dev", "extract", "initrd", talk, "-", MARK], name, initrd.read_bytes(), cwd=here).expect(
            0, output=f"./{MARK}\n".encode())
        assert (here / MARK).read_text() == "40\n"
        area = json.loads(Ended(["dev", "show", "iso", "--ignition", iso], name).expect(0).output)
        assert area["length"] == 262144 and area["offset"] % 2048 == 0, area
        shown = json.loads(Ended(["dev", "show", "iso", "--kargs", iso], name).expect(0).output)
        assert shown["default"] == DEFAULTS and len(shown["kargs"]) == 2, shown
        shown = json.loads(Ended(["dev", "show", "iso", iso], name).expect(0).output)
        assert "IMAGES/PXEBOOT/ROOTFS.IMG" in shown["records"], shown


@in_folder
def a_minimal_iso_is_consumed_only_where_it_is_asked_for(folder: Path) -> None:
    for name in NAMES:
        full = live_iso(folder, f"full-{name}.iso")
        for word in ("images/pxeboot/rootfs.img", "coreos/miniso.dat"):
            (folder / f"{full.name}.tree" / word).unlink()
        minimal = folder / f"minimal-{name}.iso"
        processes.run(["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "1", "-V", "fedora-coreos-40", "-o", minimal,
                       folder / f"{full.name}.tree"])
        before = minimal.read_bytes()
        Ended(["pack", "minimal-iso", full, minimal], name).expect(0)
        assert minimal.read_bytes() == before
        Ended(["pack", "minimal-iso", "--consume", full, minimal], name).expect(0)
        assert not minimal.exists()


TESTS = [(test.__name__.replace("_", "-"), test) for test in (
    each_option_of_customize_reaches_the_image,
    force_replaces_what_customize_refuses,
    each_option_of_butane_reaches_the_config,
    configs_are_embedded_shown_and_removed,
    keyfiles_are_embedded_extracted_and_removed,
    arguments_are_modified_shown_and_reset,
    files_are_extracted_where_it_is_asked_for,
    initrds_and_isos_are_looked_into,
    a_minimal_iso_is_consumed_only_where_it_is_asked_for,
)]
