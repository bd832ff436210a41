"""C{runc-cpictl certs}: the files that it makes for the daemon and the director."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from runc_cpi.cpi import tls as cpi_tls
from runc_cpi.cpi.config import load
from runc_cpi.ctl import certificates
from runc_cpi.daemon.config import DaemonConfig, TLSConfig
from runc_cpi.daemon.entrance import identity
from tests.unit.ctl.invoking import Tool


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Make certificates for two hosts and two clients."""
    directory = tmp_path / "some" / "where"
    certificates.write(
        directory, ["192.0.2.1", "host.example"], ["director", "ops"], 30, 9999
    )
    return directory


def certificate(path: Path) -> x509.Certificate:
    """Read a certificate."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_files_and_modes(made: Path) -> None:
    """All may read the certificates; only the owner may read the keys."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.iterdir()}
    names = ("ca", "server", "director", "ops", "operator", "viewer")
    public = {f"{name}.crt" for name in names}
    keys = {f"{name}.key" for name in names}
    assert modes.keys() - public == keys | {"vars.yml", "operator.yml", "viewer.yml"}
    assert all(modes[name] & 0o077 == 0 for name in modes.keys() - public)
    assert made.stat().st_mode & 0o077 == 0


def test_names(made: Path) -> None:
    """The daemon's certificate names its addresses, a client's names the client."""
    names = (
        certificate(made / "server.crt")
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("192.0.2.1")]
    assert names.get_values_for_type(x509.DNSName) == ["host.example"]
    assert identity.client_names(certificate(made / "ops.crt")) == {"ops"}


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("server", ExtendedKeyUsageOID.SERVER_AUTH),
        ("director", ExtendedKeyUsageOID.CLIENT_AUTH),
    ],
)
def test_purposes(made: Path, name: str, purpose: x509.ObjectIdentifier) -> None:
    """A client's certificate cannot be used by a daemon, nor a daemon's by a client."""
    usages = (
        certificate(made / f"{name}.crt")
        .extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        .value
    )
    assert list(usages) == [purpose]


def test_all_are_signed_by_the_ca(made: Path) -> None:
    """The CA signs all certificates, and cannot sign another CA."""
    authority = certificate(made / "ca.crt")
    for name in ("server", "director", "ops"):
        certificate(made / f"{name}.crt").verify_directly_issued_by(authority)
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)


def test_validity(made: Path) -> None:
    """Certificates are valid from an hour ago, for clocks differ, to the days asked for."""
    now = datetime.now(timezone.utc)
    for name in ("ca", "server", "director"):
        found = certificate(made / f"{name}.crt")
        assert found.not_valid_before_utc < now - timedelta(minutes=50)
        assert timedelta(days=29) < found.not_valid_after_utc - now <= timedelta(days=30)


def test_vars(made: Path) -> None:
    """vars.yml has what the CPI's configuration needs, for the first client."""
    values = yaml.safe_load((made / "vars.yml").read_text())
    assert values == {
        "runc_cpi_tls": {
            "ca": (made / "ca.crt").read_text(),
            "certificate": (made / "director.crt").read_text(),
            "private_key": (made / "director.key").read_text(),
        }
    }
    cpi_tls._context(values["runc_cpi_tls"])


@pytest.mark.parametrize(
    ("host", "address"), [("h.example", "h.example:9"), ("2001:db8::1", "[2001:db8::1]:9")]
)
def test_configurations_for_the_tool(tmp_path: Path, host: str, address: str) -> None:
    """operator.yml and viewer.yml have all in them, to be taken to another machine."""
    certificates.write(tmp_path / "d", [host, "other"], ["director"], 30, 9)
    for name in certificates.OF_TOOL:
        config = load(str(tmp_path / "d" / f"{name}.yml"), {})
        assert (config.network_type, config.address) == ("tcp", address)
        assert config.tls is not None
        cpi_tls._context(config.tls)
        assert config.tls["certificate"] == (tmp_path / "d" / f"{name}.crt").read_text()


def test_an_operator_of_ones_own(tmp_path: Path) -> None:
    """A client that is named operator as well is made once."""
    made = certificates.write(tmp_path / "d", ["h"], ["director", "operator"], 30, 9999)
    assert len(made) == len(set(made)) == 13


def test_the_daemon_takes_the_directory(made: Path) -> None:
    """The daemon takes the directory's path for C{tls}, with or without a last slash."""
    for path in (f"{made}", f"{made}/"):
        config = DaemonConfig.parse({"network_type": "tcp", "tls": path})
        assert config.tls == TLSConfig(
            certificate=f"{made}/server.crt",
            private_key=f"{made}/server.key",
            ca=f"{made}/ca.crt",
            allowed_clients=(),
        )
        identity.load(config.tls)


def test_the_daemon_takes_them(made: Path) -> None:
    """The daemon takes the paths of the files, and lets a client in by its name."""
    identity.load(
        TLSConfig(
            certificate=str(made / "server.crt"),
            private_key=str(made / "server.key"),
            ca=str(made / "ca.crt"),
            allowed_clients=("director",),
        )
    )


def test_nothing_is_overwritten(made: Path) -> None:
    """Files that are there already are not written over."""
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    with pytest.raises(FileExistsError):
        certificates.write(made, ["192.0.2.1"], ["director"], 30, 9999)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_what_is_there_already_is_named(made: Path, tool: Tool) -> None:
    """An error about a file that is there names it in one line."""
    outcome = tool("certs", "--host", "192.0.2.1", made)
    line = f"runc-cpictl: {made}/ca.crt: is there already; remove it first\n"
    assert outcome == (1, "", line)


def test_options(tmp_path: Path, tool: Tool) -> None:
    """The files are named; the client is the director unless others are named."""
    directory = tmp_path / "d"
    outcome = tool("certs", "--host", "a.example", "--host", "::1", directory)
    assert outcome.status == 0, outcome
    printed = outcome.stdout.split()
    assert set(printed) == {str(path) for path in directory.iterdir()}
    assert (directory / "director.crt").exists()
    operators = load(str(directory / "operator.yml"), {})
    assert operators.address == "a.example:9999"


@pytest.mark.parametrize(
    "arguments",
    [
        ["d"],
        ["--host", "h"],
        ["--host", "h", "d", "e"],
        ["--host", "", "d"],
        ["--host", "a b", "d"],
        ["--host", "h", "--client", "../x", "d"],
        ["--host", "h", "--client", "-x", "d"],
        ["--host", "h", "--days", "0", "d"],
        ["--host", "h", "--days", "x", "d"],
        ["--host", "h", "--days", "999999999", "d"],
        ["--host", "h", "--client", "server", "d"],
        ["--host", "h", "--client", "ca", "d"],
        ["--host", "h", "--port", "0", "d"],
        ["--host", "h", "--port", "x", "d"],
    ],
    ids=" ".join,
)
def test_bad_options(arguments: list[str], tmp_path: Path, tool: Tool) -> None:
    """Bad options are refused before anything is written."""
    paths = [str(tmp_path / "d") if argument == "d" else argument for argument in arguments]
    assert tool.refusal("certs", *paths).endswith("\nTry runc-cpictl certs --help.\n")
    assert not (tmp_path / "d").exists()


def test_a_long_name_of_a_host(tmp_path: Path) -> None:
    """The host's name may be longer than a common name, which has 64 characters at most."""
    host = f"{'h' * 60}.{'d' * 60}.example"
    certificates.write(tmp_path / "d", [host], ["director"], 30, 9999)
    extensions = certificate(tmp_path / "d" / "server.crt").extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host]
