#!/usr/bin/python3
# init: systemd
# limit: 2400
"""Records what Debian's Ignition leaves of the cases of Tests/Harness/disk_reference.py."""
import os
import sys

sys.path.insert(0, os.environ["TREE"] + "/Tests/Harness")
import disk_reference  # noqa: E402

disk_reference.leave_theirs()
