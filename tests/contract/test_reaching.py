"""Reaching a daemon that is missing, starts later, or has an impossible address."""

from __future__ import annotations

import queue
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.cpi.client import Client
from runc_cpi.errors import DaemonUnreachable
from tests.contract.peers import PATIENCE, cpi_config, listening
from tests.contract.test_hangups import ANSWER, call, client_of, read_request

pytestmark = pytest.mark.usefixtures("way")


def test_nobody_listens_at_a_socket(tmp_path: Path) -> None:
    """The error names a socket that does not exist, or that nobody listens at."""
    missing = str(tmp_path / "socket")
    with pytest.raises(DaemonUnreachable) as caught:
        call(client_of(missing))
    assert str(caught.value) == (
        f"cannot reach runc-cpid at {missing} (unix): No such file or directory"
    )
    with listening() as (listener, path):
        listener.close()
        with pytest.raises(DaemonUnreachable) as caught:
            call(client_of(path))
    assert str(caught.value) == (
        f"cannot reach runc-cpid at {path} (unix): Connection refused"
    )


def test_nobody_listens_at_a_port() -> None:
    """The error names an address and port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(DaemonUnreachable) as caught:
        call(client_of(address, "tcp"))
    assert str(caught.value) == (
        f"cannot reach runc-cpid at {address} (tcp): Connection refused"
    )


@pytest.mark.parametrize(
    ("network_type", "address"),
    [
        ("unix", "/" + "s" * 200),
        ("unix", "/tmp/\udce4"),
        ("tcp", "a..b:80"),
        ("tcp", "a" * 70 + ".example:80"),
        ("tcp", "\u2603.\ud800:80"),
        ("tcp", "h\0st:80"),
    ],
    ids=["long path", "odd path", "empty label", "long label", "no text", "NUL"],
)
def test_addresses_that_cannot_be_tried(network_type: str, address: str) -> None:
    """The error for an impossible address is the usual one, not a bug of the executable."""
    with pytest.raises(DaemonUnreachable, match="^cannot reach runc-cpid at "):
        call(client_of(address, network_type))


def test_a_daemon_that_is_slow_to_accept() -> None:
    """Callers wait in the kernel's queue; when it is full, they are not turned away."""
    outcomes: queue.Queue[Any] = queue.Queue()

    def run(path: str) -> None:
        try:
            outcomes.put(call(client_of(path)))
        except DaemonUnreachable as error:
            outcomes.put(error)

    with listening(backlog=0) as (listener, path), socket.socket(socket.AF_UNIX) as first:
        first.connect(path)
        caller = threading.Thread(target=run, args=[path])
        caller.start()
        try:
            # Nobody was asked yet, so what comes now can only be an error.
            with pytest.raises(queue.Empty):
                pytest.fail(f"it did not wait: {outcomes.get(timeout=0.2)}")
            listener.accept()[0].close()
            connection, _ = listener.accept()
            with connection:
                read_request(connection)
                connection.sendall(ANSWER)
            assert outcomes.get(timeout=PATIENCE)[b"exists"] == b"True"
        finally:
            caller.join()


def test_a_daemon_that_is_about_to_start() -> None:
    """
    A daemon that is about to start is waited for, as long as configured and no longer.
    """
    tries: list[str] = []

    with (
        tempfile.TemporaryDirectory(prefix="cpi-") as directory,
        socket.socket(socket.AF_UNIX) as listener,
        pytest.MonkeyPatch.context() as patch,
    ):
        path = f"{directory}/socket"

        def listen_then(_: float) -> None:
            tries.append(path)
            if len(tries) == 3:
                listener.bind(path)
                listener.listen()

        patch.setattr("time.sleep", listen_then)
        client = Client(cpi_config(path, connect_timeout=60), "cpi-1")
        client._connect()
        client.close()
    assert len(tries) == 3
