"""`firstlight-image` on images of one's own: container images by umoci and skopeo, ISOs, network folders, UKIs."""

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import images
import processes
import rootfs
from paths import TOOL, kernel_image
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
            assert status == 1 and "is no block device" in said and "Nothing was written" in said, said


def every_command_has_help_in_80_columns() -> None:
    for command in ("rootfs", "initramfs", "iso", "pxe", "uki", "check", "usb"):
        text = run(command, "--help", env={**os.environ, "COLUMNS": "80"})
        long = [line for line in text.splitlines() if len(line) > 80]
        assert "EXAMPLES" in text and not long, (command, long)


TESTS = [(test.__name__.replace("_", "-"), test) for test in (
    a_container_image_of_umoci, only_in(ALL)(an_erofs_holds_the_same), a_hostile_layer_stays_inside,
    an_iso_and_what_is_done_to_it, a_unified_kernel_is_signed, a_stick_is_not_written_by_mistake,
    every_command_has_help_in_80_columns,
)]
