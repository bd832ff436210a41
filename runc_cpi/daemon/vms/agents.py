"""Tells the agents of VMs which disks there are, by their settings files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.files.settings_file import SETTINGS, settings_file, told_disks
from runc_cpi.daemon.vms.interfaces import IGuests, IRootDisks
from runc_cpi.daemon.vms.vm import VM


class Agents:
    """
    The settings files of the agents of all VMs.

    @param find: returns the container of a VM as it is now.
    """

    def __init__(
        self,
        guests: IGuests,
        root_disks: IRootDisks,
        disks: Disks,
        find: Callable[[str], ContainerState],
    ) -> None:
        self._guests, self._root_disks = guests, root_disks
        self._disks, self._find = disks, find

    @spanned("agent settings")
    async def tell(self, vm: VM, *, but: str = "") -> None:
        """
        Write the settings file of a VM anew, in one step for whoever reads it.

        @param but: a disk that is not to be named any more.
        @raise CloudError: if the file cannot be written.
        """
        hints = self._disks.hints(vm.vm_cid)
        hints.pop(but, None)
        file = settings_file(vm.settings(hints))
        container = self._find(vm.vm_cid)
        if container.pid is None:
            await self._root_disks.mount(container.bundle)
            writing = partial(_write, container.bundle, file.content)
            await self._guests.run(vm.vm_cid, writing)
        else:
            await self._guests.write(vm.vm_cid, container.pid, SETTINGS, file.content)

    async def correct(self, vm: VM) -> bool:
        """
        Write the settings file of a VM anew if it does not name the disks that it should.

        @return: whether that was so.
        @raise CloudError: if the file cannot be read or written.
        """
        bundle = self._find(vm.vm_cid).bundle
        await self._root_disks.mount(bundle)
        named = await self._guests.run(vm.vm_cid, partial(_told_disks, bundle.upper))
        if named == self._disks.hints(vm.vm_cid):
            return False
        await self.tell(vm)
        return True


def _told_disks(upper: Path) -> Any:
    with Tree.at(upper) as tree:
        return told_disks(tree)


def _write(bundle: Bundle, content: str) -> None:
    with Tree.at(bundle.upper) as tree:
        tree.write(SETTINGS, content, owner=bundle.root_id)
