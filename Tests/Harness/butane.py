"""`firstlight-image butane` as a program: its status, its files, and what it does not read.

What it makes of a config is in Tests/ButaneTests, case by case.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import processes
from paths import AGENT, TOOL

NEEDS = {"agent", "tool"}
HEAD = "variant: fcos\nversion: 1.5.0\n"
NO_FOLDER = "relative to a files directory that must be specified with -d/--files-dir"
OURS = "variant: firstlight\nversion: 1.0.0\n"


@contextlib.contextmanager
def folder():
    place = processes.temporary_folder("butane")
    try:
        yield place
    finally:
        shutil.rmtree(place)


def butane(place: Path, *words: "str | Path", text: "str | None" = None, name: str = "", **environment: str):
    command = [place / name] if name else [TOOL, "butane"]
    return subprocess.run([*command, *words], cwd=place, input=text, env={**os.environ, **environment}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)


def file_config(*fields: str) -> str:
    return HEAD + "storage:\n  files:\n" + "".join(f"    - {{path: /f{n}, {field}}}\n" for n, field in enumerate(fields))


def ends_like_the_original() -> None:
    with folder() as place:
        (place / "good.bu").write_text(HEAD)
        (place / "doubtful.bu").write_text(HEAD + "nothing: 1\n")
        (place / "bad.bu").write_text(HEAD + "storage: {files: [{path: f}]}\n")
        (place / "butane").symlink_to(TOOL)
        for words, status, said in [
                (["good.bu"], 0, ""), (["--check", "good.bu"], 0, ""), (["-ps", "good.bu"], 0, ""),
                (["doubtful.bu"], 0, "unused key nothing"),
                (["--strict", "doubtful.bu"], 1, "Config produced warnings and --strict was specified\n"),
                (["bad.bu"], 1, "Error translating config: config generated was invalid\n"),
                (["missing.bu"], 1, "failed to read missing.bu: open missing.bu: no such file or directory\n"),
                (["good.bu", "bad.bu"], 2, "Usage"), (["--nothing"], 2, "Usage"),
                (["-o", "no/such/folder", "good.bu"], 1, "failed to open no/such/folder: ")]:
            for name in ("", "butane"):
                done = butane(place, *words, name=name)
                assert done.returncode == status and said in done.stderr, (words, name, done)
                assert bool(done.stdout) == (status == 0 and "--check" not in words), (words, name, done)
        assert butane(place, text=HEAD).stdout == '{"ignition":{"version":"3.4.0"}}\n'
        raw = butane(place, "--raw-errors", "bad.bu").stderr.splitlines()
        assert raw == ['error at $.storage.files.0.path, line 3 col 26: "f" is not an absolute path',
                       "Error translating config: config generated was invalid"], raw
        assert "\33[1;31merror" in butane(place, "--color", "bad.bu").stderr
        assert "\33" not in butane(place, "bad.bu").stderr
        grub = HEAD + "grub: {users: [{name: a, password_hash: b}]}\n"
        assert "note: grub: a live system" in butane(place, text=grub).stderr
        assert butane(place, text=grub, name="butane").stderr == ""


def takes_options_written_in_every_way() -> None:
    """Each way itself is in Tests/ButaneTests; here, what files are read and written then."""
    with folder() as place:
        (place / "butane").symlink_to(TOOL)
        (place / "files").mkdir()
        (place / "files" / "f").write_text("x")
        (place / "in.bu").write_text(file_config("contents: {local: f}"))
        (place / "odd.bu").write_text(HEAD + "nothing: 1\n")
        made = butane(place, "-d", "files", "in.bu").stdout
        pretty = butane(place, "-p", "-d", "files", "in.bu").stdout
        for name in ("", "butane"):
            for words in (["-pd=files"], ["-pdfiles"], ["--pretty=true", "--files-dir=files"], ["-p=1", "-dfiles"]):
                assert butane(place, *words, "in.bu", name=name).stdout == pretty, (words, name)
            assert butane(place, "-p=false", "-dfiles", "in.bu", name=name).stdout == made
            for words in (["-cpoout.ign"], ["-poout.ign"], ["-po=out.ign"], ["-dfiles", "-p", "-oout.ign"]):
                done = butane(place, "-dfiles", *words, "in.bu", name=name)
                assert done.returncode == 0 and not done.stdout, (words, name, done)
                assert (place / "out.ign").exists() == ("-cpoout.ign" not in words), (words, name)
                if "-cpoout.ign" not in words:
                    assert (place / "out.ign").read_text() == pretty, (words, name)
                    (place / "out.ign").unlink()
            assert butane(place, "--strict=true", "odd.bu", name=name).returncode == 1
            assert butane(place, "--strict", "--strict=false", "odd.bu", name=name).returncode == 0
            assert butane(place, "--strict=perhaps", "odd.bu", name=name).returncode == 2
            # What a script has in --output="$OUT" where nothing is set: no file, and no other word.
            for words in (["--output="], ["--output", ""], ["-o", ""], ["--input="]):
                done = butane(place, "-dfiles", *words, "in.bu", name=name)
                assert done.returncode == 0 and done.stdout == made, (words, name, done)
            assert (place / "in.bu").read_text() == file_config("contents: {local: f}")
            for words in (["--files-dir="], ["-d", ""]):
                for config in (file_config("contents: {local: f}"), HEAD + "storage: {trees: [{local: etc}]}\n"):
                    done = butane(place, *words, text=config, name=name)
                    assert done.returncode == 1 and NO_FOLDER in done.stderr, (words, done)
        # The other commands that take such a folder.
        (place / "tree.bu").write_text(HEAD + "storage: {trees: [{local: etc}]}\n")
        done = subprocess.run([TOOL, "validate", "--files-dir=", "tree.bu"], cwd=place, stderr=subprocess.PIPE, text=True,
                              timeout=60)
        assert done.returncode == 1 and NO_FOLDER in done.stderr, done


def writes_secrets_for_their_owner_alone() -> None:
    with folder() as place:
        config = OURS + 'storage: {files: [{path: /f, contents: {inline: "${word} ${host} ${HOME_OF_IT}"}}]}\n'
        (place / "config.bu").write_text(config)
        (place / "word").write_text("open sesame\n")
        (place / "values").write_text("# hosts\nhost=node1\n")
        (place / "out.ign").write_text("old")
        words = ["--set-from", "values", "--env", "HOME_OF_IT", "-o", "out.ign", "config.bu"]
        done = butane(place, "--set-secret", "word=@word", *words, HOME_OF_IT="here")
        assert done.returncode == 0 and "sesame" not in done.stderr, done
        assert (place / "out.ign").stat().st_mode & 0o777 == 0o600
        source = json.loads((place / "out.ign").read_text())["storage"]["files"][0]["contents"]["source"]
        assert source == "data:,open%20sesame%20node1%20here", source
        (place / "out.ign").unlink()
        assert butane(place, "--set", "word=w", *words, HOME_OF_IT="x").returncode == 0
        assert (place / "out.ign").stat().st_mode & 0o777 == 0o644
        unset = butane(place, "--set", "word=w", "--set", "host=h", "config.bu", HOME_OF_IT="here")
        assert unset.returncode == 1 and 'unknown variable "HOME_OF_IT"' in unset.stderr, unset


def reads_nothing_outside_of_its_folder() -> None:
    with folder() as place:
        (place / "outside").write_text("secret\n")
        files = place / "files"
        (files / "tree" / "bin").mkdir(parents=True)
        (files / "inner").write_text("inner\n")
        (files / "tree" / "plain").write_text("p")
        (files / "tree" / "bin" / "run").write_text("r")
        (files / "tree" / "bin" / "run").chmod(0o755)
        (files / "tree" / "link").symlink_to("../../outside")
        (files / "in").symlink_to("inner")
        (files / "out").symlink_to(place / "outside")
        (files / "up").symlink_to("../outside")
        (files / "away").symlink_to("..")
        (files / "alias").symlink_to("tree")
        for local, status in [("inner", 0), ("in", 0), ("tree/../inner", 0), ("out", 1), ("up", 1), ("away/outside", 1),
                              ("../outside", 1), ("/etc/hostname", 1), ("tree", 1)]:
            done = butane(place, "-d", "files", text=file_config(f"contents: {{local: {local}}}"))
            assert done.returncode == status and "secret" not in done.stdout, (local, done)
            if status and local in ("out", "up", "away/outside", "../outside"):
                assert "local file path traverses outside the files directory" in done.stderr, (local, done)
        made = json.loads(butane(place, "-d", "files", text=HEAD + "storage: {trees: [{local: tree, path: /opt}]}\n").stdout)
        assert made["storage"] == {
            "files": [{"path": "/opt/bin/run", "contents": {"compression": "", "source": "data:,r"}, "mode": 0o755},
                      {"path": "/opt/plain", "contents": {"compression": "", "source": "data:,p"}, "mode": 0o644}],
            "links": [{"path": "/opt/link", "target": "../../outside"}]}, made
        again = butane(place, "-d", "files", text=HEAD + "storage: {trees: [{local: alias, path: /opt}]}\n").stdout
        assert json.loads(again)["storage"] == made["storage"], again
        for local, said in [("away", "traverses outside"), ("inner", "root of tree must be a directory"),
                            ("nothing", "stat files/nothing: no such file or directory")]:
            done = butane(place, "-d", "files", text=HEAD + f"storage: {{trees: [{{local: {local}}}]}}\n")
            assert done.returncode == 1 and said in done.stderr, (local, done)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(files / "tree" / "socket"))
        done = butane(place, "-d", "files", text=HEAD + "storage: {trees: [{local: tree}]}\n")
        assert done.returncode == 1 and "trees may only contain files" in done.stderr, done
        listener.close()


def includes_configs_beside_it() -> None:
    with folder() as place:
        (place / "site" / "common").mkdir(parents=True)
        (place / "outside.bu").write_text(OURS)
        (place / "site" / "common" / "a.bu").write_text(OURS + "include: [b.bu]\nkernel_arguments: {should_exist: [a]}\n")
        (place / "site" / "common" / "b.bu").write_text(HEAD + "kernel_arguments: {should_exist: [b]}\n")
        (place / "site" / "link.bu").symlink_to("../outside.bu")
        main = place / "site" / "main.bu"
        main.write_text(OURS + "include: [common/a.bu]\nkernel_arguments: {should_exist: [own]}\n")
        made = json.loads(butane(place, "site/main.bu").stdout)
        assert made["kernelArguments"]["shouldExist"] == ["b", "a", "own"], made
        for name in ("../outside.bu", "link.bu", "main.bu"):
            main.write_text(OURS + f"include: [{name}]\n")
            done = butane(place, "site/main.bu")
            assert done.returncode == 1 and "$.include.0" in done.stderr, (name, done)


def validates_both_languages() -> None:
    with folder() as place:
        (place / "good.bu").write_text(HEAD)
        (place / "bad.bu").write_text(HEAD + "storage: {files: [{path: f}]}\n")
        (place / "good.ign").write_text('{"ignition": {"version": "3.4.0"}}')
        (place / "bad.ign").write_text('{"ignition": {"version": 3}}')
        for name in ("good.bu", "bad.bu", "good.ign", "bad.ign"):
            done = subprocess.run([TOOL, "validate", name], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert done.returncode == (1 if name.startswith("bad") else 0), (name, done)


def is_taken_where_images_take_a_config() -> None:
    """Under the name of Fedora CoreOS's tool a text goes in as it is, as with that tool."""
    with folder() as place:
        (place / "good.bu").write_text(HEAD)
        (place / "bad.bu").write_text(HEAD + "storage: {files: [{path: f}]}\n")
        (place / "coreos-installer").symlink_to(TOOL)
        def wrap(program: "str | Path", name: str) -> "subprocess.CompletedProcess[bytes]":
            return subprocess.run([program, "pxe", "ignition", "wrap", "-i", name], cwd=place, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60)
        def held(program: "str | Path", name: str) -> str:
            """The config in what the command wraps, which is packed."""
            return subprocess.run([TOOL, "pxe", "ignition", "unwrap"], input=wrap(program, name).stdout, check=True,
                                  stdout=subprocess.PIPE, timeout=60).stdout.decode()
        assert held(TOOL, "good.bu") == '{"ignition":{"version":"3.4.0"}}', held(TOOL, "good.bu")
        refused = wrap(TOOL, "bad.bu")
        assert refused.returncode == 1 and not refused.stdout and b"is not an absolute path" in refused.stderr, refused
        assert held(place / "coreos-installer", "good.bu") == HEAD


def plans_before_there_is_a_machine() -> None:
    """`plan` with images in the place of disks: before, over what is there, in the way, wiped; and what it names."""
    config = HEAD + """storage:
  disks:
    - device: /dev/nvme0n1
      partitions:
        - {number: 1, label: var, size_mib: 512}
  filesystems:
    - device: /dev/disk/by-partlabel/var
      path: /var
      format: %s
      with_mount_unit: true
"""
    with folder() as place:
        def plan(status: int, *words: str, text: "str | None" = None, program: Path = TOOL) -> "tuple[str, str]":
            done = subprocess.run([program, "plan", *words], cwd=place, input=text, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == status, (words, done)
            return done.stdout, done.stderr

        (place / "config.bu").write_text(config % "ext4")
        disk = ["--disk", "/dev/nvme0n1=disk.img"]
        said = plan(1, *disk, "config.bu")[1]
        assert "there is no such image" in said and "truncate" in said, said
        with open(place / "disk.img", "wb") as image:
            image.truncate(1 << 30)
        said = plan(2, *disk, "config.bu")[0]
        assert re.search(r"^/dev/nvme0n1 +1 GiB, blank", said) and "disk.img" not in said and re.search(r"ext4 .*create", said), said
        assert "nothing destroyed" in said and "\33" not in said, said
        # From standard input, as JSON, with a value of the command line.
        found = json.loads(plan(2, *disk, "--json", "--set", "f=ext4", "-",
                                text=(config % "\"${f}\"").replace(HEAD, OURS))[0])
        assert found["created"] > 0 and not found["destroyed"], found

        processes.run(["sfdisk", "--quiet", place / "disk.img"], input=b"label: gpt\nsize=512MiB, name=var\n")
        processes.run(["mkfs.ext4", "-q", "-L", "mine", "-E", "offset=1048576", place / "disk.img", "500M"])
        before = hashlib.sha256((place / "disk.img").read_bytes()).hexdigest()
        said = plan(0, *disk, "config.bu")[0]
        assert re.search(r'ext4 "mine".*keep', said), said
        (place / "other.bu").write_text(config % "xfs")
        said = plan(1, *disk, "other.bu")[1]
        assert '/dev/nvme0n1p1 holds ext4 "mine"' in said and "storage.filesystems[0], other.bu line 9" in said, said
        failure = json.loads(plan(1, *disk, "--json", "other.bu")[0])
        assert failure["conflicts"][0]["place"] == "storage.filesystems[0], other.bu line 9", failure
        assert failure["conflicts"][0]["device"] == "/dev/nvme0n1p1", failure
        (place / "wipe.bu").write_text((config % "xfs") + "      wipe_filesystem: true\n")
        assert re.search(r'^DESTROY .*ext4 "mine".*\(wipeFilesystem, wipe\.bu:13\)', plan(3, *disk, "wipe.bu")[0], re.MULTILINE)
        assert hashlib.sha256((place / "disk.img").read_bytes()).hexdigest() == before, "plan wrote to the image"

        # Devices of this machine do not count beside an image, whatever they are called.
        (place / "null.bu").write_text((config % "ext4").replace("/dev/disk/by-partlabel/var", "/dev/null"))
        assert "/dev/null" in plan(1, *disk, "null.bu")[1]
        # JSON is planned as it is, at its own places; YAML is nothing for the agent.
        done = butane(place, "--pretty", "-o", "other.ign", "other.bu")
        assert done.returncode == 0, done
        assert re.search(r"storage\.filesystems\[0\], other\.ign line \d+", plan(1, *disk, "other.ign")[1])
        said = plan(1, "--config", "other.bu", program=AGENT)[1]
        assert "this is Butane; `firstlight-image butane` translates it" in said, said
        (place / "bad.bu").write_text(HEAD + "storage: {files: [{path: f}]}\n")
        assert "is not an absolute path" in plan(1, *disk, "bad.bu")[1]
        for wrong in ("disk.img", "vda=disk.img", "/dev/vda="):
            assert "write DEVICE=IMAGE" in plan(1, "--disk", wrong, "config.bu")[1]


def ends_soon_whatever_it_is_given() -> None:
    """Within memory that a runner has to spare: 2 GiB of addresses."""
    bombs = {
        "laughs": HEAD + "a0: &a0 x\n" + "".join(
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 60)) + "passwd: {users: *a59}\n",
        "nesting": HEAD + "x: " + "[" * 5_000_000,
        "size": HEAD + "# " + "x" * 100_000_000,
        "keys": HEAD + "".join(f"k{n}: 1\n" for n in range(200_000)),
        "values": HEAD + "x: [" + "a," * 3_000_000 + "]\n",
        "line": HEAD + "storage: {files: [{path: /f, contents: {inline: \"" + "é" * 5_000_000 + "\"}}]}\n",
    }
    for name, text in bombs.items():
        with folder() as place:
            (place / "bomb.bu").write_text(text)
            done = subprocess.run(["prlimit", f"--as={2 << 30}", TOOL, "butane", "bomb.bu"], cwd=place,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode in (0, 1), (name, done.returncode, done.stderr[-300:])


TESTS = [(function.__name__.replace("_", "-"), function) for function in (
    ends_like_the_original, takes_options_written_in_every_way, writes_secrets_for_their_owner_alone,
    reads_nothing_outside_of_its_folder, includes_configs_beside_it, validates_both_languages,
    plans_before_there_is_a_machine, is_taken_where_images_take_a_config, ends_soon_whatever_it_is_given)]
