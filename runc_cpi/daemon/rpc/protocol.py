"""The responders: they translate between AMP and the domain, and do nothing else."""

from __future__ import annotations

import errno
import re
from collections.abc import Awaitable
from contextvars import copy_context
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from runc_cpi import __version__
from runc_cpi.daemon import passed
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.domain.disks import Disks
from runc_cpi.daemon.domain.keeper import Keeper
from runc_cpi.daemon.domain.snapshots import Snapshots
from runc_cpi.daemon.domain.stemcells import Stemcells, StemcellUpload
from runc_cpi.daemon.domain.vm import NewVM
from runc_cpi.daemon.domain.vms import VMs
from runc_cpi.daemon.log import request_id
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.access import AccessList, Quiet
from runc_cpi.daemon.rpc.bounded import BoundedAMP, Retired
from runc_cpi.errors import (
    CloudError,
    CPIError,
    DaemonUnreachable,
    InvalidArgument,
    NoDiskSpace,
)

Answer = dict[str, Any]
T = TypeVar("T")

MESSAGE_LIMIT = 4096
COMMAND_LIMIT = 64
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Domain:
    """All that calls can be about."""

    stemcells: Stemcells
    vms: VMs
    disks: Disks
    snapshots: Snapshots
    keeper: Keeper


class CPIProtocol(BoundedAMP):
    """
    One connection.

    Work that a call has begun is brought to its end when the caller goes away.  What
    was made for a caller who never learned its name is removed again.
    """

    log = Logger()

    def __init__(self, domain: Domain, limits: LimitsConfig, reactor: Any) -> None:
        super().__init__(limits, reactor)
        self._stemcells, self._vms = domain.stemcells, domain.vms
        self._disks, self._snapshots = domain.disks, domain.snapshots
        self._keeper = domain.keeper
        self._uploads: dict[int, StemcellUpload] = {}
        self._numbers = count(1)
        self._broken: dict[int, CPIError] = {}

    @commands.Ping.responder
    def ping(self) -> Answer:
        return {"version": __version__}

    @commands.ImportStemcell.responder
    async def import_stemcell(self, image: int, cloud_properties: Any) -> Answer:
        try:
            stemcell = await self._stemcells.create(image, cloud_properties)
        finally:
            passed.close(image)
        return await self._told_stemcell(stemcell.cid)

    @commands.FetchStemcell.responder
    async def fetch_stemcell(self, cloud_properties: Any) -> Answer:
        stemcell = await self._stemcells.fetch(cloud_properties)
        return await self._told_stemcell(stemcell.cid)

    @commands.OpenStemcell.responder
    def open_stemcell(self, cloud_properties: Any) -> Answer:
        if len(self._uploads) >= self._limits.uploads:
            raise InvalidArgument(
                f"{len(self._uploads)} uploads are under way on this connection, and no "
                "more are allowed: limits.uploads"
            )
        number = next(self._numbers)
        self._uploads[number] = self._stemcells.begin(cloud_properties)
        return {"upload": number}

    @commands.WriteStemcell.responder
    async def write_stemcell(self, upload: int, data: bytes) -> Answer:
        await self._uploading(upload, self._upload(upload).write(data))
        return {}

    @commands.CloseStemcell.responder
    async def close_stemcell(self, upload: int) -> Answer:
        stemcell = await self._uploading(upload, self._upload(upload).finish())
        self._uploads.pop(upload, None)
        return await self._told_stemcell(stemcell.cid)

    @commands.DeleteStemcell.responder
    async def delete_stemcell(self, stemcell_cid: str) -> Answer:
        await self._stemcells.delete(stemcell_cid)
        return {}

    @commands.ListStemcells.responder
    def list_stemcells(self) -> Answer:
        return {"stemcells": [stemcell.to_json() for stemcell in self._stemcells.all()]}

    @commands.CreateVM.responder
    async def create_vm(self, **arguments: Any) -> Answer:
        vm = await self._vms.create(NewVM(**arguments))
        if self.transport is None:
            self.log.info("nobody was told of {vm_cid}", vm_cid=vm.vm_cid)
            await self._vms.delete(vm.vm_cid)
        return {"vm_cid": vm.vm_cid, "networks": dict(vm.networks)}

    @commands.DeleteVM.responder
    async def delete_vm(self, vm_cid: str) -> Answer:
        await self._vms.delete(vm_cid)
        return {}

    @commands.HasVM.responder
    def has_vm(self, vm_cid: str) -> Answer:
        return {"exists": self._vms.exists(vm_cid)}

    @commands.RebootVM.responder
    async def reboot_vm(self, vm_cid: str) -> Answer:
        await self._vms.reboot(vm_cid)
        return {}

    @commands.SetVMMetadata.responder
    async def set_vm_metadata(self, vm_cid: str, metadata: Any) -> Answer:
        await self._vms.set_metadata(vm_cid, metadata)
        return {}

    @commands.CreateDisk.responder
    async def create_disk(self, size: int, cloud_properties: Any) -> Answer:
        disk = await self._disks.create(size, cloud_properties)
        if self.transport is None:
            self.log.info("nobody was told of {disk_cid}", disk_cid=disk.disk_cid)
            await self._disks.delete(disk.disk_cid)
        return {"disk_cid": disk.disk_cid}

    @commands.DeleteDisk.responder
    async def delete_disk(self, disk_cid: str) -> Answer:
        await self._disks.delete(disk_cid)
        return {}

    @commands.HasDisk.responder
    def has_disk(self, disk_cid: str) -> Answer:
        return {"exists": self._disks.exists(disk_cid)}

    @commands.AttachDisk.responder
    async def attach_disk(self, vm_cid: str, disk_cid: str, in_settings: bool) -> Answer:
        hint = await self._vms.attach_disk(vm_cid, disk_cid, in_settings=in_settings)
        return {"hint": hint}

    @commands.DetachDisk.responder
    async def detach_disk(self, vm_cid: str, disk_cid: str) -> Answer:
        await self._vms.detach_disk(vm_cid, disk_cid)
        return {}

    @commands.GetDisks.responder
    def get_disks(self, vm_cid: str) -> Answer:
        return {"disk_cids": self._vms.disks_of(vm_cid)}

    @commands.ResizeDisk.responder
    async def resize_disk(self, disk_cid: str, size: int) -> Answer:
        async with self._vms.holding(disk_cid) as container:
            await self._disks.resize(disk_cid, size, container)
        return {}

    @commands.UpdateDisk.responder
    async def update_disk(self, disk_cid: str, size: int, cloud_properties: Any) -> Answer:
        async with self._vms.holding(disk_cid) as container:
            await self._disks.update(disk_cid, size, cloud_properties, container)
        return {}

    @commands.SnapshotDisk.responder
    async def snapshot_disk(self, disk_cid: str, metadata: Any) -> Answer:
        async with self._vms.holding(disk_cid) as container:
            snapshot = await self._snapshots.create(disk_cid, metadata, container)
        if self.transport is None:
            self.log.info("nobody was told of {cid}", cid=snapshot.snapshot_cid)
            await self._snapshots.delete(snapshot.snapshot_cid)
        return {"snapshot_cid": snapshot.snapshot_cid}

    @commands.DeleteSnapshot.responder
    async def delete_snapshot(self, snapshot_cid: str) -> Answer:
        await self._snapshots.delete(snapshot_cid)
        return {}

    @commands.ListDisks.responder
    def list_disks(self) -> Answer:
        return {"disks": [disk.to_json() for disk in self._disks.all()]}

    @commands.SetDiskMetadata.responder
    async def set_disk_metadata(self, disk_cid: str, metadata: Any) -> Answer:
        await self._disks.set_metadata(disk_cid, metadata)
        return {}

    @commands.Repair.responder
    async def repair(self) -> Answer:
        repairs = await self._keeper.repair()
        return {"done": repairs.done, "problems": repairs.problems}

    @commands.ListVMs.responder
    async def list_vms(self) -> Answer:
        running = await self._vms.running()
        return {
            "vms": [
                {
                    "vm_cid": vm.vm_cid,
                    "agent_id": vm.agent_id,
                    "stemcell_cid": vm.stemcell_cid,
                    "addresses": [str(address) for address in vm.addresses],
                    "running": vm.vm_cid in running,
                    "created_at": vm.created_at,
                    "metadata": dict(vm.metadata),
                }
                for vm in self._vms.all()
            ]
        }

    def introduced(self) -> None:
        """Keep the place on the host that a mere connection could lose."""
        if isinstance(self.factory, CPIFactory):
            self.factory.introduced(self)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Clear away what was being uploaded."""
        super().connectionLost(reason)
        leaving = Deferred.fromCoroutine(self._leave())
        leaving.addErrback(lambda failure: self.log.failure("bug leaving", failure))

    async def _leave(self) -> None:
        try:
            for number in list(self._uploads):
                await self._abort(number)
            # What was begun is ended all the same, and a stop waits for that.
            await self.finished()
        finally:
            if isinstance(self.factory, CPIFactory):
                self.factory.left(self)

    def locateResponder(self, name: bytes) -> Any:
        """Find what answers a command.  TLS begins with the first byte, or not at all."""
        if name == amp.StartTLS.commandName:
            return None
        # AMP's other way, by the names of methods, takes nothing but ASCII.
        return amp.CommandLocator.locateResponder(self, name)

    def dispatchCommand(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        """
        Answer a command, marking the log with the request it belongs to.

        An error that is not declared is answered as well; AMP itself would hang up on
        every other call of the connection.
        """
        context = copy_context()
        context.run(request_id.set, _request_id_of(box))
        answer: Deferred[amp.AmpBox] = context.run(super().dispatchCommand, box)
        command = box[amp.COMMAND][:COMMAND_LIMIT].decode("ascii", "replace")
        return answer.addErrback(
            lambda failure: context.run(self._refusal, failure, command)
        )

    def _refusal(self, failure: Failure, command: str) -> Failure:
        error = failure.value
        if isinstance(error, amp.RemoteAmpError):
            code, text = error.errorCode, str(error.description)[:MESSAGE_LIMIT]
            self.log.info("{command} refused: {text}", command=command, text=text)
        elif isinstance(error, CPIError):
            code, text = commands.WIRE_ERRORS[type(error)], str(error)[:MESSAGE_LIMIT]
            self.log.info("{command} refused: {text}", command=command, text=text)
        elif isinstance(error, (ConnectionDone, Retired)):
            code, text = commands.WIRE_ERRORS[DaemonUnreachable], str(error)
        elif isinstance(error, OSError):
            kind = NoDiskSpace if error.errno == errno.ENOSPC else CloudError
            code, text = commands.WIRE_ERRORS[kind], f"{command}: {error}"
            self.log.error("{text}", text=text)
        else:
            self.log.failure("bug answering {command}", failure, command=command)
            code = commands.WIRE_ERRORS[CloudError]
            text = f"internal error in {command}; the daemon's log tells more"
        return Failure(amp.RemoteAmpError(code, text[:MESSAGE_LIMIT], fatal=False))

    async def _told_stemcell(self, stemcell_cid: str) -> Answer:
        if self.transport is None:
            self.log.info("nobody was told of {cid}", cid=stemcell_cid)
            await self._stemcells.delete(stemcell_cid)
        return {"stemcell_cid": stemcell_cid}

    def _upload(self, number: int) -> StemcellUpload:
        try:
            return self._uploads[number]
        except KeyError:
            if number in self._broken:
                raise self._broken[number] from None
            message = f"upload: there is no upload {number} on this connection"
            raise InvalidArgument(message) from None

    async def _uploading(self, number: int, work: Awaitable[T]) -> T:
        try:
            return await work
        except CPIError as error:
            self._broken.setdefault(number, error)
            while len(self._broken) > self._limits.uploads:
                del self._broken[next(iter(self._broken))]
            await self._abort(number)
            raise
        except BaseException:
            await self._abort(number)
            raise

    async def _abort(self, number: int) -> None:
        upload = self._uploads.pop(number, None)
        if upload is not None:
            await upload.abort()


def _request_id_of(box: amp.AmpBox) -> str:
    given: bytes = box.get(b"request_id", b"")
    return given.decode("ascii") if REQUEST_ID.fullmatch(given) else ""


class CPIFactory(Factory):
    """
    Makes a protocol for each connection that is let in.

    @param access: who is.
    """

    log = Logger()
    noisy = False

    def __init__(
        self, domain: Domain, limits: LimitsConfig, access: AccessList, reactor: Any
    ) -> None:
        self._domain, self._limits = domain, limits
        self._access, self._reactor = access, reactor
        self._quiet = Quiet(reactor.seconds)
        self._connections: set[CPIProtocol] = set()
        # In the order in which they came.
        self._silent: dict[CPIProtocol, None] = {}
        self._empty: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> CPIProtocol | None:
        """Make a protocol, or nothing, which has the connection closed at once."""
        if not self._access.admits(addr):
            return None
        if len(self._connections) >= self._limits.connections and not self._make_room():
            return None
        protocol = CPIProtocol(self._domain, self._limits, self._reactor)
        protocol.factory = self
        self._connections.add(protocol)
        self._silent[protocol] = None
        return protocol

    def _make_room(self) -> bool:
        """
        End the oldest connection that has not come to a first call.

        With TLS that is one without an accepted certificate: strangers who only hold
        connections keep nobody out.
        """
        if self._quiet.allows("connections"):
            self.log.warn("limits.connections are open: one of them, or a new one, must go")
        for protocol in self._silent:
            del self._silent[protocol]
            protocol.timeoutConnection()
            return True
        return False

    def introduced(self, protocol: CPIProtocol) -> None:
        """A connection has come to its first call."""
        self._silent.pop(protocol, None)

    def left(self, protocol: CPIProtocol) -> None:
        """A connection that was let in is gone."""
        self._silent.pop(protocol, None)
        self._connections.discard(protocol)
        if not self._connections and self._empty is not None:
            empty, self._empty = self._empty, None
            empty.callback(None)

    async def drain(self, seconds: float) -> bool:
        """
        Take no more calls, and wait until those under way are answered.

        @return: whether they were, within so many seconds.
        """
        for protocol in list(self._connections):
            protocol.retire()
        if not self._connections:
            return True
        self._empty = Deferred()
        alarm = self._reactor.callLater(seconds, self._empty.cancel)
        try:
            await self._empty
        except CancelledError:
            self._empty = None
            return False
        alarm.cancel()
        return True
