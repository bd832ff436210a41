"""A host with cgroup v2 alone, as far as this kernel can be one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.life import live
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.layouts import IN_V2


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> Daemon:
    """A daemon that sees only the hierarchy of cgroup v2."""
    return new_daemon(within=IN_V2).start()


def test_life(daemon: Daemon, kind: str, image: Callable[[str], Path]) -> None:
    """With cgroup v2 a VM boots, gets and loses a disk, is rebooted, and leaves nothing."""
    vm = daemon.create_vm(daemon.create_stemcell(image(kind)))
    told = Path(f"/proc/{vm.pid}/cgroup").read_text().splitlines()
    assert f"0::/{daemon.cgroup}/{vm.cid}" in "\n".join(told)
    live(daemon, vm)


FREEZE = (
    "exec >/dev/null 2>&1; mkdir /sys/fs/cgroup/ice; cd /sys/fs/cgroup/ice; "
    "sleep 100000 & echo $! >cgroup.procs; echo 1 >cgroup.freeze"
)


def test_frozen(daemon: Daemon, tiny: Path) -> None:
    """With cgroup v2 a VM that froze its cgroups is deleted all the same."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.shell(FREEZE)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert not vm.directory.exists()
