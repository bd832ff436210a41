"""Other machines can call only from addresses in allow_from."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.functional.security.peers import (
    Since,
    ask,
    call,
    connected,
    cpi,
    descriptors,
    descriptors_at_rest,
    entered,
    is_closed,
)
from tests.harness.certificates import Authority
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

HOST, OUTSIDER = "192.0.2.1", "192.0.2.2"


def ip(*arguments: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def another_machine() -> Iterator[int]:
    """
    Make another network namespace with a veth pair to ours; return the pid of its process.
    """
    process = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    try:
        own = os.readlink("/proc/self/ns/net")
        there = f"/proc/{process.pid}/ns/net"
        eventually(lambda: os.readlink(there) != own, "it has a namespace of its own")
        ip("link", "add", "out0", "type", "veth", "peer", "out1", "netns", str(process.pid))
        ip("address", "add", f"{HOST}/24", "dev", "out0")
        ip("link", "set", "out0", "up")
        inside = ["nsenter", f"--target={process.pid}", "--net", "ip"]
        for arguments in (
            ("address", "add", f"{OUTSIDER}/24", "dev", "out1"),
            ("link", "set", "out1", "up"),
        ):
            subprocess.run([*inside, *arguments], check=True)
        yield process.pid
    finally:
        subprocess.run(["ip", "link", "delete", "out0"], check=False)
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def outsider(leaves_nothing: None) -> Iterator[int]:
    """A process on another machine."""
    with another_machine() as pid:
        yield pid


def test_outsider(new_daemon: NewDaemon, outsider: int) -> None:
    """
    A caller from a foreign address is told what would let it in; the log says so once a
    minute.
    """
    daemon = new_daemon(network_type="tcp")
    daemon.config["address"] = f"0.0.0.0:{daemon.port}"
    daemon.write_config()
    daemon.start()
    since = Since(daemon)
    caller = entered(outsider, daemon, f"{HOST}:{daemon.port}")
    for _ in range(4):
        error = caller.error("ping")
        assert error["type"] == "Bosh::Clouds::CpiError"
        assert error["ok_to_retry"] is False
        assert (
            f"no calls from {OUTSIDER}; to let it in, add it to allow_from"
            in error["message"]
        )
    (line,) = since.log.splitlines()
    assert f"refused a connection from {OUTSIDER}" in line
    assert "allow_from" in line
    # The destination does not count: the host may call itself by that address.
    assert cpi(daemon, address=f"127.0.0.1:{daemon.port}").ok("ping") == "pong"


def test_outsider_let_in(new_daemon: NewDaemon, outsider: int) -> None:
    """With allow_from a caller from a foreign address is let in."""
    daemon = new_daemon(network_type="tcp", config={"allow_from": ["192.0.2.0/24"]})
    daemon.config["address"] = f"0.0.0.0:{daemon.port}"
    daemon.write_config()
    daemon.start()
    caller = entered(outsider, daemon, f"{HOST}:{daemon.port}")
    assert caller.ok("ping") == "pong"
    assert cpi(daemon, address=f"127.0.0.1:{daemon.port}").ok("ping") == "pong"


@pytest.mark.parametrize("address", ["[::1]", "[::]"])
def test_ipv6(new_daemon: NewDaemon, address: str) -> None:
    """Loopback is let in by IPv6, and by IPv4-mapped addresses."""
    daemon = new_daemon(network_type="tcp")
    daemon.config["address"] = f"{address}:{daemon.port}"
    daemon.write_config()
    daemon.start()
    assert cpi(daemon, address=f"[::1]:{daemon.port}").ok("ping") == "pong"
    with socket.socket() as probe:
        reachable = probe.connect_ex(("127.0.0.1", daemon.port)) == 0
    if reachable:
        assert cpi(daemon, address=f"127.0.0.1:{daemon.port}").ok("ping") == "pong"


def test_outsider_with_tls(
    new_daemon: NewDaemon,
    outsider: int,
    authority: Authority,
    client_tls: dict[str, str],
) -> None:
    """With both tls and allow_from, a foreign address is refused before TLS begins."""
    tls = authority.issue("daemon", HOST, "127.0.0.1")
    config = {"tls": tls, "allow_from": ["198.51.100.0/24"]}
    daemon = new_daemon(network_type="tcp", config=config)
    daemon.config["address"] = f"0.0.0.0:{daemon.port}"
    daemon.write_config()
    daemon.start()
    before, since = descriptors_at_rest(daemon), Since(daemon)
    caller = entered(outsider, daemon, f"{HOST}:{daemon.port}", client_tls)
    for _ in range(3):
        error = caller.error("ping")
        assert "internal error" not in error["message"]
        assert error["ok_to_retry"] is True, error
    assert cpi(daemon, client_tls, address=f"127.0.0.1:{daemon.port}").ok("ping")
    assert "Traceback" not in since.log
    (line,) = [line for line in since.log.splitlines() if "refused" in line]
    assert OUTSIDER in line
    eventually(lambda: descriptors(daemon) <= before, "no connection is left open")


def test_refused_takes_no_place(new_daemon: NewDaemon, outsider: int) -> None:
    """Peers that are told why they are refused take no place of others."""
    config = {"limits": {"connections": 1}}
    daemon = new_daemon(network_type="tcp", config=config)
    daemon.config["address"] = f"0.0.0.0:{daemon.port}"
    daemon.write_config()
    daemon.start()
    script = (
        "import socket,sys;c=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
        "c.sendall(bytes.fromhex(sys.argv[3]));print(c.makefile('rb').read());input()"
    )
    argv = ["nsenter", f"--target={outsider}", "--net", "python3", "-c", script]
    with ExitStack() as stack:
        for _ in range(3):
            refused = stack.enter_context(
                subprocess.Popen(
                    [*argv, HOST, str(daemon.port), ask("Ping").hex()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            assert refused.stdout is not None
            assert b"allow_from" in refused.stdout.readline()
        with connected(daemon) as connection:
            assert b"version" in call(connection, "Ping")
            with connected(daemon) as second:
                assert is_closed(second)
