"""The stages that fetch. The tests run where fetching.py has them run."""

import json
import os
import stat
import subprocess
from pathlib import Path

import processes
from fetching_site import CONTENT, PLAIN, SECURE, Site
from paths import AGENT


class Boot:
    """The stages that fetch, one process each, on a command line and a root of the test's own.

    They run on an overlay of this system: nothing they write outlives the test.
    """

    def __init__(self, arguments: str) -> None:
        # No folder of processes.temporary_folder: what removes those would go on into what is mounted here.
        layers = Path("/mnt")
        processes.run(["mount", "-t", "tmpfs", "tmpfs", layers])
        system = layers / "system"
        for name in ["upper", "work", "system"]:
            (layers / name).mkdir()
        processes.run(["mount", "-t", "overlay", "overlay", "-o",
                       f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work", system])
        for name in ["run", "dev"]:
            processes.run(["mount", "-t", "tmpfs", "tmpfs", system / name])
        for name, minor in {"null": 3, "urandom": 9}.items():
            os.mknod(system / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        processes.run(["mount", "-t", "proc", "proc", system / "proc"])
        (layers / "cmdline").write_text(arguments + "\n")
        processes.run(["mount", "--bind", layers / "cmdline", system / "proc/cmdline"])
        self._system = system
        self.state, self.root = system / "run/firstlight", system / "sysroot"
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (self.root / "etc/group").write_text("root:x:0:\n")

    def stage(self, name: str) -> subprocess.CompletedProcess:
        program = os.environ.get("FIRSTLIGHT", AGENT)
        return subprocess.run(["chroot", self._system, program, "stage", name], capture_output=True, text=True,
                              timeout=60)


def config_with(site: Site, files: "list[dict]", ca: str) -> str:
    """Serves a config that trusts one more authority; returns its URL."""
    (site.folder / "www/config.ign").write_text(json.dumps({
        "ignition": {"version": "3.4.0", "security": {"tls": {"certificateAuthorities": [{"source": ca}]}}},
        "storage": {"files": files},
    }))
    return f"{PLAIN}/config.ign"


def files_from_a_private_site() -> None:
    site, count = Site(), 60
    for number in range(count):
        (site.folder / f"www/f{number}").write_bytes(CONTENT[number:number + 5000])
    (site.folder / "www/ca.pem").write_bytes(site.ca.read_bytes())
    files = [{"path": f"/srv/d/f{number}", "contents": {"source": f"{SECURE}/f{number}"}} for number in range(count)]
    boot = Boot("ignition.firstboot ignition.config.url=" + config_with(site, files, f"{PLAIN}/ca.pem"))
    done = boot.stage("fetch")
    assert done.returncode == 0, done.stderr
    kept = json.loads((boot.state / "config.ign").read_text())
    [authority] = kept["ignition"]["security"]["tls"]["certificateAuthorities"]
    assert authority["source"].startswith("data:;base64,"), authority
    done = boot.stage("files")
    assert done.returncode == 0, done.stderr
    for number in range(count):
        assert (boot.root / f"srv/d/f{number}").read_bytes() == CONTENT[number:number + 5000], f"file {number}"
    assert sorted(os.listdir(boot.root / "srv/d")) == sorted(f"f{number}" for number in range(count))
    assert sum("/ca.pem" in line for line in site.seen()) == 1, "the authority is fetched twice"


def a_missing_file_ends_the_stage() -> None:
    site = Site()
    files = [{"path": f"/srv/{name}", "contents": {"source": f"http://127.0.0.1:8080/{place}"}}
             for name, place in [("first", "file"), ("gone", "gone"), ("never", "silent/file")]]
    (site.folder / "www/ca.pem").write_bytes(site.ca.read_bytes())
    boot = Boot("ignition.firstboot ignition.config.url=" + config_with(site, files, f"{PLAIN}/ca.pem"))
    assert boot.stage("fetch").returncode == 0
    done = boot.stage("files")
    assert done.returncode == 1 and "8080/gone: HTTP status 404" in done.stderr, done.stderr
    assert os.listdir(boot.root / "srv") == ["first"], os.listdir(boot.root / "srv")


def an_authority_that_is_missing_ends_the_fetch() -> None:
    site = Site()
    boot = Boot("ignition.firstboot ignition.config.url=" + config_with(site, [], f"{PLAIN}/ca.pem"))
    done = boot.stage("fetch")
    assert done.returncode == 1 and "8080/ca.pem: HTTP status 404" in done.stderr, done.stderr
