#!/usr/bin/python3
# init: systemd
# limit: 600
"""Records what Debian's Ignition leaves of those cases of Tests/Harness/files_reference.py that have units."""
import os
import sys

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import files_reference  # noqa: E402

files_reference.leave_units()
