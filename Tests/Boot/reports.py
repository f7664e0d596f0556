"""The report of provisioning: on the console, in /run, at a server; and what must not be there any more."""

import base64
import json
import re

import images
from boot import PROVISION, boot_test, embedded, facts, stopped, tiny_image
from machine import MIB
from servers import Stall, Status
from tiers import ALL

STORAGE = {
    "filesystems": [{"device": "/dev/vda", "format": "ext4", "label": "srv", "path": "/srv/deep"}],
    "files": [{"path": "/srv/deep/a", "contents": {"source": "data:,a"}},
              {"path": "/etc/hosts", "append": [{"source": "data:,10.9.8.7%20other%0A"}]}],
}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def stages(report):
    return {stage["stage"]: stage for stage in report["stages"]}


@boot_test()
def report_is_posted(bench):
    """The report on the console and in /run, and posted once more after a 503; the second boot's tells what was kept."""
    server = bench.faulty({}, {"/boots": [Status(503)]})
    disk = bench.disk(size=512 * MIB)
    initrd = embedded(bench, storage=STORAGE)
    line = f"{PROVISION} rd.neednet firstlight.report_url=http://me:secret@10.0.2.2:{server.port}/boots"
    script = "cat /run/firstlight/report.json; stat -c %a /run/firstlight/report.json; ls /run/firstlight"
    reports = []
    for number in (1, 2):
        machine = bench.boot(line, initrd=initrd, disks=[disk], script=script)
        found = facts(machine)["run"]
        end = found.index("}")
        kept = json.loads("\n".join(found[:end + 1]))
        assert found[end + 1] == "644", found
        posts = [json.loads(body) for body in server.posts("/boots")]
        assert len(posts) == number + 1, f"{len(posts)} posts after boot {number}"
        assert posts[-1] == kept, (posts[-1], kept)
        reports.append(kept)
        page = machine.console.unwrapped
        assert re.search(r"report +provisioned in [0-9.]+ s: .*nothing destroyed", page)
        assert re.search(r"report +posted to http://10\.0\.2\.2", page) and "secret" not in page
    first, second = map(stages, reports)
    assert [report["outcome"] for report in reports] == ["done", "done"]
    assert reports[0]["bootID"] != reports[1]["bootID"]
    assert list(first) == ["config", "network", "rootfs", "root", "disks", "mount", "files"], list(first)
    assert all(stage["seconds"] > 0 for stage in first.values()), first
    assert first["disks"]["created"] == ['ext4 "srv" on /dev/vda'] and not first["disks"]["kept"]
    assert second["disks"]["kept"] == ['ext4 "srv" on /dev/vda'] and not second["disks"]["created"]
    assert first["mount"]["created"] == ["/srv", "/srv/deep"] == second["mount"]["created"], first["mount"]
    assert first["files"]["created"] == ["/srv/deep/a"] and first["files"]["changed"] == ["/etc/hosts"], first["files"]
    assert second["files"]["kept"] == ["/srv/deep/a"] and second["files"]["changed"] == ["/etc/hosts"], second["files"]


@boot_test(tier=ALL)
def report_that_nobody_takes(bench):
    """A server that accepts the connection and never answers, and a network that is not up, hold no boot up."""
    server = bench.faulty({}, {"/boots": [Stall(0)] * 50})
    initrd = embedded(bench, storage={"files": STORAGE["files"][1:]})
    line = f"{PROVISION} firstlight.report_url={server.url}/boots"
    machine = bench.boot(f"{line} rd.neednet", initrd=initrd)
    facts(machine)
    assert re.search(r"warning +the report was not posted to .*/boots: no success within 10 s", machine.console.unwrapped)
    assert server.posts("/boots")
    machine = bench.boot(line, initrd=initrd, network=False)
    facts(machine)
    assert re.search(r"warning +the report was not posted .*no network; rd\.neednet=1 brings", machine.console.unwrapped)


@boot_test()
def report_of_a_failure(bench):
    """A boot that stops is reported too: with the stage, the reason, and nothing secret."""
    server = bench.faulty({})
    disk = bench.disk(size=512 * MIB)
    initrd = embedded(bench, storage={
        **STORAGE, "files": [{"path": "/etc/hosts", "contents": {"source": "data:,secret"}}]})
    line = f"{PROVISION} rd.neednet firstlight.report_url={server.url}/boots"
    stopped(bench.boot(line, initrd=initrd, disks=[disk]), "/etc/hosts", "overwrite")
    body, = server.posts("/boots")
    report = json.loads(body)
    failure = report["failure"]
    assert report["outcome"] == "failed" and failure["stage"] == "files", report
    assert "/etc/hosts" in failure["cause"] and failure["written"][0] == 'ext4 "srv" on /dev/vda', failure
    # The conflict is found before any file is written.
    assert not any("changes to the real root" in one for one in failure["written"]), failure
    assert any("overwrite" in line for line in failure["advice"]), failure


@boot_test()
def secrets_are_gone(bench):
    """Nothing of the config, of its keys, of credentials is left in /run, in the log or on the console."""
    server = bench.nginx({"key": "hush-volume", "file": "hush-fetched"})
    remote = {"source": f"http://hush:hush@{server.url.removeprefix('http://')}/key?hush=1",
              "httpHeaders": [{"name": "X-Token", "value": "hush-header"}]}
    child = json.dumps({"ignition": {"version": "3.4.0"}, "storage": {"files": [
        {"path": "/etc/child", "mode": 0o600, "contents": {"source": "data:,hush-child"}}]}})
    config = bench.config(
        ignition={"version": "3.4.0", "config": {"merge": [{"source": "data:;base64," + encoded(child)}]}},
        storage={
            "luks": [{"name": "vault", "device": "/dev/vda", "keyFile": remote, "wipeVolume": True,
                      "options": ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]}],
            "filesystems": [{"device": "/dev/mapper/vault", "format": "ext4", "path": "/vault"}],
            "files": [{"path": "/vault/file", "mode": 0o600, "contents": {"source": f"{server.url}/file"}},
                      {"path": "/etc/hosts", "append": [{"source": "data:,hush-fragment"}]},
                      {"path": "/etc/hush", "mode": 0o640, "contents": {"source": "data:,hush"}}]})
    image = tiny_image()
    initrd = [images.initramfs("virtio", rootfs=image), image]
    served = bench.nginx({"config.ign": config})
    url = f"http://hush:hush@{served.url.removeprefix('http://')}/config.ign?hush=1"
    # One that is to be found shows that the others would be.
    script = ("cd /run; echo hu''sh-decoy >decoy; find . \\( -path ./firstlight/lower -o -path ./firstlight/overlay \\) -prune -o -type f -print |"
              "while read -r f; do grep -q 'h[u]sh-' $f && echo told $f; grep -q 'h[u]sh:h[u]sh' $f && echo told $f; done;"
              "dmesg | grep 'firstlight: .*h[u]sh[-:@=]'; cat /etc/child; echo; ls -1 /run/firstlight; ls -d /dev/mapper/vault")
    machine = bench.boot(f"{PROVISION} ignition.config.url={url} firstlight.log_level=debug", initrd=initrd,
                         disks=[bench.disk(size=128 * MIB)], script=script)
    found = facts(machine)["run"]
    assert found[:2] == ["told ./decoy", "hush-child"], found
    assert {"log", "plan.json", "report.json", "/dev/mapper/vault"} <= set(found), found
    assert not {"config.ign", "config.json", "volumes.json", "scratch", "luks-vault.key"} & set(found), found
    story = machine.console.text.split("@fact")[0]
    assert "report " in story and not re.search("hush[-:@=]", story), story
