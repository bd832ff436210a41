"""Callers that go away, broken uploads and passed files leave nothing."""

from __future__ import annotations

import os
import socket

from twisted.internet.defer import Deferred

from runc_cpi.errors import CPIError, StemcellRejected
from tests.contract.protocols import ProtocolTestCase, encoded, exchange, receive
from tests.fakes.stemcells import IMAGE


class CleanupTests(ProtocolTestCase):
    """What is left when a call does not end well."""

    async def test_a_caller_that_goes_away_gets_no_vm(self) -> None:
        """
        A VM whose caller went away is finished and then removed, since nobody knows its
        name.
        """
        gate = self.script.pending["start"] = Deferred()
        creating = self.create_vm()
        creating.addErrback(lambda failure: failure.trap(CPIError))
        await self.until(lambda: "start" in self.script.done)
        await self.break_off()
        del self.script.pending["start"]
        gate.callback(None)
        await self.until(lambda: self.vms.all() == [])
        await creating
        await self.until(lambda: os.listdir(self.depot.vms) == [])

    async def test_a_caller_that_goes_away_gets_no_stemcell(self) -> None:
        """A stemcell whose caller went away is removed, with all its files."""
        gate = self.script.pending["identify"] = Deferred()
        client = self.client()
        with open(os.devnull, "rb") as image:
            importing = self.beside(
                client.call_with_file,
                "ImportStemcell",
                "image",
                image.fileno(),
                cloud_properties={},
            )
            importing.addErrback(lambda failure: failure.trap(CPIError))
            await self.until(lambda: "identify" in self.script.done)
        await self.break_off()
        gate.callback(None)
        await self.until(self.only_the_first_stemcell)
        await importing

    async def test_a_caller_that_names_an_image_and_goes_away(self) -> None:
        """What was made for it is removed; the image stays for whoever has it."""
        connection = self.raw()
        await self.beside(exchange, connection, "OpenStemcell", cloud_properties=b"{}")
        named = {"upload": b"1", "digest": IMAGE.digest.encode(), "size": b"4096"}
        answer = await self.beside(
            exchange, connection, "NameStemcell", confirms=b"True", **named
        )
        self.assertIn(b"stemcell_cid", answer)
        self.assertFalse(self.only_the_first_stemcell())
        connection.close()
        await self.until(self.only_the_first_stemcell)
        self.assertTrue(self.stemcells.get(self.stemcell_cid).rootfs.is_dir())

    async def test_what_is_sent_behind_a_name(self) -> None:
        """It comes behind the end, so it is refused, and nothing stays of it."""
        outcomes: list[str] = []
        self.journal.listen(lambda event: outcomes.append(event.outcome))
        named = {"upload": b"1", "digest": IMAGE.digest.encode(), "size": b"4096"}
        for more in (
            encoded("WriteStemcell", b"2", upload=b"1", data=b"x"),
            encoded("CloseStemcell", b"2", upload=b"1"),
        ):
            connection = self.raw()
            await self.beside(exchange, connection, "OpenStemcell", cloud_properties=b"{}")
            connection.sendall(encoded("NameStemcell", confirms=b"True", **named) + more)
            answers = [await self.beside(receive, connection) for _ in range(2)]
            (refused,) = [answer for answer in answers if b"_error" in answer]
            self.assertEqual(refused[b"_error_code"], b"InvalidArgument")
            self.assertEqual(self.calls.all(), [])
            self.assertEqual(outcomes.pop(), "ok")
            self.assertEqual(os.listdir(self.depot.scratch), [])
            connection.close()
            await self.until(self.only_the_first_stemcell)

    async def test_an_upload_ends_with_its_connection(self) -> None:
        """An unfinished upload is removed when its connection ends."""
        client = self.client("tcp")
        box = await self.beside(client.call, "OpenStemcell", cloud_properties={})
        upload = int(box[b"upload"])
        await self.beside(client.call, "WriteStemcell", upload=upload, data=b"x" * 1000)
        self.assertEqual(len(os.listdir(self.depot.scratch)), 1)
        await self.hang_up()
        await self.until(self.only_the_first_stemcell)
        self.assertIn("abort", self.script.done)

    def only_the_first_stemcell(self) -> bool:
        """Say whether there is nothing but the first stemcell."""
        stemcells = [stemcell.cid for stemcell in self.stemcells.all()]
        return (
            stemcells == os.listdir(self.depot.stemcells) == [self.stemcell_cid]
            and os.listdir(self.depot.scratch) == []
        )

    async def test_a_broken_upload_keeps_telling_why(self) -> None:
        """
        Pieces that were on their way when an upload broke are refused with the same error.

        The client takes the first answer that comes. That can be the answer to one of
        these, while the first is still being cleaned up after.
        """
        connection = self.raw()
        await self.beside(exchange, connection, "OpenStemcell", cloud_properties=b"{}")
        removing = self.script.pending["remove"] = Deferred()
        self.script.failing["write"] = StemcellRejected("no tar archive")
        answers = {}
        try:
            for ask in (b"first", b"second"):
                box = encoded("WriteStemcell", ask, upload=b"1", data=b"x")
                connection.sendall(box)
                await self.until(lambda: "remove" in self.script.done)
            # Boxes are taken in order, so what comes before this one was taken as well.
            connection.sendall(encoded("HasVM", b"last", vm_cid=b"vm-1"))
            while b"last" not in answers:
                answer = await self.beside(receive, connection)
                answers[answer.get(b"_error") or answer[b"_answer"]] = answer
        finally:
            removing.callback(None)
        while len(answers) < 3:
            answer = await self.beside(receive, connection)
            answers[answer[b"_error"]] = answer
        for ask in (b"first", b"second"):
            self.assertEqual(answers[ask][b"_error_code"], b"StemcellRejected")

    async def test_no_descriptor_stays_with_a_call_that_is_refused(self) -> None:
        """A file that came with a refused call is closed."""
        before = open_descriptors()
        for cloud_properties in (b"no json", b"[]"):
            connection = self.raw()
            box = encoded("ImportStemcell", image=b"0", cloud_properties=cloud_properties)
            with open(os.devnull, "rb") as image:
                socket.send_fds(connection, [box], [image.fileno()])
            answer = await self.beside(receive, connection)
            self.assertEqual(answer[b"_error_code"], b"InvalidArgument")
            connection.close()
        await self.hang_up()
        await self.until(lambda: open_descriptors() == before)

    async def test_no_descriptor_stays_with_half_a_call(self) -> None:
        """If a caller goes away after half a call with a file, the file is closed."""
        before = open_descriptors()
        connection = self.raw()
        await self.beside(exchange, connection, "Ping")
        with open(os.devnull, "rb") as image:
            socket.send_fds(connection, [encoded("ImportStemcell")[:5]], [image.fileno()])
        connection.close()
        await self.hang_up()
        await self.until(lambda: open_descriptors() == before)


def open_descriptors() -> int:
    """Count the descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))
