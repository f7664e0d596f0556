#!/usr/bin/python3
"""Throws what libFuzzer thinks of at the parsers; each *.swift beside this file is one target.

    python3 Tests/Fuzz/fuzz.py [--seconds N] [--runs N] [TARGET...]

The corpus starts from Fixtures and grows in out/fuzz. An input that crashes a parser, hangs it or breaks
what must hold is left in out/fuzz/TARGET-*, and belongs into Fixtures with the correction.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
OUT = TREE / "out" / "fuzz"
# In the order of their imports.
MODULES = ["Reporting", "JSONText", "BootArguments", "IgnitionConfig"]
# Swift's own checks stay on in optimised code, and none of the parsers does without them:
# AddressSanitizer would find nothing more and take most of the time.
FLAGS = ["-O", "-swift-version", "6", "-parse-as-library", "-sanitize=fuzzer", "-use-ld=lld", "-I", str(OUT)]
# Bytes of an input.
LONGEST = {"config": 2048, "data-url": 512, "kernel-arguments": 256}


def main() -> int:
    targets = {file.stem: file for file in sorted(HERE.glob("*.swift"))}
    parser = argparse.ArgumentParser(description="Fuzz the parsers.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="at most so many executions of each")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets))
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.targets if name not in targets]:
        raise SystemExit(f"no such target: {', '.join(unknown)}; there are {', '.join(targets)}")

    OUT.mkdir(parents=True, exist_ok=True)
    objects = [compiled(module, sorted((TREE / "Sources" / module).glob("*.swift"))) for module in MODULES]
    failed = []
    for name in arguments.targets or targets:
        program = OUT / name
        run(["swiftc", *FLAGS, "-module-name", "Fuzz", targets[name], *objects, "-o", program])
        corpus = OUT / f"{name}-corpus"
        corpus.mkdir(exist_ok=True)
        for index, text in enumerate(seeds(name)):
            (corpus / f"seed-{index}").write_bytes(text)
        log = OUT / f"{name}.log"
        with open(log, "w") as told:
            done = subprocess.run(
                [program, corpus, f"-max_total_time={arguments.seconds}", f"-runs={arguments.runs}", "-timeout=10",
                 "-rss_limit_mb=2048", f"-max_len={LONGEST[name]}", "-print_final_stats=1",
                 f"-artifact_prefix={OUT}/{name}-"], stderr=told)
        lines = log.read_text(errors="replace").splitlines()
        executed = next((line.split()[-1] for line in lines if "number_of_executed" in line), "?")
        print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name}: {executed} executions", flush=True)
        if done.returncode:
            failed.append(name)
            print("\n".join(f"         | {line}" for line in lines[-25:]), flush=True)
    return 1 if failed else 0


def compiled(module: str, sources: "list[Path]") -> Path:
    """The object of a module, made again where a source is newer."""
    built = OUT / f"{module}.o"
    newest = max(file.stat().st_mtime for file in [*sources, Path(__file__)])
    if not built.exists() or built.stat().st_mtime < newest:
        run(["swiftc", *FLAGS, "-whole-module-optimization", "-module-name", module, "-emit-module",
             "-emit-module-path", OUT / f"{module}.swiftmodule", "-c", *sources, "-o", built])
    return built


def seeds(target: str) -> "list[bytes]":
    """What a target's corpus starts with."""
    fixtures = TREE / "Fixtures"
    if target == "config":
        texts = [file.read_bytes() for file in sorted(fixtures.glob("config/*/*.ign"))]
    elif target == "data-url":
        texts = [line for file in sorted(fixtures.glob("config/rules/*.ign")) for line in file.read_bytes().split(b'"')
                 if b":" in line]
    else:
        texts = [line for file in sorted(fixtures.glob("arguments/*/*")) if file.is_file()
                 for line in file.read_bytes().splitlines()]
    return sorted({text for text in texts if len(text) <= 2048})


def run(command: list) -> None:
    subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    sys.exit(main())
