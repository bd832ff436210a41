"""What security.profile isolated keeps from other users of the host, and what works in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.disks.site import Site
from tests.harness.agent import STORE, Agent
from tests.harness.images import KINDS
from tests.harness.lab import Lab, NewDaemon
from tests.harness.vm import SETTINGS, VM

ISOLATED = {"security": {"profile": "isolated"}}
DRIVERS = ("image", "directory")
SIZE = 1 << 16
VCAP = 1000
SECRET = "SECRET=of-the-job"


def config(driver: str) -> dict[str, object]:
    """Return the configuration of a daemon whose VMs are isolated."""
    return {**ISOLATED, "disks": {"driver": driver}}


@pytest.fixture(scope="module", params=DRIVERS)
def shared_site(request: pytest.FixtureRequest, lab: Lab, store_image: Path) -> object:
    """A daemon whose VMs are isolated, with each kind of disk."""
    with lab.daemons() as lend:
        yield Site(lend(config=config(request.param)), store_image).start()


@pytest.fixture(scope="module", params=KINDS)
def booted(
    request: pytest.FixtureRequest, lab: Lab, image: Callable[[str], Path]
) -> Iterator[VM]:
    """An isolated VM with each init, whose agent is up."""
    with lab.daemons() as new_daemon:
        daemon = new_daemon(config=ISOLATED).start()
        vm = daemon.create_vm(daemon.create_stemcell(image(request.param)))
        vm.wait_for_agent()
        yield vm


def uids(pid: int) -> list[int]:
    """Return the user ids of a process, as the host sees them."""
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("Uid:")
    ]
    return [int(uid) for uid in line.split()[1:]]


def first_id(vm: VM) -> int:
    """Return the id of the VM's root on the host."""
    return uids(vm.pid)[0]


def job_of_vcap(vm: VM) -> int:
    """Start a process of user 1000 with a secret in its environment; return its pid."""
    vm.shell(
        f"env {SECRET} setpriv --reuid={VCAP} --regid={VCAP} --clear-groups "
        "sleep 1000 >/dev/null 2>&1 &"
    )
    return next(
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if path.name in (vm.cgroups()["pids"] / "cgroup.procs").read_text().split()
        and SECRET.encode() in (path / "environ").read_bytes()
    )


def as_user(uid: int, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a user of the host."""
    argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "sh", "-c"]
    return subprocess.run([*argv, script], capture_output=True, text=True, check=False)


def test_boots(booted: VM) -> None:
    """The agent reads its settings and answers, and all processes have the VM's ids."""
    first = first_id(booted)
    assert first >= SIZE and first % SIZE == 0
    assert booted.answer() == "agent-1"
    assert booted.run("stat", "-c", "%u %g %a", SETTINGS) == "0 0 600\n"
    assert booted.run("stat", "-c", "%u %g", "/", "/etc/passwd") == "0 0\n0 0\n"
    for pid in (booted.cgroups()["pids"] / "cgroup.procs").read_text().split():
        assert {uid // SIZE for uid in uids(int(pid))} == {first // SIZE}
