"""Without TLS only root of the host may call, and VMs with cpi_access."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from runc_cpi import wire
from tests.functional.security.peers import (
    CONTROL,
    PATIENCE,
    Since,
    ask,
    cpi,
    cpi_config,
    descriptors,
    descriptors_at_rest,
    entered,
)
from tests.harness.cpi import ENVIRONMENT
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

SOMEBODY = 54321
ERROR = b"_error_description"


@contextmanager
def user(uid: int, daemon: Daemon, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Connect as a process of another user: the kernel notes who makes a socket."""
    os.seteuid(uid)
    try:
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    finally:
        os.seteuid(0)
    with connection:
        connection.settimeout(PATIENCE)
        connection.connect((host, daemon.port))
        yield connection


def answer(connection: socket.socket, command: str = "Ping", **arguments: Any) -> Any:
    """Make a call, and return its error, or nothing."""
    connection.sendall(ask(command, **arguments))
    return wire.read_box(connection.makefile("rb")).get(ERROR)


def control_from(pid: int, daemon: Daemon) -> subprocess.CompletedProcess[str]:
    """Run C{runc-cpictl} in the network namespace of C{pid}."""
    path = cpi_config(daemon, address=f"{daemon.network}1:{daemon.port}")
    return subprocess.run(
        ["nsenter", f"--target={pid}", "--net", CONTROL, "--cpi", path, "ping"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def everywhere(new_daemon: NewDaemon, host: str = "0.0.0.0", **config: Any) -> Daemon:
    """Start a daemon that can be reached by all addresses of the host."""
    daemon = new_daemon(network_type="tcp", config=config)
    daemon.config["address"] = f"{host}:{daemon.port}"
    daemon.write_config()
    daemon.start()
    daemon.cpi = cpi(daemon, address=f"127.0.0.1:{daemon.port}")
    return daemon


def test_other_users(new_daemon: NewDaemon) -> None:
    """Other users are told why they are refused, from any address of the host."""
    daemon = everywhere(new_daemon)
    since = Since(daemon)
    for host in ("127.0.0.1", "127.0.0.9", f"{daemon.network}1"):
        with user(SOMEBODY, daemon, host) as connection:
            error = answer(connection)
            assert f"user {SOMEBODY} of this host".encode() in error
            assert b"allow_users" in error
            assert connection.recv(1) == b""
        with user(0, daemon, host) as connection:
            assert answer(connection) is None
    (line,) = since.log.splitlines()
    assert f"refused a connection from user {SOMEBODY}" in line
    assert "allow_users" in line
    assert daemon.cpi.ok("ping") == "pong"


@pytest.mark.parametrize("host", ["[::1]", "[::]"])
def test_other_users_by_ipv6(new_daemon: NewDaemon, host: str) -> None:
    """Other users are refused by IPv6, and by IPv4-mapped addresses."""
    daemon = new_daemon(network_type="tcp")
    daemon.config["address"] = f"{host}:{daemon.port}"
    daemon.write_config()
    daemon.start()
    for way in ("::1",) if host == "[::1]" else ("::1", "127.0.0.1", "::ffff:127.0.0.1"):
        with user(SOMEBODY, daemon, way) as connection:
            assert b"allow_users" in answer(connection)
        with user(0, daemon, way) as connection:
            assert answer(connection) is None


def test_allowed_users(new_daemon: NewDaemon) -> None:
    """With allow_users the named users are let in, and nobody else."""
    config = {"allow_users": ["nobody", SOMEBODY]}
    daemon = new_daemon(network_type="tcp", config=config).start()
    for uid in (0, SOMEBODY, 65534):
        with user(uid, daemon) as connection:
            assert answer(connection) is None
    with user(SOMEBODY + 1, daemon) as connection:
        assert b"allow_users" in answer(connection)


def test_all_users(new_daemon: NewDaemon) -> None:
    """All users are let in if allow_from has loopback, but not for the host's network."""
    daemon = everywhere(new_daemon, allow_from=["127.0.0.0/8", "10.77.0.0/16"])
    with user(SOMEBODY, daemon) as connection:
        assert answer(connection) is None
    with user(SOMEBODY, daemon, f"{daemon.network}1") as connection:
        assert b"allow_users" in answer(connection)


@pytest.mark.parametrize("reset", [False, True])
def test_who_has_gone(new_daemon: NewDaemon, tiny: Path, reset: bool) -> None:
    """
    A call whose caller closed its socket before it is read counts as nobody's, not root's.
    """
    daemon = new_daemon(network_type="tcp").start()
    stemcell = daemon.create_stemcell(tiny)
    before, since = descriptors_at_rest(daemon), Since(daemon)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        with user(SOMEBODY, daemon) as connection:
            if reset:
                linger = b"\1\0\0\0\0\0\0\0"
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(ask("DeleteStemcell", stemcell_cid=stemcell))
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    eventually(lambda: "that no process has" in since.log, "it was looked at", 60)
    assert daemon.cpi.ok("ping") == "pong"
    eventually(lambda: descriptors(daemon) <= before, "it is closed", 60)
    assert (daemon.work_dir / "stemcells" / stemcell).is_dir()
    assert "Traceback" not in since.log


def test_vms(new_daemon: NewDaemon, tiny: Path) -> None:
    """A VM is let in if its record says so; another is told what would let it in."""
    daemon = everywhere(new_daemon)
    stemcell = daemon.create_stemcell(tiny)
    director = daemon.create_vm(stemcell, cloud_properties={"cpi_access": True})
    since = Since(daemon)
    caller = entered(director.pid, daemon, f"{daemon.network}1:{daemon.port}")
    assert caller.ok("has_vm", director.cid) is True
    for properties in ({}, {"cpi_access": False}):
        vm = daemon.create_vm(stemcell, cloud_properties=properties)
        caller = entered(vm.pid, daemon, f"{daemon.network}1:{daemon.port}")
        error = caller.error("has_vm", director.cid)
        assert vm.cid in error["message"]
        assert "cloud_properties.cpi_access" in error["message"]
        assert error["ok_to_retry"] is False
        assert caller.error("ping") == error
        tool = control_from(vm.pid, daemon)
        assert tool.returncode == 1
        assert "cloud_properties.cpi_access" in tool.stderr
        assert len(tool.stderr.splitlines()) == 1
        assert since.log.count(f"refused a connection from {vm.cid}") == 1
    # After a restart the VM may call as before.
    daemon.stop()
    daemon.start()
    caller = entered(director.pid, daemon, f"{daemon.network}1:{daemon.port}")
    assert caller.ok("ping") == "pong"


def test_all_vms(new_daemon: NewDaemon, tiny: Path) -> None:
    """All VMs are let in if allow_from names their network."""
    daemon = new_daemon(network_type="tcp")
    daemon.config["allow_from"] = [daemon.config["cidr"]]
    daemon.config["address"] = f"{daemon.network}1:{daemon.port}"
    daemon.write_config()
    daemon.start()
    daemon.cpi = cpi(daemon)
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    assert entered(vm.pid, daemon, str(daemon.config["address"])).ok("ping") == "pong"


@pytest.mark.parametrize("value", ["yes", 1, [], "true"])
def test_no_truth_value(daemon: Daemon, value: Any) -> None:
    """cpi_access must be true or false, not a value that only looks like it."""
    arguments = vm_arguments("stemcell-none", cloud_properties={"cpi_access": value})
    error = daemon.cpi.error("create_vm", *arguments)
    assert "cloud_properties.cpi_access" in error["message"]
    assert "true or false" in error["message"]


def test_refused_peers_are_few(new_daemon: NewDaemon) -> None:
    """Refused peers that stay connected hold little, and keep nobody out."""
    daemon = new_daemon(network_type="tcp", config={"limits": {"connections": 2}}).start()
    before, since = descriptors_at_rest(daemon), Since(daemon)
    with ExitStack() as stack:
        for _ in range(100):
            # A connection that is closed at once can be closed before connect() returns.
            with suppress(ConnectionResetError):
                stack.enter_context(user(SOMEBODY, daemon))
        eventually(lambda: descriptors(daemon) < before + 10, "most are closed", 60)
        assert daemon.cpi.ok("ping") == "pong"
    (line,) = since.log.splitlines()
    assert f"user {SOMEBODY}" in line
    eventually(lambda: descriptors(daemon) <= before, "all are closed", 60)


@pytest.mark.parametrize(
    ("host", "warned"), [("127.0.0.1", False), ("[::1]", False), ("0.0.0.0", True)]
)
def test_warning(new_daemon: NewDaemon, host: str, warned: bool) -> None:
    """
    The daemon warns in one line of an address that VMs can reach, unless there is TLS.
    """
    daemon = new_daemon(network_type="tcp")
    daemon.config["address"] = f"{host}:{daemon.port}"
    daemon.write_config()
    daemon.start()
    lines = [line for line in daemon.log.splitlines() if "set tls" in line]
    assert len(lines) == warned


def test_the_maker_counts(new_daemon: NewDaemon) -> None:
    """The user who made a socket counts, not the one who has it now."""
    daemon = new_daemon(network_type="tcp").start()
    with user(SOMEBODY, daemon) as connection, user(0, daemon) as roots:
        for uid, end in ((0, connection), (SOMEBODY, roots)):
            os.seteuid(uid)
            try:
                end.sendall(ask("Ping"))
            finally:
                os.seteuid(0)
        assert b"allow_users" in wire.read_box(connection.makefile("rb"))[ERROR]
        assert b"version" in wire.read_box(roots.makefile("rb"))


def test_who_comes_from_the_port_of_another(new_daemon: NewDaemon) -> None:
    """A call that was sent and reset is not taken for root's, who has the port now."""
    daemon = new_daemon(network_type="tcp").start()
    disk = daemon.cpi.ok("create_disk", 8, {}, None)
    assert daemon.process is not None
    # It accepts nothing for now, as when it starts or is very busy.
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        with user(SOMEBODY, daemon) as connection:
            port = connection.getsockname()
            connection.sendall(ask("DeleteDisk", disk_cid=disk))
            at_once = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: with a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        roots = socket.socket()
        roots.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        roots.bind(port)
        roots.settimeout(PATIENCE)
        roots.connect(("127.0.0.1", daemon.port))
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    with roots:
        assert answer(roots) is None
    # It waits for what is being done to the disk.
    daemon.cpi.ok("set_disk_metadata", disk, {})
    daemon.cpi.ok("delete_disk", disk)
