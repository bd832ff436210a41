"""A VM whose processes the kernel kills for want of memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.harness.daemon import Daemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually

FILL = "busybox tail /dev/zero"
# In a cgroup of the VM's own, with a limit of its own, as bpm gives one to a job.
FILL_A_JOB = (
    "cd /sys/fs/cgroup; [ ! -d memory ] || cd memory; mkdir -p job; "
    "for file in memory.limit_in_bytes memory.max; do "
    "[ ! -e job/$file ] || echo 8388608 >job/$file; done; "
    "echo $$ >job/cgroup.procs; exec busybox tail /dev/zero"
)


def kills(daemon: Daemon) -> dict[str, Any]:
    """Return how many processes of each VM were killed, as the operator is told."""
    vms = json.loads(daemon.control("vms", "--output=json"))["vms"]
    return {vm["vm_cid"]: vm["oom_kills"] for vm in vms}


def killed(vm: VM, command: str) -> None:
    """Have the VM run a command that the kernel kills."""
    assert vm.attempt("/bin/busybox", "sh", "-c", command).returncode == 137


def test_oom_kills(daemon: Daemon, tiny: Path) -> None:
    """They are logged with the VM's name and counted, over a restart of the daemon."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties={"ram": 48})
    other = daemon.create_vm(stemcell)
    daemon.cpi.ok("set_vm_metadata", vm.cid, {"name": "db/7", "job": "db"})
    line = f"{vm.cid} (db/7) has too little memory: the kernel has killed {{}} of its"
    killed(vm, FILL)
    eventually(lambda: line.format(1) in daemon.log, "the first kill is logged")
    killed(vm, FILL_A_JOB)
    assert kills(daemon) == {vm.cid: 2, other.cid: 0}
    assert "running, 2 OOM kills" in daemon.control("vms")
    # It is too soon for another line.
    assert line.format(2) not in daemon.log
    daemon.kill()
    daemon.recover()
    eventually(lambda: line.format(2) in daemon.log, "it is said again after a restart")
    assert other.cid not in "".join(
        text for text in daemon.log.splitlines() if "too little memory" in text
    )
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert kills(daemon) == {vm.cid: 0, other.cid: 0}
    killed(vm, FILL)
    assert kills(daemon) == {vm.cid: 1, other.cid: 0}
