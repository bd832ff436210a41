"""Errors on their way from a responder to the caller: none loses its class or its text."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.protocols import amp

from runc_cpi import errors
from tests.contract.peers import Recorder, ServedTestCase


class ErrorsTests(ServedTestCase):
    """Responders that fail, in the daemon's framework without the daemon's care."""

    def setUp(self) -> None:
        super().setUp()
        self.answers: dict[str, Any] = {}

    def protocol(self) -> amp.AMP:
        """Answer as told."""
        return Recorder([], self.answers)

    async def error_of(self, **call: Any) -> errors.CPIError:
        """Return the error that a call ends with."""
        arguments = {"command": "HasVM", "vm_cid": "vm-1", **call}
        client = self.client()
        with self.assertRaises(errors.CPIError) as caught:
            await self.beside(client.call, **arguments)
        return caught.exception

    async def test_every_declared_error(self) -> None:
        """It is rebuilt as its class, with its text."""
        text = "what happened: 'x' \u2603\nand more"
        for kind in errors.ALL:
            self.answers["HasVM"] = kind(text)
            error = await self.error_of()
            self.assertIs(type(error), kind)
            self.assertEqual(str(error), text)

    async def test_an_error_without_a_text(self) -> None:
        """It stays what it is."""
        self.answers["HasVM"] = errors.VMNotFound("")
        error = await self.error_of()
        self.assertIs(type(error), errors.VMNotFound)
        self.assertEqual(str(error), "")

    async def test_the_connection_survives_a_declared_error(self) -> None:
        """The next call on it is answered."""
        client = self.client()
        self.answers["HasVM"] = errors.StillRunning("x")
        with self.assertRaises(errors.StillRunning):
            await self.beside(client.call, "HasVM", vm_cid="vm-1")
        self.answers["HasVM"] = {"exists": True}
        box = await self.beside(client.call, "HasVM", vm_cid="vm-1")
        self.assertEqual(box[b"exists"], b"True")

    async def test_an_undeclared_error(self) -> None:
        """It is the host's, with the code that came, and never a missing method."""
        self.answers["HasVM"] = ZeroDivisionError("a secret detail")
        error = await self.error_of()
        self.assertIs(type(error), errors.CloudError)
        self.assertIn("UNKNOWN", str(error))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_an_unknown_command(self) -> None:
        """An older daemon does not make a method of the contract missing."""
        error = await self.error_of(command="Frobnicate")
        self.assertIs(type(error), errors.CloudError)
        self.assertRegex(str(error), "UNHANDLED.*Frobnicate")

    async def test_an_unknown_error_code(self) -> None:
        """A newer daemon's error is told with its code and its text."""
        refusal = amp.RemoteAmpError(b"QuotaExceeded", "too much", fatal=False)
        self.patch(amp.AMP, "dispatchCommand", lambda protocol, box: fail(refusal))
        error = await self.error_of()
        self.assertIs(type(error), errors.CloudError)
        self.assertRegex(str(error), "QuotaExceeded.*too much")

    async def test_a_streams_error_is_the_first(self) -> None:
        """What is wrong with the image is told, not what follows from it."""
        count = 0

        def refuse(upload: int, data: bytes) -> dict[str, Any]:
            nonlocal count
            count += 1
            if count == 3:
                raise errors.StemcellRejected("no tar archive")
            if count > 3:
                raise errors.InvalidArgument("there is no upload 1")
            return {}

        self.answers["WriteStemcell"] = refuse
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(bytes(1 << 20))
        client = self.client("tcp")
        with open(path, "rb") as source, self.assertRaises(errors.StemcellRejected):
            await self.beside(client.send_stream, "WriteStemcell", source, upload=1)
