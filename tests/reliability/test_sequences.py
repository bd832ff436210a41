"""Random sequences of calls, crashes and reboots, compared with a model after each step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from tests.harness.daemon import vm_arguments
from tests.harness.lab import NewDaemon
from tests.reliability.ground import Ground

EXAMPLES, STEPS = 9, 57
LEAST = 500
LONG = 10  # times as many, with --long
MOST = {"stemcells": 3, "vms": 4, "disks": 4, "snapshots": 4, "networks": 3}

numbers = st.integers(0, 11)
sizes = st.integers(8, 24)
versions = st.sampled_from([1, 2])
bags = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=2)
delays = st.integers(0, 160)
UNKNOWN = [
    *(("reboot_vm", "vm-x"), ("set_vm_metadata", "vm-x", {}), ("get_disks", "vm-x")),
    *(("delete_vm", "vm-x"), ("delete_disk", "disk-x"), ("delete_stemcell", "stemcell-x")),
    *(("resize_disk", "disk-x", 9), ("snapshot_disk", "disk-x", {})),
    *(("attach_disk", "vm-x", "disk-x"), ("detach_disk", "vm-x", "disk-x")),
    ("create_vm", *vm_arguments("stemcell-x")),
    *(("delete_snapshot", "snapshot-x"), ("delete_network", "network-x")),
]
BAD = [
    ("create_disk", -1, {}, None),
    ("create_disk", 8, {"filesystem": "fat"}, None),
    ("create_stemcell", "/nowhere", {}),
    ("set_disk_metadata", "disk-x", "text"),
    ("attach_disk", 1, 2),
    ("no_such_method",),
]


def definition(number: int) -> dict[str, Any]:
    """Return the definition of a network."""
    return {"range": f"10.247.{number}.0/24", "cloud_properties": {}}


Step = Callable[..., None]


def move(**strategies: Any) -> Callable[[Step], Any]:
    """
    Let hypothesis draw a step.

    The outcome of a crash depends on the moment, so no failure can be repeated. So
    hypothesis sees none, and may draw each step at any time.
    """

    def drawn(step: Step) -> Any:
        @wraps(step)
        def taken(self: Sequences, **drawn: Any) -> None:
            self.ground.attempt(step.__name__, partial(step, self), **drawn)

        return rule(**strategies)(taken)

    return drawn


class Sequences(RuleBasedStateMachine):
    """
    What a Director, an operator and the host may do.

    Each step makes what it lacks, and deletes something where all is full.
    """

    ground: Ground
    image: Path

    @initialize(disks=st.integers(1, 3), vms=st.integers(1, 3))
    def populate(self, disks: int, vms: int) -> None:
        """Begin with something to work with."""
        self.ground.attempt("populate", self._populate, disks=disks, vms=vms)

    def _populate(self, disks: int, vms: int) -> None:
        for kind, count in (("stemcells", 1), ("vms", vms), ("disks", disks)):
            for number in range(count):
                self.make(kind, number)

    def pick(self, kind: str, number: int) -> str:
        """Choose one of several, in the order in which they were made."""
        found = getattr(self.ground.world, kind)
        if not found:
            self.make(kind, number)
            found = getattr(self.ground.world, kind)
        cid: str = list(found)[number % len(found)]
        return cid

    def make(self, kind: str, number: int) -> None:
        """Make one, in place of another if there are many."""
        if len(getattr(self.ground.world, kind)) >= MOST[kind]:
            self.ground.call(f"delete_{kind[:-1]}", self.pick(kind, number))
        elif kind == "stemcells":
            self.ground.call("create_stemcell", str(self.image), {})
        elif kind == "vms":
            self.ground.call("create_vm", *self.vm_arguments(number, bool(number % 2)))
        elif kind == "disks":
            self.ground.call("create_disk", 8 + number, {}, None)
        elif kind == "networks":
            self.ground.call("create_network", definition(number))
        else:
            self.ground.call("snapshot_disk", self.pick("disks", number), {})

    @move(kind=st.sampled_from(list(MOST)), number=numbers)
    def create(self, kind: str, number: int) -> None:
        self.make(kind, number)

    @move(number=numbers)
    def delete_stemcell(self, number: int) -> None:
        self.ground.call("delete_stemcell", self.pick("stemcells", number))

    def vm_arguments(self, number: int, bounded: bool) -> list[Any]:
        """Return the arguments of create_vm."""
        properties = {"ephemeral_disk_size": 8} if bounded else {}
        stemcell = self.pick("stemcells", number)
        networks: dict[str, Any] = {"dynamic": {"type": "dynamic"}}
        if number % 3:
            networks["described"] = self.ground.daemon.described_network()
        return vm_arguments(stemcell, networks, cloud_properties=properties)

    @move(number=numbers)
    def delete_vm(self, number: int) -> None:
        self.ground.call("delete_vm", self.pick("vms", number))

    @move(number=numbers)
    def reboot_vm(self, number: int) -> None:
        self.ground.call("reboot_vm", self.pick("vms", number))

    @move(number=numbers, metadata=bags)
    def set_vm_metadata(self, number: int, metadata: dict[str, int]) -> None:
        self.ground.call("set_vm_metadata", self.pick("vms", number), metadata)

    @move(number=numbers)
    def end_of_a_vm(self, number: int) -> None:
        cid = self.pick("vms", number)
        if self.ground.world.vms[cid].running:
            self.ground.end(cid)
        else:
            self.ground.call("reboot_vm", cid)

    @move(number=numbers)
    def delete_disk(self, number: int) -> None:
        self.ground.call("delete_disk", self.pick("disks", number))

    @move(vm=numbers, disk=numbers, version=versions)
    def attach_disk(self, vm: int, disk: int, version: int) -> None:
        arguments = self.pick("vms", vm), self.pick("disks", disk)
        self.ground.call("attach_disk", *arguments, version=version)

    @move(vm=numbers, disk=numbers)
    def detach_disk(self, vm: int, disk: int) -> None:
        self.ground.call("detach_disk", *self.attachment(vm, disk))

    def attachment(self, vm: int, disk: int) -> tuple[str, str]:
        """Choose a disk, and mostly the VM that has it."""
        disk_cid = self.pick("disks", disk)
        holder = self.ground.world.disks[disk_cid].vm
        return (holder if holder and vm else self.pick("vms", vm)), disk_cid

    @move(number=numbers, size=sizes)
    def resize_disk(self, number: int, size: int) -> None:
        self.ground.call("resize_disk", self.pick("disks", number), size)

    @move(number=numbers, size=sizes, properties=bags)
    def update_disk(self, number: int, size: int, properties: dict[str, int]) -> None:
        self.ground.call("update_disk", self.pick("disks", number), size, properties)

    @move(number=numbers, metadata=bags)
    def set_disk_metadata(self, number: int, metadata: dict[str, int]) -> None:
        self.ground.call("set_disk_metadata", self.pick("disks", number), metadata)

    @move(number=numbers)
    def delete_snapshot(self, number: int) -> None:
        self.ground.call("delete_snapshot", self.pick("snapshots", number))

    @move(number=numbers)
    def delete_network(self, number: int) -> None:
        self.ground.call("delete_network", self.pick("networks", number))

    @move(call=st.sampled_from([*UNKNOWN, *BAD]))
    def bad_call(self, call: tuple[Any, ...]) -> None:
        (self.ground.refused if call in BAD else self.ground.call)(*call)

    @move(vm=numbers, disk=numbers)
    def queries(self, vm: int, disk: int) -> None:
        world = self.ground.world
        if world.vms:
            vm_cid = self.pick("vms", vm)
            assert self.ground.query("has_vm", vm_cid) is True
            disks = self.ground.query("get_disks", vm_cid)
            assert sorted(disks) == sorted(world.disks_of(vm_cid))
        if world.disks:
            assert self.ground.query("has_disk", self.pick("disks", disk)) is True

    @move(how=st.sampled_from(["crash", "crash", "restart", "reboot_host"]))
    def interruption(self, how: str) -> None:
        getattr(self.ground, how)()

    @move(delay=delays, which=numbers, vm=numbers, disk=numbers, version=versions)
    def crash_during_a_call(
        self, delay: int, which: int, vm: int, disk: int, version: int
    ) -> None:
        calls = self.possible(vm, disk)
        self.ground.die(delay / 1000, *calls[which % len(calls)], version=version)

    def possible(self, vm: int, disk: int) -> list[tuple[Any, ...]]:
        """Return calls that may be made and change something."""
        world = self.ground.world
        calls: list[tuple[Any, ...]] = [("create_disk", 8, {}, None)]
        calls.append(("create_network", definition(vm)))
        if world.networks:
            calls.append(("delete_network", self.pick("networks", vm)))
        if world.stemcells:
            calls.append(("create_vm", *self.vm_arguments(vm, bool(disk % 2))))
        if world.vms:
            cid = self.pick("vms", vm)
            calls += [("reboot_vm", cid), ("delete_vm", cid)]
        if world.disks:
            cid = self.pick("disks", disk)
            calls += [("snapshot_disk", cid, {}), ("delete_disk", cid)]
            calls.append(("resize_disk", cid, world.disks[cid].size + 1))
        if world.vms and world.disks:
            pair = self.attachment(vm + 1, disk)
            calls += [("attach_disk", *pair), ("detach_disk", *pair)]
        return calls

    def teardown(self) -> None:
        """Check at the end, and delete everything."""
        self.ground.attempt("teardown", self.ground.clear)


@pytest.mark.timeout(3600)
def test_sequences(
    new_daemon: NewDaemon,
    answering: Path,
    report: Callable[[str], None],
    pytestconfig: pytest.Config,
) -> None:
    """After each step there is what the model says, and nothing else."""
    long = pytestconfig.getoption("--long")
    ground = Ground(new_daemon().start())

    class Here(Sequences):
        """The sequences on this daemon."""

    Here.ground, Here.image = ground, answering
    profile = settings(
        max_examples=EXAMPLES * (LONG if long else 1),
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=not long,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Here, settings=profile)
    while ground.steps < LEAST and ground.failure is None:
        # Hypothesis may end a sequence early.
        run_state_machine_as_test(Here, settings=settings(profile, max_examples=1))
    report(f"random sequences: {ground.steps} steps")
    report(f"random sequences did: {ground.account()}")
    if ground.failure is not None:
        raise ground.failure
    assert ground.steps >= LEAST
