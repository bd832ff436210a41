"""Block device nodes in VMs, and the rules that let a VM open them."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.host.cgroups.devices import DeviceRules
from runc_cpi.daemon.host.disks import holders
from runc_cpi.daemon.host.disks.loop_ioctl import LoopDevice
from runc_cpi.daemon.host.guests import guests
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.storage.container import ContainerState


def node_path(disk_cid: str) -> str:
    """Return where a disk's node is in its VM."""
    return f"/dev/{disk_cid}"


class DeviceNodes:
    """Makes nodes in running VMs, and allows what they stand for."""

    def __init__(self, rules: DeviceRules, guests: Guests) -> None:
        self._rules, self._guests = rules, guests

    @spanned("device rules")
    async def allow(
        self, container: ContainerState, devices: Collection[LoopDevice]
    ) -> None:
        """
        Let a VM's processes open these loop devices, and no others.

        @raise CloudError: if the kernel refuses.
        """
        minors = [device.minor for device in devices]
        allowing = partial(self._rules.allow_loops, container.cgroup, minors)
        await self._guests.run(container.vm_cid, allowing)

    def rules_for_boot(self, devices: Collection[LoopDevice]) -> list[dict[str, object]]:
        """Return what a container's specification must allow, to boot with devices."""
        return self._rules.for_spec([device.minor for device in devices])

    @spanned("node")
    async def make(
        self, container: ContainerState, disk_cid: str, device: LoopDevice
    ) -> bool:
        """
        Make a disk's node in a running VM.

        @return: whether it was not there.
        @raise CloudError: if that is not possible.
        """
        assert container.pid is not None
        making = partial(guests.make_node, container.pid, disk_cid, device.number)
        return await self._guests.run(container.vm_cid, making)

    @spanned("node")
    async def remove(self, container: ContainerState, disk_cid: str) -> None:
        """
        Remove a disk's node from a running VM.

        @raise CloudError: if that is not possible.
        """
        assert container.pid is not None
        removing = partial(guests.remove_node, container.pid, disk_cid)
        await self._guests.run(container.vm_cid, removing)

    async def holder(self, container: ContainerState, device: LoopDevice) -> str:
        """
        Name the process of a VM that has a device open, as far as that can be told.

        @raise CloudError: if the VM cannot be looked at.
        """
        telling = partial(holders.device_holder, container.cgroup, device.number)
        return await self._guests.run(container.vm_cid, telling)
