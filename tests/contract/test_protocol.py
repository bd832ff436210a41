"""The daemon's responders over a real connection."""

from __future__ import annotations

import errno
import json
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.protocols import amp

from runc_cpi import __version__, wire
from runc_cpi.daemon.base.log import request_id
from runc_cpi.errors import (
    CloudError,
    CPIError,
    InternalError,
    InvalidArgument,
    NoDiskSpace,
    StillRunning,
    VMCreationFailed,
    VMNotFound,
)
from tests.contract.protocols import ProtocolTestCase


class ProtocolTests(ProtocolTestCase):
    """What callers are told."""

    async def test_the_life_of_a_vm(self) -> None:
        """The answers about a VM have what the executable needs."""
        self.assertEqual((await self.call("Ping"))[b"version"], __version__.encode())
        box = await self.create_vm()
        vm_cid = box[b"vm_cid"].decode()
        networks = json.loads(wire.join(b"networks", box) or b"")
        self.assertEqual(networks["n"]["ip"], "10.0.0.6")
        exists = (await self.call("HasVM", vm_cid=vm_cid))[b"exists"]
        self.assertEqual(exists, b"True")
        await self.call("SetVMMetadata", vm_cid=vm_cid, metadata={"job": "db"})
        await self.call("RebootVM", vm_cid=vm_cid)
        (shown,) = json.loads((await self.call("ListVMs"))[b"vms"])
        self.assertEqual((shown["vm_cid"], shown["metadata"]), (vm_cid, {"job": "db"}))
        await self.call("DeleteVM", vm_cid=vm_cid)
        exists = (await self.call("HasVM", vm_cid=vm_cid))[b"exists"]
        self.assertEqual(exists, b"False")

    async def test_what_is_listed_holds_no_secrets(self) -> None:
        """Lists contain no settings of agents."""
        await self.create_vm()
        listed = json.loads((await self.call("ListVMs"))[b"vms"])
        self.assertFalse({"env", "agent"} & set(listed[0]))

    async def test_errors_of_the_host(self) -> None:
        """
        Errors of the host keep their class; system errors get the class of their meaning.
        """
        full = OSError(errno.ENOSPC, "No space left on device")
        cases: list[tuple[Exception, type[CPIError], str]] = [
            (StillRunning("it hangs"), StillRunning, "it hangs"),
            (CloudError("no bridge"), VMCreationFailed, "no bridge"),
            (full, NoDiskSpace, "No space left"),
            (PermissionError(errno.EPERM, "not allowed"), VMCreationFailed, "not allowed"),
        ]
        for error, kind, text in cases:
            self.script.failing = {"create": error}
            with self.assertRaises(CPIError) as caught:
                await self.create_vm()
            self.assertIs(type(caught.exception), kind)
            self.assertIn(text, str(caught.exception))

    async def test_a_bug_is_an_answer(self) -> None:
        """A bug is logged, the answer tells no values, and other calls go on."""
        self.script.failing = {"start": ZeroDivisionError("a secret detail")}
        client = self.client()
        self.script.pending["create"] = Deferred()
        with self.assertRaises(InternalError) as caught:
            creating = self.create_vm()
            self.script.pending.pop("create").callback(None)
            await creating
        self.assertEqual(
            str(caught.exception),
            "internal error in create_vm; the daemon's log tells more",
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        box = await self.beside(client.call, "HasVM", vm_cid="vm-1")
        self.assertEqual(box[b"exists"], b"False")

    async def test_where_a_bug_is(self) -> None:
        """A caller can tell where a bug is, and none of the values that led to it."""
        vm_cid = (await self.create_vm())[b"vm_cid"].decode()
        self.script.failing = {"delete": ZeroDivisionError("a secret detail")}
        client = self.client()
        with self.assertRaises(InternalError):
            await self.beside(client.call, "DeleteVM", vm_cid=vm_cid)
        self.assertRegex(client.trace, "^ZeroDivisionError, raised in\n")
        self.assertRegex(client.trace, r"\n  runc_cpi/daemon/vms/vms.py:\d+ in _delete\n")
        self.assertNotIn("a secret detail", client.trace)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.script.failing.clear()

    async def test_an_error_of_any_length(self) -> None:
        """A long error is cut to what AMP can carry."""
        error = await self.refusal("RebootVM", vm_cid="\u2603" * 20_000)
        self.assertIs(type(error), VMNotFound)
        self.assertLess(len(str(error)), 5000)

    async def test_malformed_arguments(self) -> None:
        """Malformed arguments are the caller's error, and the connection stays."""
        client = self.client()
        for command, arguments in (
            ("HasVM", {}),
            ("HasVM", {"vm_cid": b"\xff\xfe"}),
            ("SetVMMetadata", {"vm_cid": "vm-1", "metadata": b"{ no"}),
            ("SetVMMetadata", {"vm_cid": "vm-1"}),
            ("WriteStemcell", {"upload": "one", "data": b""}),
            ("WriteStemcell", {"upload": 7, "data": b""}),
            ("ImportStemcell", {"image": 0, "cloud_properties": {}}),
        ):
            with self.assertRaises(InvalidArgument):
                await self.beside(client.call, command, **arguments)
        self.assertEqual(len(self.protocols), 1)

    async def test_numbers_that_json_does_not_have(self) -> None:
        """Numbers that JSON does not have reach no record and no settings file."""
        for text in (b"NaN", b'{"deep": [-Infinity]}', b'{"large": 1e999}'):
            error = await self.refusal("SetVMMetadata", vm_cid="vm-1", metadata=text)
            self.assertIs(type(error), InvalidArgument)

    async def test_tls_cannot_be_begun_midway(self) -> None:
        """AMP's own command to begin TLS is refused."""
        error = await self.refusal(amp.StartTLS.commandName.decode())
        self.assertIn("UNHANDLED", str(error))

    async def test_the_log_tells_the_request(self) -> None:
        """Each log line of a call has the call's id, also after the call has waited."""
        seen: dict[str, set[str]] = {}

        def observe(event: Any) -> None:
            if event.get("log_namespace", "").startswith("runc_cpi"):
                seen.setdefault(str(event["log_format"]), set()).add(request_id.get())

        observer = cast(ILogObserver, observe)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        await self.create_vm()
        for vm_cid, number in (("vm-1", "cpi-1"), ("vm-2", "two words"), ("vm-3", "")):
            with self.assertRaises(VMNotFound):
                client = self.client(request_id=number)
                await self.beside(client.call, "RebootVM", vm_cid=vm_cid)
        created = "created {vm_cid} at {address} from {stemcell_cid}"
        self.assertEqual(seen[created], {"cpi-123456"})
        self.assertEqual(seen["{command} refused: {text}"], {"cpi-1", ""})
        self.assertEqual(request_id.get(), "")
