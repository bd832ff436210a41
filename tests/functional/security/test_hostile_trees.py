"""A hundred hostile trees on one daemon: it serves others, and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runc_cpi.daemon.storage.tree import Tree
from tests.functional.disks.site import CONTROL
from tests.functional.security import intruder, trees
from tests.functional.security.intruder import Canary
from tests.functional.security.trees import Intent
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab, NewDaemon
from tests.harness.vm import SETTINGS, VM

pytestmark = pytest.mark.timeout(600)

STOPPED, RUNNING, REBOOTED = 100, 10, 15
LONG = 3  # times as many of them stopped, with --long
IMMUTABLE_ONE_IN = 6
CLIENTS = 8
PAUSE = 1.0
LIMIT = 1 << 20
KNOWN_ERRORS = ("Bosh::Clouds::CloudError", "Bosh::Clouds::VMCreationFailed")
NETWORK = {"cidr": "10.99.0.0/16", "gateway": "10.99.255.254"}


@pytest.fixture
def intent(lab: Lab) -> Iterator[Intent]:
    """A directory and a disk of the host that must stay untouched."""
    outside = lab.home / "outside"
    outside.mkdir()
    (outside / "kept").write_text("untouched")
    canary = Canary(lab.home / "canary")
    try:
        yield Intent(outside=outside, device=canary.number)
        canary.check()
        assert os.listdir(outside) == ["kept"]
        assert (outside / "kept").read_text() == "untouched"
    finally:
        canary.remove()
        (outside / "kept").unlink(missing_ok=True)
    outside.rmdir()


class Bystander:
    """
    An honest VM, and its director.

    @ivar served: how often all its calls succeeded.
    """

    def __init__(self, daemon: Daemon, stemcell: str) -> None:
        self._daemon, self.vm = daemon, daemon.create_vm(stemcell)
        self._disk = daemon.cpi.ok("create_disk", 4, {}, None)
        self.served = 0

    @contextmanager
    def being_served(self) -> Iterator[None]:
        """Check that the honest VM is served, again and again, during something else."""
        enough = threading.Event()

        def ask() -> None:
            self._ask()
            while not enough.wait(PAUSE):
                self._ask()

        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask)
            try:
                yield
            finally:
                enough.set()
            asking.result()

    def _ask(self) -> None:
        cpi = self._daemon.cpi
        cpi.ok("attach_disk", self.vm.cid, self._disk)
        cpi.ok("set_vm_metadata", self.vm.cid, {"served": str(self.served)})
        cpi.ok("detach_disk", self.vm.cid, self._disk)
        assert self.vm.is_alive()
        self.served += 1


def stopped(daemon: Daemon, model: VM, number: int, intent: Intent) -> str:
    """Leave a VM that stopped, with a disk that its agent is to be told of."""
    vm_cid = f"vm-00000000-0000-0000-0000-{number:012}"
    disk_cid = disk_of(vm_cid)
    record = json.loads((model.directory / "vm.json").read_text())
    address = f"10.99.{1 + number // 250}.{1 + number % 250}"
    record["networks"]["default"]["ip"] = address
    record["nics"][0]["addresses"] = [f"{address}/16"]
    record |= {"vm_cid": vm_cid, "stopped": True}
    directory = daemon.work_dir / "vms" / vm_cid
    for name in ("rootfs", "work", "upper", "data"):
        (directory / name).mkdir(parents=True)
    (directory / "upper").chmod(0o755)
    bosh = directory / "upper/var/vcap/bosh"
    bosh.mkdir(parents=True)
    (bosh / Path(SETTINGS).name).write_text("{}")
    random = Random(number)
    # It takes a process to clear such flags, so not all trees have them.
    immutable = number % IMMUTABLE_ONE_IN == 0
    trees.grow(random, directory / "upper", intent, immutable=immutable)
    trees.grow(random, directory / "data", intent, immutable=immutable)
    (directory / "vm.json").write_text(json.dumps(record))
    disk = {
        "schema": 1,
        "disk_cid": disk_cid,
        "size": 1,
        "driver": "image",
        "filesystem": "ext4",
        "cloud_properties": {},
        "created_at": record["created_at"],
        "attached_to": vm_cid,
        "in_settings": True,
        "metadata": {},
    }
    place = daemon.work_dir / "disks" / disk_cid
    place.mkdir()
    (place / "image").touch()
    os.truncate(place / "image", 1 << 20)
    (place / "disk.json").write_text(json.dumps(disk))
    return vm_cid


def disk_of(vm_cid: str) -> str:
    """Return the disk of a VM that stopped."""
    return vm_cid.replace("vm-", "disk-")


def is_told(daemon: Daemon, vm_cid: str) -> bool:
    """Say whether the agent's settings name the disk."""
    with Tree.at(daemon.work_dir / "vms" / vm_cid / "upper") as tree:
        content = tree.read(SETTINGS, LIMIT) or b""
    try:
        return disk_of(vm_cid) in json.loads(content)["disks"]["persistent"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def haunt(random: Random, vm: VM, intent: Intent) -> None:
    """Make a running VM hostile: its tree, and mounts over what the daemon visits."""
    trees.grow(random, intruder.root(vm), intent)
    for place in random.sample(trees.VISITED, 4):
        target = intruder.root(vm) / place
        if target.is_file():
            intruder.attempt(vm, "/bin/mount", "-o", "bind", "/dev/full", f"/{place}")
        if target.is_symlink() or not target.is_dir():
            continue
        name = os.fsdecode(trees.any_name(random))
        what = random.choice([["-t", "tmpfs", name], ["-o", "bind", "/bin"]])
        intruder.attempt(vm, "/bin/mount", *what, f"/{place}")
        trees.plant(random, target, name, intent)
        intruder.attempt(vm, "/bin/mount", "-t", "tmpfs", "none", f"/{place}/{name}")


def repair(daemon: Daemon) -> list[str]:
    """Run C{runc-cpictl repair}; return the problems."""
    argv = [str(CONTROL), "--config", str(daemon.config_file), "repair", "--output=json"]
    outcome = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    problems: list[str] = json.loads(outcome.stdout)["problems"]
    return problems


def each(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    """Do something with each of many, by a few clients at once."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, items))


def works(daemon: Daemon, method: str, *arguments: str) -> bool:
    """Make a call, which may fail only with an allowed error; say whether it succeeded."""
    error = daemon.cpi.call(method, *arguments)["error"]
    assert error is None or error["type"] in KNOWN_ERRORS, error
    return error is None


def delete(daemon: Daemon, vm_cids: list[str]) -> None:
    """Delete VMs, one after the other."""
    with daemon.connection() as client:
        for vm_cid in vm_cids:
            client.call("DeleteVM", vm_cid=vm_cid)


def test_a_hundred_trees(
    new_daemon: NewDaemon,
    tiny: Path,
    intent: Intent,
    report: Callable[[str], None],
    pytestconfig: pytest.Config,
) -> None:
    """The daemon starts, repairs, reboots and deletes; each failure names its VM."""
    many = STOPPED * (LONG if pytestconfig.getoption("--long") else 1)
    daemon = new_daemon(config=NETWORK).start()
    stemcell = daemon.create_stemcell(tiny)
    bystander = Bystander(daemon, stemcell)
    running = [daemon.create_vm(stemcell) for _ in range(RUNNING)]
    disks = [daemon.cpi.ok("create_disk", 4, {}, None) for _ in running]
    for vm, disk in zip(running, disks, strict=True):
        daemon.cpi.ok("attach_disk", vm.cid, disk, version=1)
    daemon.stop()
    cids = [stopped(daemon, bystander.vm, number, intent) for number in range(many)]
    for number, vm in enumerate(running):
        haunt(Random(many + number), vm, intent)
    daemon.start()
    with bystander.being_served():
        problems = repair(daemon)
        untold = [vm_cid for vm_cid in cids if not is_told(daemon, vm_cid)]
        for vm_cid in untold:
            assert any(vm_cid in problem for problem in problems), vm_cid
        for vm_cid in cids + [vm.cid for vm in running]:
            assert (daemon.work_dir / "vms" / vm_cid / "vm.json").exists()
        for vm, disk in zip(running, disks, strict=True):
            works(daemon, "detach_disk", vm.cid, disk)
            works(daemon, "attach_disk", vm.cid, disk)
        some = Random(0).sample(cids, REBOOTED) + [vm.cid for vm in running]
        back = sum(each(lambda vm_cid: works(daemon, "reboot_vm", vm_cid), some))
        repair(daemon)
    daemon.stop()
    daemon.start()
    with bystander.being_served():
        every = cids + [vm.cid for vm in running]
        each(
            lambda share: delete(daemon, share), [every[n::CLIENTS] for n in range(CLIENTS)]
        )
    assert daemon.vm_cids() == [bystander.vm.cid]
    daemon.wait_for_removals(100)
    report(
        f"{many} hostile trees: {len(untold)} could not be written to, {back} of "
        f"{len(some)} rebooted; an honest VM was served {bystander.served} times meanwhile"
    )
