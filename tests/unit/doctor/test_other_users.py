"""What the doctor says to a user who is not root: what he may not look at, and no more."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor import certificates, network, privileges
from runc_cpi.daemon.doctor.examination import ONLY_ROOT, QUICK, THOROUGH, examine
from runc_cpi.daemon.doctor.finding import FAULT, WARNING, Finding, Patient
from runc_cpi.daemon.doctor.programs import ran
from runc_cpi.daemon.host.network import libnftables
from runc_cpi.daemon.host.network.nftables import Table

OTHER = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@pytest.fixture
def other_user() -> Iterator[None]:
    """Be another user, until the test ends."""
    os.seteuid(OTHER)
    yield
    os.seteuid(0)


def patient(home: Path) -> Patient:
    """Return a host whose C{work_dir} is not there, or not to be seen."""
    config = DaemonConfig.parse({"work_dir": str(home / "w")})
    return Patient(config=config, is_served=False)


def one(found: Iterable[Finding]) -> Finding:
    """Return the finding, of which there is one."""
    (finding,) = found
    return finding


@pytest.mark.usefixtures("other_user")
def test_what_only_root_may_look_at(tmp_path: Path) -> None:
    """It is said of each check that it was not made, and nothing is called wrong."""
    assert set(QUICK + THOROUGH) > ONLY_ROOT
    found = list(examine(patient(tmp_path), ONLY_ROOT))
    assert {(each.state, each.seen, each.advice) for each in found} == {
        (
            WARNING,
            "cannot be looked at: only root may",
            "run this as root, on the daemon's host",
        )
    }
    named = {each.check for each in found}
    assert {"nftables", "firewall", "published ports", "file system"} < named
    root = one(examine(patient(tmp_path), [privileges.root]))
    assert (root.state, root.seen.startswith("is not who asks")) == (FAULT, True)


def test_certificates(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Certificates that one may not read are not called bad."""
    tls = {name: str(tmp_path / name) for name in ("certificate", "private_key", "ca")}
    for path in tls.values():
        Path(path).touch(mode=0o600)
    raw = {"work_dir": str(tmp_path), "network_type": "tcp", "tls": tls}
    asked = Patient(config=DaemonConfig.parse(raw), is_served=False)
    assert {each.state for each in certificates.certificates(asked)} == {FAULT}
    request.getfixturevalue("other_user")
    found = list(certificates.certificates(asked))
    assert {each.state for each in found} == {WARNING}
    assert "you may not read" in found[0].seen


@pytest.fixture
def port_of_root() -> Iterator[int]:
    """A port that a process of root has, which is not this one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        holder = subprocess.Popen(["sleep", "1000"], pass_fds=[taken.fileno()])
    with holder:
        yield port
        holder.kill()


def test_a_port_that_root_has(port_of_root: int, request: pytest.FixtureRequest) -> None:
    """A port is not called free because one may not see who has it."""
    where = f"127.0.0.1:{port_of_root}"
    config = DaemonConfig.parse({"network_type": "tcp", "address": where})
    asked = Patient(config=config, is_served=False)
    assert f"{where} is taken by sleep (pid " in one(network.address(asked)).seen
    request.getfixturevalue("other_user")
    found = one(network.address(asked))
    assert found.state == FAULT
    assert found.seen == f"{where} is taken by a process of this host"


@pytest.mark.usefixtures("other_user")
def test_the_table_of_firewalld() -> None:
    """Who may not look is not told that there is none."""
    with pytest.raises(libnftables.NotPermitted):
        Table.firewalld()


@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_rules_of_iptables(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not look is not told that there are none."""
    if shutil.which(program) is None:
        pytest.skip("is not here")
    become = ("setpriv", f"--reuid={OTHER}", "--clear-groups")
    monkeypatch.setattr(network, "ran", lambda *argv: ran(*become, *argv))
    with pytest.raises(OSError, match=program):
        network._listing(program)
