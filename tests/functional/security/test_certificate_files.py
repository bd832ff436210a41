"""
Certificate files: checked at the start, and read again when they change and on SIGHUP.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from runc_cpi import wire
from tests.functional.security.peers import (
    CONTROL,
    Since,
    ask,
    connected,
    control,
    cpi,
    cpi_config,
)
from tests.harness.certificates import Authority, client_context, expired_ca
from tests.harness.cpi import ENVIRONMENT
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

NOTICED = 15.0


def as_files(daemon: Daemon, tls: dict[str, str]) -> dict[str, str]:
    """
    Write the daemon's certificates into files, one after the other, and return their paths.
    """
    files = {}
    for key, value in tls.items():
        path = daemon.home / f"daemon-{key}.pem"
        path.write_text(value)
        files[key] = str(path)
    return files


@pytest.fixture
def served(new_daemon: NewDaemon, server_tls: dict[str, str]) -> Daemon:
    """A daemon whose certificates are files."""
    daemon = new_daemon(network_type="tcp")
    daemon.config["tls"] = as_files(daemon, server_tls)
    daemon.write_config()
    return daemon.start()


def hang_up(daemon: Daemon) -> None:
    """Send SIGHUP to the daemon."""
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)


@pytest.mark.parametrize("told", [True, False])
def test_read_again(
    served: Daemon, tmp_path: Path, client_tls: dict[str, str], told: bool
) -> None:
    """A new CA counts for new connections, and open connections stay open."""
    other = Authority("the next CA")
    context = client_context(client_tls, str(tmp_path))
    with connected(served) as plain, context.wrap_socket(plain) as connection:
        stream = connection.makefile("rb")
        connection.sendall(ask("Ping"))
        assert b"version" in wire.read_box(stream)
        as_files(served, other.issue("d", "127.0.0.1"))
        if told:
            hang_up(served)
        timeout = 5 if told else NOTICED
        caller = cpi(served, other.issue("c"))
        eventually(lambda: caller.call("ping")["result"], "the new CA counts", timeout)
        connection.sendall(ask("Ping"))
        assert b"version" in wire.read_box(stream)
    error = cpi(served, client_tls).error("ping")
    assert "is not accepted" in error["message"]
    assert "read the certificates again" in served.log


BAD_FILES = {
    "empty": ("certificate", lambda tls, ca: ""),
    "nonsense": ("ca", lambda tls, ca: "nonsense"),
    "another key": ("private_key", lambda tls, ca: ca.issue("x")["private_key"]),
    "cut short": ("private_key", lambda tls, ca: tls["private_key"][:100]),
    "expired": (
        "certificate",
        lambda tls, ca: ca.issue("x", ends=timedelta(days=-3))["certificate"],
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_new_file(
    served: Daemon,
    authority: Authority,
    server_tls: dict[str, str],
    client_tls: dict[str, str],
    name: str,
) -> None:
    """Bad new files are reported, and the old ones stay in use."""
    key, make = BAD_FILES[name]
    since = Since(served)
    Path(served.config["tls"][key]).write_text(make(server_tls, authority))
    hang_up(served)
    eventually(lambda: "certificates stay as they are" in since.log, "it is reported")
    assert f"tls.{key}" in since.log or name in ("expired", "another key")
    assert "Traceback" not in since.log
    assert cpi(served, client_tls).ok("ping") == "pong"
    Path(served.config["tls"][key]).unlink()
    hang_up(served)
    eventually(lambda: "No such file" in since.log, "it is reported")
    assert cpi(served, client_tls).ok("ping") == "pong"


def test_hang_up_without_tls(daemon: Daemon) -> None:
    """Without TLS SIGHUP changes nothing."""
    for _ in range(5):
        hang_up(daemon)
    assert daemon.cpi.ok("ping") == "pong"


BAD_STARTS = {
    "expired": (lambda tls, ca: ca.issue("d", ends=timedelta(days=-3)), "expired on"),
    "mismatch": (
        lambda tls, ca: {**tls, "private_key": ca.issue("x")["private_key"]},
        "tls.private_key: does not belong",
    ),
    "CA expired": (
        lambda tls, ca: {**tls, "ca": expired_ca()},
        "tls.ca: expired on",
    ),
    "no PEM": (
        lambda tls, ca: {**tls, "certificate": "-----BEGIN CERTIFICATE-----\nx"},
        "tls.certificate: holds no PEM",
    ),
    "no file": (lambda tls, ca: {**tls, "ca": "/nonexistent"}, "tls.ca: /nonexistent: No"),
    "missing": (lambda tls, ca: {"ca": tls["ca"]}, "tls.certificate: must be"),
    "a list": (lambda tls, ca: {**tls, "ca": [1]}, "tls.ca: must be"),
    "swapped": (
        lambda tls, ca: {**tls, "private_key": tls["certificate"]},
        "tls.private_key: holds no PEM key",
    ),
    "key with a heading": (
        lambda tls, ca: {**tls, "private_key": "Bag Attributes\n" + tls["private_key"]},
        "tls.private_key",
    ),
    "PEM for a section": (lambda tls, ca: tls["private_key"], "tls: "),
    "names for a text": (
        lambda tls, ca: {**tls, "allowed_clients": tls["private_key"]},
        "tls.allowed_clients",
    ),
}


@pytest.mark.parametrize("name", BAD_STARTS)
def test_refused_at_start(
    new_daemon: NewDaemon, authority: Authority, server_tls: dict[str, str], name: str
) -> None:
    """
    A daemon with bad files does not start; one line names the key, and shows no private
    key.
    """
    make, named = BAD_STARTS[name]
    daemon = new_daemon(network_type="tcp", config={"tls": make(server_tls, authority)})
    line = daemon.refusal()
    assert named in line
    assert server_tls["private_key"].splitlines()[1] not in line


def make(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run C{runc-cpictl certs}."""
    return subprocess.run(
        [CONTROL, "certs", *options, directory],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_made_by_the_tool(new_daemon: NewDaemon, tmp_path: Path) -> None:
    """Certificates of C{runc-cpictl certs} work on both sides, by name and by address."""
    directory = tmp_path / "new" / "certs"
    names = ["--host", "127.0.0.1", "--host", "localhost"]
    clients = ["--client", "director", "--client", "operator", "--client", "viewer"]
    umask = os.umask(0)
    try:
        outcome = make(directory, *names, *clients)
    finally:
        os.umask(umask)
    assert outcome.returncode == 0, outcome.stderr
    written = {path.name: path for path in directory.iterdir()}
    assert sorted(outcome.stdout.split()) == sorted(map(str, written.values()))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name, path in written.items():
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o644 if name.endswith(".crt") else 0o600), name
    tls = {
        "certificate": str(written["server.crt"]),
        "private_key": str(written["server.key"]),
        "ca": str(written["ca.crt"]),
        "allowed_clients": ["director"],
        "viewing_clients": ["viewer"],
    }
    daemon = new_daemon(network_type="tcp", config={"tls": tls}).start()
    told = yaml.safe_load(written["vars.yml"].read_text())["runc_cpi_tls"]
    assert set(told) == {"ca", "certificate", "private_key"}
    by_name = f"localhost:{daemon.port}"
    assert cpi(daemon, told).ok("ping") == "pong"
    assert cpi(daemon, told, address=by_name).ok("ping") == "pong"
    config = cpi_config(daemon, told, address=by_name)
    assert control(daemon.config_file, config, "ping").returncode == 0
    operator = {
        "ca": str(written["ca.crt"]),
        "certificate": str(written["operator.crt"]),
        "private_key": str(written["operator.key"]),
    }
    assert "allowed_clients" in cpi(daemon, operator).error("ping")["message"]
    viewer = {
        "ca": str(written["ca.crt"]),
        "certificate": str(written["viewer.crt"]),
        "private_key": str(written["viewer.key"]),
    }
    assert cpi(daemon, viewer).ok("ping") == "pong"
    assert cpi(daemon, viewer).ok("has_disk", "disk-1") is False
    refused = cpi(daemon, viewer).error("create_disk", 64, {}, None)
    assert "viewer may only look: it is in tls.viewing_clients" in refused["message"]
    assert cpi(daemon, told).ok("create_disk", 64, {}, None).startswith("disk-")
    again = make(directory, *names)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    # The daemon's configuration has only the names of secret files, so none is shown.
    assert "PRIVATE" not in json.dumps(daemon.config) + daemon.log


def test_all_sides(new_daemon: NewDaemon, tmp_path: Path) -> None:
    """
    One directory of certificates serves the daemon, root, an operator elsewhere and BOSH.
    """
    directory = tmp_path / "certs"
    daemon = new_daemon(network_type="tcp", config={"tls": str(directory)})
    daemon.config["address"] = f"0.0.0.0:{daemon.port}"
    daemon.write_config()
    line = daemon.refusal()
    assert f"tls.certificate: {directory}/server.crt: No such file" in line
    outcome = make(directory, "--host", "127.0.0.2", f"--port={daemon.port}")
    assert outcome.returncode == 0, outcome.stderr
    daemon.start()
    tool = ["--config", str(daemon.config_file)]
    # First as root, without options; then elsewhere, with this one file only.
    for options in (tool, ["--cpi", str(directory / "operator.yml")]):
        told = subprocess.run(
            [CONTROL, *options, "ping", "--output=json"],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        assert "version" in json.loads(told.stdout)
    viewer = directory / "viewer.yml"
    assert control(daemon.config_file, viewer, "vms").returncode == 0
    refused = control(daemon.config_file, viewer, "repair")
    assert (refused.returncode, "may only look" in refused.stderr) == (1, True)
    tls = yaml.safe_load((directory / "vars.yml").read_text())["runc_cpi_tls"]
    for host in ("127.0.0.1", "127.0.0.2", "localhost"):
        assert cpi(daemon, tls, address=f"{host}:{daemon.port}").ok("ping") == "pong"


@pytest.mark.parametrize("name", ["../x", "-x", "a/b", "", "a b", "server", "ca", "vars"])
def test_no_name(tmp_path: Path, name: str) -> None:
    """A client's name becomes no path, and cannot be that of another file."""
    outcome = make(tmp_path / "certs", "--host", "127.0.0.1", f"--client={name}")
    assert outcome.returncode == 2, outcome
    assert outcome.stderr.startswith("runc-cpictl: ")
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "certs").exists()


@pytest.mark.parametrize("key", ["ca", "certificate", "private_key"])
def test_bad_files_of_clients(served: Daemon, client_tls: dict[str, str], key: str) -> None:
    """Both clients name a file of their own that is missing, or is no PEM."""
    broken = {"missing": "/nonexistent", "nonsense": "-----BEGIN X-----\nhunter2"}
    for name, value in broken.items():
        tls = {**client_tls, key: value}
        error = cpi(served, tls).error("ping")
        assert error["type"] == "Bosh::Clouds::CpiError"
        assert "internal error" not in error["message"]
        assert f"tls.{key}" in error["message"], name
        outcome = control(served.config_file, cpi_config(served, tls), "ping")
        assert outcome.returncode == 1
        assert len(outcome.stderr.splitlines()) == 1, outcome.stderr
        assert "hunter2" not in error["message"] + outcome.stderr
