"""Limits: what one peer does too much of harms only itself, and others are served."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from runc_cpi import wire
from tests.functional.security.peers import (
    PATIENCE,
    Since,
    ask,
    call,
    connected,
    cpi,
    descriptors,
    descriptors_at_rest,
    is_closed,
    memory,
)
from tests.harness.certificates import client_context, client_hello
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper

QUICK = 30.0
# limits.first_seconds by default; the tests use a tenth of it.
DEFAULT = 15.0
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01"
MEBIBYTE = 1 << 20


@pytest.fixture
def limited(new_daemon: NewDaemon) -> Callable[..., Daemon]:
    """Return a function that starts a daemon with limits."""

    def start(network_type: str = "tcp", **limits: Any) -> Daemon:
        config = {"limits": limits}
        return new_daemon(network_type=network_type, config=config).start()

    return start


def served_quickly(daemon: Daemon) -> None:
    """Check that another caller is answered without delay."""
    begin = time.monotonic()
    assert daemon.cpi.ok("ping") == "pong"
    assert time.monotonic() - begin < QUICK


def closed_after(connection: socket.socket, least: float) -> None:
    """
    Check that the connection is closed, not before a time and long before the default one.
    """
    begin = time.monotonic()
    assert is_closed(connection)
    assert least <= time.monotonic() - begin <= DEFAULT


def create_vm(number: int, stemcell: str) -> bytes:
    """Return a create_vm call."""
    names = ("agent_id", "stemcell_cid", "cloud_properties", "networks", "disk_cids", "env")
    arguments = dict(zip(names, vm_arguments(stemcell), strict=True))
    return ask("CreateVM", number, agent={}, **arguments)


def test_connections(limited: Callable[..., Daemon]) -> None:
    """Too many connections are closed at once and logged; a place is free again at once."""
    daemon = limited(connections=3)
    since = Since(daemon)
    with ExitStack() as stack:
        held = [stack.enter_context(connected(daemon)) for _ in range(3)]
        for connection in held:
            assert b"version" in call(connection, "Ping")
        for _ in range(3):
            with connected(daemon) as more:
                assert is_closed(more)
        error = daemon.cpi.error("ping")
        assert error["ok_to_retry"] is True
        assert "limits.connections" in since.log
        for connection in held:
            assert b"version" in call(connection, "Ping")
    eventually(lambda: daemon.cpi.call("ping")["result"], "there is room again")


@pytest.mark.parametrize("words", [b"", HALF_A_HELLO, b"hello"])
def test_strangers(
    new_daemon: NewDaemon,
    server_tls: dict[str, str],
    client_tls: dict[str, str],
    words: bytes,
) -> None:
    """More strangers than there are places keep nobody out, from many addresses or one."""
    config = {"tls": server_tls, "limits": {"strangers": 8, "first_seconds": 60}}
    daemon = new_daemon(network_type="tcp", config=config).start()
    daemon.cpi = cpi(daemon, client_tls, connect_timeout=60)
    if words == b"hello":
        words = client_hello()
    since = Since(daemon)
    for addresses in (1, 40):
        with ExitStack() as stack:
            for number in range(40):
                stranger = stack.enter_context(socket.socket())
                stranger.settimeout(PATIENCE)
                stranger.bind((f"127.0.0.{2 + number % addresses}", 0))
                stranger.connect(("127.0.0.1", daemon.port))
                # A stranger that is cut off at once cannot send it.
                with suppress(ConnectionError):
                    stranger.sendall(words)
                if number % 8 == 7:
                    assert daemon.cpi.ok("ping") == "pong"
            assert daemon.cpi.ok("ping") == "pong"
    assert "Traceback" not in since.log
    assert since.log.count("limits.strangers") <= 3
    assert since.log.count("\n") < 200


def test_strangers_of_the_same_address(
    new_daemon: NewDaemon, server_tls: dict[str, str], client_tls: dict[str, str]
) -> None:
    """Strangers from the caller's own address do not keep the caller out."""
    config = {"tls": server_tls, "limits": {"strangers": 8, "first_seconds": 60}}
    daemon = new_daemon(network_type="tcp", config=config).start()
    daemon.cpi = cpi(daemon, client_tls, connect_timeout=60)
    with ExitStack() as stack:
        for number in range(40):
            stranger = stack.enter_context(connected(daemon))
            with suppress(ConnectionError):
                stranger.sendall(client_hello() if number % 2 else b"")
        for _ in range(3):
            assert daemon.cpi.ok("ping") == "pong"


def test_open_files(new_daemon: NewDaemon, tiny: Path) -> None:
    """With few file descriptors, connections leave enough for the daemon's work."""
    daemon = new_daemon(network_type="tcp")
    daemon.launch(prefix=["sh", "-c", 'ulimit -S -n 128; exec "$@"', "sh"])
    daemon.wait_until(lambda: "serving at" in daemon.log)
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connected(daemon))
        stemcell = daemon.create_stemcell(tiny)
    daemon.cpi.ok("delete_stemcell", stemcell)


def test_half_open_handshakes(
    new_daemon: NewDaemon, server_tls: dict[str, str], client_tls: dict[str, str]
) -> None:
    """Unfinished handshakes end in time; others are served beside them, up to the limit."""
    config = {"tls": server_tls, "limits": {"first_seconds": 1.5}}
    daemon = new_daemon(network_type="tcp", config=config).start()
    daemon.cpi = cpi(daemon, client_tls)
    before, since = descriptors_at_rest(daemon), Since(daemon)
    with ExitStack() as stack:
        halves = [stack.enter_context(connected(daemon)) for _ in range(200)]
        for number, half in enumerate(halves):
            half.sendall(b"\x16\x03\x01\x02\x00\x01"[: number % 7])
        served_quickly(daemon)
        closed_after(halves[-1], 0)
        eventually(lambda: descriptors(daemon) <= before, "all are closed")
    served_quickly(daemon)
    assert "Traceback" not in since.log


def test_too_many_over_tls(
    new_daemon: NewDaemon,
    tmp_path: Path,
    server_tls: dict[str, str],
    client_tls: dict[str, str],
) -> None:
    """When all places are taken, a new connection with TLS is closed as well."""
    config = {"tls": server_tls, "limits": {"connections": 2, "first_seconds": 5}}
    daemon = new_daemon(network_type="tcp", config=config).start()
    before, since = descriptors_at_rest(daemon), Since(daemon)
    context = client_context(client_tls, str(tmp_path))
    with ExitStack() as stack:
        for _ in range(2):
            plain = stack.enter_context(connected(daemon))
            caller = stack.enter_context(context.wrap_socket(plain))
            caller.sendall(ask("Ping"))
            assert caller.recv(1)
        more = stack.enter_context(connected(daemon))
        more.sendall(client_hello())
        assert is_closed(more)
    assert "limits.connections" in since.log
    assert "Traceback" not in since.log
    eventually(lambda: descriptors(daemon) <= before, "all are closed")
    assert cpi(daemon, client_tls).ok("ping") == "pong"


@pytest.mark.parametrize("begun", [b"", b"\0", ask("Ping")[:-2]])
def test_first_message(limited: Callable[..., Daemon], begun: bytes) -> None:
    """A peer that does not finish its first message in time is cut off."""
    daemon = limited(first_seconds=1)
    with connected(daemon) as connection:
        connection.sendall(begun)
        closed_after(connection, 0.7)
    served_quickly(daemon)


def test_first_message_in_drops(limited: Callable[..., Daemon]) -> None:
    """A peer that sends its first message byte by byte gets no more time."""
    daemon = limited(first_seconds=1)
    with connected(daemon) as connection:
        begin = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - begin < DEFAULT:
                connection.sendall(b"\0\1a\0\1b")
                time.sleep(0.05)
        assert time.monotonic() - begin < DEFAULT


def test_idle(limited: Callable[..., Daemon]) -> None:
    """A peer that is silent, or sends half a message, is cut off."""
    daemon = limited(idle_seconds=1)
    with connected(daemon) as quiet, connected(daemon) as drops:
        assert b"version" in call(quiet, "Ping")
        assert b"version" in call(drops, "Ping")
        drops.sendall(b"\0\1a")
        closed_after(quiet, 0.7)
        closed_after(drops, 0)


def test_not_idle_while_a_call_lasts(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path
) -> None:
    """A call that takes longer than the idle time is answered."""
    wrapper = Wrapper(tmp_path / "wrapper")
    config = {"runtime": str(wrapper.program), "limits": {"idle_seconds": 1}}
    daemon = new_daemon(config=config).start()
    stemcell = daemon.create_stemcell(tiny)
    wrapper.hold("start")
    process = daemon.cpi.start("create_vm", *vm_arguments(stemcell))
    eventually(lambda: wrapper.is_waiting("start"), "the call is under way")
    time.sleep(1.5)
    wrapper.mend()
    assert daemon.cpi.finish(process)["error"] is None


def test_calls_under_way(new_daemon: NewDaemon, tmp_path: Path, tiny: Path) -> None:
    """
    Of many calls sent at once no more are under way than allowed, and all are answered.
    """
    wrapper = Wrapper(tmp_path / "wrapper")
    config = {"runtime": str(wrapper.program), "limits": {"calls": 2}}
    daemon = new_daemon(config=config).start()
    stemcell = daemon.create_stemcell(tiny)
    wrapper.hold("create")
    with connected(daemon) as connection:
        connection.sendall(b"".join(create_vm(n, stemcell) for n in range(1, 9)))
        eventually(lambda: wrapper.is_waiting("create"), "a call is under way")
        time.sleep(0.5)
        begun = len(daemon.vm_cids())
        served_quickly(daemon)
        wrapper.mend()
        stream = connection.makefile("rb")
        answers = [wire.read_box(stream) for _ in range(8)]
    assert all(b"vm_cid" in answer for answer in answers), answers
    assert begun <= 2


LIMIT = 100_000
EXCESSES = {
    "one key after the other": b"".join(b"\0\4%04d\0\1x" % n for n in range(2000)),
    "the same key": b"\0\1k\0\1v" * 2000,
    "large values": b"".join(b"\0\1%c\xff\xff" % (65 + n) + b"x" * 65535 for n in range(3)),
    "empty values": b"".join(b"\0\4%04d\0\0" % n for n in range(2000)),
}


@pytest.mark.parametrize("name", EXCESSES)
@pytest.mark.parametrize("network_type", ["tcp", "unix"])
def test_message_bytes(
    limited: Callable[..., Daemon], network_type: str, name: str
) -> None:
    """A message that is too large ends the connection, and the log says so."""
    daemon = limited(network_type, message_bytes=LIMIT)
    since = Since(daemon)
    with connected(daemon) as connection:
        assert b"version" in call(connection, "Ping")
        with suppress(OSError):
            connection.sendall(EXCESSES[name])
        assert is_closed(connection)
    assert f"more than {LIMIT} bytes" in since.log
    assert since.log.count("cut off") == 1
    served_quickly(daemon)


def test_message_without_end(limited: Callable[..., Daemon]) -> None:
    """A hundred peers that send endless messages take little memory."""
    daemon = limited(message_bytes=MEBIBYTE)
    before = memory(daemon)
    part = b"".join(b"\0\6%06d\0\0" % n for n in range(3000))
    with ExitStack() as stack:
        peers = [stack.enter_context(connected(daemon)) for _ in range(100)]
        for peer in peers:
            for _ in range(20):
                try:
                    peer.sendall(part)
                except OSError:
                    break
        served_quickly(daemon)
        assert memory(daemon) - before < 100 * 1024
    served_quickly(daemon)


@pytest.mark.parametrize("network_type", ["tcp", "unix"])
def test_answers_that_are_not_read(
    new_daemon: NewDaemon, tiny: Path, network_type: str
) -> None:
    """A peer that asks for much and reads nothing is read from no more."""
    daemon = new_daemon(network_type=network_type, config={"limits": {"idle_seconds": 4}})
    daemon.start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.cpi.ok("set_vm_metadata", vm.cid, {"name": "x" * 200_000})
    daemon.cpi.ok("ping")
    before, since = memory(daemon), Since(daemon)
    question = ask("ListVMs")
    with connected(daemon) as connection:
        connection.settimeout(0.5)
        sent = 0
        try:
            while sent < 8 * MEBIBYTE:
                sent += connection.send(question * 1000)
        except TimeoutError:
            pass
        served_quickly(daemon)
        grown = memory(daemon) - before
        print(f"took {sent} bytes of calls, and grew by {grown} KiB")
        assert grown < 64 * 1024
        assert sent < 8 * MEBIBYTE
    served_quickly(daemon)
    assert "Traceback" not in since.log


def test_uploads(limited: Callable[..., Daemon]) -> None:
    """One connection cannot make the daemon start programs without end."""
    daemon = limited()
    before = descriptors_at_rest(daemon)
    wanted = 300
    with connected(daemon) as connection, connection.makefile("rb") as stream:
        opened = []
        for _ in range(wanted):
            connection.sendall(ask("OpenStemcell", cloud_properties={}))
            answer = wire.read_box(stream)
            if b"upload" in answer:
                opened.append(int(answer[b"upload"]))
        for number in opened:
            data = b"\x1f\x8b\x08" + os.urandom(600)
            connection.sendall(ask("WriteStemcell", upload=number, data=data))
            wire.read_box(stream)
        held = descriptors(daemon) - before
        served_quickly(daemon)
    begin = time.monotonic()
    served_quickly(daemon)
    eventually(lambda: not list(daemon.scratch.iterdir()), "all is cleared away", 30)
    eventually(lambda: descriptors(daemon) <= before, "all is closed")
    print(f"{len(opened)} uploads, {held} descriptors, {time.monotonic() - begin:.1f} s")
    assert len(opened) < wanted


def test_descriptors(daemon: Daemon) -> None:
    """Files that are passed without need are closed, and too many end the connection."""
    before = descriptors_at_rest(daemon)
    with connected(daemon) as connection, open("/dev/null") as null:
        for _ in range(20):
            try:
                socket.send_fds(connection, [b"\0"], [null.fileno()] * 4)
            except OSError:
                break
            time.sleep(0.02)
        assert is_closed(connection)
    eventually(lambda: descriptors(daemon) <= before, "all are closed")
    served_quickly(daemon)
