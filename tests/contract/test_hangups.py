"""A daemon that hangs up or answers nonsense, at each point of a call."""

from __future__ import annotations

import io
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from runc_cpi import wire
from runc_cpi.cpi.client import WINDOW, Client
from runc_cpi.errors import DaemonUnreachable, StemcellRejected
from tests.contract.peers import PATIENCE, cpi_config, served

ANSWER = wire.encode_box([(b"_answer", b"1"), (b"exists", b"True")])


pytestmark = pytest.mark.usefixtures("way")


def client_of(address: str, network_type: str = "unix") -> Client:
    """Make a client."""
    return Client(cpi_config(address, network_type), "cpi-123456")


def call(client: Client, size: int = 10) -> dict[bytes, bytes]:
    """Make a call with an argument of a size, and close the client."""
    try:
        return client.call("SetVMMetadata", vm_cid="vm-1", metadata={"m": "x" * size})
    finally:
        client.close()


def read_request(connection: socket.socket) -> dict[bytes, bytes]:
    """Read one box."""
    with connection.makefile("rb") as stream:
        return wire.read_box(stream)


def assert_lost(path: str, size: int = 10) -> None:
    """Check that a call fails with an error that names the address and may be retried."""
    with pytest.raises(DaemonUnreachable) as caught:
        call(client_of(path), size)
    assert str(caught.value).startswith(f"lost runc-cpid at {path} before it answered: ")
    assert caught.value.ok_to_retry


def test_a_daemon_that_hangs_up_at_once() -> None:
    """A daemon that hangs up before it has read anything is a lost daemon."""
    with served(lambda connection: None) as path:
        assert_lost(path)


@pytest.mark.parametrize("reads", [True, False])
def test_a_daemon_that_hangs_up_at_a_port(reads: bool) -> None:
    """If a daemon at a port hangs up at once, it ended or has too many connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                if reads:
                    read_request(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(DaemonUnreachable, match="its log tells why") as caught:
                call(client_of(address, "tcp"))
        finally:
            thread.join(PATIENCE)
    lost = f"lost runc-cpid at {address} before it answered: "
    assert str(caught.value).startswith(lost)
    assert caught.value.ok_to_retry


@pytest.mark.parametrize("taken", [1, 100, 65536])
def test_a_daemon_that_hangs_up_while_it_reads(taken: int) -> None:
    """A daemon may hang up during a request that is larger than any buffer."""
    with served(lambda connection: connection.recv(taken)) as path:
        assert_lost(path, size=4 << 20)


@pytest.mark.parametrize("sent", [0, 1, 2, 5, len(ANSWER) - 2, len(ANSWER) - 1])
def test_a_daemon_that_hangs_up_while_it_answers(sent: int) -> None:
    """Half an answer counts as no answer."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(ANSWER[:sent])

    with served(behave) as path:
        assert_lost(path)


def test_a_daemon_that_answers_and_hangs_up() -> None:
    """A whole answer counts, although the daemon then hangs up."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(ANSWER)

    with served(behave) as path:
        assert call(client_of(path))[b"exists"] == b"True"


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\xff\xff",
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=["http", "ssh", "noise", "tls"],
)
def test_another_server_that_stays(garbage: bytes) -> None:
    """Another server is recognized at once, even if it would keep the connection open."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(garbage)
        # Only the client ends this; it is not to wait for more.
        connection.settimeout(3)
        while connection.recv(1 << 16):
            pass

    with served(behave) as path:
        assert_lost(path)


@pytest.mark.parametrize("garbage", [b"\xff\xff", b"\x16\x03\x01\x02\x00\x01"])
def test_another_server_at_a_port(garbage: bytes) -> None:
    """If another server is at a port, the error says that tls may be missing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                read_request(connection)
                connection.sendall(garbage)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(DaemonUnreachable, match=f"{address} .*expect TLS"):
                call(client_of(address, "tcp"))
        finally:
            thread.join(PATIENCE)


@pytest.mark.parametrize(
    "odd", ["\ud800", "x" * 70_000, "a\nb\0"], ids=["surrogate", "long", "control"]
)
def test_a_request_id_of_any_kind(odd: str) -> None:
    """A request id that the log cannot hold is left out, and breaks no call."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(ANSWER)

    with served(behave) as path:
        assert call(Client(cpi_config(path), odd))[b"exists"] == b"True"


def test_a_file_and_a_daemon_that_hangs_up() -> None:
    """A call that passes a file fails as any other call does."""

    def hang_up_after_one_byte(connection: socket.socket) -> None:
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        for descriptor in descriptors:
            os.close(descriptor)

    with served(hang_up_after_one_byte) as path, open(os.devnull, "rb") as file:
        client = client_of(path)
        with pytest.raises(DaemonUnreachable, match="before it answered"):
            client.call_with_file(
                "ImportStemcell",
                "image",
                file.fileno(),
                cloud_properties={"x": "y" * 10**6},
            )
        client.close()


def stream(path: str, pieces: int) -> None:
    """Send a stream of a number of pieces."""
    client = client_of(path)
    try:
        source = io.BytesIO(bytes(pieces * wire.MAX_VALUE))
        client.send_stream("WriteStemcell", source, upload=1)
    finally:
        client.close()


def test_a_stream_keeps_to_its_window() -> None:
    """A stream has no more unanswered pieces than agreed, and all pieces are answered."""
    pieces, half = 3 * WINDOW, WINDOW // 2

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb", buffering=0) as raw:
            reader = _Exact(raw)
            for _ in range(WINDOW):
                wire.read_box(reader)
            unread = pieces - WINDOW
            for number in range(1, pieces + 1):
                readable, _, _ = select.select([connection], [], [], 0.02)
                assert readable == [], "more than the window"
                connection.sendall(wire.encode_box([(b"_answer", b"%x" % number)]))
                if number % half == 0 and unread:
                    unread -= half
                    for _ in range(half):
                        wire.read_box(reader)
            assert unread == 0

    with served(behave) as path:
        stream(path, pieces)


class _Exact:
    """
    A socket from which only what is asked for is read, so that the rest stays visible.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def read(self, size: int) -> bytes:
        """Read so many bytes."""
        data = b""
        while len(data) < size:
            data += self._raw.read(size - len(data))
        return data


def _error(code: bytes) -> bytes:
    pairs = [(b"_error", b"1"), (b"_error_code", code), (b"_error_description", b"bad")]
    return wire.encode_box(pairs)


@pytest.mark.parametrize("answers", [0, 1, WINDOW])
@pytest.mark.parametrize("refusing", [True, False])
def test_a_stream_that_breaks_off(answers: int, refusing: bool) -> None:
    """A stream ends with the daemon's error, or with the end of the connection."""

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            for _ in range(WINDOW):
                wire.read_box(reader)
            connection.sendall(ANSWER * answers)
            if refusing:
                connection.sendall(_error(b"StemcellRejected"))
                while reader.read(1 << 16):
                    pass

    expected: Callable[..., Any] = StemcellRejected if refusing else DaemonUnreachable
    with served(behave) as path, pytest.raises(expected):  # type: ignore[call-overload]
        stream(path, 5 * WINDOW)
