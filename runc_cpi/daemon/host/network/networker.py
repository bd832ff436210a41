"""Connects VMs to the bridge, from a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from pyroute2.netlink.exceptions import NetlinkError
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from runc_cpi.daemon.host.network.bridge import Bridge
from runc_cpi.daemon.host.network.links import reason
from runc_cpi.daemon.host.network.veth import VethPairs
from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.daemon.networks.model import Nic
from runc_cpi.errors import CloudError

P = ParamSpec("P")
T = TypeVar("T")


@implementer(INetworker)
class BridgeNetworker:
    """
    Works on the bridge from one thread of its own.

    Netlink calls block, up to 40 ms for a deletion; that is nothing for the reactor.
    One thread also serializes them, and is the only one to visit other namespaces.

    @param bridge: the bridge, which is there.
    """

    def __init__(self, reactor: Any, bridge: Bridge) -> None:
        self._reactor = reactor
        self._pairs = VethPairs(bridge.name, guarded=bridge.guarded)
        self._thread = ThreadPool(1, 1, "netlink")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, once it has done what it was given."""
        self._thread.stop()

    async def connect(self, vm_cid: str, pid: int, nics: Sequence[Nic]) -> None:
        """
        Give the network namespace of C{pid} these interfaces.

        @raise CloudError: if the kernel refuses.
        """
        await self._do(self._pairs.connect, vm_cid, pid, nics)

    async def guard(self, vm_cid: str, nics: Sequence[Nic]) -> bool:
        """
        Let a connected VM send from its own addresses alone.

        @return: whether it could send from others until now.
        @raise CloudError: if the kernel refuses.
        """
        return await self._do(self._pairs.guard, vm_cid, nics)

    async def disconnect(self, vm_cid: str) -> None:
        """
        Remove the VM's interfaces; it is no error if there are none.

        @raise CloudError: if the kernel refuses.
        """
        await self._do(self._pairs.disconnect, vm_cid)

    async def connected(self) -> set[str]:
        """
        Name the VMs that have an interface.

        @raise CloudError: if the kernel refuses to tell.
        """
        return await self._do(self._pairs.connected)

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result: T = await deferToThreadPool(
                self._reactor, self._thread, work, *args, **kwargs
            )
        except (NetlinkError, OSError, ValueError) as error:
            raise CloudError(f"network: {work.__name__}: {reason(error)}") from error
        return result
