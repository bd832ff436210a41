"""Mutual TLS by properties of the job, in both places that start the CPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from runc_cpi.ctl import certificates as made
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.release import jobs, packages
from tests.release.callers import CLI, Director
from tests.release.vcap import sandboxed

Install = Callable[[Mapping[str, Any]], Path]


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """The certificates, and the variable of tls.yml."""
    directory = tmp_path / "certs"
    made.write(directory, ["127.0.0.1"], ["director"], 1, 9999)
    return directory


@pytest.fixture
def secure(new_daemon: NewDaemon, certificates: Path) -> Daemon:
    """
    A daemon with the configuration of the job runc_cpid: certificates as PEM, not as files.
    """
    names = {"ca": "ca.crt", "certificate": "server.crt", "private_key": "server.key"}
    tls = {key: (certificates / name).read_text() for key, name in names.items()}
    template = packages.RELEASE / "jobs" / "runc_cpid" / "templates" / "config.yml.erb"
    rendered = yaml.safe_load(jobs.render(template, {"runc_cpid": {"tls": tls}}))
    return new_daemon(network_type="tcp", config={"tls": rendered["tls"]}).start()


def test_both_callers(
    secure: Daemon, certificates: Path, install: Install, compiled: Path
) -> None:
    """Both callers are let in, also where the private key cannot be written to a file."""
    variables = yaml.safe_load((certificates / "vars.yml").read_text())
    address = secure.config["address"]
    tls = variables["runc_cpi_tls"]
    directory = install({"runc_cpi": {"address": address, "tls": tls}})
    assert CLI(directory, compiled).ok("has_vm", "vm-none") is False
    argv = [*sandboxed(compiled, directory), "/var/vcap/jobs/runc_cpi/bin/cpi"]
    assert Director(argv).ok("has_vm", "vm-none") is False


def test_without_properties(secure: Daemon, install: Install, compiled: Path) -> None:
    """A caller without a certificate is refused."""
    directory = install({"runc_cpi": {"address": secure.config["address"]}})
    error = CLI(directory, compiled).error("has_vm", "vm-none")
    assert "runc-cpid expects TLS at this address" in error["message"]
