"""How VMs are connected: L{INetworker}."""

from __future__ import annotations

from runc_cpi.daemon.networks.interfaces import INetworker
from tests.behaviour.case import VM, HostCase


class Behaviour(HostCase):
    """A VM's interface, from its making to its removal."""

    interfaces = (INetworker,)

    async def connected(self) -> set[str]:
        """Return the VMs that have an interface."""
        return set(await self.networker.connected())

    async def test_a_vm_is_connected_until_it_is_disconnected(self) -> None:
        """C{connected} names a VM from C{connect} to C{disconnect}."""
        self.assertEqual(await self.connected(), set())
        await self.connect()
        self.assertEqual(await self.connected(), {VM})
        await self.networker.disconnect(VM)
        self.assertEqual(await self.connected(), set())

    async def test_disconnecting_a_vm_that_is_not_connected(self) -> None:
        """To disconnect a VM without an interface is no error."""
        await self.networker.disconnect(VM)
        await self.connect()
        await self.networker.disconnect(VM)
        await self.networker.disconnect(VM)

    async def test_a_vm_can_be_connected_again(self) -> None:
        """A VM gets an interface again, as it does at each boot."""
        await self.connect()
        await self.networker.disconnect(VM)
        await self.connect()
        self.assertEqual(await self.connected(), {VM})

    async def test_a_vm_is_guarded_from_the_beginning(self) -> None:
        """C{guard} finds nothing to do after C{connect}."""
        await self.connect()
        self.assertIs(await self.guard(), False)
