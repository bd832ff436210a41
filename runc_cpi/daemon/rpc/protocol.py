"""The responders: they translate between AMP and the domain, and do nothing else."""

from __future__ import annotations

import errno
import re
from collections.abc import Awaitable
from contextvars import copy_context
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from runc_cpi import __version__
from runc_cpi.daemon.base import parcels
from runc_cpi.daemon.base.log import request_id
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.entrance.complaints import Complaints
from runc_cpi.daemon.reconcile.reconciler import Reconciler
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.bounded import BoundedAMP, Retired
from runc_cpi.daemon.rpc.receipts import Receipts, Undo
from runc_cpi.daemon.stemcells.making import StemcellUpload
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.vms import VMs
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
    reconciler: Reconciler


class House(Protocol):
    """Where connections come to, and leave."""

    def introduced(self, protocol: CPIProtocol) -> bool:
        """A connection has come to its first call; say whether it may go on."""

    def left(self, protocol: CPIProtocol) -> None:
        """A connection is gone, and all that was begun for it."""


class CPIProtocol(BoundedAMP):
    """
    One connection.

    Work that a call has begun is brought to its end when the caller goes away.  What
    was made is removed again if nobody is known to have learned its name.
    """

    log = Logger()

    def __init__(
        self,
        domain: Domain,
        limits: LimitsConfig,
        reactor: Any,
        complaints: Complaints,
        house: House,
    ) -> None:
        super().__init__(limits, reactor, complaints)
        self._house = house
        self._stemcells, self._vms = domain.stemcells, domain.vms
        self._disks, self._snapshots = domain.disks, domain.snapshots
        self._reconciler = domain.reconciler
        self._uploads: dict[int, StemcellUpload] = {}
        self._numbers = count(1)
        self._broken: dict[int, CPIError] = {}
        self._receipts = Receipts()

    @commands.Ping.responder
    def ping(self) -> Answer:
        return {"version": __version__}

    @commands.Confirm.responder
    def confirm(self, cid: str) -> Answer:
        self._receipts.take(cid)
        self.hang_up_if_done()
        return {}

    @commands.ImportStemcell.responder
    async def import_stemcell(
        self, image: int, cloud_properties: Any, confirms: bool = False
    ) -> Answer:
        try:
            stemcell = await self._stemcells.create(image, cloud_properties)
        finally:
            parcels.close(image)
        return await self._made_stemcell(stemcell.cid, confirms)

    @commands.FetchStemcell.responder
    async def fetch_stemcell(self, cloud_properties: Any, confirms: bool = False) -> Answer:
        stemcell = await self._stemcells.fetch(cloud_properties)
        return await self._made_stemcell(stemcell.cid, confirms)

    @commands.OpenStemcell.responder
    def open_stemcell(self, cloud_properties: Any) -> Answer:
        if len(self._uploads) >= self._limits.uploads:
            raise InvalidArgument(
                f"{len(self._uploads)} uploads are under way on this connection, and no "
                "more are allowed: limits.uploads"
            )
        number = next(self._numbers)
        self._uploads[number] = self._stemcells.open_upload(cloud_properties)
        return {"upload": number}

    @commands.WriteStemcell.responder
    async def write_stemcell(self, upload: int, data: bytes) -> Answer:
        await self._uploading(upload, self._upload(upload).write(data))
        return {}

    @commands.CloseStemcell.responder
    async def close_stemcell(self, upload: int, confirms: bool = False) -> Answer:
        stemcell = await self._uploading(upload, self._upload(upload).finish())
        self._uploads.pop(upload, None)
        return await self._made_stemcell(stemcell.cid, confirms)

    @commands.DeleteStemcell.responder
    async def delete_stemcell(self, stemcell_cid: str) -> Answer:
        await self._stemcells.delete(stemcell_cid)
        return {}

    @commands.ListStemcells.responder
    def list_stemcells(self) -> Answer:
        return {"stemcells": [stemcell.to_json() for stemcell in self._stemcells.all()]}

    @commands.CreateVM.responder
    async def create_vm(self, *, confirms: bool = False, **arguments: Any) -> Answer:
        vm = await self._vms.create(NewVM.parse(**arguments))
        await self._made(vm.vm_cid, self._vms.delete, confirms)
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
    async def create_disk(
        self, size: int, cloud_properties: Any, confirms: bool = False
    ) -> Answer:
        disk = await self._disks.create(size, cloud_properties)
        await self._made(disk.disk_cid, self._disks.delete, confirms)
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
    async def snapshot_disk(
        self, disk_cid: str, metadata: Any, confirms: bool = False
    ) -> Answer:
        async with self._vms.holding(disk_cid) as container:
            snapshot = await self._snapshots.create(disk_cid, metadata, container)
        await self._made(snapshot.snapshot_cid, self._snapshots.delete, confirms)
        return {"snapshot_cid": snapshot.snapshot_cid}

    @commands.DeleteSnapshot.responder
    async def delete_snapshot(self, snapshot_cid: str) -> Answer:
        await self._snapshots.delete(snapshot_cid)
        return {}

    @commands.ListDisks.responder
    def list_disks(self) -> Answer:
        return {"disks": [disk.to_json() for disk in self._disks.all()]}

    @commands.ListSnapshots.responder
    def list_snapshots(self) -> Answer:
        return {"snapshots": [snapshot.to_json() for snapshot in self._snapshots.all()]}

    @commands.SetDiskMetadata.responder
    async def set_disk_metadata(self, disk_cid: str, metadata: Any) -> Answer:
        await self._disks.set_metadata(disk_cid, metadata)
        return {}

    @commands.Repair.responder
    async def repair(self) -> Answer:
        repairs = await self._reconciler.repair()
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

    def introduced(self) -> bool:
        """Keep the place on the host that a mere connection could lose."""
        return self._house.introduced(self)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Clear away what was being uploaded, and what nobody was told of."""
        super().connectionLost(reason)
        leaving = Deferred.fromCoroutine(self._leave())
        leaving.addErrback(lambda failure: self.log.failure("bug leaving", failure))

    async def _leave(self) -> None:
        try:
            for number in list(self._uploads):
                await self._abort(number)
            # What was begun is ended all the same, and a stop waits for that.
            await self.finished()
            await self._receipts.undo()
        finally:
            self._house.left(self)

    @property
    def is_waited_for(self) -> bool:
        """Whether a receipt is owed: the daemon does not hang up before it comes."""
        return self._receipts.are_owed

    def timeoutConnection(self) -> None:
        """Cut off a peer that says nothing; it may have told of what was made for it."""
        self._receipts.waive()
        super().timeoutConnection()

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        """Take a call; or a receipt, which waits for no turn, as the end may follow it."""
        if amp.ASK not in box and box.get(amp.COMMAND) == commands.Confirm.commandName:
            self.confirm(box.get(b"cid", b"").decode("utf-8", "replace"))
        else:
            super().ampBoxReceived(box)

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

    async def _made_stemcell(self, stemcell_cid: str, confirms: bool) -> Answer:
        await self._made(stemcell_cid, self._stemcells.delete, confirms)
        return {"stemcell_cid": stemcell_cid}

    async def _made(self, cid: str, undo: Undo, confirms: bool) -> None:
        """Wait for the receipt of what was made if one will come, and a caller is there."""
        is_gone = self.transport is None
        if is_gone or confirms:
            self._receipts.expect(cid, undo)
        if is_gone:
            await self._receipts.undo()

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
