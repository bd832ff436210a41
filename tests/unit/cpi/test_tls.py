"""The executable's side of TLS: what of its configuration is refused, without a daemon."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.cpi import config, encrypted, tls
from runc_cpi.errors import InvalidArgument
from tests.harness.certificates import Authority, encrypted_key

AUTHORITY = Authority()
GOOD = AUTHORITY.issue("director")
OTHER = AUTHORITY.issue("other")
BROKEN = "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n"
PAIR = "tls.certificate, tls.private_key"


@pytest.fixture(autouse=True, params=["_ssl", "ssl"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The C half of the ssl module, and all of it."""
    if request.param == "ssl":
        monkeypatch.setattr(encrypted, "_plain_context", lambda: None)


def context(given: dict[str, str]) -> ssl.SSLContext:
    """Return what a connection is made with."""
    return tls._context(given)


def test_nobody_is_trusted_but_the_ca() -> None:
    """Only certificates of the configured CA and for the daemon's name are accepted."""
    made = context(GOOD)
    assert made.verify_mode == ssl.CERT_REQUIRED
    assert made.check_hostname
    assert made.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert made.cert_store_stats()["x509_ca"] == 1


def test_files(tmp_path: Path) -> None:
    """CA, certificate and key may each be the path of a file."""
    given = {}
    for key, value in GOOD.items():
        (tmp_path / key).write_text(value)
        given[key] = str(tmp_path / key)
    context(given)
    context({**GOOD, "private_key": given["private_key"]})


def test_without_memory_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memfd_create, the temporary file of a key is removed again."""
    monkeypatch.delattr("runc_cpi.cpi.tls.os.memfd_create")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    context(GOOD)
    with pytest.raises(InvalidArgument):
        context({**GOOD, "private_key": OTHER["private_key"]})
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_stays() -> None:
    """No descriptor stays open, whether the certificates are good or not."""
    before = os.listdir("/proc/self/fd")
    context(GOOD)
    with pytest.raises(InvalidArgument):
        context({**GOOD, "private_key": OTHER["private_key"]})
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ca": BROKEN}, "tls.ca: no usable PEM"),
        ({"ca": "/no/such"}, "tls.ca: No such file"),
        ({"ca": os.devnull}, "tls.ca: no usable PEM"),
        ({"certificate": BROKEN}, f"{PAIR}: no usable PEM"),
        ({"private_key": BROKEN}, f"{PAIR}: no usable PEM"),
        ({"private_key": OTHER["private_key"]}, PAIR),
        ({"certificate": "/no/such"}, f"{PAIR}: No such file"),
        ({"private_key": "/no/such"}, f"{PAIR}: No such file"),
    ],
)
def test_bad_ones(changes: dict[str, str], message: str) -> None:
    """A bad certificate or key is an C{InvalidArgument} that repeats nothing of a key."""
    with pytest.raises(InvalidArgument, match=f"^{message}") as caught:
        context({**GOOD, **changes})
    assert "BEGIN" not in str(caught.value)


def test_a_key_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with a password is refused, and no terminal is asked for it."""
    reader, writer = os.pipe()
    os.close(writer)
    with open(reader) as empty:
        monkeypatch.setattr("sys.stdin", empty)
        with pytest.raises(InvalidArgument):
            context({**GOOD, "private_key": encrypted_key()})


def test_a_peer_that_hangs_up() -> None:
    """A peer that hangs up during the handshake is no error of the configuration."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(Exception, match=r".+") as caught:
        tls.wrap(ours, "127.0.0.1", GOOD)
    assert not isinstance(caught.value, InvalidArgument)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("x", "tls: must hold ca, certificate and private_key"),
        ({}, "tls.ca: must be PEM, or the path"),
        ({"ca": "/a"}, "tls.certificate: must be PEM"),
        ({"ca": "/a", "certificate": "/b"}, "tls.private_key: must be PEM"),
        ({**GOOD, "ca": ""}, "tls.ca: must be PEM"),
        ({**GOOD, "private_key": 5}, "tls.private_key: must be PEM"),
        ({**GOOD, "key": "x"}, "tls.key: unknown key; the known ones are ca, cert"),
    ],
)
def test_what_is_no_configuration(raw: Any, message: str) -> None:
    """A malformed C{tls} is refused by its key, without its value."""
    with pytest.raises(InvalidArgument, match=f"^{message}") as caught:
        config.parse({"network_type": "tcp", "tls": raw})
    assert "BEGIN" not in str(caught.value)


def test_tls_is_for_tcp() -> None:
    """C{tls} is refused on a unix socket."""
    with pytest.raises(InvalidArgument, match="^tls: goes with network_type tcp alone"):
        config.parse({"tls": GOOD})
