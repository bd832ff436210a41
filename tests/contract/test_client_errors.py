"""Errors on their way from a responder to the caller keep their class and their text."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.protocols import amp

from runc_cpi import errors
from tests.contract.peers import Recorder, ServedTestCase


class ErrorsTests(ServedTestCase):
    """Responders that fail, in AMP without the daemon's own handling of errors."""

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
        """Each declared error arrives as its class, with its text."""
        text = "what happened: 'x' \u2603\nand more"
        for kind in errors.ALL:
            self.answers["HasVM"] = kind(text)
            error = await self.error_of()
            self.assertIs(type(error), kind)
            # Of a fault of the daemon, all but the first line is for the log.
            kept = text.splitlines()[0] if kind is errors.InternalError else text
            self.assertEqual(str(error), kept)

    async def test_an_error_without_a_text(self) -> None:
        """An error without a text keeps its class."""
        self.answers["HasVM"] = errors.VMNotFound("")
        error = await self.error_of()
        self.assertIs(type(error), errors.VMNotFound)
        self.assertEqual(str(error), "")

    async def test_the_connection_survives_a_declared_error(self) -> None:
        """After a declared error the next call on the connection is answered."""
        client = self.client()
        self.answers["HasVM"] = errors.StillRunning("x")
        with self.assertRaises(errors.StillRunning):
            await self.beside(client.call, "HasVM", vm_cid="vm-1")
        self.answers["HasVM"] = {"exists": True}
        box = await self.beside(client.call, "HasVM", vm_cid="vm-1")
        self.assertEqual(box[b"exists"], b"True")

    async def test_an_undeclared_error(self) -> None:
        """An undeclared error is the host's, with its code, and never a missing method."""
        self.answers["HasVM"] = ZeroDivisionError("a secret detail")
        error = await self.error_of()
        self.assertIs(type(error), errors.CloudError)
        self.assertIn("UNKNOWN", str(error))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_an_unknown_command(self) -> None:
        """
        A command that an older daemon does not know is not taken for a missing method.
        """
        error = await self.error_of(command="Frobnicate")
        self.assertIs(type(error), errors.CloudError)
        self.assertRegex(str(error), "UNHANDLED.*Frobnicate")

    async def test_an_unknown_error_code(self) -> None:
        """An unknown error code of a newer daemon is told with its text."""
        refusal = amp.RemoteAmpError(b"QuotaExceeded", "too much", fatal=False)
        self.patch(amp.AMP, "dispatchCommand", lambda protocol, box: fail(refusal))
        error = await self.error_of()
        self.assertIs(type(error), errors.CloudError)
        self.assertRegex(str(error), "QuotaExceeded.*too much")

    async def test_a_streams_error_is_the_first(self) -> None:
        """If a stream fails, the first error is told, not those that follow from it."""
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
