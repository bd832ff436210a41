"""A daemon that is silent: whether it is waited for depends on how it takes a ping."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from threading import Event

import pytest

from runc_cpi import wire
from runc_cpi.cpi import client as client_module
from runc_cpi.cpi import silence
from runc_cpi.cpi.client import Client
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.errors import DaemonSilent, DaemonUnreachable
from tests.contract.peers import PATIENCE, cpi_config, listening, served
from tests.contract.test_hangups import ANSWER, call, client_of, read_request

PONG = wire.encode_box([(b"_answer", b"1"), (b"version", b"1")])
# Many times what may be in the buffers of a connection.
LARGE = 4 << 20

# What a daemon does with the connection of a call; it learns of pings by the queue.
Behavior = Callable[[socket.socket, "SimpleQueue[bytes]"], object]

pytestmark = pytest.mark.usefixtures("way", "soon")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a moment of silence count as a long one; a ping may take its time."""
    monkeypatch.setattr(client_module, "SILENCE", 0.05)


def answer(connection: socket.socket) -> None:
    """Answer a ping as the daemon does."""
    connection.sendall(PONG)


def ignore(_: socket.socket) -> None:
    """Leave a ping without an answer."""


def drain(connection: socket.socket) -> int:
    """Read what is there, and return how many bytes that were."""
    size = 0
    connection.settimeout(0)
    with suppress(BlockingIOError):
        while True:
            size += len(connection.recv(LARGE))
    connection.settimeout(PATIENCE)
    return size


@contextmanager
def daemon(behave: Behavior, on_ping: Callable[[socket.socket], None]) -> Iterator[str]:
    """
    Serve the connection of a call, and beside it those of pings.

    @param on_ping: is called with the connection of each ping, once that was read.
    @return: the path of the socket.
    """
    pings: SimpleQueue[bytes] = SimpleQueue()
    with listening() as (listener, path), ExitStack() as stack:

        def call_comes() -> None:
            connection = stack.enter_context(listener.accept()[0])
            connection.settimeout(PATIENCE)
            others.append(threads.submit(pings_come))
            behave(connection, pings)

        def pings_come() -> None:
            with suppress(EOFError):  # a connection without a word ends it
                while True:
                    connection = stack.enter_context(listener.accept()[0])
                    connection.settimeout(PATIENCE)
                    command = read_request(connection)[b"_command"]
                    on_ping(connection)
                    pings.put(command)

        others: list[Future[None]] = []
        with ThreadPoolExecutor(2) as threads:
            called = threads.submit(call_comes)
            try:
                yield path
            finally:
                with socket.socket(socket.AF_UNIX) as last:
                    last.connect(path)
        for ended in (called, *others):
            ended.result()


def test_a_daemon_that_is_busy_with_a_call() -> None:
    """As long as it answers pings it is waited for."""

    def behave(connection: socket.socket, pings: SimpleQueue[bytes]) -> None:
        read_request(connection)
        assert [pings.get(timeout=PATIENCE) for _ in range(2)] == [b"Ping"] * 2
        connection.sendall(ANSWER)

    with daemon(behave, answer) as path:
        assert call(client_of(path))[b"exists"] == b"True"


def test_a_daemon_with_too_many_connections() -> None:
    """One that hangs up on a ping lives as well."""

    def behave(connection: socket.socket, pings: SimpleQueue[bytes]) -> None:
        read_request(connection)
        pings.get(timeout=PATIENCE)
        connection.sendall(ANSWER)

    with daemon(behave, lambda ping: ping.shutdown(socket.SHUT_RDWR)) as path:
        assert call(client_of(path))[b"exists"] == b"True"


def test_a_daemon_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers nobody is given up, and the same call is not made again at once."""
    monkeypatch.setattr(silence, "PING_TIMEOUT", 0.1)

    def behave(connection: socket.socket, pings: SimpleQueue[bytes]) -> None:
        read_request(connection)
        assert connection.recv(1) == b""

    with daemon(behave, ignore) as path, pytest.raises(DaemonSilent) as caught:
        call(client_of(path))
    assert str(caught.value).startswith(
        f"gave up runc-cpid at {path}: it was silent for 0.05 s, and did not answer a ping "
        "within 0.1 s; "
    )
    assert not caught.value.ok_to_retry


@pytest.mark.parametrize("size", [10, LARGE], ids=["answers", "reads"])
def test_a_daemon_that_goes_on_while_no_ping_gets_through(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Before it is given up it is seen that it does so, be it to answer or to read."""
    monkeypatch.setattr(silence, "PING_TIMEOUT", 0.1)
    went_on, lives = Event(), silence._lives
    received: list[int] = []

    def behave(connection: socket.socket, pings: SimpleQueue[bytes]) -> None:
        pings.get(timeout=PATIENCE)
        received.append(drain(connection))
        connection.sendall(ANSWER)
        went_on.set()
        while data := connection.recv(LARGE):
            received.append(len(data))

    def lives_and_goes_on(config: CPIConfig) -> bool:
        outcome = lives(config)
        assert went_on.wait(PATIENCE)
        client._socket.settimeout(PATIENCE)
        return outcome

    monkeypatch.setattr(silence, "_lives", lives_and_goes_on)
    with daemon(behave, ignore) as path:
        client = client_of(path)
        assert call(client, size)[b"exists"] == b"True"
    assert sum(received) > size


def test_a_daemon_that_takes_no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose queue of connections is full, and stays so, is given up."""
    monkeypatch.setattr(silence, "PING_TIMEOUT", 0.1)
    # The one place in the queue is that of the call itself.
    with listening(backlog=0) as (_, path), pytest.raises(DaemonSilent):
        call(client_of(path))


def test_a_daemon_at_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes connections to a port for a daemon that is stopped."""
    monkeypatch.setattr(silence, "PING_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(DaemonSilent, match=address):
            call(client_of(address, "tcp"))


def test_a_daemon_that_does_not_read_for_a_while() -> None:
    """What could not be sent at once is sent later, and arrives whole."""
    received: list[dict[bytes, bytes]] = []

    def behave(connection: socket.socket, pings: SimpleQueue[bytes]) -> None:
        for _ in range(2):
            pings.get(timeout=PATIENCE)
        received.append(read_request(connection))
        connection.sendall(ANSWER)

    with daemon(behave, answer) as path:
        assert call(client_of(path), LARGE)[b"exists"] == b"True"
    metadata = wire.join(b"metadata", received[0])
    assert metadata is not None
    assert json.loads(metadata) == {"m": "x" * LARGE}


def test_a_daemon_that_stops_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up while something is being sent as well."""
    monkeypatch.setattr(silence, "PING_TIMEOUT", 0.1)

    def behave(_: socket.socket, pings: SimpleQueue[bytes]) -> None:
        pings.get(timeout=PATIENCE)

    with daemon(behave, ignore) as path, pytest.raises(DaemonSilent):
        call(client_of(path), LARGE)


def test_a_call_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that lives, and never answers, is given up in the end."""
    monkeypatch.setattr(silence, "ANSWER_TIMEOUT", 0.1)

    def behave(connection: socket.socket, pings: SimpleQueue[bytes]) -> None:
        read_request(connection)
        pings.get(timeout=PATIENCE)
        assert connection.recv(1) == b""

    lost = pytest.raises(DaemonUnreachable, match="timed out$")
    with daemon(behave, answer) as path, lost:
        call(client_of(path))


def test_a_receipt_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is for was told to the caller already, so that is no error."""
    soon = client_module.SILENCE
    # Nobody would take a ping during the call.
    monkeypatch.setattr(client_module, "SILENCE", PATIENCE)
    made = wire.encode_box([(b"_answer", b"1"), (b"disk_cid", b"disk-1")])

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(made)
        assert full.get(timeout=PATIENCE)

    full: SimpleQueue[bool] = SimpleQueue()
    with served(behave) as path:
        config = cpi_config(path)
        client = Client(config, "cpi-1", {"CreateDisk": b"disk_cid"})
        try:
            client.call("CreateDisk", size=16, cloud_properties={})
            client._socket.settimeout(0)
            with suppress(BlockingIOError):
                while True:
                    client._socket.send(b"x" * LARGE)
            client._socket.settimeout(soon)
            monkeypatch.setattr(client_module, "SILENCE", soon)
            monkeypatch.setattr(silence, "ANSWER_TIMEOUT", 2 * soon)
            monkeypatch.setattr(silence, "_lives", lambda config: True)
            client.confirm()
        finally:
            full.put(True)
            client.close()
    assert client._silences == 2
