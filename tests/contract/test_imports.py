"""What the executable imports: each import costs time at each of its starts."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runc_cpi import wire
from tests.contract.executables import (
    BARE,
    ENVIRONMENT,
    ROOT,
    TIMEOUT,
    config_text,
    request,
)
from tests.contract.peers import served

# All that is imported for info, besides what Python's start imports.
INFO = {"__future__", "_json", "runc_cpi", "runc_cpi.errors", "runc_cpi.json_text"} | {
    "runc_cpi.cpi",
    *(f"runc_cpi.cpi.{name}" for name in ("__main__", "arguments", "request")),
}
# All that is imported for a call that the daemon answers.
CALLED = INFO | {
    *("_socket", "runc_cpi.wire"),
    *(f"runc_cpi.cpi.{name}" for name in ("client", "config", "connecting")),
    *(f"runc_cpi.cpi.{name}" for name in ("methods", "sockets")),
}
SHOW_MODULES = "\nprint('\\n' + ' '.join(sys.modules), file=sys.stderr)"


def modules_after(program: str, *arguments: str, stdin: bytes = b"") -> set[str]:
    """Return the modules that are loaded when a program has run."""
    finished = subprocess.run(
        [*BARE[:-1], program + SHOW_MODULES, *arguments],
        env=ENVIRONMENT,
        cwd="/",
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    return set(finished.stderr.decode().splitlines()[-1].split())


PREPARE = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
CALL = PREPARE + "from runc_cpi.cpi.__main__ import run\nrun()"


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What Python's start imports."""
    return modules_after("import sys")


def test_info(bare: set[str]) -> None:
    """info, which is called before each method, imports next to nothing."""
    assert modules_after(CALL, stdin=request("info")) - bare == INFO


def test_a_failing_call(bare: set[str], tmp_path: Path) -> None:
    """A call that fails imports nothing more than one that succeeds."""
    config = tmp_path / "cpi.json"
    config.write_text(config_text(f"{tmp_path}/none", "unix"))
    assert modules_after(CALL, str(config), stdin=request("ping")) - bare == CALLED


@pytest.mark.parametrize(
    ("method", "arguments", "fields"),
    [
        ("has_vm", ["vm-1"], [(b"exists", b"True")]),
        (
            "create_vm",
            ["a", "s", {}, {"n": {"type": "dynamic"}}],
            [(b"vm_cid", b"vm-1"), (b"networks", b"{}")],
        ),
    ],
)
def test_a_call(
    bare: set[str],
    tmp_path: Path,
    method: str,
    arguments: list[object],
    fields: list[tuple[bytes, bytes]],
) -> None:
    """A call with a configuration in JSON, on a unix socket, imports only what it must."""

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            box = wire.read_box(stream)
        connection.sendall(wire.encode_box([(b"_answer", box[b"_ask"]), *fields]))

    with served(behave) as path:
        config = tmp_path / "cpi.json"
        config.write_text(config_text(path, "unix"))
        modules = modules_after(CALL, str(config), stdin=request(method, *arguments))
    assert modules - bare == CALLED


def test_a_call_over_tcp(bare: set[str], tmp_path: Path) -> None:
    """A call over tcp imports no more, and no code for the names of hosts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    config = tmp_path / "cpi.json"
    config.write_text(config_text(address, "tcp"))
    assert modules_after(CALL, str(config), stdin=request("ping")) - bare == CALLED


def test_a_configuration_in_yaml(tmp_path: Path) -> None:
    """Only a configuration in YAML loads the YAML library."""
    config = tmp_path / "cpi.yml"
    config.write_text(f"address: {tmp_path}/none\nconnect_timeout: 0\n")
    finished = subprocess.run(
        [sys.executable, "-I", "-c", CALL + SHOW_MODULES, str(config)],
        input=request("ping"),
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert "yaml" in finished.stderr.decode().splitlines()[-1].split()
    assert "cannot reach runc-cpid" in finished.stdout.decode()
