"""DNS for tests: a name server that knows what it is told, and questions to others."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from socketserver import (
    BaseRequestHandler,
    BaseServer,
    StreamRequestHandler,
    ThreadingTCPServer,
    ThreadingUDPServer,
)
from threading import Thread
from typing import Any, BinaryIO, TypeVar

from twisted.names import dns

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside

T = TypeVar("T")

PORT = 53
TTL = 300  # seconds
POLL = 0.02  # seconds
PATIENCE = 20.0  # seconds
DATAGRAM = 512  # bytes


class NameServer:
    """
    A name server at an address of this host, by UDP and TCP.

    @param addresses: what it knows, by name.
    @param recursor: the address of one to ask for what it does not know.
    @param pid: of a process in whose network namespace it is, or L{None} for this one's.
    @ivar asked: the names that it was asked for, in this order, by C{udp} or C{tcp}.
    @ivar code: how it answers: 0 is well, 2 a failure of its own.
    @ivar ignored: names that it answers nothing about by UDP.
    """

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        recursor: str | None = None,
        pid: int | None = None,
    ) -> None:
        self.addresses, self.code = dict(addresses), 0
        self._recursor, self._pid = recursor, pid
        self.ignored: Collection[str] = ()
        self.asked: list[tuple[str, str]] = []

    @contextmanager
    def serving(self, address: str, *, tcp: bool = True) -> Iterator[NameServer]:
        """Answer until the end, by UDP and perhaps by TCP."""
        kinds = [(_UDP, _Datagram), (_TCP, _Connection)]
        servers = [
            made_in(self._pid, partial(kind, (address, PORT), handler))
            for kind, handler in (kinds if tcp else kinds[:1])
        ]
        threads = [Thread(target=server.serve_forever, args=(POLL,)) for server in servers]
        for server, thread in zip(servers, threads, strict=True):
            server.knows = self
            thread.start()
        try:
            yield self
        finally:
            for server, thread in zip(servers, threads, strict=True):
                server.shutdown()
                server.server_close()
                thread.join()

    def answer(self, query: bytes, way: str, most: int) -> bytes:
        """Answer a query; what is longer than C{most} bytes is truncated."""
        message = dns.Message()
        message.fromStr(query)
        (question,) = message.queries
        name = question.name.name.decode().lower()
        self.asked.append((name, way))
        message.answer, message.recAv, message.additional = 1, 1, []
        known = self.addresses.get(name)
        if known is None and self._recursor is not None:
            return exchange(self._recursor, query, pid=self._pid)
        message.rCode = self.code or (dns.ENAME if known is None else dns.OK)
        if known and not self.code and question.type == dns.A:
            message.answers = [
                dns.RRHeader(name, dns.A, ttl=TTL, payload=dns.Record_A(address, TTL))
                for address in known
            ]
        elif not self.code:
            soa = dns.Record_SOA("ns.example", "root.example", 1, 1, 1, 1, TTL, TTL)
            message.authority = [dns.RRHeader("example", dns.SOA, ttl=TTL, payload=soa)]
        encoded: bytes = message.toStr()
        if len(encoded) > most:
            message.trunc, message.answers = 1, []
            encoded = message.toStr()
        return encoded


class _Knowing(BaseServer):
    knows: NameServer


class _UDP(_Knowing, ThreadingUDPServer):
    daemon_threads = True


class _TCP(_Knowing, ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


class _Datagram(BaseRequestHandler):
    server: _UDP

    def handle(self) -> None:
        query, udp = self.request
        server = self.server.knows
        answer = server.answer(query, "udp", DATAGRAM)
        if decoded(query).queries[0].name.name.decode().lower() not in server.ignored:
            udp.sendto(answer, self.client_address)


class _Connection(StreamRequestHandler):
    server: _TCP

    def handle(self) -> None:
        with suppress(ConnectionError):
            while prefix := self.rfile.read(2):
                query = self.rfile.read(*struct.unpack("!H", prefix))
                answer = self.server.knows.answer(query, "tcp", 65535)
                self.wfile.write(struct.pack("!H", len(answer)) + answer)


def query_of(name: str, kind: int = dns.A) -> bytes:
    """Return a query."""
    message = dns.Message(id=secrets.randbelow(1 << 16), recDes=1)
    message.addQuery(name.encode(), kind)
    encoded: bytes = message.toStr()
    return encoded


def decoded(answer: bytes) -> Any:
    """Return an answer as a C{dns.Message}."""
    message = dns.Message()
    message.fromStr(answer)
    return message


def addresses_in(answer: Any) -> list[str]:
    """Return the addresses that an answer has."""
    return [rec.payload.dottedQuad() for rec in answer.answers if rec.type == dns.A]


def made_in(pid: int | None, make: Callable[[], T]) -> T:
    """
    Have something made, such as a socket, in the network namespace of a process.

    @param pid: L{None} for this one's.
    """
    if pid is None:
        return make()
    there = pid

    def enter_and_make() -> T:
        with inside(there, CLONE_NEWNET):
            return make()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter_and_make).result()


def socket_of(
    pid: int | None, kind: socket.SocketKind, server: str = "0.0.0.0"
) -> socket.socket:
    """Make a socket for a server in the network namespace of a process."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    made = made_in(pid, partial(socket.socket, family, kind))
    made.settimeout(PATIENCE)
    return made


def ask(
    server: str,
    name: str,
    *,
    pid: int | None = None,
    kind: int = dns.A,
    tcp: bool = False,
    patience: float = PATIENCE,
) -> Any:
    """
    Ask a name server once.

    @param pid: of a process in whose network namespace this is done.
    @return: the answer.
    @raise OSError: if there is none.
    """
    query = query_of(name, kind)
    answer = exchange(server, query, pid=pid, tcp=tcp, patience=patience)
    assert answer[:2] == query[:2]
    return decoded(answer)


def exchange(
    server: str,
    query: bytes,
    *,
    pid: int | None = None,
    tcp: bool = False,
    patience: float = PATIENCE,
) -> bytes:
    """
    Send a query to a name server, and return the answer.

    @raise OSError: if there is none.
    """
    how = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with closing(socket_of(pid, how, server)) as asking:
        asking.settimeout(patience)
        asking.connect((server, PORT))
        if not tcp:
            asking.send(query)
            return asking.recv(65535)
        asking.sendall(struct.pack("!H", len(query)) + query)
        with asking.makefile("rb") as stream:
            return read_answer(stream)


def read_answer(stream: BinaryIO) -> bytes:
    """Read one answer of those that come by TCP."""
    prefix = stream.read(2)
    if not prefix:
        raise ConnectionResetError("the server ended the connection")
    (length,) = struct.unpack("!H", prefix)
    answer = stream.read(length)
    assert len(answer) == length
    return answer
