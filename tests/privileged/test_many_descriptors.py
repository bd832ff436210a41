"""Rules can be changed by a process with more descriptors than select(2) knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A process of its own: the C library would end it.
SCRIPT = """
import os
from concurrent.futures import ThreadPoolExecutor
from runc_cpi.daemon.host import resource_limits
from runc_cpi.daemon.host.high_descriptors import LOW, raised
from runc_cpi.daemon.host.network import libnftables
resource_limits.raise_open_files()
{before}
libnftables.run("add table inet many")
with ThreadPoolExecutor(4) as threads:
    (told,) = set(threads.map(libnftables.run, ["list tables"] * 40))
print(told, end="")
"""
# What the daemon opens itself has high numbers; what others have it open, such as
# connections, comes after the start and may have any.
RAISED = "held = [raised(os.open(os.devnull, os.O_RDONLY)) for _ in range(LOW + 1)]"
FLOODED = """
libnftables.prepare()
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(LOW + 1)]
"""


@pytest.mark.parametrize("before", [RAISED, FLOODED], ids=["own", "of others"])
def test_rules_beside_many_descriptors(before: str) -> None:
    """The library of nftables, which uses select, has low numbers for its own."""
    script = SCRIPT.format(before=before)
    argv = ["unshare", "--net", sys.executable, "-c", script]
    outcome = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "table inet many\n"
