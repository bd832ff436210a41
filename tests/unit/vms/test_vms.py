"""The life of VMs, over fakes of the host."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.vips import VipPolicy
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import (
    AddressUnavailable,
    CloudError,
    InvalidArgument,
    StemcellInUse,
    StemcellNotFound,
    StillRunning,
    VMCreationFailed,
    VMNotFound,
)
from tests.fakes.assembly import NETWORK, NO_VIPS, SUBNET, assemble, new_vm
from tests.fakes.script import Script


class VMsTests(TestCase):
    """The VMs of one daemon have a real directory and real address pools."""

    timeout = 20

    async def setUp(self) -> None:
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        await self.begin()
        image = os.open(os.devnull, os.O_RDONLY)
        try:
            self.stemcell_cid = (await self.stemcells.create(image, {})).cid
        finally:
            os.close(image)
        self.script.done.clear()

    async def begin(self, subnet: Subnet = SUBNET, vips: VipPolicy = NO_VIPS) -> None:
        """Start a daemon over what is on disk."""
        parts = assemble(self.script, self.depot, subnet=subnet, vips=vips)
        self.firewall = parts.firewall
        self.stemcells, self.vms = parts.stemcells, parts.vms
        self.runtime, self.pools = parts.runtime, parts.pools
        self.guests = parts.guests
        self.reconciler, self.networker = parts.reconciler, parts.networker
        self.repairs = await parts.load()

    def new(self, **changes: Any) -> NewVM:
        """Return arguments of create_vm, with changes."""
        env = {"bosh": {"password": "x"}}
        return new_vm(**{"stemcell_cid": self.stemcell_cid, "env": env, **changes})

    async def create(self, **changes: Any) -> VM:
        """Create a VM."""
        return await self.vms.create(self.new(**changes))

    async def assert_nothing_left(self) -> None:
        """Check that there is no VM, directory, address or stemcell in use."""
        self.assertEqual(self.vms.all(), [])
        self.assertEqual(os.listdir(self.depot.vms), [])
        self.assertEqual(os.listdir(self.depot.scratch), [])
        for number in range(2, 7):
            await self.pools.claim(NETWORK.network_address + number, "probe")
        await self.stemcells.delete(self.stemcell_cid)

    async def test_the_network_comes_before_the_first_process(self) -> None:
        """A container is connected and prepared before its first process starts."""
        vm = await self.create()
        self.assertEqual(
            self.script.done, ["create", "connect", "apply rules", "prepare", "start"]
        )
        self.assertTrue(self.vms.exists(vm.vm_cid))
        self.assertTrue(self.vms.is_running(vm.vm_cid))
        self.assertEqual(vm.networks["n"]["ip"], "10.0.0.6")

    async def test_a_vip_is_the_vms_after_a_start(self) -> None:
        """Who has a vip follows from the records; one that cannot be had is reported."""
        vip = IPv4Address("203.0.113.1")
        allowing = VipPolicy(allowed=[AddressRange(first=vip, last=vip)])
        await self.begin(vips=allowing)
        networks = {"n": {"type": "dynamic"}, "v": {"type": "vip", "ip": str(vip)}}
        vm = await self.create(networks=networks)
        await self.begin(vips=allowing)
        (found,) = self.firewall.ruleset.vips
        self.assertEqual((found.address, found.vm_address), (vip, vm.addresses[0]))
        with self.assertRaisesRegex(AddressUnavailable, f"in use by {vm.vm_cid}"):
            await self.create(networks=networks, agent_id="another")
        await self.begin()
        self.assertEqual(self.firewall.ruleset.vips, frozenset())
        (problem,) = self.repairs.problems
        self.assertIn(f"{vm.vm_cid}: vip {vip} is none of vip_addresses", problem)

    async def test_the_record_is_what_was_asked(self) -> None:
        """The record is on disk when create returns, and only root can read it."""
        vm = await self.create()
        path = self.depot.vms / vm.vm_cid / "vm.json"
        self.assertEqual(VM.from_json(read_record(path)), vm)
        self.assertEqual(path.stat().st_mode & 0o077, 0)

    async def test_each_failing_step_is_undone(self) -> None:
        """A step of create that fails leaves nothing of the VM."""
        for step in ("create", "connect", "prepare", "start"):
            self.script.failing = {step: CloudError(f"{step} is broken")}
            with self.assertRaises(VMCreationFailed) as caught:
                await self.create()
            self.assertEqual(str(caught.exception), f"{step} is broken")
        self.script.failing.clear()
        await self.assert_nothing_left()

    async def test_a_full_disk_is_undone(self) -> None:
        """A full disk during create leaves nothing of the VM."""
        self.script.failing = {"create": OSError(errno.ENOSPC, "No space left on device")}
        with self.assertRaises((OSError, CloudError)):
            await self.create()
        self.script.failing.clear()
        await self.assert_nothing_left()

    async def test_a_failing_undo_does_not_hide_the_cause(self) -> None:
        """When the clean-up fails as well, the caller is told the first error."""
        self.script.failing = {
            "start": CloudError("the cause"),
            "delete": CloudError("another matter"),
        }
        with self.assertRaises(VMCreationFailed) as caught:
            await self.create()
        self.assertEqual(str(caught.exception), "the cause")
        self.assertEqual(len(self.flushLoggedErrors(CloudError)), 1)

    async def test_what_is_wrong_with_the_call_touches_nothing(self) -> None:
        """Wrong arguments of create are refused before the host is touched."""
        taken = {"n": {"type": "manual", "ip": "10.0.0.1"}}
        for changes, error in (
            ({"stemcell_cid": "stemcell-x"}, StemcellNotFound),
            ({"agent_id": ""}, InvalidArgument),
            ({"networks": {}}, InvalidArgument),
            ({"cloud_properties": {"ram": 1}}, InvalidArgument),
            ({"networks": taken}, AddressUnavailable),
        ):
            with self.assertRaises(error):
                await self.create(**changes)
        self.assertEqual(self.script.done, [])
        await self.assert_nothing_left()

    async def test_an_init_that_is_no_text(self) -> None:
        """An init that is no string is refused as a wrong argument."""
        for init in (["runit"], {"name": "runit"}):
            with self.assertRaises(InvalidArgument) as caught:
                await self.create(cloud_properties={"init": init})
            self.assertIn("cloud_properties.init", str(caught.exception))

    async def test_delete_leaves_nothing(self) -> None:
        """A deleted VM leaves nothing, and may be deleted again."""
        vm = await self.create()
        for _ in range(2):
            await self.vms.delete(vm.vm_cid)
        self.assertFalse(self.vms.exists(vm.vm_cid))
        await self.assert_nothing_left()

    async def test_delete_does_not_lie(self) -> None:
        """A VM that does not end is not deleted, and deleting it can be tried again."""
        vm = await self.create()
        self.runtime.hanging = True
        with self.assertRaises(StillRunning) as caught:
            await self.vms.delete(vm.vm_cid)
        self.assertIn(vm.vm_cid, str(caught.exception))
        self.assertTrue(self.vms.exists(vm.vm_cid))
        self.runtime.hanging = False
        await self.vms.delete(vm.vm_cid)
        await self.assert_nothing_left()

    async def test_a_stemcell_in_use_stays(self) -> None:
        """A stemcell in use is not deleted; the error says how many VMs use it."""
        vm = await self.create()
        with self.assertRaises(StemcellInUse) as caught:
            await self.stemcells.delete(self.stemcell_cid)
        self.assertIn("1 VM", str(caught.exception))
        await self.vms.delete(vm.vm_cid)
        await self.stemcells.delete(self.stemcell_cid)

    async def test_reboot_keeps_the_vm(self) -> None:
        """A reboot asks the VM to halt, and boots it again as the same VM."""
        vm = await self.create()
        data = self.depot.vms / vm.vm_cid / "data"
        (data / "kept").touch()
        self.script.done.clear()
        self.guests.cleared.clear()
        await self.vms.reboot(vm.vm_cid)
        steps = ("create", "connect", "prepare", "start")
        begun = [step for step in self.script.done if step in steps]
        self.assertEqual(begun, list(steps))
        self.assertLess(self.script.done.index("execute"), self.script.done.index("delete"))
        self.assertEqual(self.guests.cleared, ["var/vcap/data/sys", "run"])
        self.assertEqual(os.listdir(data), ["kept"])
        self.assertEqual(self.vms.all(), [vm])

    async def test_reboot_of_a_stopped_vm(self) -> None:
        """A VM that is off can be rebooted."""
        vm = await self.create()
        self.runtime.running.clear()
        await self.vms.reboot(vm.vm_cid)
        self.assertTrue(self.vms.is_running(vm.vm_cid))

    async def test_unknown_vms(self) -> None:
        """Calls about an unknown VM are answered as the contract asks for."""
        self.assertFalse(self.vms.exists("vm-x"))
        await self.vms.delete("vm-x")
        for work in (self.vms.reboot("vm-x"), self.vms.set_metadata("vm-x", {})):
            with self.assertRaises(VMNotFound) as caught:
                await work
            self.assertIn("'vm-x'", str(caught.exception))

    async def test_metadata_is_kept(self) -> None:
        """Metadata is that of the last call, also after a restart of the daemon."""
        vm = await self.create()
        for metadata in ({"job": "db"}, {"job": "db", "compiling": "x"}):
            await self.vms.set_metadata(vm.vm_cid, metadata)
        await self.begin()
        self.assertEqual(self.vms.all()[0].metadata, {"job": "db", "compiling": "x"})

    async def test_a_restart_knows_all(self) -> None:
        """After a restart the daemon knows its VMs, their addresses and their stemcells."""
        vm = await self.create()
        await self.begin()
        self.assertEqual(self.vms.all(), [vm])
        other = await self.create()
        self.assertEqual(str(other.addresses[0]), "10.0.0.5")
        with self.assertRaises(StemcellInUse):
            await self.stemcells.delete(self.stemcell_cid)

    async def test_a_restart_with_a_lost_stemcell(self) -> None:
        """What a VM runs on stays until it is deleted, also if no record names it."""
        vm = await self.create()
        rootfs = self.stemcells.get(self.stemcell_cid).rootfs
        shutil.rmtree(self.depot.stemcells / self.stemcell_cid)
        await self.begin()
        await self.reconciler.repair()
        self.assertTrue(rootfs.is_dir())
        await self.vms.delete(vm.vm_cid)
        await self.reconciler.repair()
        self.assertFalse(rootfs.exists())

    async def test_little_room(self) -> None:
        """With little room, no VM is begun before what was deleted is removed."""
        old = await self.create()
        removal = self.script.pending["remove"] = Deferred()
        await self.vms.delete(old.vm_cid)
        room = os.statvfs_result((4096, 4096, 1, 1, 1, 9, 9, 9, 0, 255))
        self.patch(os, "statvfs", lambda path: room)
        new = Deferred.fromCoroutine(self.create())
        # It would be in use.
        await self.stemcells.delete(self.stemcell_cid)
        removal.callback(None)
        with self.assertRaises(StemcellNotFound):
            await new

    async def test_a_restart_with_another_gateway(self) -> None:
        """A VM boots with the gateway of today, not with the one it was made with."""
        vm = await self.create()
        gateway = NETWORK[6]
        await self.begin(replace(SUBNET, gateway=gateway))
        (nic,) = self.vms.all()[0].nics
        self.assertEqual([route.gateway for route in nic.routes], [gateway])
        self.assertEqual(nic.addresses, vm.nics[0].addresses)

    async def test_a_restart_with_shared_bridges(self) -> None:
        """Subnets of one bridge are on one bridge again, also for VMs in one of them."""
        gateways = {"four": "10.9.0.1", "six": "fd00::1"}
        netmasks = {"four": "255.255.255.0", "six": "64"}
        both = {
            name: {
                "ip": str(ip_address(gateway) + 1),
                "gateway": gateway,
                "netmask": netmasks[name],
                "nic_group": "1",
            }
            for name, gateway in gateways.items()
        }
        await self.create(networks=both, agent_id="both")
        for name, network in both.items():
            alone = {**network, "ip": str(ip_address(gateways[name]) + 2)}
            await self.create(networks={name: alone}, agent_id=name)
        before = {vm.vm_cid: vm.nics for vm in self.vms.all()}
        await self.begin()
        self.assertEqual({vm.vm_cid: vm.nics for vm in self.vms.all()}, before)
        self.assertEqual({nic.bridge for (nic,) in before.values()}, {"runc-0a090000"})
        bridges = [subnet.bridge for subnet in self.pools.subnets]
        self.assertEqual(bridges, [SUBNET.bridge, *["runc-0a090000"] * 2])
        for vm in self.vms.all():
            if vm.addresses[0].version == 4:
                await self.vms.delete(vm.vm_cid)
        await self.begin()
        (vm,) = self.vms.all()
        self.assertEqual(vm.nics, before[vm.vm_cid])
        bridges = [subnet.bridge for subnet in self.pools.subnets]
        self.assertEqual(bridges, [SUBNET.bridge, "runc-0a090000"])

    async def test_a_restart_clears_what_is_no_vm(self) -> None:
        """A restart removes a VM's directory that has no record."""
        (self.depot.vms / "vm-half").mkdir()
        await self.begin()
        self.assertIn("delete", self.script.done)
        await self.assert_nothing_left()

    async def test_a_record_that_cannot_be_read_is_still_a_vm(self) -> None:
        """
        A VM whose record cannot be read is deleted, or deleting it fails.

        Its container may run, so the director must not be told that it is gone.
        """
        vm = await self.create()
        record = self.depot.vms / vm.vm_cid / "vm.json"
        record.write_text("{ cut short")
        await self.begin()
        self.script.done.clear()
        try:
            await self.vms.delete(vm.vm_cid)
        except CloudError:
            return
        self.assertIn("delete", self.script.done)
        self.assertFalse(record.parent.exists())

    async def test_works_on_one_vm_are_serialized(self) -> None:
        """A delete waits for a reboot of the same VM that is under way."""
        vm = await self.create()
        gate = self.script.pending["create"] = Deferred()
        rebooting = Deferred.fromCoroutine(self.vms.reboot(vm.vm_cid))
        deleting = Deferred.fromCoroutine(self.vms.delete(vm.vm_cid))
        self.assertNoResult(deleting)
        gate.callback(None)
        await rebooting
        await deleting
        await self.assert_nothing_left()
