"""Which name servers of the host the gateways ask, and for how long."""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.names import dns

from runc_cpi.daemon.host.dns import trust, upstream
from tests.functional.gateway import (
    A_MOMENT,
    FIRST,
    GATEWAY,
    KNOWN,
    SECOND,
    NameServiceCase,
)
from tests.harness.names import (
    NameServer,
    addresses_in,
)
from tests.harness.waiting import eventually


class ServerTests(NameServiceCase):
    """Which servers are asked."""

    async def test_an_answer_is_kept(self) -> None:
        """The server is asked once for what a name is."""
        server = self.name_server()
        for _ in range(3):
            self.assertEqual(addresses_in(await self.ask("one.example")), ["192.0.2.1"])
        self.assertEqual(server.asked, [("one.example", "udp")])

    async def test_resolv_conf_is_followed(self) -> None:
        """Once the host has other servers, these are asked, and nothing is remembered."""
        self.name_server(FIRST)
        self.name_server(SECOND, {"one.example": ["192.0.2.99"]})
        self.assertEqual(addresses_in(await self.ask("one.example")), ["192.0.2.1"])
        self.tell_servers(SECOND)
        self.assertEqual(addresses_in(await self.ask("one.example")), ["192.0.2.99"])

    async def test_a_server_that_is_not_there(self) -> None:
        """If nothing listens at the first server, the second one is asked at once."""
        self.patch(trust, "PATIENCE", 3600.0)
        self.name_server(SECOND)
        self.assertEqual(addresses_in(await self.ask("one.example")), ["192.0.2.1"])

    async def test_a_silent_server(self) -> None:
        """Where a server does not answer, the next one does."""
        self.patch(trust, "PATIENCE", A_MOMENT)
        self.name_server(SECOND)
        silent = self.silent_server()
        self.assertEqual(addresses_in(await self.ask("one.example")), ["192.0.2.1"])
        self.assertTrue(silent.recv(512, socket.MSG_DONTWAIT))
        # From then on it has less time.
        self.patch(trust, "PATIENCE", 3600.0)
        self.patch(trust, "PATIENCE_OF_DISTRUST", 0.0)
        self.assertEqual((await self.ask("none.example")).rCode, dns.ENAME)

    async def test_a_name_whose_servers_are_silent(self) -> None:
        """A server without an answer to one question is still the first for others."""
        self.patch(trust, "PATIENCE_OF_DISTRUST", 0.0)
        first = self.name_server(FIRST)
        first.ignored = {"silent.example"}
        second = self.name_server(SECOND, {})
        silent = Deferred.fromCoroutine(self.ask("silent.example"))
        # What it answers after that shows that it is there.
        await deferToThread(eventually, lambda: bool(first.asked), "the server is asked")
        self.assertEqual((await self.ask("one.example")).rCode, dns.OK)
        self.assertEqual((await silent).rCode, dns.ENAME)
        self.assertEqual((await self.ask("many.example")).rCode, dns.OK)
        self.assertEqual(second.asked, [("silent.example", "udp")])

    async def test_a_late_answer(self) -> None:
        """A server may answer while others are asked, and when all were asked again."""
        self.patch(trust, "PATIENCE", 0.01)
        self.patch(upstream, "PATIENCE_IN_ALL", 3600.0)
        first, second = (self.silent_server(address) for address in (FIRST, SECOND))
        asking = Deferred.fromCoroutine(self.ask("one.example"))
        query, client = await deferToThread(first.recvfrom, 512)
        for _ in range(2):
            await deferToThread(second.recv, 512)
        first.sendto(NameServer(KNOWN).answer(query, "udp", 512), client)
        self.assertEqual(addresses_in(await asking), ["192.0.2.1"])

    async def test_a_datagram_that_is_lost(self) -> None:
        """The only server is asked again, and then given up."""
        self.patch(trust, "PATIENCE", 0.01)
        self.patch(upstream, "PATIENCE_IN_ALL", 0.1)
        self.patch(upstream, "PATIENCE_AT_LAST", 0.1)
        self.tell_servers(FIRST)
        only = self.silent_server()
        self.assertEqual((await self.ask("one.example")).rCode, dns.ESERVER)
        first, again = (only.recv(512, socket.MSG_DONTWAIT) for _ in range(2))
        self.assertEqual(first, again)
        only.setblocking(False)
        self.assertRaises(BlockingIOError, only.recv, 512)

    async def test_a_server_that_fails(self) -> None:
        """If the first server cannot tell, the second one is asked."""
        self.name_server(FIRST).code = dns.ESERVER
        second = self.name_server(SECOND)
        self.assertEqual(addresses_in(await self.ask("one.example")), ["192.0.2.1"])
        second.code = dns.EREFUSED
        self.assertEqual((await self.ask("many.example")).rCode, dns.EREFUSED)

    async def test_no_server(self) -> None:
        """
        Without a server there is an answer at once: that there can be none.  The gateway is
        no server for itself.
        """
        self.patch(trust, "PATIENCE", 3600.0)
        for servers in ((), (GATEWAY,)):
            self.tell_servers(*servers)
            self.assertEqual((await self.ask("one.example")).rCode, dns.ESERVER)
        self.resolv_conf.unlink()
        self.assertEqual((await self.ask("one.example")).rCode, dns.ESERVER)

    async def test_the_same_question_of_many(self) -> None:
        """Who asks what is asked already waits for the same answer."""
        server = self.name_server()
        asking = [Deferred.fromCoroutine(self.ask("one.example")) for _ in range(9)]
        for answer in await gatherResults(asking):
            self.assertEqual(addresses_in(answer), ["192.0.2.1"])
        self.assertEqual(server.asked, [("one.example", "udp")])
