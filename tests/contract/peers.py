"""What the client can meet at the other end: the daemon's commands, or something odd."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import ServerFactory
from twisted.internet.threads import deferToThread
from twisted.protocols import amp
from twisted.trial.unittest import TestCase

from runc_cpi.cpi.client import Client
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.daemon.rpc import commands

PATIENCE = 10.0

COMMANDS: dict[str, type[amp.Command]] = {
    command.__name__: command for command in commands.Command.__subclasses__()
}


def cpi_config(
    address: str, network_type: str = "unix", connect_timeout: float = 0
) -> CPIConfig:
    """Return a configuration without TLS that makes no second try."""
    return CPIConfig(
        network_type=network_type,
        address=address,
        tls=None,
        connect_timeout=connect_timeout,
        agent={},
    )


def _recording(command: type[amp.Command]) -> Callable[..., Any]:
    """Make a responder that notes the arguments and answers as told."""

    def respond(protocol: Recorder, **arguments: Any) -> Any:
        protocol.received.append((command.__name__, arguments))
        answer = protocol.answers.get(command.__name__, {})
        if callable(answer):
            return answer(**arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return respond


class Recorder(amp.AMP):
    """
    Answers every command of the daemon's vocabulary, as the daemon's framework reads it.

    @ivar received: the commands, with their arguments as a responder gets them.
    @ivar answers: what to answer by command: an answer, an error or a function.
    """

    for _command in COMMANDS.values():
        _command.responder(_recording(_command))
    del _command

    def __init__(self, received: list[Any], answers: dict[str, Any]) -> None:
        super().__init__()
        self.received, self.answers = received, answers


class ServedTestCase(TestCase):
    """
    A test that serves a protocol, on a unix socket and on TCP.

    The client blocks, so it runs in a thread beside the reactor.
    """

    timeout = 30

    def setUp(self) -> None:
        # A socket's path must be short.
        directory = tempfile.mkdtemp(prefix="cpi-")
        self.addCleanup(shutil.rmtree, directory)
        self.path = f"{directory}/socket"
        factory: Any = ServerFactory()
        factory.noisy, factory.buildProtocol = False, self._build
        self.ports = [
            reactor.listenUNIX(self.path, factory, wantPID=False),  # type: ignore[attr-defined]
            reactor.listenTCP(0, factory, interface="127.0.0.1"),
        ]
        for port in self.ports:
            self.addCleanup(maybeDeferred, port.stopListening)
        self.clients: list[Client] = []
        self.protocols: list[amp.AMP] = []
        self.lost: list[Deferred[None]] = []
        self.addCleanup(self.hang_up)

    def protocol(self) -> amp.AMP:
        """Make the protocol of a connection."""
        raise NotImplementedError

    def _build(self, address: IPv4Address | UNIXAddress | None) -> amp.AMP:
        protocol = self.protocol()
        lost: Deferred[None] = Deferred()
        original = protocol.connectionLost

        def connectionLost(reason: Any) -> None:
            original(reason)
            lost.callback(None)

        protocol.connectionLost = connectionLost  # type: ignore[method-assign]
        self.protocols.append(protocol)
        self.lost.append(lost)
        return protocol

    async def hang_up(self) -> None:
        """Close all clients, and wait until the server noticed."""
        while self.clients:
            self.clients.pop().close()
        for lost in self.lost:
            await lost

    def config(self, network_type: str = "unix") -> CPIConfig:
        """Return a configuration that points to this server."""
        address = self.path
        if network_type == "tcp":
            address = f"127.0.0.1:{self.ports[1].getHost().port}"
        return cpi_config(address, network_type)

    def client(self, network_type: str = "unix", request_id: str = "cpi-123456") -> Client:
        """Make a client that is closed when the test ends."""
        client = Client(self.config(network_type), request_id)
        self.clients.append(client)
        return client

    def beside(self, function: Callable[..., Any], *args: Any, **kw: Any) -> Deferred[Any]:
        """Run a blocking function in a thread."""
        return deferToThread(function, *args, **kw)


@contextmanager
def listening(backlog: int = 5) -> Iterator[tuple[socket.socket, str]]:
    """Listen at a socket without accepting; return the socket and its path."""
    directory = tempfile.mkdtemp(prefix="cpi-")
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(f"{directory}/socket")
            listener.listen(backlog)
            listener.settimeout(PATIENCE)
            yield listener, f"{directory}/socket"
        finally:
            shutil.rmtree(directory)


@contextmanager
def served(behavior: Callable[[socket.socket], object]) -> Iterator[str]:
    """
    Serve one connection in a thread, for a test that itself blocks.

    An error in C{behavior} fails the test.

    @return: the path of the socket.
    """
    problems: list[BaseException] = []
    with listening() as (listener, path):

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(PATIENCE)
                    behavior(connection)
            except BaseException as problem:
                problems.append(problem)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            thread.join(PATIENCE)
    assert not thread.is_alive()
    assert problems == [], problems
