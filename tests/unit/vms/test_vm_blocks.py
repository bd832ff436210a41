"""A VM keeps its block of addresses when the daemon starts again."""

from __future__ import annotations

import os
from ipaddress import IPv4Network
from pathlib import Path

from twisted.trial.unittest import TestCase

from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.errors import AddressUnavailable
from tests.fakes.assembly import assemble, new_vm
from tests.fakes.script import Script

ONE = {"type": "manual", "ip": "10.0.0.2", "prefix": "32"}
BLOCK = {"type": "manual", "ip": "10.0.0.4", "prefix": "31"}


class BlocksOfVMsTests(TestCase):
    """One VM, with a real directory and real address pools."""

    timeout = 20

    async def setUp(self) -> None:
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        await self.begin()
        image = os.open(os.devnull, os.O_RDONLY)
        try:
            self.stemcell_cid = (await self.parts.stemcells.create(image, {})).cid
        finally:
            os.close(image)
        networks = {"one": ONE, "block": BLOCK}
        self.vm = await self.parts.vms.create(new_vm(self.stemcell_cid, networks=networks))

    async def begin(self) -> None:
        """Start a daemon over what is on disk."""
        self.parts = assemble(self.script, self.depot)
        await self.parts.load()

    async def assert_taken(self) -> None:
        """Check that no other VM gets an address of the block."""
        new = new_vm(
            self.stemcell_cid,
            agent_id="another",
            networks={"n": {"type": "manual", "ip": "10.0.0.5"}},
        )
        with self.assertRaisesRegex(AddressUnavailable, f"in use by {self.vm.vm_cid}"):
            await self.parts.vms.create(new)

    async def test_a_start(self) -> None:
        """The block is the VM's as before, and routed to it."""
        for _ in range(2):
            await self.assert_taken()
            (routed,) = self.parts.networker.blocks
            self.assertEqual(routed.block, IPv4Network("10.0.0.4/31"))
            self.assertEqual(str(routed.address), ONE["ip"])
            await self.begin()
        await self.parts.vms.delete(self.vm.vm_cid)
        self.assertEqual(self.parts.networker.blocks, frozenset())
        self.assertIsNone(self.parts.pools.owner(routed.block[1]))

    async def test_a_record_that_cannot_be_read(self) -> None:
        """
        Nobody else gets the block, and it is routed as before, as far as the agent's
        settings tell of it.
        """
        (before,) = self.parts.networker.blocks
        record = self.depot.vms / self.vm.vm_cid / "vm.json"
        record.write_text("{ cut short")
        await self.begin()
        await self.assert_taken()
        self.assertEqual(self.parts.networker.blocks, {before})
