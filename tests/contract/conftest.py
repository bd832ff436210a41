"""Fixtures of all contract tests: a working directory, and a daemon to call."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi import json_text
from runc_cpi.cpi import sockets

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Work in a directory that is removed afterwards: trial's C{mktemp} uses the current one.
    """
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["private modules", "public modules"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Run a test with the private modules of the standard library that make a call short, and
    with the public ones that take their place where they are missing.
    """
    if request.param == "public modules":
        monkeypatch.setattr(json_text, "_scan", None)
        monkeypatch.setattr(json_text, "_make_encoder", None)
        monkeypatch.setattr(sockets, "socket", socket)


@pytest.fixture(scope="session")
def subjects() -> Iterator[tuple[str, str]]:
    """
    Serve the real protocol over a daemon's real parts, in a process of its own.

    @return: the path of its socket, and the cid of the stemcell that it has.
    """
    directory = tempfile.mkdtemp(prefix="cpi-")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "tests.contract.served_parts", directory]
    try:
        with subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            stemcell_cid = process.stdout.readline().strip()
            assert stemcell_cid
            yield f"{directory}/socket", stemcell_cid
            # It ends with its stdin, so it cannot outlive a test run that is killed.
            process.stdin.close()
            assert process.wait(10) == 0
    finally:
        shutil.rmtree(directory)
