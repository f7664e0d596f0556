#!/usr/bin/python3
# init: systemd
# limit: 1200
"""The stages fetch and files beside Debian's Ignition: same guest, same config, same root before, rounds in turn.

The agent runs under the name `ignition`, with the same words on its command line. Figures go to
$RESULTS/figures.json: of each load and program the seconds and the seconds of processor time of each round, and
the KiB resident of the largest process.
"""
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

AGENT = os.environ["AGENT"]
RESULTS = Path(os.environ["RESULTS"])
ORIGINAL = "/usr/lib/dracut/modules.d/30ignition/ignition"
ROUNDS = 3
LONG_ROUNDS = 1  # of 10,000 files: minutes each
ROOT = Path("/sysroot")
# A network of its own, with 10 ms each way.
NETWORK = ["ip", "netns", "exec", "bench"]
DELAY = "10ms"
SITE = Path("/run/bench-site")
UNIT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


def files(count: int) -> "list[dict]":
    text = "data:," + "a%20line%20of%20text%0A" * 20
    return [{"path": f"/opt/bench/{number % 50}/{number}", "mode": 0o644, "contents": {"source": f"{text}{number}"}}
            for number in range(count)]


def remote(count: int) -> "list[dict]":
    return [{"path": f"/opt/bench/{number}", "mode": 0o644,
             "contents": {"source": f"http://127.0.0.1:8080/{number}"}} for number in range(count)]


LOADS = {
    "files and units": {"storage": {"files": files(1000)}, "systemd": {"units": [
        {"name": f"bench-{number}.service", "enabled": True, "contents": UNIT} for number in range(100)]}},
    "1,000 files": {"storage": {"files": files(1000)}},
    "10,000 files": {"storage": {"files": files(10000)}},
    "files over HTTP": {"storage": {"files": remote(200)}},
}


def serve() -> None:
    SITE.mkdir()
    for number in range(200):
        (SITE / str(number)).write_text(f"file {number}\n" * 100)
    Path("nginx.conf").write_text(
        f"user root;\npid {SITE}.pid;\nerror_log {RESULTS}/nginx.log;\nevents {{}}\nhttp {{\n access_log off;\n"
        f" server {{ listen 127.0.0.1:8080; root {SITE}; }}\n}}\n")
    for words in (["ip", "netns", "add", "bench"], ["ip", "-n", "bench", "link", "set", "lo", "up"],
                  ["modprobe", "sch_netem"],
                  [*NETWORK, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", DELAY],
                  [*NETWORK, "nginx", "-c", os.path.abspath("nginx.conf")]):
        subprocess.run(words, check=True)


def fresh() -> None:
    """A root with root's account; Debian's build takes one without an SELinux policy for a fault."""
    subprocess.run(["umount", "-q", ROOT])
    ROOT.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "root", ROOT], check=True)
    policy = ROOT / "etc/selinux/test/contexts/files/file_contexts"
    policy.parent.mkdir(parents=True)
    policy.write_text("/.* system_u:object_r:root_t:s0\n")
    (ROOT / "etc/selinux/config").write_text("SELINUXTYPE=test\n")
    (ROOT / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (ROOT / "etc/group").write_text("root:x:0:\n")
    shutil.rmtree("/run/ignition", ignore_errors=True)


def measured(program: str, name: str) -> "tuple[float, float, int]":
    """Seconds, seconds of processor time, and KiB resident, of both stages."""
    seconds = processor = 0.0
    resident = 0
    for stage in ("fetch", "files"):
        words = [*NETWORK, program, f"--stage={stage}", "--platform=file", f"--root={ROOT}", "--config-cache=cache",
                 "--state-file=state", "--neednet=neednet", "--log-to-stdout"]
        with open(RESULTS / f"{name}.{stage}", "w") as output:
            began = time.monotonic()
            process = subprocess.Popen(words, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            seconds += time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (RESULTS / f"{name}.{stage}").read_text()[-2000:]
        processor += usage.ru_utime + usage.ru_stime
        resident = max(resident, usage.ru_maxrss)
    return seconds, processor, resident


def written() -> "dict[str, bytes]":
    return {str(path): path.read_bytes() for path in sorted(ROOT.glob("opt/**/*")) if path.is_file()}


def main() -> int:
    program = Path("/usr/sbin/setfiles")
    program.unlink(missing_ok=True)
    program.write_text("#!/bin/sh\ncat >/dev/null\n")
    program.chmod(0o755)
    ours, theirs = Path("ignition"), Path("original/ignition")
    theirs.parent.mkdir()
    # Both from RAM: the host's files come over 9p.
    shutil.copy(AGENT, ours)
    shutil.copy(ORIGINAL, theirs)
    programs = {"firstlight": f"./{ours}", "original": f"./{theirs}"}
    serve()
    figures = {load: {name: {"seconds": [], "processor": [], "resident_kib": 0} for name in programs}
               for load in LOADS}
    os.environ["IGNITION_CONFIG_FILE"] = os.path.abspath("config.ign")
    for load, config in LOADS.items():
        Path("config.ign").write_text(json.dumps({"ignition": {"version": "3.3.0"}, **config}))
        for number in range(1, (LONG_ROUNDS if load == "10,000 files" else ROUNDS) + 1):
            trees = []
            for name, program in programs.items():
                fresh()
                for file in ("cache", "state", "neednet"):
                    Path(file).unlink(missing_ok=True)
                seconds, processor, resident = measured(program, f"{load.replace(' ', '-')}.{name}.{number}")
                trees.append(written())
                one = figures[load][name]
                one["seconds"].append(seconds)
                one["processor"].append(processor)
                one["resident_kib"] = max(one["resident_kib"], resident)
                print(f"round {number}  {load:<16} {name:<10} {seconds:6.2f} s, processor {processor:6.2f} s, "
                      f"{resident / 1024:6.1f} MiB", flush=True)
            assert trees[0] == trees[1] and trees[0], f"{load}: not the same files"
    (RESULTS / "figures.json").write_text(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
