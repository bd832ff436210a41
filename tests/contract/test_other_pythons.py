"""The executable with each Python that this host has, from 3.9 on."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from runc_cpi import wire
from tests.contract.executables import (
    BARE,
    WITHOUT_PRIVATE,
    config_text,
    request,
    run,
)
from tests.contract.peers import served
from tests.contract.test_executable import BAD_INPUT, INFO

WAYS = {"private modules": BARE, "public modules": WITHOUT_PRIVATE}
# pyenv keeps its Pythons off the PATH.
PYENV = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"


def found() -> dict[str, str]:
    """Return the path of a Python of each version that is here."""
    paths: dict[str, str] = {}
    for name in (f"3.{minor}" for minor in range(9, 16)):
        own = sorted(PYENV.glob(f"{name}.*/bin/python{name}"))
        path = str(own[0]) if own else shutil.which(f"python{name}")
        if path is not None:
            paths[name] = path
    return paths


PYTHONS = found()
pytestmark = pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)


@pytest.mark.parametrize("way", WAYS)
def test_a_call(python: str, way: str, tmp_path: Path) -> None:
    """A call goes to the daemon and back, with all kinds of values."""
    argv = [python, *WAYS[way][1:]]
    metadata = {"a": [1, -2.5, 1e300, None, True, "\u2603\U0001f600 \\"], "": {}}

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            box = wire.read_box(stream)
        assert json.loads(box[b"metadata"]) == metadata
        connection.sendall(wire.encode_box([(b"_answer", box[b"_ask"])]))

    with served(behave) as path:
        config = tmp_path / "cpi.json"
        config.write_text(config_text(path))
        asked = request("set_vm_metadata", "vm-1", metadata)
        assert run(asked, str(config), argv=argv).error is None
    assert run(request("info"), argv=argv).result == INFO


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["half a request", "deep lists", "invalid UTF-8"])
def test_bad_input(python: str, way: str, name: str) -> None:
    """Bad input is refused."""
    response = run(BAD_INPUT[name], argv=[python, *WAYS[way][1:]])
    assert response.message.startswith("the request is not JSON: ")
