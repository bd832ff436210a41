"""The gateways' answers to DNS queries, and where there are any."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import closing
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.names import dns

from runc_cpi.daemon.host.dns import messages
from runc_cpi.daemon.host.dns.name_service import NameService
from tests.functional.gateway import (
    A_MOMENT,
    GATEWAY,
    MANY,
    OTHER,
    OTHER_BRIDGE,
    OTHER_GATEWAY,
    SUBNET,
    NameServiceCase,
    remove_link,
)
from tests.harness.names import (
    addresses_in,
    ask,
    decoded,
    query_of,
    read_answer,
    socket_of,
)


class AnswerTests(NameServiceCase):
    """What a VM is answered."""

    async def test_by_datagram_and_by_connection(self) -> None:
        """A name is answered by UDP and TCP, with the flags of the server's answer."""
        self.name_server()
        for tcp in (False, True):
            answer = await self.ask("one.example", tcp=tcp)
            self.assertEqual(addresses_in(answer), ["192.0.2.1"])
            self.assertEqual((answer.rCode, answer.recAv), (dns.OK, 1))

    async def test_what_is_not_there(self) -> None:
        """A name that there is not is one for VMs as well."""
        self.name_server()
        self.assertEqual((await self.ask("none.example")).rCode, dns.ENAME)
        answer = await self.ask("one.example", kind=dns.AAAA)
        self.assertEqual((answer.rCode, answer.answers), (dns.OK, []))

    async def test_long_answers(self) -> None:
        """What is too long for a datagram says so, and comes whole by TCP."""
        server = self.name_server()
        answer = await self.ask("many.example")
        self.assertEqual((answer.trunc, answer.answers), (1, []))
        answer = await self.ask("many.example", tcp=True)
        self.assertEqual(addresses_in(answer), MANY)
        # It was fetched by TCP for the first question already.
        self.assertEqual(server.asked, [("many.example", "udp"), ("many.example", "tcp")])

    async def test_long_answers_of_a_server_without_tcp(self) -> None:
        """What cannot be had whole is answered as the server did, by TCP as well."""
        self.name_server(tcp=False)
        for tcp in (False, True):
            answer = await self.ask("many.example", tcp=tcp)
            self.assertEqual((answer.trunc, answer.answers), (1, []))

    async def test_the_host(self) -> None:
        """C{host.internal} is the gateway; no server is asked."""
        server = self.name_server()
        for tcp in (False, True):
            answer = await self.ask("Host.Internal", tcp=tcp)
            self.assertEqual(addresses_in(answer), [GATEWAY])
        answer = await self.ask("host.internal", kind=dns.AAAA)
        self.assertEqual((answer.rCode, answer.answers), (dns.OK, []))
        self.assertEqual(server.asked, [])

    async def test_many_questions_on_one_connection(self) -> None:
        """Questions that are sent at once are answered in their order."""
        self.name_server()
        queries = [query_of(name) for name in ("one.example", "host.internal") * 8]

        def converse() -> list[bytes]:
            with closing(socket_of(self.vm, socket.SOCK_STREAM)) as connection:
                connection.connect((GATEWAY, 53))
                connection.sendall(
                    b"".join(struct.pack("!H", len(query)) + query for query in queries)
                )
                with connection.makefile("rb") as stream:
                    return [read_answer(stream) for _ in queries]

        answers = await deferToThread(converse)
        self.assertEqual([a[:2] for a in answers], [q[:2] for q in queries])
        found = [addresses_in(decoded(answer)) for answer in answers]
        self.assertEqual(found, [["192.0.2.1"], [GATEWAY]] * 8)

    async def test_a_program_of_the_host(self) -> None:
        """The host itself may ask, too."""
        self.name_server()
        answer = await self.ask("one.example", pid=None)
        self.assertEqual(addresses_in(answer), ["192.0.2.1"])


class PlaceTests(NameServiceCase):
    """Where there are answers."""

    async def test_a_port_that_is_taken(self) -> None:
        """Who has the port is named once; when it is free again, the gateway answers."""
        await self.names.serve([])
        with capturedLogs() as logs:
            with closing(socket_of(None, socket.SOCK_DGRAM)) as taken:
                taken.bind(("0.0.0.0", 53))
                await self.names.serve([SUBNET])
                await self.names.retry()
                self.assertNotIn(GATEWAY, self.names.name_servers(SUBNET))
            await self.names.retry()
        (warning, note) = [event for event in logs if event.get("gateway") == GATEWAY]
        comm = Path("/proc/self/comm").read_text().strip()
        self.assertEqual(
            warning["reason"], f"port 53 is taken by {comm} (pid {os.getpid()})"
        )
        self.assertEqual(note["log_level"].name, "info")
        self.assertEqual(addresses_in(await self.ask("host.internal")), [GATEWAY])

    async def test_a_bridge_that_is_made_anew(self) -> None:
        """A bridge that was deleted and made again has answers after C{retry}."""
        await self.names.serve([OTHER])
        self.assertNotIn(OTHER_GATEWAY, self.names.name_servers(OTHER))
        self.make_network(OTHER, "10.97.0.2")
        await self.names.retry()
        for name in (OTHER_BRIDGE, f"{OTHER_BRIDGE}v"):
            remove_link(name)
        self.assertNotIn(OTHER_GATEWAY, self.names.name_servers(OTHER))
        vm = self.make_network(OTHER, "10.97.0.2")
        await self.names.retry()
        answer = await deferToThread(ask, OTHER_GATEWAY, "host.internal", pid=vm)
        self.assertEqual(addresses_in(answer), [OTHER_GATEWAY])

    async def test_no_answers_after_the_end(self) -> None:
        """Where it stops to answer, connections end, and the port is free."""
        with closing(socket_of(self.vm, socket.SOCK_STREAM)) as connection:
            await deferToThread(connection.connect, (GATEWAY, 53))
            self.assertEqual(addresses_in(await self.ask("host.internal")), [GATEWAY])
            await self.names.serve([])
            with self.assertRaises(ConnectionResetError):
                await deferToThread(connection.recv, 1)
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with closing(socket.socket(socket.AF_INET, kind)) as free:
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free.bind((GATEWAY, messages.PORT))

    async def test_switched_off(self) -> None:
        """With C{dns_server: false} there are no answers, and other name servers."""
        await self.names.serve([])
        silent = NameService(reactor, enabled=False, resolv_conf=str(self.resolv_conf))
        await silent.serve([SUBNET])
        self.assertNotIn(GATEWAY, silent.name_servers(SUBNET))
        with self.assertRaises(OSError):
            await self.ask("host.internal", patience=A_MOMENT)
