"""A daemon that can be made to die, and a VM that must not notice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from itertools import count, cycle
from pathlib import Path
from typing import Any

from tests.harness import images, steps
from tests.harness.agent import Agent
from tests.harness.cpi import CPI
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.vm import VM
from tests.harness.waiting import eventually
from tests.reliability import guests, host
from tests.reliability.world import World, observe

EPHEMERAL = {"ephemeral_disk_size": 8}
TOKEN = "/token"
PLACES = ("", "/var/vcap/data")
DISK_SIZE = 8
DYING = 10.0


class Site:
    """
    A daemon with a stemcell, a bystander and a target.

    @ivar daemon: the daemon; it runs whenever a test begins to look. @ivar image: what its
    stemcells are made of. @ivar layout: the same for light stemcells. @ivar target: the VM
    that calls are about. @ivar disk: the disk that calls are about. @ivar base: what exists
    while no call is tried.
    """

    def __init__(self, daemon: Daemon, image: Path, layout: Path) -> None:
        self.daemon, self.image, self.layout = daemon, image, layout
        daemon.launcher = steps.LAUNCHER
        # Addresses for tests of networks (RFC 2544), of which each daemon has its own.
        number = int(daemon.network.split(".")[2])
        vips = IPv4Network(f"198.18.{number}.0/24")
        daemon.config["vip_addresses"] = [str(vips)]
        daemon.write_config()
        daemon.start()
        self._marked: set[str] = set()
        self._has_struck = False
        self._images = count(1)
        # No two daemons of one host can publish the same port.
        self._ports, self._vips = count(30000 + 4096 * (number % 8)), cycle(vips.hosts())
        link = IPv6Network(f"fd00:0:0:{number:x}::/64")
        self._six = ({"ip": str(link[n]), "gateway": str(link[1])} for n in count(2))
        self._blocks = cycle(daemon.network + str(16 * n) for n in range(1, 9))
        self.stemcell = daemon.create_stemcell(image)
        self._bystander, self._disk = self.new_vm(), self.new_disk()
        self.give(self._bystander, self._disk)
        self._pid = self._bystander.pid
        self.target, self.disk = self.new_vm(), self.new_disk()
        for place in PLACES:
            self.target.shell(f"echo {self.target.cid} >{place}{TOKEN}")
        self.base = self.observe()

    @property
    def cpi(self) -> CPI:
        """The executable, to call the daemon with."""
        return self.daemon.cpi

    def new_vm(self) -> VM:
        """Make a VM, on one dynamic network."""
        return self.daemon.create_vm(self.stemcell, cloud_properties=self._properties())

    def new_vm_in_two_networks(self) -> VM:
        """
        Make a VM of which one network of each kind of IP goes with it, with an address of
        the host and a block of addresses.
        """
        return self.daemon.create_vm(
            self.stemcell, self._two_networks(), cloud_properties=self._properties()
        )

    def _two_networks(self) -> dict[str, Any]:
        return {
            "a": {"type": "dynamic"},
            "b": {**self.daemon.described_network(), "nic_group": "1"},
            "six": {"type": "manual", "netmask": "64", "nic_group": "1", **next(self._six)},
            "c": manual(next(self._blocks), prefix="28"),
            "public": {"type": "vip", "ip": str(next(self._vips))},
        }

    def vm_arguments(self) -> list[Any]:
        """Return the arguments of create_vm for L{new_vm_in_two_networks}."""
        networks = self._two_networks()
        properties = self._properties()
        return vm_arguments(self.stemcell, networks, cloud_properties=properties)

    def _properties(self) -> dict[str, Any]:
        return {**EPHEMERAL, "ports": [f"{next(self._ports)}:80"]}

    def new_disk(self) -> str:
        """Make a disk with a file on it."""
        disk_cid: str = self.cpi.ok("create_disk", DISK_SIZE, {}, None)
        guests.mark(self.disk_image(disk_cid), TOKEN, disk_cid)
        self._marked.add(disk_cid)
        return disk_cid

    def new_image(self) -> Path:
        """Return an image that differs from all others."""
        return images.another(self.image, self.daemon.home / "image", next(self._images))

    def network(self) -> dict[str, Any]:
        """Return the definition of a network that no other daemon of the tests has."""
        cidr = self.daemon.network.replace("10.77.", "10.247.") + "0/24"
        return {"type": "manual", "range": cidr, "cloud_properties": {}}

    def disk_image(self, cid: str) -> Path:
        """Return the file of a disk, or of a snapshot."""
        kind = "snapshots" if cid.startswith("snapshot") else "disks"
        return self.daemon.work_dir / kind / cid / "image"

    def attach(self, vm: VM, disk_cid: str) -> str:
        """Attach a disk; the agent's settings name it from then on."""
        self.cpi.ok("attach_disk", vm.cid, disk_cid, version=1)
        return guests.hint(vm, disk_cid)

    def give(self, vm: VM, disk_cid: str) -> None:
        """Attach a disk, and mount it in its VM."""
        self.attach(vm, disk_cid)
        Agent(vm).mount_disk(disk_cid)

    def observe(self) -> World:
        """Return what exists."""
        return observe(self.daemon)

    def check(self, world: World) -> None:
        """Check that all that exists works, and that there is nothing else."""
        assert host.differences(self.daemon, world) == []
        self._check_bystander()
        for cid, facts in world.vms.items():
            if facts.running:
                self._check_vm(cid, world)
        for cid, disk_cid in [
            *zip(world.disks, world.disks, strict=True),
            *world.snapshots.items(),
        ]:
            if disk_cid in self._marked:
                assert guests.content(self.disk_image(cid), TOKEN) == disk_cid
        with self.daemon.connection() as client:
            for cid in world.vms:
                assert client.call("HasVM", vm_cid=cid)[b"exists"] == b"True"
            for cid in world.disks:
                assert client.call("HasDisk", disk_cid=cid)[b"exists"] == b"True"

    def _check_bystander(self) -> None:
        vm = self._bystander
        assert vm.pid == self._pid
        assert vm.is_alive()
        assert vm.look(guests.STORE + TOKEN) == self._disk

    def _check_vm(self, cid: str, world: World) -> None:
        record = json.loads((self.daemon.work_dir / "vms" / cid / "vm.json").read_text())
        vm = self.daemon.vm([cid, record["networks"]])
        told = guests.settings(vm)
        assert told["vm"]["id"] == cid
        disks = world.disks_of(cid)
        assert guests.seen(vm) == set(disks)
        named = {disk for disk, facts in disks.items() if facts.in_settings}
        assert set(told["disks"]["persistent"]) == named
        if cid == self.target.cid:
            for place in PLACES:
                assert vm.look(place + TOKEN).strip() == cid

    @contextmanager
    def dying(self, when: str, ignored: Sequence[str] = ()) -> Iterator[None]:
        """
        Let the daemon die before a step, by its number or its name.

        @param ignored: steps that do not count, by their names or kinds.
        """
        arm = self.daemon.home / steps.ARM
        eventually(self._has_removed_all, "nothing of earlier calls is being removed")
        (self.daemon.home / steps.NOTES).write_text("")
        arm.write_text("\n".join([when, *ignored]))
        try:
            yield
            last = "running" if "ended" in ignored else "ended"
            eventually(lambda: not arm.exists() or self._is_at_rest(last), "all is removed")
        finally:
            self._has_struck = not arm.exists()
            arm.unlink(missing_ok=True)

    def _has_removed_all(self) -> bool:
        with self.daemon.connection() as client:
            status: dict[str, int] = json.loads(client.call("Status")[b"status"])
        return status["removing"] == 0

    def _is_at_rest(self, last: str) -> bool:
        """
        Say whether nothing goes on after the answer: removals have steps, too.

        @param last: the last step of a child that counts.
        """
        begun, ended = (self.steps().count(f"{what} rm") for what in ("spawn", last))
        return begun == ended and not any(self.daemon.scratch.iterdir())

    def steps(self) -> list[str]:
        """Return the steps that were noted since L{dying} was last called."""
        return (self.daemon.home / steps.NOTES).read_text().splitlines()

    def died(self, answered: bool) -> bool:
        """Say whether the daemon died; it must have if a call was not answered."""
        assert self.daemon.process is not None
        if not answered or self._has_struck:
            self.daemon.process.wait(DYING)
        return self.daemon.process.poll() is not None

    def restore(self) -> None:
        """Make all exist that should, and nothing else, whatever went wrong."""
        if not self.daemon.is_running:
            self.daemon.recover()
        self.clear()
        if not self.target.is_alive():
            self.cpi.ok("reboot_vm", self.target.cid)

    def clear(self) -> None:
        """Delete what calls have made."""
        world, keep = self.observe(), self.base
        surplus: Mapping[str, set[str]] = {
            "delete_vm": world.vms.keys() - keep.vms.keys(),
            "delete_snapshot": world.snapshots.keys() - keep.snapshots.keys(),
            "delete_disk": world.disks.keys() - keep.disks.keys(),
            "delete_network": world.networks.keys() - keep.networks.keys(),
            "delete_stemcell": world.stemcells.keys() - keep.stemcells.keys(),
        }
        for method, cids in surplus.items():
            for cid in cids:
                self.cpi.ok(method, cid)
