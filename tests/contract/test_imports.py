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

# Each costs milliseconds, or hundreds of them.
COSTLY = {
    "argparse",
    "asyncio",
    "dataclasses",
    "importlib.metadata",
    "inspect",
    "logging",
    "pathlib",
    "pyroute2",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "twisted",
    "typing",
    "uuid",
    "yaml",
    "zope",
}
LIMIT = 75
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
CALL = PREPARE + "from runc_cpi.cpi.__main__ import main\nmain()"


def assert_cheap(modules: set[str]) -> None:
    """Check that none of the costly modules is loaded, nor a part of one."""
    packages = modules | {module.partition(".")[0] for module in modules}
    assert packages & COSTLY == set()
    assert len(modules) <= LIMIT, sorted(modules)


def test_the_main_module() -> None:
    """
    The main module loads neither the client nor the configuration, which info does not
    need.
    """
    modules = modules_after(PREPARE + "import runc_cpi.cpi.__main__")
    assert_cheap(modules)
    assert not {"socket", "runc_cpi.cpi.client", "runc_cpi.cpi.config"} & modules


def test_info() -> None:
    """info loads nothing costly, since it is called before each method."""
    assert "socket" not in modules_after(CALL, stdin=request("info"))


def test_a_failing_call(tmp_path: Path) -> None:
    """A call that fails loads nothing more."""
    assert_cheap(modules_after(CALL, str(tmp_path / "none"), stdin=request("ping")))


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
    tmp_path: Path, method: str, arguments: list[object], fields: list[tuple[bytes, bytes]]
) -> None:
    """A call with a configuration in JSON, on a unix socket, loads nothing costly."""

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            box = wire.read_box(stream)
        connection.sendall(wire.encode_box([(b"_answer", box[b"_ask"]), *fields]))

    with served(behave) as path:
        config = tmp_path / "cpi.json"
        config.write_text(config_text(path, "unix"))
        modules = modules_after(CALL, str(config), stdin=request(method, *arguments))
    assert_cheap(modules)
    assert "runc_cpi.cpi.client" in modules


def test_a_call_over_tcp(tmp_path: Path) -> None:
    """A call over tcp does not load the code for host names."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    config = tmp_path / "cpi.json"
    config.write_text(config_text(address, "tcp"))
    modules = modules_after(CALL, str(config), stdin=request("ping"))
    assert_cheap(modules)
    assert not {"encodings.idna", "stringprep", "unicodedata"} & modules


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
