"""Whom the gateways do not answer, or no more: strangers, and who asks too much."""

from __future__ import annotations

import socket
import struct
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from runc_cpi.daemon.host.dns import name_service, trust
from runc_cpi.daemon.host.dns.name_service import NameService
from tests.functional.gateway import (
    A_MOMENT,
    BRIDGE,
    FIRST,
    GATEWAY,
    OTHER,
    OTHER_BRIDGE,
    OTHER_GATEWAY,
    SUBNET,
    NameServiceCase,
)
from tests.harness.names import (
    addresses_in,
    ask,
    decoded,
    query_of,
    read_answer,
    socket_of,
)


class StrangerTests(NameServiceCase):
    """Who is not answered."""

    async def assert_silence(self, **how: Any) -> None:
        """Check that a question is not answered."""
        for tcp in (False, True):
            asking = self.ask("host.internal", tcp=tcp, patience=A_MOMENT, **how)
            with self.assertRaises(OSError):
                await asking

    async def test_by_another_interface(self) -> None:
        """
        Who comes by another interface is not answered, though it knows the way; nor is
        anybody whose address it uses.
        """
        stranger = self.make_network(OTHER, "10.97.0.2")
        await self.assert_silence(pid=stranger)
        self.filter_no_sources(OTHER_BRIDGE)
        own = ["ip", "address", "add", "10.98.0.2/32", "dev", "eth0"]
        subprocess.run(["nsenter", f"--target={stranger}", "--net", *own], check=True)
        with ExitStack() as stack:
            forging, surprised = (
                stack.enter_context(closing(socket_of(pid, socket.SOCK_DGRAM)))
                for pid in (stranger, self.vm)
            )
            for udp in (forging, surprised):
                udp.bind(("10.98.0.2", 5353))
            forging.sendto(query_of("host.internal"), (GATEWAY, 53))
            surprised.settimeout(A_MOMENT)
            with self.assertRaises(TimeoutError):
                await deferToThread(surprised.recv, 512)
        # Its own gateway answers it, once it is served.
        await self.names.serve([SUBNET, OTHER])
        answer = await deferToThread(ask, OTHER_GATEWAY, "host.internal", pid=stranger)
        self.assertEqual(addresses_in(answer), [OTHER_GATEWAY])

    def filter_no_sources(self, interface: str) -> None:
        """Have the kernel take whatever comes by an interface (ip-sysctl, rp_filter)."""
        of_all, own = (
            Path("/proc/sys/net/ipv4/conf", name, "rp_filter")
            for name in ("all", interface)
        )
        self.addCleanup(of_all.write_text, of_all.read_text())
        for knob in (of_all, own):
            knob.write_text("0")

    async def test_an_address_of_others(self) -> None:
        """Who is on the bridge, and has an address of elsewhere, is not answered."""
        with IPRoute() as ip:
            (bridge,) = ip.link_lookup(ifname=BRIDGE)
            ip.route("add", dst="192.0.2.0/24", oif=bridge)
        script = """
            ip address flush dev eth0; ip address add 192.0.2.7/24 dev eth0
            ip route add default via 10.98.0.1 onlink dev eth0"""
        enter = ["nsenter", f"--target={self.vm}", "--net", "sh", "-ec", script]
        subprocess.run(enter, check=True)
        await self.assert_silence()

    async def test_a_flood(self) -> None:
        """
        Who waits for too many answers gets no more of those, but what is known here; the
        questions of others are passed on.
        """
        self.patch(trust, "PATIENCE", 3600.0)
        self.tell_servers(FIRST)
        silent = self.silent_server()
        clients = [socket_of(client, socket.SOCK_DGRAM) for client in (self.vm, None)]
        for client in clients:
            self.addCleanup(client.close)
            client.connect((GATEWAY, 53))
        for number in range(2 * name_service.MOST_QUERIES_OF_ONE):
            clients[0].send(query_of(f"{number}.example"))
        answer = await self.ask("host.internal")
        self.assertEqual(addresses_in(answer), [GATEWAY])
        clients[1].send(query_of("other.example"))
        passed_on = []
        while "other.example" not in passed_on:
            query = decoded(await deferToThread(silent.recv, 512))
            passed_on.append(query.queries[0].name.name.decode())
        self.assertEqual(len(passed_on), name_service.MOST_QUERIES_OF_ONE + 1)

    async def test_many_connections(self) -> None:
        """Who has too many connections gets no more; others do."""
        with ExitStack() as stack:
            for _ in range(name_service.MOST_CONNECTIONS_OF_ONE):
                connection = socket_of(self.vm, socket.SOCK_STREAM)
                stack.enter_context(connection)
                await deferToThread(connection.connect, (GATEWAY, 53))
            with self.assertRaises(OSError):
                await self.ask("host.internal", tcp=True)
            answer = await self.ask("host.internal", tcp=True, pid=None)
            self.assertEqual(addresses_in(answer), [GATEWAY])
            # Other addresses of the same client are no others.
            await self.names.serve([SUBNET], lambda _: "10.98.0.2")
            with self.assertRaises(OSError):
                await self.ask("host.internal", tcp=True, pid=None)

    async def test_one_who_has_all_places(self) -> None:
        """Who has all places loses the oldest to another, with queries and connections."""
        await self.names.serve([])
        self.patch(name_service, "MOST_QUERIES", 3)
        self.patch(name_service, "MOST_CONNECTIONS", 3)
        self.patch(trust, "PATIENCE", 3600.0)
        self.tell_servers(FIRST)
        silent = self.silent_server()
        names = NameService(reactor, enabled=True, resolv_conf=str(self.resolv_conf))
        self.addCleanup(names.stop)
        await names.serve([SUBNET])
        with ExitStack() as stack:
            connections, clients = (
                [
                    stack.enter_context(closing(socket_of(pid, kind)))
                    for pid in (self.vm, self.vm, self.vm, None)
                ]
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
            )
            for number, client in enumerate(clients):
                client.connect((GATEWAY, 53))
                client.send(query_of(f"{number}.example"))
                query = decoded(await deferToThread(silent.recv, 512))
                self.assertEqual(query.queries[0].name.name.decode(), f"{number}.example")
            for connection in connections:
                await deferToThread(connection.connect, (GATEWAY, 53))
            with self.assertRaises(ConnectionResetError):
                await deferToThread(connections[0].recv, 1)
            query = query_of("host.internal")
            connections[3].sendall(struct.pack("!H", len(query)) + query)
            with connections[3].makefile("rb") as stream:
                answer = decoded(await deferToThread(read_answer, stream))
            self.assertEqual(addresses_in(answer), [GATEWAY])
