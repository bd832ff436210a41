"""Callers of a daemon: the executable with another configuration, and bare connections."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from runc_cpi import wire
from tests.harness.cpi import CPI, ENVIRONMENT, EXECUTABLE
from tests.harness.daemon import AGENT, Daemon

CONTROL = Path(sys.executable).with_name("runc-cpictl")
PATIENCE = 20.0


def cpi_config(daemon: Daemon, tls: Mapping[str, str] | None = None, **keys: Any) -> Path:
    """Write another configuration of the executable, and return its path."""
    told: dict[str, Any] = {
        "network_type": daemon.network_type,
        "address": daemon.config["address"],
        "agent": AGENT,
        "connect_timeout": 1,
        **keys,
    }
    if tls is not None:
        told["tls"] = dict(tls)
    path = daemon.home / f"cpi-{len(list(daemon.home.iterdir()))}.json"
    path.write_text(json.dumps(told))
    return path


def cpi(daemon: Daemon, tls: Mapping[str, str] | None = None, **keys: Any) -> CPI:
    """Return the executable with another configuration."""
    return CPI(cpi_config(daemon, tls, **keys))


def entered(
    pid: int, daemon: Daemon, address: str, tls: Mapping[str, str] | None = None
) -> CPI:
    """Return the executable, run in the network namespace of C{pid}."""
    script = daemon.home / f"in-{pid}"
    script.write_text(f'#!/bin/sh\nexec nsenter --target={pid} --net {EXECUTABLE} "$@"\n')
    script.chmod(0o755)
    return CPI(cpi_config(daemon, tls, address=address), script)


def control(
    config: Path, cpi_file: Path, *command: str
) -> subprocess.CompletedProcess[str]:
    """Run C{runc-cpictl} with a CPI's configuration."""
    return subprocess.run(
        [CONTROL, "--config", config, "--cpi", cpi_file, *command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Since:
    """The part of a daemon's log that is written from now on."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon, self._begin = daemon, len(daemon.log)

    @property
    def log(self) -> str:
        """Return what the daemon has logged since."""
        return self._daemon.log[self._begin :]


def ask(command: str, number: int = 1, **arguments: Any) -> bytes:
    """Return a call as bytes of AMP."""
    pairs = [(b"_ask", b"%x" % number), (b"_command", command.encode())]
    for name, value in arguments.items():
        if isinstance(value, (dict, list)):
            value = json.dumps(value)
        data = value if isinstance(value, bytes) else str(value).encode()
        pairs += wire.split(name.encode(), data)
    return wire.encode_box(pairs)


@contextmanager
def connected(daemon: Daemon) -> Iterator[socket.socket]:
    """Connect to a daemon, and send nothing."""
    address = str(daemon.config["address"])
    if daemon.network_type == "unix":
        connection = socket.socket(socket.AF_UNIX)
        target: Any = address
    else:
        connection = socket.socket()
        target = ("127.0.0.1", int(address.rpartition(":")[2]))
    with connection:
        connection.settimeout(PATIENCE)
        with suppress(ConnectionResetError):  # it may be closed already
            connection.connect(target)
        yield connection


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side closes the connection; fail if it sends anything."""
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        raise
    except OSError:
        return True


def call(connection: socket.socket, command: str, **arguments: Any) -> dict[bytes, bytes]:
    """Make one call over a bare connection."""
    connection.sendall(ask(command, **arguments))
    return wire.read_box(connection.makefile("rb"))


def descriptors(daemon: Daemon) -> int:
    """Count the open files of a daemon."""
    assert daemon.process is not None
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def descriptors_at_rest(daemon: Daemon) -> int:
    """Count the open files of a daemon once its start is done."""
    with connected(daemon) as connection, suppress(ConnectionResetError):
        # It logs that it serves before its reactor runs; it hangs up on what is no AMP.
        connection.sendall(b"\xff\xff")
        while connection.recv(4096):
            pass
    return descriptors(daemon)


def memory(daemon: Daemon) -> int:
    """Return the memory of a daemon in KiB."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text("ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])
