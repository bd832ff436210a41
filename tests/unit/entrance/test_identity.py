"""The daemon's identity: what of it is refused, and how it changes while it is used."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.config import ConfigError, TLSConfig
from runc_cpi.daemon.entrance import identity
from runc_cpi.daemon.entrance.peer_log import PeerLog
from tests.harness.certificates import Authority, encrypted_key, exchange_key, expired_ca

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server", "127.0.0.1", purpose="server")
OTHER = AUTHORITY.issue("other", purpose="server")
NO_PEM = "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n"


def config(**changes: Any) -> TLSConfig:
    """Return a configuration that is good, with changes."""
    values: dict[str, Any] = {**SERVER, "allowed_clients": (), "viewing_clients": ()}
    return TLSConfig(**{**values, **changes})


def test_good_ones() -> None:
    """A certificate may be followed by its chain, and several CAs may stand together."""
    identity.load(config())
    identity.load(config(certificate=SERVER["certificate"] + AUTHORITY.pem))
    identity.load(config(ca=AUTHORITY.pem + Authority("another").pem))


def test_files(tmp_path: Path) -> None:
    """Certificate, key and CA may each be the path of a file."""
    paths = {}
    for key, value in vars(config()).items():
        if not key.endswith("_clients"):
            path = tmp_path / key
            path.write_text(value)
            paths[key] = str(path)
    identity.load(config(**paths))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"certificate": NO_PEM}, "tls.certificate: holds no PEM certificate"),
        (
            {"certificate": SERVER["private_key"]},
            "tls.certificate: holds no PEM certificate",
        ),
        ({"ca": NO_PEM}, "tls.ca: holds no PEM certificate"),
        ({"private_key": NO_PEM}, "tls.private_key: holds no PEM key"),
        ({"private_key": SERVER["certificate"]}, "tls.private_key: holds no PEM key"),
        ({"private_key": encrypted_key()}, "tls.private_key: .* without password"),
        (
            {"private_key": OTHER["private_key"]},
            "tls.private_key: does not belong to tls.certificate",
        ),
        ({"certificate": "/no/such"}, "tls.certificate: /no/such: No such file"),
        ({"private_key": "/no/such"}, "tls.private_key: /no/such: No such file"),
        ({"ca": "/"}, "tls.ca: /: Is a directory"),
        ({"certificate": os.devnull}, "tls.certificate: holds no PEM certificate"),
        ({"ca": expired_ca()}, r"tls.ca: expired on \d{4}-\d\d-\d\d"),
    ],
)
def test_bad_ones(changes: dict[str, str], message: str) -> None:
    """A bad certificate or key is refused by its key, and no private key is told."""
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        identity.load(config(**changes))
    assert "PRIVATE" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_a_key_that_cannot_sign() -> None:
    """A private key of a kind that TLS cannot use is refused."""
    with pytest.raises(ConfigError, match=r"^tls\.private_key: "):
        identity.load(config(private_key=exchange_key()))


def test_a_weak_certificate() -> None:
    """A certificate that OpenSSL finds too weak is refused without a traceback."""
    weak = AUTHORITY.issue_weak("weak")
    with pytest.raises(ConfigError, match=r"^tls\.certificate: "):
        identity.load(config(**weak))


def test_an_expired_certificate() -> None:
    """An expired certificate is refused at the start, as clients would refuse it."""
    old = AUTHORITY.issue("server", purpose="server", ends=timedelta(days=-5))
    with pytest.raises(ConfigError, match="^tls.certificate: expired on "):
        identity.load(config(**old))


@pytest.mark.parametrize(
    ("common_name", "alternatives", "names"),
    [
        ("director", [], {"director"}),
        ("director", ["a.example", "b.example"], {"director", "a.example", "b.example"}),
        ("director", ["192.0.2.1"], {"director", "192.0.2.1"}),
    ],
)
def test_names_of_clients(common_name: str, alternatives: list[str], names: Any) -> None:
    """The common names and all textual alternative names of a client count."""
    pair = AUTHORITY.issue(common_name, *alternatives)
    certificate = x509.load_pem_x509_certificate(pair["certificate"].encode())
    assert identity.client_names(certificate) == names


class IdentityTests(SynchronousTestCase):
    """Certificates that are renewed while the daemon runs."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.write(SERVER["certificate"], SERVER["private_key"])
        self.paths = {
            name: str(self.directory / name) for name in ("certificate", "private_key")
        }
        self.identity = identity.Identity(config(**self.paths), PeerLog(lambda: 0.0))
        self.clock = Clock()
        self.reloader = identity.IdentityReloader(self.clock, self.identity)
        self.reloader.startService()

    def write(self, certificate: str, key: str) -> None:
        """Replace both files, as those do who renew certificates."""
        for name, text in (("certificate", certificate), ("private_key", key)):
            draft = self.directory / "draft"
            draft.write_text(text)
            draft.rename(self.directory / name)

    def shown(self) -> str | None:
        """Return the name in the certificate that the next connection gets."""
        connection = self.identity.serverConnectionForTLS(None)
        certificate = connection.get_certificate()
        assert certificate is not None
        names = identity.client_names(certificate.to_cryptography())
        return (names - {"127.0.0.1"}).pop()

    def test_renewal(self) -> None:
        """New certificate files are used within seconds of their change."""
        self.write(OTHER["certificate"], OTHER["private_key"])
        self.assertEqual(self.shown(), "server")
        self.clock.advance(identity.CHECK_INTERVAL)
        self.assertEqual(self.shown(), "other")

    def test_a_renewal_that_is_no_good(self) -> None:
        """Bad new files leave the old certificate in use until good ones come."""
        self.write(OTHER["certificate"], SERVER["private_key"])
        self.clock.advance(identity.CHECK_INTERVAL)
        self.assertEqual(self.shown(), "server")
        self.write(OTHER["certificate"], OTHER["private_key"])
        self.clock.advance(identity.CHECK_INTERVAL)
        self.assertEqual(self.shown(), "other")

    def test_a_renewal_that_no_one_foresaw(self) -> None:
        """After an unexpected error the files are looked at again."""
        weak = AUTHORITY.issue_weak("weak")
        self.write(weak["certificate"], weak["private_key"])
        self.clock.advance(identity.CHECK_INTERVAL)
        self.flushLoggedErrors()
        self.write(OTHER["certificate"], OTHER["private_key"])
        self.clock.advance(identity.CHECK_INTERVAL)
        self.assertEqual(self.shown(), "other")

    def test_files_that_are_gone(self) -> None:
        """The certificate stays in use while its files are missing."""
        (self.directory / "certificate").unlink()
        self.clock.advance(3 * identity.CHECK_INTERVAL)
        self.assertEqual(self.shown(), "server")
        self.write(OTHER["certificate"], OTHER["private_key"])
        self.clock.advance(identity.CHECK_INTERVAL)
        self.assertEqual(self.shown(), "other")

    def test_nothing_new_is_not_read(self) -> None:
        """Files whose dates have not changed are not read."""
        self.patch(identity, "load", lambda _: self.fail("read"))
        self.clock.advance(3 * identity.CHECK_INTERVAL)

    def test_no_timer_stays(self) -> None:
        """A stopped reloader leaves no timer, so the daemon can end."""
        self.reloader.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_sessions(self) -> None:
        """TLS sessions are not resumed, so each client shows its certificate."""
        from OpenSSL import SSL

        context = self.identity.serverConnectionForTLS(None).get_context()
        self.assertEqual(context.get_session_cache_mode(), SSL.SESS_CACHE_OFF)
