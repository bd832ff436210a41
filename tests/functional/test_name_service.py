"""The gateways' answers to DNS queries, from a namespace like a VM's and from elsewhere."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from contextlib import ExitStack, closing
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyroute2 import IPRoute
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.names import dns
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.host.dns import messages, name_service, trust, upstream
from runc_cpi.daemon.host.dns.name_service import NameService
from runc_cpi.daemon.host.network import links
from runc_cpi.daemon.host.network.bridges import Bridges
from runc_cpi.daemon.networks.model import Subnet
from tests.harness.names import (
    NameServer,
    addresses_in,
    ask,
    decoded,
    query_of,
    read_answer,
    socket_of,
)

BRIDGE, GATEWAY = "dnsbr", "10.98.0.1"
SUBNET = Subnet(
    cidr=IPv4Network("10.98.0.0/24"), gateway=IPv4Address(GATEWAY), bridge=BRIDGE, dns=()
)
OTHER_BRIDGE, OTHER_GATEWAY = "dnsbr2", "10.97.0.1"
OTHER = Subnet(
    cidr=IPv4Network("10.97.0.0/24"),
    gateway=IPv4Address(OTHER_GATEWAY),
    bridge=OTHER_BRIDGE,
    dns=(),
)
# Addresses of loopback, at which each test has name servers of its own.
FIRST, SECOND = "127.0.0.3", "127.0.0.4"
MANY = [f"192.0.2.{number}" for number in range(200)]
KNOWN = {"one.example": ["192.0.2.1"], "many.example": MANY}
A_MOMENT = 1.0  # seconds


def remove_link(name: str) -> None:
    """Remove an interface, unless it is gone."""
    links.remove(name)


class NameServiceCase(TestCase):
    """
    A gateway that answers, and a process that has an interface in its subnet.

    @ivar vm: the process.
    """

    timeout = 90  # seconds

    async def setUp(self) -> None:
        self.resources = ExitStack()
        self.addCleanup(self.resources.close)
        self.vm = self.make_network(SUBNET, "10.98.0.2")
        directory = self.resources.enter_context(TemporaryDirectory(prefix="cpi"))
        self.resolv_conf = Path(directory, "resolv.conf")
        self.tell_servers(FIRST, SECOND)
        self.names = NameService(reactor, enabled=True, resolv_conf=str(self.resolv_conf))
        self.addCleanup(self.names.stop)
        await self.names.serve([SUBNET])

    def make_network(self, subnet: Subnet, address: str) -> int:
        """Make the bridge of a subnet, and return a process that has an address on it."""
        bridge = subnet.bridge
        Bridges("test of names", configured=()).ensure(subnet.bridge, [subnet])
        self.addCleanup(remove_link, bridge)
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep 1000000"],
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
        with IPRoute() as ip:
            peer = {"ifname": "eth0", "net_ns_pid": process.pid}
            ip.link("add", ifname=f"{bridge}v", kind="veth", peer=peer)
            (end,), (master,) = (
                ip.link_lookup(ifname=name) for name in (f"{bridge}v", bridge)
            )
            ip.link("set", index=end, master=master, state="up")
        script = f"""
            ip address add {address}/{subnet.cidr.prefixlen} dev eth0
            ip link set eth0 up; ip link set lo up
            ip route add default via {subnet.gateway}"""
        enter = ["nsenter", f"--target={process.pid}", "--net", "sh", "-ec", script]
        subprocess.run(enter, check=True)
        return process.pid

    def tell_servers(self, *servers: str) -> None:
        """Have the host's resolv.conf replaced."""
        new = self.resolv_conf.with_suffix(".new")
        new.write_text("".join(f"nameserver {server}\n" for server in servers))
        new.rename(self.resolv_conf)

    def name_server(
        self, address: str = FIRST, known: Any = None, *, tcp: bool = True
    ) -> NameServer:
        """Run a name server of the host's."""
        server = NameServer(KNOWN if known is None else known)
        return self.resources.enter_context(server.serving(address, tcp=tcp))

    def silent_server(self, address: str = FIRST) -> socket.socket:
        """Return a name server that reads questions for the test, and answers none."""
        silent = socket_of(None, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind((address, 53))
        return silent

    async def ask(self, name: str, **how: Any) -> Any:
        """Ask the gateway, as a VM unless it is told otherwise."""
        how.setdefault("pid", self.vm)
        return await deferToThread(partial(ask, GATEWAY, name, **how))


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
        names = ("silent.example", "one.example")
        asking = [Deferred.fromCoroutine(self.ask(name)) for name in names]
        codes = [answer.rCode for answer in await gatherResults(asking)]
        self.assertEqual(codes, [dns.ENAME, dns.OK])
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
