"""Calls become events; who follows these is told at once, and leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from runc_cpi import wire
from runc_cpi.ctl import events as tool
from runc_cpi.daemon.events.filters import ALL
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.responders.events import MOST, MOST_SECONDS
from runc_cpi.errors import CPIError, HostShort, InvalidArgument, StemcellRejected
from tests.contract.protocols import NETWORKS, ProtocolTestCase, encoded, exchange
from tests.fakes.stemcells import IMAGE

# What bosh-director sends with create_vm, and notes when the VM is there.
ENV = {"bosh": {"password": "hunter2", "groups": ["my-bosh", "cf", "db", "my-bosh-cf"]}}
METADATA = {
    "director": "my-bosh",
    "deployment": "cf",
    "job": "db",
    "index": 0,
    "name": "db/0",
}
SECONDS = 30
ANOTHER_SIZE = 4095
FOLLOW: dict[str, Any] = {"filters": {}, "limit": 9, "seconds": SECONDS}


class EventsTestCase(ProtocolTestCase):
    """A test that looks at the events."""

    def events(self) -> list[dict[str, Any]]:
        """Return all events."""
        asked = Deferred.fromCoroutine(self.journal.after(0, ALL, 9999))
        news = self.successResultOf(asked)
        return [event.to_json() for event in news.events]

    def last(self, *names: str) -> tuple[Any, ...]:
        """Return some fields of the last event."""
        event = self.events()[-1]
        return tuple(event[name] for name in names)

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Make a call, and return its answer."""
        box = await self.call(command, **arguments)
        keys = [key for key, _ in commands.BY_NAME[command.encode()].response]
        return {key.decode(): json.loads(wire.join(key, box) or b"null") for key in keys}

    async def make_vm(self, **changes: Any) -> str:
        """Make a VM as a director does."""
        arguments: dict[str, Any] = {
            "agent_id": "agent-1",
            "stemcell_cid": self.stemcell_cid,
        }
        arguments |= {"cloud_properties": {}, "networks": NETWORKS, "disk_cids": []}
        arguments |= {"env": ENV, "agent": {"mbus": "nats://u:hunter3@h"}, **changes}
        return (await self.call("CreateVM", **arguments))[b"vm_cid"].decode()


class CallsTests(EventsTestCase):
    """Each call is an event when it has ended, and under way until then."""

    async def test_what_an_event_tells(self) -> None:
        """It tells the request, the method, how it ended, and whose VM it was about."""
        vm_cid = await self.make_vm()
        event = self.events()[-1]
        self.assertGreaterEqual(event.pop("seconds"), 0)
        self.assertRegex(event.pop("time"), r"^20..-..-..T..:..:..\....Z$")
        expected = {
            "number": 1,
            "source": "call",
            "method": "create_vm",
            "outcome": "ok",
            "request_id": "cpi-123456",
            "deployment": "cf",
            "instance": "db",
            "cids": [vm_cid, self.stemcell_cid],
            "error": "",
            "text": "",
        }
        self.assertEqual(event, expected)
        place = ("method", "deployment", "instance")
        await self.call("SetVMMetadata", vm_cid=vm_cid, metadata=METADATA)
        self.assertEqual(self.last(*place), ("set_vm_metadata", "cf", "db/0"))
        box = await self.call("CreateDisk", size=100, cloud_properties={})
        disk_cid = box[b"disk_cid"].decode()
        self.assertEqual(self.last(*place, "cids"), ("create_disk", "", "", [disk_cid]))
        both = {"vm_cid": vm_cid, "disk_cid": disk_cid}
        await self.call("AttachDisk", **both, in_settings=False)
        await self.call("ResizeDisk", disk_cid=disk_cid, size=200)
        self.assertEqual(self.last(*place), ("resize_disk", "cf", "db/0"))
        await self.call("DetachDisk", **both)
        await self.call(
            "SetDiskMetadata",
            disk_cid=disk_cid,
            metadata={"deployment": "cf", "job": "db", "instance_index": 3},
        )
        self.assertEqual(self.last(*place), ("set_disk_metadata", "cf", "db/3"))
        await self.call("DeleteVM", vm_cid=vm_cid)
        self.assertEqual(self.last(*place, "cids"), ("delete_vm", "cf", "db/0", [vm_cid]))
        self.assertNotIn("hunter", json.dumps(self.events()))

    async def test_calls_that_fail(self) -> None:
        """A call that fails tells the error that its caller is told, and no secret."""
        error = await self.refusal("RebootVM", vm_cid="vm-none\n")
        told = self.last("method", "outcome", "error", "text", "cids")
        self.assertEqual(
            told, ("reboot_vm", "failed", "VMNotFound", str(error), ["vm-none\\n"])
        )
        wrong: list[dict[str, Any]] = [
            {"cloud_properties": 5},
            {"cloud_properties": {"ram": "much"}},
        ]
        for changes in wrong:
            with self.assertRaises(InvalidArgument):
                await self.make_vm(**changes)
            told = self.last("method", "error")
            self.assertEqual(told, ("create_vm", "InvalidArgument"))
        self.script.failing["start"] = ZeroDivisionError("hunter2")
        with self.assertRaises(CPIError):
            await self.make_vm()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.last("error", "deployment"), ("InternalError", "cf"))
        self.assertNotIn("hunter", json.dumps(self.events()))

    async def test_what_is_no_event(self) -> None:
        """What only asks for lists, and what no command is, is no event."""
        for command in ("Ping", "ListVMs", "ListDisks", "ListEvents", "ListCalls"):
            arguments = {"limit": 1} if command == "ListEvents" else {}
            await self.call(command, **arguments)
        await self.refusal("Frobnicate")
        self.assertEqual(self.events(), [])

    async def test_calls_that_are_under_way(self) -> None:
        """It is told which calls are under way, and what each waits for."""
        gate = self.script.pending["start"] = Deferred()
        creating = Deferred.fromCoroutine(self.make_vm())
        await self.until(lambda: "start" in self.script.done)
        (vm_cid,) = [path.name for path in self.depot.vms.iterdir()]
        deleting = Deferred.fromCoroutine(self.call("DeleteVM", vm_cid=vm_cid))
        await self.until(lambda: len(self.calls.all()) == 2)
        self.clock.advance(2.5)
        answer = await self.ask("ListCalls")
        first, second = answer["calls"]
        self.assertEqual(answer["total"], 2)
        self.assertEqual(
            (first["method"], first["state"], first["seconds"], first["deployment"]),
            ("create_vm", "running", 2.5, "cf"),
        )
        self.assertEqual(
            (second["method"], second["state"], second["cids"], second["request_id"]),
            ("delete_vm", f"waiting for {vm_cid}", [vm_cid], "cpi-123456"),
        )
        del self.script.pending["start"]
        gate.callback(None)
        await creating
        await deleting
        self.assertEqual((await self.ask("ListCalls")), {"calls": [], "total": 0})
        self.assertEqual([e["method"] for e in self.events()], ["create_vm", "delete_vm"])

    async def test_calls_that_wait_for_their_turn(self) -> None:
        """A call that cannot begin yet waits for its turn; the caller may hang up."""
        gate = self.script.pending["start"] = Deferred()
        creating = Deferred.fromCoroutine(self.make_vm())
        creating.addErrback(lambda failure: failure.trap(CPIError))
        await self.until(lambda: "start" in self.script.done)
        (protocol,) = self.protocols
        protocol.pauseProducing()
        protocol.dataReceived(encoded("HasVM", vm_cid=b"vm-1"))
        states = [call.state for call in self.calls.all()]
        self.assertEqual(states, ["running", "waiting for its turn"])
        await self.break_off()
        told = self.last("method", "error", "text")
        text = "Connection was closed cleanly: the caller hung up before the call began."
        self.assertEqual(told, ("has_vm", "DaemonUnreachable", text))
        del self.script.pending["start"]
        gate.callback(None)
        await creating
        await self.until(lambda: self.calls.all() == [])


class UploadsTests(EventsTestCase):
    """An upload is one call, however many commands it takes."""

    async def upload(self) -> Any:
        """Begin an upload, and return the connection."""
        connection = self.raw()
        await self.beside(exchange, connection, "OpenStemcell", cloud_properties=b"{}")
        (call,) = self.calls.all()
        self.assertEqual((call.method, call.state), ("create_stemcell", "running"))
        return connection

    async def test_to_its_end(self) -> None:
        """An upload ends with its stemcell."""
        connection = await self.upload()
        for data in (b"x", b"y"):
            box = {"upload": b"1", "data": data}
            await self.beside(exchange, connection, "WriteStemcell", **box)
        answer = await self.beside(exchange, connection, "CloseStemcell", upload=b"1")
        self.assertEqual(self.calls.all(), [])
        self.assertEqual(len(self.events()), 1)
        cid = answer[b"stemcell_cid"].decode()
        told = self.last("method", "outcome", "cids")
        self.assertEqual(told, ("create_stemcell", "ok", [cid]))

    async def test_of_an_image_that_is_here(self) -> None:
        """An upload whose digest was enough ends with its stemcell."""
        client = self.client()
        begun = await self.beside(
            client.call, "OpenStemcell", cloud_properties={}, size=IMAGE.size
        )
        self.assertEqual(begun[b"wants_digest"], b"True")
        named = {"upload": 1, "digest": IMAGE.digest, "size": IMAGE.size}
        answer = await self.beside(client.call, "NameStemcell", **named)
        told = self.last("method", "outcome", "cids")
        cid = answer[b"stemcell_cid"].decode()
        self.assertEqual(told, ("create_stemcell", "ok", [cid]))
        self.assertEqual(self.calls.all(), [])
        with self.assertRaises(InvalidArgument):
            await self.beside(client.call, "CloseStemcell", upload=1)

    async def test_of_an_image_that_is_not_here(self) -> None:
        """An upload goes on if its digest tells nothing; what is no digest is refused."""
        client = self.client()
        begun = await self.beside(
            client.call, "OpenStemcell", cloud_properties={}, size=ANOTHER_SIZE
        )
        self.assertEqual(begun[b"wants_digest"], b"False")
        named = {"upload": 1, "digest": IMAGE.digest, "size": ANOTHER_SIZE}
        answer = await self.beside(client.call, "NameStemcell", **named)
        self.assertNotIn(b"stemcell_cid", answer)
        for digest in (
            "",
            IMAGE.digest[7:],
            f"{IMAGE.digest}\n",
            "sha256:../../" + "0" * 58,
        ):
            with self.assertRaises(InvalidArgument) as caught:
                await self.beside(client.call, "NameStemcell", **named | {"digest": digest})
            self.assertIn(repr(digest), str(caught.exception))
        for size in (0, -4096):
            with self.assertRaises(InvalidArgument) as caught:
                await self.beside(client.call, "NameStemcell", **named | {"size": size})
            self.assertIn(f"size: {size} must be", str(caught.exception))
        self.assertEqual(len(self.calls.all()), 1)

    async def test_that_fails(self) -> None:
        """An upload that fails does so once."""
        connection = await self.upload()
        self.script.failing["write"] = StemcellRejected("no tar archive")
        for _ in range(2):
            box = {"upload": b"1", "data": b"x"}
            await self.beside(exchange, connection, "WriteStemcell", **box)
        self.assertEqual(len(self.events()), 1)
        self.assertEqual(self.last("error", "text"), ("StemcellRejected", "no tar archive"))

    async def test_that_is_refused(self) -> None:
        """An upload whose properties are no good has failed."""
        await self.refusal("OpenStemcell", cloud_properties=[])
        refusal = await self.refusal("OpenStemcell", cloud_properties={}, size=-1)
        text = "size: -1 must be a number of bytes, 1 or more"
        self.assertEqual(str(refusal), text)
        self.assertEqual(len(self.events()), 2)
        told = self.last("method", "error")
        self.assertEqual(told, ("create_stemcell", "InvalidArgument"))
        self.assertEqual(self.calls.all(), [])

    async def test_that_is_broken_off(self) -> None:
        """An upload ends with its connection."""
        connection = await self.upload()
        connection.close()
        await self.until(lambda: self.calls.all() == [])
        told = self.last("method", "error", "text")
        text = "the caller hung up before the end of the image"
        self.assertEqual(told, ("create_stemcell", "DaemonUnreachable", text))


class FollowersTests(EventsTestCase):
    """Who follows is told of each event that is wanted, or that there was none."""

    def follow(self, **arguments: Any) -> Deferred[dict[str, Any]]:
        """Wait for the next event."""
        return Deferred.fromCoroutine(
            self.ask("FollowEvents", **{**FOLLOW, "after": self.journal.last, **arguments})
        )

    async def waits(self, number: int) -> None:
        """Wait until so many followers wait."""
        await self.until(lambda: len(self.clock.getDelayedCalls()) == number)

    async def test_what_comes(self) -> None:
        """A follower is told as soon as something happens, and goes on from there."""
        following = self.follow()
        failures = self.follow(filters={"outcome": "failed"})
        await self.waits(2)
        await self.call("HasVM", vm_cid="vm-1")
        answer = await following
        self.assertEqual([e["method"] for e in answer["events"]], ["has_vm"])
        self.assertEqual((answer["last"], answer["missed"]), (1, 0))
        await self.refusal("RebootVM", vm_cid="vm-1")
        answer = await failures
        self.assertEqual([e["method"] for e in answer["events"]], ["reboot_vm"])
        answer = await self.follow(after=answer["last"] - 1)
        self.assertEqual([e["method"] for e in answer["events"]], ["reboot_vm"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_nothing_comes(self) -> None:
        """When the time is over, the answer is empty, and the follower may ask again."""
        # Of an earlier daemon whose events are lost.
        following = self.follow(after=99)
        await self.waits(1)
        self.clock.advance(SECONDS)
        self.assertEqual(await following, {"events": [], "last": 0, "missed": 0})
        answer = await self.follow(seconds=0)
        self.assertEqual(answer["events"], [])

    async def test_too_many(self) -> None:
        """Only so many may wait; a place is free again when a follower is gone."""
        following = [self.follow() for _ in range(2)]
        for each in following:
            each.addErrback(lambda failure: failure.trap(CPIError))
        await self.waits(2)
        with self.assertRaises(HostShort) as caught:
            await self.follow()
        self.assertIn("limits.followers", str(caught.exception))
        await self.break_off()
        await self.waits(0)
        for each in following:
            await each
        again = self.follow()
        await self.waits(1)
        await self.call("HasVM", vm_cid="vm-1")
        self.assertEqual(len((await again)["events"]), 1)

    async def test_a_stop_of_the_daemon(self) -> None:
        """A stop waits for no follower: each is answered at once."""
        following = self.follow()
        await self.waits(1)
        self.assertTrue(await self.factory.drain(5))
        self.assertEqual((await following)["events"], [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_arguments_that_are_no_good(self) -> None:
        """What is asked for is bounded, and what cannot be had is named."""
        for arguments, message in (
            ({"limit": 0}, f"limit: 0 must be 1 to {MOST}"),
            ({"limit": MOST + 1}, f"limit: {MOST + 1} must be 1 to {MOST}"),
            ({"limit": 1, "filters": {"x": "y"}}, "filters: 'x' is none; there are "),
        ):
            self.assertIn(message, str(await self.refusal("ListEvents", **arguments)))
        for seconds in (-1, MOST_SECONDS + 1):
            arguments = {**FOLLOW, "after": 0, "seconds": seconds}
            error = await self.refusal("FollowEvents", **arguments)
            self.assertEqual(str(error), f"seconds: {seconds} must be 0 to {MOST_SECONDS}")

    def test_what_the_tool_asks_for(self) -> None:
        """The operator's tool asks for no more than it can have."""
        self.assertEqual(tool.PAGE, MOST)
        self.assertLessEqual(tool.PATIENCE, MOST_SECONDS)

    async def test_pages(self) -> None:
        """All events can be had, page by page."""
        for _ in range(5):
            await self.call("HasVM", vm_cid="vm-1")
        answer = await self.ask("ListEvents", limit=3)
        self.assertEqual([e["number"] for e in answer["events"]], [3, 4, 5])
        self.assertEqual(answer["last"], 5)
        answer = await self.ask("ListEvents", limit=3, before=3, filters={"cid": "vm-1"})
        self.assertEqual([e["number"] for e in answer["events"]], [1, 2])
