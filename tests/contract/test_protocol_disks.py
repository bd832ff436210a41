"""Disks over a real connection: answers, errors, and disks that nobody knows."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.rpc.factory import CPIFactory
from runc_cpi.errors import (
    CPIError,
    DiskAttached,
    DiskBusy,
    DiskNotAttached,
    DiskNotFound,
    InvalidArgument,
    NotSupported,
)
from tests.contract.protocols import ProtocolTestCase

NEAR = IPv4Address("TCP", "127.0.0.1", 1)


class DisksTests(ProtocolTestCase):
    """What callers are told, and what stays when they hang up."""

    async def make_disk(self) -> str:
        """Make a disk."""
        box = await self.call("CreateDisk", size=64, cloud_properties={})
        return box[b"disk_cid"].decode()

    async def exists(self, disk_cid: str) -> bool:
        """Ask whether there is a disk."""
        return (await self.call("HasDisk", disk_cid=disk_cid))[b"exists"] == b"True"

    async def make_vm(self) -> str:
        """Make a VM."""
        return (await self.create_vm())[b"vm_cid"].decode()

    async def listed(self) -> list[dict[str, Any]]:
        """Return the disks as they are listed."""
        disks: list[dict[str, Any]] = json.loads((await self.call("ListDisks"))[b"disks"])
        return disks

    async def test_the_life_of_a_disk(self) -> None:
        """The answers about a disk have what the executable needs."""
        vm_cid, disk_cid = await self.make_vm(), await self.make_disk()
        self.assertEqual(
            (await self.call("HasDisk", disk_cid=disk_cid))[b"exists"], b"True"
        )
        ids = {"vm_cid": vm_cid, "disk_cid": disk_cid}
        box = await self.call("AttachDisk", in_settings=True, **ids)
        self.assertEqual(box[b"hint"].decode(), f"/dev/{disk_cid}")
        box = await self.call("GetDisks", vm_cid=vm_cid)
        self.assertEqual(json.loads(box[b"disk_cids"]), [disk_cid])
        await self.call("ResizeDisk", disk_cid=disk_cid, size=128)
        await self.call("SetDiskMetadata", disk_cid=disk_cid, metadata={"job": "db"})
        box = await self.call("SnapshotDisk", disk_cid=disk_cid, metadata={})
        snapshot_cid = box[b"snapshot_cid"].decode()
        await self.call("DetachDisk", **ids)
        await self.call(
            "UpdateDisk", disk_cid=disk_cid, size=256, cloud_properties={"type": "fast"}
        )
        (shown,) = await self.listed()
        self.assertEqual((shown["size"], shown["attached_to"]), (256, None))
        self.assertEqual(shown["metadata"], {"job": "db"})
        for _ in range(2):
            await self.call("DeleteDisk", disk_cid=disk_cid)
            await self.call("DeleteSnapshot", snapshot_cid=snapshot_cid)
        self.assertEqual(
            (await self.call("HasDisk", disk_cid=disk_cid))[b"exists"], b"False"
        )

    async def test_errors_keep_their_kind(self) -> None:
        """Errors about disks keep their class, since the Director acts on some."""
        vm_cid, other = await self.make_vm(), await self.make_vm()
        disk_cid = await self.make_disk()
        ids = {"vm_cid": vm_cid, "disk_cid": disk_cid}
        cases: list[tuple[type[CPIError], str, dict[str, Any]]] = [
            (DiskNotAttached, "DetachDisk", ids),
            (DiskNotFound, "DetachDisk", {**ids, "disk_cid": "disk-x"}),
            (NotSupported, "ResizeDisk", {"disk_cid": disk_cid, "size": 32}),
            (InvalidArgument, "CreateDisk", {"size": 0, "cloud_properties": {}}),
            (InvalidArgument, "CreateDisk", {"size": "x", "cloud_properties": {}}),
            (InvalidArgument, "AttachDisk", {**ids, "in_settings": "perhaps"}),
        ]
        for kind, command, arguments in cases:
            self.assertIs(type(await self.refusal(command, **arguments)), kind)
        await self.call("AttachDisk", in_settings=False, **ids)
        second = {**ids, "vm_cid": other, "in_settings": False}
        self.assertIs(type(await self.refusal("AttachDisk", **second)), DiskAttached)
        error = await self.refusal("DeleteDisk", disk_cid=disk_cid)
        self.assertIs(type(error), DiskAttached)
        self.disk_script.failing = {"detach": DiskBusy("by process 7 (tar)")}
        error = await self.refusal("DetachDisk", **ids)
        self.assertIs(type(error), DiskBusy)
        self.assertTrue(error.ok_to_retry)

    async def abandoned(self, step: str, command: str, **arguments: Any) -> None:
        """Let a caller hang up during a call, and wait for the call's end."""
        gate: Deferred[None] = Deferred()
        self.disk_script.pending[step] = gate
        call = Deferred.fromCoroutine(self.call(command, **arguments))
        call.addErrback(lambda failure: failure.trap(CPIError))
        await self.until(lambda: step in self.disk_script.done)
        await self.break_off()
        del self.disk_script.pending[step]
        gate.callback(None)
        await call

    async def test_a_disk_that_nobody_was_told_of(self) -> None:
        """A disk whose caller hung up is removed, since nobody knows its name."""
        await self.abandoned("create", "CreateDisk", size=64, cloud_properties={})
        await self.until(lambda: not self.disks.all())
        await self.until(lambda: not any(self.depot.disks.iterdir()))

    async def test_a_snapshot_that_nobody_was_told_of(self) -> None:
        """A snapshot whose caller hung up is removed, since nobody knows its name."""
        disk_cid = await self.make_disk()
        await self.abandoned("snapshot", "SnapshotDisk", disk_cid=disk_cid, metadata={})
        await self.until(lambda: "sync" in self.script.done)
        await self.until(lambda: not any(self.depot.snapshots.iterdir()))
        await self.until(lambda: not any(self.depot.scratch.iterdir()))
        self.assertTrue(self.disks.exists(disk_cid))

    async def test_an_attachment_goes_on(self) -> None:
        """
        An attachment whose caller hung up is finished, and the same call again succeeds.
        """
        vm_cid, disk_cid = await self.make_vm(), await self.make_disk()
        arguments = {"vm_cid": vm_cid, "disk_cid": disk_cid, "in_settings": False}
        await self.abandoned("attach", "AttachDisk", **arguments)
        await self.call("AttachDisk", **arguments)
        self.assertEqual(self.disks.attached_to(disk_cid), vm_cid)

    async def test_connections_are_counted(self) -> None:
        """
        One connection too many is closed at once; one that ends makes room for another.
        """
        factory = self.small_factory()
        late = factory.buildProtocol(NEAR)
        known = [factory.buildProtocol(NEAR) for _ in range(2)]
        for protocol in known:
            assert protocol is not None
            self.assertTrue(protocol.introduced())
        self.assertIsNone(factory.buildProtocol(NEAR))
        assert late is not None
        self.assertFalse(late.introduced())
        assert known[0] is not None
        factory.left(known[0])
        self.assertTrue(late.introduced())

    async def test_the_known_stay(self) -> None:
        """A peer that has made a call stays, however many come that make none."""
        factory = self.small_factory()
        known = factory.buildProtocol(NEAR)
        assert known is not None
        transport = StringTransport()
        known.makeConnection(transport)
        self.addCleanup(known.connectionLost, Failure(ConnectionDone()))
        known.introduced()
        for _ in range(10):
            factory.buildProtocol(NEAR)
        self.assertFalse(transport.disconnected)

    def small_factory(self) -> CPIFactory:
        """Make a factory for two connections."""
        return CPIFactory(
            self.factory._subjects,
            LimitsConfig(connections=2, strangers=3),
            PeerLog(lambda: 0.0),
            self.factory._reactor,
        )
