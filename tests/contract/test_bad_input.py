"""
Bad input, in tables: each row has the exact type of error, and a message that names it.

The rows are in L{tests.contract.bad_requests}, L{tests.contract.bad_vms},
L{tests.contract.bad_disks}, L{tests.contract.bad_networks},
L{tests.contract.bad_configs}, L{tests.contract.bad_sections} and
L{tests.contract.bad_peers}.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runc_cpi.cpi.__main__ import Call
from runc_cpi.daemon.tap import Options
from tests.contract import (
    bad_configs,
    bad_disks,
    bad_networks,
    bad_peers,
    bad_requests,
    bad_sections,
    bad_vms,
)
from tests.contract.cases import Case, ids
from tests.contract.executables import (
    ROOT,
    TIMEOUT,
    Response,
    config_text,
    judge,
    request,
)

REQUESTS = [*bad_requests.CASES, *bad_disks.ARGUMENTS, *bad_networks.ARGUMENTS]
CPI = [*bad_configs.CPI, *bad_sections.CPI]
DAEMON = [*bad_configs.DAEMON, *bad_sections.DAEMON, *bad_peers.PEERS]
CALLS = [*bad_vms.CASES, *bad_disks.DISKS, *bad_networks.NETWORKS]


def assert_refused(case: Case, response: Response) -> None:
    """Check that the error has the type and the message of the case."""
    assert response.type == case.type
    assert re.match(case.message, response.message, re.DOTALL), response.message
    assert "internal error" not in response.message
    assert response.error is not None
    assert response.error["ok_to_retry"] is False


def ask(raw: bytes, address: str, directory: Path) -> Response:
    """Let the executable's code answer a request, with the daemon at an address."""
    config = directory / "cpi.json"
    config.write_text(config_text(address, "unix"))
    return judge(Call().respond([str(config)], raw))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("case", REQUESTS, ids=ids(REQUESTS))
def test_requests(tmp_path: Path, case: Case) -> None:
    """Bad requests are refused without a daemon."""
    raw = case.given if isinstance(case.given, bytes) else json.dumps(case.given).encode()
    assert_refused(case, ask(raw, str(tmp_path / "none"), tmp_path))


@pytest.mark.parametrize("case", CALLS, ids=ids(CALLS))
def test_calls(tmp_path: Path, subjects: tuple[str, str], case: Case) -> None:
    """Bad calls are refused by the daemon, which asks nothing of the host."""
    address, stemcell_cid = subjects
    text = json.dumps(case.given).replace("THE STEMCELL", stemcell_cid)
    assert_refused(case, ask(text.encode(), address, tmp_path))


def write(path: Path, case: Case) -> str:
    """Write the input of a case to a file."""
    text = case.given
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize("case", CPI, ids=ids(CPI))
def test_configurations_of_the_executable(tmp_path: Path, case: Case) -> None:
    """
    The error for a bad configuration of the executable names the file; info is answered.
    """
    path = write(tmp_path / "cpi.yml", case)
    response = judge(Call().respond([path], request("ping")))
    expected = rf"configuration {re.escape(path)}: {case.message}"
    assert_refused(case._replace(message=expected), response)
    assert judge(Call().respond([path], request("info"))).error is None


def refusal(*arguments: str) -> str:
    """Return the one line with which the daemon's options are refused."""
    with pytest.raises(SystemExit) as caught:
        Options().parseOptions(arguments)
    # A text is what Python prints to stderr before it ends with status 1.
    said = caught.value.code
    assert isinstance(said, str)
    assert len(said.splitlines()) == 1, said
    prefix = "runc-cpid: "
    assert said.startswith(prefix)
    return said[len(prefix) :]


@pytest.mark.parametrize("case", DAEMON, ids=ids(DAEMON))
def test_configurations_of_the_daemon(tmp_path: Path, case: Case) -> None:
    """
    One line names the daemon's configuration file, the key, its value and what is accepted.
    """
    path = write(tmp_path / "config.yml", case)
    assert re.match(rf"{re.escape(path)}: {case.message}", refusal("--config", path))


def test_a_configuration_of_the_daemon_that_is_not_there(tmp_path: Path) -> None:
    """
    If the daemon's configuration file is missing, the error names the option and the path.
    """
    missing = str(tmp_path / "none")
    assert refusal() == "--config: missing; give the path of a YAML file"
    assert refusal("--config", missing) == f"--config: {missing}: No such file or directory"
    assert refusal("-c", str(tmp_path)) == f"--config: {tmp_path}: Is a directory"


@pytest.mark.parametrize(
    "text",
    ["cidr: x\n", "cidr: 2001-99-99\n", "[" * 10_000],
    ids=["a bad value", "an odd error of YAML", "no end"],
)
def test_the_daemon_ends_with_one_line(tmp_path: Path, text: str) -> None:
    """
    A daemon with a bad configuration ends with status 1, one line on stderr and no
    traceback.
    """
    config = tmp_path / "config.yml"
    config.write_text(text)
    run = "from twisted.scripts.twistd import run; run()"
    argv = [sys.executable, "-c", run, "-n", "runc-cpid", "--config", str(config)]
    finished = subprocess.run(
        argv,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    assert finished.stderr.startswith(f"runc-cpid: {config}: ")


def test_there_are_many_rows() -> None:
    """The tables have many rows."""
    tables = (REQUESTS, CALLS, CPI, DAEMON)
    assert all(len(table) >= 30 for table in tables)
