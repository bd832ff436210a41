"""Certificates as tests need them: good ones, and such as nobody should accept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, as PEM."""

    certificate: str
    key: str


class CA:
    """
    A certificate authority.

    @param days: for how long it is valid; below 0 it has expired so long ago.
    """

    def __init__(self, name: str = "test CA", days: int = 1) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = self._builder(self._name, self._key.public_key(), days)
        ca = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(ca, critical=True)
        self.pem = _pem(builder.sign(self._key, hashes.SHA256()))

    def issue(
        self, common_name: str, *dns: str, client: bool = True, days: int = 1
    ) -> Pair:
        """Make a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        kind = (
            ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        )
        builder = self._builder(_name(common_name), key.public_key(), days)
        builder = builder.add_extension(x509.ExtendedKeyUsage([kind]), critical=False)
        if dns:
            names = [_general_name(name) for name in dns]
            builder = builder.add_extension(
                x509.SubjectAlternativeName(names), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        return Pair(_pem(certificate), _private_pem(key))

    def _builder(self, name: x509.Name, key: Any, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 400 * DAY)
            .not_valid_after(now + days * DAY)
        )


def weak_pair(authority: CA) -> Pair:
    """Return a certificate whose key is shorter than what OpenSSL takes."""
    key = rsa.generate_private_key(65537, 1024)
    builder = authority._builder(_name("weak"), key.public_key(), 1)
    return Pair(_pem(builder.sign(authority._key, hashes.SHA256())), _private_pem(key))


def exchange_key() -> str:
    """Return a key that cannot sign anything."""
    return _private_pem(x25519.X25519PrivateKey.generate())


def encrypted_key() -> str:
    """Return a key that needs a password."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"sesame"),
    ).decode()


def _general_name(name: str) -> x509.GeneralName:
    from ipaddress import ip_address

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: Any) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
