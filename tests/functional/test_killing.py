"""Killing all in a cgroup on a kernel without C{cgroup.kill}."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.cgroups.killing import kill_once
from tests.harness.waiting import eventually

CGROUP = f"/killing-{os.getpid()}"
NAME = CGROUP[1:]
HOPPERS = 6
# Each process lives only until it has started the next one.
HOPPING = '#!/bin/sh\nsh "$0" & exit 0\n'
ENTER = 'for c in "$@"; do echo $$ >"$c/cgroup.procs" || exit 1; done; shift $#; '


@pytest.fixture
def cgroups(tmp_path: Path) -> Iterator[Path]:
    """The host's cgroups, as on a host without C{cgroup.kill}."""
    root = tmp_path / "cgroup"
    root.mkdir()
    for path in hierarchies.ROOT.iterdir():
        if (path / "tasks").exists():
            (root / path.name).symlink_to(path)
    if not (root / "freezer").exists():
        pytest.skip("this host has no freezer of cgroup v1")
    for path in root.iterdir():
        if path.name != "cpuset":  # a new one has no processors yet, and takes nobody
            (path / NAME).mkdir()
    yield root
    eventually(lambda: not kill_once(CGROUP, root), "all are gone", 60)
    eventually(lambda: _removed(root), "the cgroups are gone", 60)


def _removed(root: Path) -> bool:
    hierarchies.remove(CGROUP, root)
    return not hierarchies.directories(CGROUP, root)


def test_who_is_never_the_same(cgroups: Path, tmp_path: Path) -> None:
    """Processes that fork faster than they are listed are frozen while they are killed."""
    script = tmp_path / "hop"
    script.write_text(HOPPING)
    tops = hierarchies.directories(CGROUP, cgroups)
    for _ in range(HOPPERS):
        argv = ["sh", "-c", f'{ENTER} exec sh "$0"', str(script), *map(str, tops)]
        subprocess.run(argv, check=True, timeout=60)
    assert kill_once(CGROUP, cgroups)
    eventually(lambda: not kill_once(CGROUP, cgroups), "none is left", 60)
