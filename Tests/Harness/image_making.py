"""`firstlight-image` on images of one's own: container images by umoci and skopeo, ISOs, network folders, UKIs."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import yaml

import images
import processes
import rootfs
import schemas
from paths import AGENT, TOOL, kernel_image, kernel_version
from tiers import ALL, only_in

NEEDS = {"agent", "tool"}


class Scratch:
    """A folder that goes away."""

    def __enter__(self) -> Path:
        self.folder = processes.temporary_folder("images")
        return self.folder

    def __exit__(self, *_) -> None:
        processes.remove_folder(self.folder)


def run(*words, **options) -> str:
    return processes.run([TOOL, *words], **options).decode()


def refused(*words, **options) -> "tuple[int, str]":
    """Exit status and what is said, of a call that has to fail."""
    done = subprocess.run([str(word) for word in (TOOL, *words)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=300, **options)
    assert done.returncode != 0, f"{words} was not refused"
    return done.returncode, done.stderr.decode()


def layout(folder: Path) -> Path:
    """A layout with three layers: umoci's, with whiteouts, owners and extended attributes."""
    place = folder / "layout"
    processes.run(["umoci", "init", "--layout", place])
    processes.run(["umoci", "new", "--image", f"{place}:live"])
    root = folder / "tree"
    for name, text in {"sbin/init": "#!/bin/sh\n", "etc/old": "1", "etc/kept": "1", "var/cache/a/b": "1",
                       "etc/machine-id": "0123\n", "etc/ssh/ssh_host_rsa_key": "secret"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "sbin/init").chmod(0o755)
    os.symlink("usr/lib", root / "lib")
    (root / "usr/lib").mkdir(parents=True)
    os.link(root / "etc/kept", root / "etc/again")
    os.chown(root / "etc/kept", 1234, 5678)
    os.setxattr(root / "etc/kept", "security.capability", bytes.fromhex("0100000202040000000000000000000000000000"))
    processes.run(["umoci", "insert", "--image", f"{place}:live", root, "/"])
    (folder / "new").write_text("2")
    processes.run(["umoci", "insert", "--image", f"{place}:live", folder / "new", "/etc/new"])
    processes.run(["umoci", "insert", "--image", f"{place}:live", "--whiteout", "/etc/old"])
    processes.run(["umoci", "insert", "--image", f"{place}:live", "--opaque", folder / "tree/sbin", "/var/cache"])
    return place


def contents(image: Path) -> "dict[str, str]":
    """Mode and owner of every path in a root image's squashfs."""
    listing = processes.run(["unsquashfs", "-quiet", "-llnumeric", "-offset", "124", image]).decode()
    rows = re.findall(r"^(\S+) (\S+) .*? squashfs-root/?(.*)$", listing, re.MULTILINE)
    return {path: f"{mode} {owner}" for mode, owner, path in rows}


def a_container_image_of_umoci() -> None:
    with Scratch() as folder:
        place = layout(folder)
        told = run("rootfs", place, "-o", folder / "rootfs.img", "--version", "1", "--json", "--stream-hash", folder / "h")
        facts = json.loads(told)
        assert sorted(row["path"] for row in facts["taken_out"]) == \
            ["/etc/machine-id", "/etc/ssh/ssh_host_rsa_key"], facts
        whole = (folder / "rootfs.img").read_bytes()
        assert facts["sha256"] == hashlib.sha256(whole).hexdigest()
        assert (folder / "h").read_bytes() == images.stream_hash(folder / "rootfs.img")
        found = contents(folder / "rootfs.img")
        assert found["etc/kept"] == "-rw-r--r-- 1234/5678", found
        assert found["sbin/init"] == "-rwxr-xr-x 0/0", found
        assert "etc/old" not in found and "etc/new" in found and "lib -> usr/lib" in found, found
        assert "var/cache/a" not in found and "var/cache/init" in found, found
        out = folder / "out"
        processes.run(["unsquashfs", "-quiet", "-no-progress", "-offset", "124", "-dest", out, folder / "rootfs.img"])
        assert len(os.getxattr(out / "etc/kept", "security.capability")) == 20
        assert (out / "etc/again").stat().st_ino == (out / "etc/kept").stat().st_ino
        # The same as one archive, as `docker save` writes it, and as an archive of the layout.
        processes.run(["skopeo", "--insecure-policy", "copy", f"oci:{place}:live", f"docker-archive:{folder}/save.tar:a:1"])
        processes.run(["skopeo", "--insecure-policy", "copy", f"oci:{place}:live", f"oci-archive:{folder}/oci.tar:live"])
        for archive in ("save.tar", "oci.tar"):
            run("rootfs", folder / archive, "-o", folder / "other.img", "--version", "1")
            assert (folder / "other.img").read_bytes() == whole, archive
        kept = json.loads(run("rootfs", place, "-o", folder / "kept.img", "--keep", "--json"))
        assert kept["taken_out"] == [] and "etc/machine-id" in contents(folder / "kept.img")


def a_layer_dated_ahead_makes_the_same_image() -> None:
    """Archives round times up: a layer that was made just now is from the next second."""
    with Scratch() as folder:
        ahead = int(time.time()) + 2
        with tarfile.open(folder / "root.tar", "w") as archive:
            member = tarfile.TarInfo("sbin/init")
            member.mtime, member.mode = ahead, 0o755
            archive.addfile(member)
        run("rootfs", folder / "root.tar", "-o", folder / "now.img", "--version", "1")
        time.sleep(max(0, ahead + 1 - time.time()))
        run("rootfs", folder / "root.tar", "-o", folder / "later.img", "--version", "1")
        assert (folder / "now.img").read_bytes() == (folder / "later.img").read_bytes()


def a_date_that_is_not_one_is_a_wrong_use() -> None:
    with Scratch() as folder:
        (folder / "root/sbin").mkdir(parents=True)
        (folder / "root/sbin/init").write_text("")
        words = ("rootfs", folder / "root", "-o", folder / "rootfs.img")
        for date in ("abc", "-1"):
            status, told = refused(*words, env={**os.environ, "SOURCE_DATE_EPOCH": date})
            assert status == 2 and f"SOURCE_DATE_EPOCH={date} is not a number of seconds" in told, told
        assert not (folder / "rootfs.img").exists()
        run(*words, env={**os.environ, "SOURCE_DATE_EPOCH": ""})


def an_erofs_holds_the_same() -> None:
    with Scratch() as folder:
        place = layout(folder)
        first = folder / "a.img"
        run("rootfs", place, "-o", first, "--version", "1", "--format", "erofs")
        run("rootfs", place, "-o", folder / "b.img", "--version", "1", "--format", "erofs")
        assert first.read_bytes() == (folder / "b.img").read_bytes(), "the same input makes other bytes"
        assert first.read_bytes()[110:120] == b"root.erofs"
        (folder / "bare").write_bytes(first.read_bytes()[124:])
        out = folder / "out"
        processes.run(["fsck.erofs", f"--extract={out}", "--preserve", folder / "bare"])
        assert (out / "etc/kept").stat().st_uid == 1234 and (out / "etc/new").read_text() == "2"
        assert not (out / "etc/old").exists() and not (out / "etc/machine-id").exists()


def a_hostile_layer_stays_inside() -> None:
    with Scratch() as folder:
        outside = folder / "outside"
        outside.mkdir()
        with tarfile.open(folder / "root.tar", "w") as archive:
            def add(name, kind=tarfile.REGTYPE, target="", text=b"x"):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, target
                member.size = len(text) if kind == tarfile.REGTYPE else 0
                archive.addfile(member, io.BytesIO(text) if member.size else None)
            add("sbin/init")
            add("link", tarfile.SYMTYPE, str(outside))
            add("link/evil")
            add("../../../../../../../../../" + str(outside).lstrip("/") + "/dots")
            add(str(outside / "absolute"))
        for format in ("squashfs", "erofs"):
            run("rootfs", folder / "root.tar", "-o", folder / f"{format}.img", "--format", format)
        assert list(outside.iterdir()) == [], list(outside.iterdir())
        found = contents(folder / "squashfs.img")
        assert str(outside).lstrip("/") + "/evil" in found, found


def an_iso_and_what_is_done_to_it() -> None:
    with Scratch() as folder:
        root = images.root_image(rootfs.tiny())
        initramfs = images.initramfs(rootfs=root)
        parts = ["--kernel", kernel_image(), "--initramfs", initramfs, "--rootfs", root]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
        iso = folder / "live.iso"
        facts = json.loads(run("iso", "-o", iso, "--label", "OWN", "--json", *parts, env=environment))
        assert facts["bios"] and facts["uefi"] and facts["secure_boot"], facts
        (folder / "streamed.iso").write_bytes(processes.run(
            [TOOL, "iso", "-o", "-", "--label", "OWN", *parts], env=environment))
        assert (folder / "streamed.iso").read_bytes() == iso.read_bytes(), "the same input makes another ISO"
        links = []
        for option, file in zip(parts[::2], parts[1::2]):
            (folder / option).symlink_to(file)
            links += [option, folder / option]
        run("iso", "-o", folder / "linked.iso", "--label", "OWN", *links, env=environment)
        assert (folder / "linked.iso").read_bytes() == iso.read_bytes(), "of links the ISO holds the links"
        for name in ("BOOTX64.EFI", "grubx64.efi"):
            processes.run(["xorriso", "-osirrox", "on", "-indev", iso, "-extract", f"/EFI/BOOT/{name}", folder / name])
            assert (folder / name).read_bytes()[:2] == b"MZ", name
        listed = processes.run(["xorriso", "-indev", iso, "-report_el_torito", "plain", "-report_system_area", "plain"]).decode()
        assert re.search(r"El Torito boot img : +1 +BIOS", listed) and re.search(r"boot img : +2 +UEFI", listed), listed
        assert "GPT" in listed and "isohybrid" in listed, listed
        processes.run(["xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/images/efiboot.img", folder / "efi"])
        processes.run(["fsck.fat", "-n", folder / "efi"])
        check = json.loads(run("check", "--json", iso))
        assert check["kind"] == "iso" and check["ok"] and check["facts"]["label"] == "OWN", check
        # What changes Fedora CoreOS's media changes it, and back.
        (folder / "config").write_text('{"ignition": {"version": "3.3.0"}}')
        changed = folder / "changed.iso"
        changed.write_bytes(iso.read_bytes())
        run("iso", "ignition", "embed", "-i", folder / "config", changed)
        run("iso", "kargs", "modify", "-a", "added=" + "x" * 1000, changed)
        assert run("iso", "ignition", "show", changed) == (folder / "config").read_text()
        assert "added=xxx" in run("iso", "kargs", "show", changed)
        assert json.loads(run("check", "--json", changed))["facts"]["config"] == "embedded"
        run("iso", "reset", changed)
        assert changed.read_bytes() == iso.read_bytes(), "reset leaves other bytes"
        run("iso", "extract", "minimal-iso", iso, folder / "minimal.iso", "--rootfs-url", "http://192.0.2.1/r")
        minimal = json.loads(run("check", "--json", folder / "minimal.iso"))
        assert minimal["ok"] and "coreos.live.rootfs_url=http://192.0.2.1/r" in minimal["facts"]["arguments"], minimal
        assert "coreos.liveiso" not in minimal["facts"]["arguments"], minimal
        # A root image of another build is refused.
        other = images.root_image(rootfs.tiny(), "2.2026.11")
        status, said = refused("iso", "-o", folder / "x.iso", "--kernel", kernel_image(), "--initramfs", initramfs,
                               "--rootfs", other)
        assert status == 1 and "would not boot" in said and not (folder / "x.iso").exists(), said


def other_boot_servers_read_what_is_made_for_them() -> None:
    with Scratch() as folder:
        root = images.root_image(rootfs.tiny())
        live = folder / "live"
        run("pxe", "-o", live, "--url", "http://192.0.2.1/live/", "--config-url", "http://192.0.2.1/c.ign?a=b&c=d",
            "--kernel", kernel_image(), "--initramfs", images.initramfs(rootfs=root), "--rootfs", root)
        profile = json.loads((live / "matchbox/profiles/firstlight.json").read_text())
        group = json.loads((live / "matchbox/groups/default.json").read_text())
        hardware = yaml.safe_load((live / "tinkerbell/hardware.yaml").read_text())
        for name, value in {"matchbox-profile": profile, "matchbox-group": group, "tinkerbell-hardware": hardware}.items():
            assert not (wrong := schemas.objections(name, value)), wrong
        assert (live / f"matchbox/profiles/{group['profile']}.json").is_file(), group
        assert profile["boot"]["kernel"] == "http://192.0.2.1/live/vmlinuz", profile
        assert "ignition.config.url=http://192.0.2.1/c.ign?a=b&c=d" in profile["boot"]["args"], profile
        assert hardware["spec"]["interfaces"][0]["netboot"]["ipxe"]["url"] == "http://192.0.2.1/live/boot.ipxe", hardware
        # What the boot would not take as one URL is refused now, not at the boot.
        for words in (("pxe", "--url", "http://192.0.2.1/live", "--rootfs", root), ("uki",)):
            for url in ("http://192.0.2.1/a b", 'http://192.0.2.1/"', "http//192.0.2.1/c.ign", "http://192.0.2.1/${what}"):
                status, said = refused(*words, "-o", folder / "x", "--kernel", kernel_image(), "--initramfs",
                                       images.initramfs(rootfs=root), "--config-url", url)
                assert status == 1 and not (folder / "x").exists() and "Check the URL" in said, (words, url, said)
        # The schemas find what is misspelled, missing, or of another kind.
        profile["boot"]["cmdline"] = profile["boot"].pop("args")
        group["selector"] = {"mac": 1}
        del group["profile"]
        hardware["spec"]["interfaces"][0]["netboot"]["allowPXE"] = "yes"
        assert schemas.objections("matchbox-profile", profile) == ["$.boot has cmdline, which nobody reads"]
        assert len(schemas.objections("matchbox-group", group)) == 2
        assert len(schemas.objections("tinkerbell-hardware", hardware)) == 1


def the_modules_of_an_image_are_explained() -> None:
    """`--explain` names the modules that an image has, and no others; firmware that they ask for is there, or missed."""
    with Scratch() as folder:
        words = ["initramfs", "--modules", "virtio,e1000e,tg3"]
        told = run(*words, "--explain")
        reasons: "dict[str, str]" = {}
        for line in told.splitlines()[1:]:
            if line.startswith("  "):
                reasons.update({name: reason for name in line.split()})
            else:
                reason = line.partition("  ")[0]
        assert reasons["e1000e"] == "asked for" and reasons["ext4"] == "every image: ext4", reasons
        assert reasons["jbd2"].startswith("needed by"), reasons
        done = subprocess.run([str(word) for word in (TOOL, *words, "--fast", "--no-cache", "-o", folder / "image")],
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done
        run("dev", "extract", "initrd", "-C", folder / "parts", folder / "image")
        listing = processes.run(["unsquashfs", "-quiet", "-l", folder / "parts/usr.squashfs"]).decode()
        packed = {Path(name).stem.replace("-", "_") for name in re.findall(r"/lib/modules/\S+\.ko$", listing, re.MULTILINE)}
        assert packed == set(reasons), packed ^ set(reasons)
        listed = json.loads(run("list", "--json", folder / "image"))
        assert listed["kernel"] == kernel_version() and listed["bytes"] == (folder / "image").stat().st_size, listed
        paths = [file["path"] for part in listed["parts"] for file in part["files"]]
        assert run("list", "--files", folder / "image").split()[1::2] == paths, "--json and --files differ"
        asked = processes.run(["modinfo", "-k", kernel_version(), "-F", "firmware", "tg3"]).decode().split()
        assert asked, "tg3 asks for no firmware"
        missing = [name for name in asked if f"/lib/firmware/{name}\n" not in listing]
        there = [name for name in asked if list(Path("/lib/firmware").glob(f"{name}*"))]
        assert set(missing).isdisjoint(there), (missing, there)
        assert not missing or "asks for firmware that this system does not have: " in done.stderr and "tg3" in done.stderr, done


def a_folder_that_cannot_be_read_is_told_of() -> None:
    """As nobody in particular: root can read everything."""
    with Scratch() as folder:
        folder.chmod(0o755)
        tree = folder / "tree"
        (tree / "closed").mkdir(parents=True)
        (tree / "closed/file").write_text("1")
        (tree / "closed").chmod(0o700)
        out = folder / "out"
        out.mkdir()
        out.chmod(0o777)
        tool, agent = out / "firstlight-image", out / "firstlight"
        shutil.copy(TOOL, tool)
        shutil.copy(AGENT, agent)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"XDG_CACHE_HOME={out}"]
        make = [*nobody, tool, "initramfs", "--fast", "--modules", "virtio", "-o", out / "image", "--include"]
        done = subprocess.run([*make, f"{tree}:/opt/tree"], capture_output=True, text=True, timeout=300)
        assert done.returncode == 1 and not (out / "image").exists(), done
        assert f"cannot read {tree}/closed: Permission denied" in done.stderr and "as root" in done.stderr, done
        (tree / "closed").chmod(0o755)
        done = subprocess.run([*make, f"{tree}:/opt/tree"], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and (out / "image").exists(), done


def a_device_is_written_to_as_its_serial_is_typed() -> None:
    """A loop device is not removable and has no serial: its name stands in for that. It is used, or mounted, or free."""
    with Scratch() as folder:
        disk, image = folder / "disk", folder / "image"
        for file, size in {disk: 64, image: 3}.items():
            file.write_bytes(os.urandom(size << 20))
        before = disk.read_bytes()
        device = processes.run(["losetup", "--find", "--show", disk]).decode().strip()
        name = device.removeprefix("/dev/")

        def usb(*words, typed: str = "") -> "subprocess.CompletedProcess[str]":
            return subprocess.run([str(word) for word in (TOOL, "usb", *words)], input=typed, capture_output=True,
                                  text=True, timeout=300)

        try:
            for words, typed, said in [
                    ([], "yes\n", f"{device} is not removable"), (["--yes"], "", "--force"),
                    (["--force"], "yes\n", "not confirmed"), (["--force", "--yes"], "", "not confirmed"),
                    (["--force"], f"{name}0\n", "not confirmed")]:
                done = usb(*words, image, device, typed=typed)
                assert done.returncode == 1 and said in done.stderr, (words, done)
                assert disk.read_bytes() == before, f"{words}: something was written"
            large = folder / "large"
            large.write_bytes(bytes(65 << 20))
            done = usb("--force", large, device, typed=f"{name}\n")
            assert done.returncode == 1 and "64 MiB" in done.stderr and disk.read_bytes() == before, done
            done = usb("--force", image, device, typed=f"{name}\n")
            assert done.returncode == 0 and "written and read back" in done.stdout, done
            assert f"Type its name ({name})" in done.stderr, done
            written = disk.read_bytes()
            assert written[:3 << 20] == image.read_bytes() and written[3 << 20:63 << 20] == before[3 << 20:63 << 20]
            assert not any(written[63 << 20:]), "the end still holds what may be a table"

            # In use: mounted, and by somebody of whom the kernel tells no more.
            processes.run(["mkfs.ext4", "-q", device])
            place = folder / "mounted"
            place.mkdir()
            script = f'mount "{device}" "{place}"; "{TOOL}" usb --force --yes "{image}" "{device}" <<<{name}; echo "$?"'
            done = subprocess.run(["unshare", "--mount", "bash", "-c", script], capture_output=True, text=True, timeout=300)
            assert done.stdout.strip() == "1" and f"{device} is mounted: {place}" in done.stderr, done
            formatted = disk.read_bytes()
            holder = os.open(device, os.O_RDWR | os.O_EXCL)
            try:
                done = usb("--force", image, device, typed=f"{name}\n")
            finally:
                os.close(holder)
            assert done.returncode == 1 and f"{device} is in use" in done.stderr, done
            assert disk.read_bytes() == formatted, "a device in use was written to"
        finally:
            processes.run(["losetup", "--detach", device])


def a_unified_kernel_is_signed() -> None:
    with Scratch() as folder:
        processes.run(["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days",
                       "2", "-keyout", folder / "key", "-out", folder / "certificate"])
        parts = ["--kernel", kernel_image(), "--initramfs", images.initramfs(rootfs=images.root_image(rootfs.tiny()))]
        image = folder / "live.efi"
        run("uki", "-o", image, "--url", "http://192.0.2.1/rootfs.img", "--key", folder / "key", "--certificate",
            folder / "certificate", *parts)
        processes.run(["sbverify", "--cert", folder / "certificate", image])
        sections = processes.run(["objdump", "-h", image]).decode()
        assert all(f" {name} " in sections for name in (".osrel", ".cmdline", ".uname", ".initrd", ".linux")), sections
        check = json.loads(run("check", "--json", image))
        assert check["kind"] == "uki" and check["facts"]["Secure Boot"] == "signed", check
        assert "coreos.live.rootfs_url=http://192.0.2.1/rootfs.img" in check["facts"]["arguments"], check


def a_stick_is_not_written_by_mistake() -> None:
    with Scratch() as folder:
        (folder / "image").write_bytes(b"x" * 4096)
        for device in (folder / "image", Path("/dev/null")):
            status, said = refused("usb", "--yes", "--force", folder / "image", device)
            assert status == 1 and "is not a block device" in said and "Nothing was written" in said, said


def what_takes_long_is_told() -> None:
    """An initramfs with every driver takes minutes: after some seconds a line tells what is being done, and how long."""
    with Scratch() as folder:
        making = subprocess.Popen([TOOL, "initramfs", "--no-cache", "--modules", "generic", "-o", folder / "initramfs"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            first = making.stderr.readline().decode()
            assert making.poll() is None, f"it was made before anything was told: {first}"
            assert re.search(r"(?:making|compressing|reading|packing) .*: \d+ s$", first.rstrip()), first
        finally:
            making.kill()
            making.communicate()


def every_command_has_help_in_80_columns() -> None:
    for command in ("rootfs", "initramfs", "iso", "pxe", "uki", "check", "usb"):
        text = run(command, "--help", env={**os.environ, "COLUMNS": "80"})
        long = [line for line in text.splitlines() if len(line) > 80]
        assert "EXAMPLES" in text and not long, (command, long)


TESTS = [(test.__name__.replace("_", "-"), test) for test in (
    a_container_image_of_umoci, a_layer_dated_ahead_makes_the_same_image,
    a_date_that_is_not_one_is_a_wrong_use, only_in(ALL)(an_erofs_holds_the_same), only_in(ALL)(what_takes_long_is_told),
    a_hostile_layer_stays_inside, an_iso_and_what_is_done_to_it, other_boot_servers_read_what_is_made_for_them,
    a_unified_kernel_is_signed, a_stick_is_not_written_by_mistake, a_device_is_written_to_as_its_serial_is_typed,
    the_modules_of_an_image_are_explained, a_folder_that_cannot_be_read_is_told_of,
    every_command_has_help_in_80_columns,
)]
