"""Counts the unit tests: reads the test runner's xUnit file, writes {"passed": N, "failed": N}.

Tests that do not build, or crash, leave no file: that counts as one failure.
"""

import json
import sys
import xml.etree.ElementTree
from pathlib import Path


def counts(report: Path) -> "dict[str, int]":
    if not report.exists():
        return {"passed": 0, "failed": 1}
    cases = list(xml.etree.ElementTree.parse(report).iter("testcase"))
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    return {"passed": len(cases) - failed - skipped, "failed": failed}


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(json.dumps(counts(source)) + "\n")
