"""Rules can be changed by a process with more descriptors than select(2) knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A process of its own: the C library would end it.
SCRIPT = """
import os
from runc_cpi.daemon.host import resource_limits
from runc_cpi.daemon.host.high_descriptors import LOW, raised
from runc_cpi.daemon.host.network import libnftables
resource_limits.raise_open_files()
held = [raised(os.open(os.devnull, os.O_RDONLY)) for _ in range(LOW + 1)]
libnftables.run("add table inet many")
print(libnftables.run("list tables"), end="")
"""


def test_rules_beside_many_descriptors() -> None:
    """The library of nftables, which uses select, finds a low number for its own."""
    argv = ["unshare", "--net", sys.executable, "-c", SCRIPT]
    outcome = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "table inet many\n"
