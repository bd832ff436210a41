"""Mutual TLS: who is let in, and what each side says about a refusal."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from tests.functional.security.peers import (
    Since,
    ask,
    connected,
    control,
    cpi,
    cpi_config,
)
from tests.harness.certificates import Authority, client_context
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab, NewDaemon
from tests.harness.waiting import eventually

CPI_ERROR = "Bosh::Clouds::CpiError"
CLOUD_ERROR = "Bosh::Clouds::CloudError"
ALLOWED = ["director.example", "operator"]
AGES = timedelta(days=20)


@pytest.fixture(scope="module")
def served(lab: Lab, server_tls: dict[str, str]) -> Iterator[Daemon]:
    """A daemon with mutual TLS, for two clients."""
    with lab.daemons() as new_daemon:
        tls = {**server_tls, "allowed_clients": ALLOWED}
        daemon = new_daemon(network_type="tcp", config={"tls": tls})
        daemon.start()
        yield daemon
        daemon.stop()


@pytest.fixture
def since(served: Daemon, client_tls: dict[str, str]) -> Iterator[Since]:
    """The daemon's log from now on; afterwards the daemon serves, and logged no bug."""
    since = Since(served)
    yield since
    assert cpi(served, client_tls).ok("ping") == "pong"
    assert "Traceback" not in since.log
    assert "Unhandled" not in since.log


@pytest.fixture
def bad_clients(
    authority: Authority, server_tls: dict[str, str]
) -> dict[str, dict[str, str]]:
    """Certificates of clients that are not let in."""
    stranger = Authority("another CA").issue("director", "director.example")
    return {
        "another CA": {**stranger, "ca": authority.pem},
        "expired": authority.issue("director", "director.example", ends=-AGES),
        "not yet": authority.issue("director", "director.example", begins=AGES),
        "not listed": authority.issue("intruder", "intruder.example"),
        "a server's": server_tls,
        "other name": authority.issue("x"),
    }


BAD_CLIENTS = {
    "another CA": "does not know the CA",
    "expired": "expired",
    "not yet": "",
    "not listed": "allowed_clients",
    "a server's": "",
    "other name": "allowed_clients",
}


def test_right_client(
    served: Daemon, since: Since, authority: Authority, client_tls: dict[str, str]
) -> None:
    """A client that the CA signed and the list names is let in, by either name."""
    assert cpi(served, client_tls).ok("has_vm", "vm-none") is False
    assert cpi(served, authority.issue("operator")).ok("ping") == "pong"
    both = authority.issue("someone", "director.example")
    assert cpi(served, both).ok("ping") == "pong"


def test_right_client_of_twisted(
    served: Daemon, since: Since, client_tls: dict[str, str]
) -> None:
    """C{runc-cpictl} is let in with the same certificate, as text and as files."""
    outcome = control(served.config_file, cpi_config(served, client_tls), "ping")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("runc-cpid ")
    files = {}
    for key, value in client_tls.items():
        path = served.home / f"client-{key}.pem"
        path.write_text(value)
        files[key] = str(path)
    outcome = control(served.config_file, cpi_config(served, files), "ping")
    assert outcome.returncode == 0, outcome.stderr
    assert cpi(served, files).ok("ping") == "pong"


@pytest.mark.parametrize("size", [1, 300_000])
@pytest.mark.parametrize("name", BAD_CLIENTS)
def test_bad_client(
    served: Daemon,
    since: Since,
    bad_clients: dict[str, dict[str, str]],
    name: str,
    size: int,
) -> None:
    """The executable says that its certificate is refused, and why."""
    caller = cpi(served, bad_clients[name])
    metadata = {"note": "x" * size}
    for _ in range(3):
        error = caller.error("set_vm_metadata", "vm-none", metadata)
        assert error["type"] == CPI_ERROR, error
        assert error["ok_to_retry"] is False
        assert "runc-cpid does not accept the client certificate" in error["message"], error
        assert BAD_CLIENTS[name] in error["message"], error


@pytest.mark.parametrize("name", BAD_CLIENTS)
def test_bad_client_of_twisted(
    served: Daemon, since: Since, bad_clients: dict[str, dict[str, str]], name: str
) -> None:
    """C{runc-cpictl} with a bad certificate ends with one line."""
    config = cpi_config(served, bad_clients[name])
    outcome = control(served.config_file, config, "ping")
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("runc-cpictl: ")
    assert len(outcome.stderr.splitlines()) == 1
    assert "TLS" in outcome.stderr or "certificate" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("another CA", "refused a client's certificate: X509 error 20 (127.0.0.1)"),
        ("not listed", "refused a client named "),
        ("none", "TLS with 127.0.0.1 failed: "),
        ("plain", "refused a connection from 127.0.0.1: it does not speak TLS"),
    ],
)
def test_refusals_are_logged(
    new_daemon: NewDaemon,
    server_tls: dict[str, str],
    bad_clients: dict[str, dict[str, str]],
    tmp_path: Path,
    name: str,
    line: str,
) -> None:
    """A refusal is logged with its reason, in one line a minute for each peer."""
    tls = {**server_tls, "allowed_clients": ALLOWED}
    daemon = new_daemon(network_type="tcp", config={"tls": tls}).start()
    since = Since(daemon)
    for _ in range(3):
        if name == "none":
            context = client_context(None, str(tmp_path))
            with (
                suppress(ssl.SSLError),
                connected(daemon) as plain,
                context.wrap_socket(plain) as connection,
            ):
                connection.recv(1)
        else:
            caller = cpi(daemon, bad_clients.get(name))
            assert caller.error("ping")["type"] == CPI_ERROR
        eventually(lambda: line in since.log, f"the log tells of it: {since.log}", 60)
    warnings = [text for text in since.log.splitlines() if " info " not in text]
    assert len(warnings) == 1, warnings


def test_no_certificate(served: Daemon, since: Since, tmp_path: Path) -> None:
    """A client without a certificate gets no answer."""
    context = client_context(None, str(tmp_path))
    with (
        connected(served) as plain,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
        context.wrap_socket(plain) as connection,
    ):
        connection.sendall(ask("Ping"))
        connection.recv(1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_version(
    served: Daemon,
    since: Since,
    tmp_path: Path,
    client_tls: dict[str, str],
    version: ssl.TLSVersion,
) -> None:
    """TLS older than 1.2 is refused, with a client that could speak it."""
    context = client_context(client_tls, str(tmp_path))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
    with connected(served) as plain, pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        context.wrap_socket(plain)


def test_tls_1_2(
    served: Daemon, since: Since, tmp_path: Path, client_tls: dict[str, str]
) -> None:
    """TLS 1.2 is accepted, and a refusal is told in it as well."""
    context = client_context(client_tls, str(tmp_path))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(served) as plain, context.wrap_socket(plain) as connection:
        connection.sendall(ask("Ping"))
        assert connection.recv(1) == b"\0"
        assert connection.version() == "TLSv1.2"
    bare = client_context(None, str(tmp_path))
    bare.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(served) as plain, pytest.raises(ssl.SSLError):
        bare.wrap_socket(plain)


def test_plaintext(served: Daemon, since: Since) -> None:
    """An executable without tls is told that tls is missing."""
    error = cpi(served).error("ping")
    assert error["type"] == CPI_ERROR, error
    assert error["ok_to_retry"] is False
    assert "is tls missing in the CPI's configuration?" in error["message"]


def test_plaintext_of_the_tool(served: Daemon, since: Since) -> None:
    """C{runc-cpictl} without tls is told what it needs."""
    outcome = control(served.config_file, cpi_config(served), "ping")
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


BAD_SERVERS = {
    "another CA": (
        lambda ca: Authority("another CA").issue("d", "127.0.0.1"),
        "unable to get local issuer certificate",
    ),
    "a client's": (
        lambda ca: ca.issue("d", "127.0.0.1", purpose="client"),
        "unsupported certificate purpose|unsuitable certificate purpose",
    ),
    "another address": (
        lambda ca: ca.issue("d", "127.0.0.9"),
        "IP address mismatch",
    ),
    "common name alone": (lambda ca: ca.issue("127.0.0.1", purpose="server"), "mismatch"),
    "not yet": (
        lambda ca: ca.issue("d", "127.0.0.1", begins=AGES),
        "not yet valid",
    ),
    "expired": (
        lambda ca: ca.issue("d", "127.0.0.1", ends=timedelta(seconds=6)),
        "expired",
    ),
}


@pytest.mark.parametrize("name", BAD_SERVERS)
def test_bad_server(
    new_daemon: NewDaemon, authority: Authority, client_tls: dict[str, str], name: str
) -> None:
    """Both clients say that the daemon's certificate is bad, and why."""
    make, named = BAD_SERVERS[name]
    tls = {**make(authority), "ca": authority.pem}
    daemon = new_daemon(network_type="tcp", config={"tls": tls}).start()
    since, caller = Since(daemon), cpi(daemon, client_tls)
    eventually(lambda: caller.call("ping")["error"], "the certificate is refused", 12)
    error = caller.error("ping")
    assert error["type"] == CPI_ERROR, error
    assert error["ok_to_retry"] is False
    assert "the certificate of runc-cpid is not accepted" in error["message"]
    assert any(words in error["message"] for words in named.split("|")), error
    # Versions of OpenSSL differ on when a second ends.
    time.sleep(1.1 if name == "expired" else 0)
    outcome = control(daemon.config_file, cpi_config(daemon, client_tls), "ping")
    assert outcome.returncode == 1, outcome.stderr
    assert outcome.stderr.startswith("runc-cpictl: "), outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert "Traceback" not in since.log


def test_wrong_host_name(
    new_daemon: NewDaemon, authority: Authority, client_tls: dict[str, str]
) -> None:
    """A name that the certificate is not for is refused, by both clients."""
    tls = authority.issue("localhost", "elsewhere.example")
    daemon = new_daemon(network_type="tcp", config={"tls": tls}).start()
    address = f"localhost:{daemon.port}"
    error = cpi(daemon, client_tls, address=address).error("ping")
    assert error["type"] == CPI_ERROR
    assert "not valid for 'localhost'" in error["message"], error
    config = cpi_config(daemon, client_tls, address=address)
    outcome = control(daemon.config_file, config, "ping")
    assert outcome.returncode == 1
    assert len(outcome.stderr.splitlines()) == 1


def test_tls_on_the_plain_port(new_daemon: NewDaemon, client_tls: dict[str, str]) -> None:
    """A client with TLS is told that the daemon has none."""
    daemon = new_daemon(network_type="tcp").start()
    since = Since(daemon)
    for _ in range(5):
        error = cpi(daemon, client_tls).error("ping")
        assert error["type"] == CPI_ERROR, error
        assert error["ok_to_retry"] is False
        assert "speaks no TLS; is tls set in runc-cpid's configuration?" in error["message"]
    outcome = control(daemon.config_file, cpi_config(daemon, client_tls), "ping")
    assert outcome.returncode == 1
    assert len(outcome.stderr.splitlines()) == 1, outcome.stderr
    assert since.log.count("it speaks TLS, and tls is not set") == 1
    assert cpi(daemon).ok("ping") == "pong"


def test_nobody_there(daemon: Daemon, client_tls: dict[str, str]) -> None:
    """
    A daemon that cannot be reached is an error that may be retried, with TLS and without.
    """
    keys = {"network_type": "tcp", "address": "127.0.0.1:1", "connect_timeout": 0.2}
    error = cpi(daemon, client_tls, **keys).error("ping")
    assert error["type"] == CLOUD_ERROR
    assert error["ok_to_retry"] is True
    assert json.dumps(error).count("PRIVATE") == 0
