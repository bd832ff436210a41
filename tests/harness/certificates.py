"""
Certificates of every kind, good and bad, for the two sides of a connection.

The usual ones are made by trustme.  It makes none for one side alone, no CA that has
expired and no weak key; these are made here.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEAR = timedelta(days=365)
HOUR = timedelta(hours=1)
PURPOSES = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}
TEST_CA = "test CA"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """
    A CA.

    @ivar pem: its certificate.
    """

    def __init__(self, name: str = TEST_CA) -> None:
        self._ca = trustme.CA(
            path_length=0, organization_name="runc-cpi", organization_unit_name=name
        )
        self.pem = self._ca.cert_pem.bytes().decode("ascii")

    @classmethod
    def of(cls, pair: Mapping[str, str]) -> Authority:
        """Return the CA with a certificate and its private key."""
        authority = cls()
        pems = (pair[key].encode("ascii") for key in ("certificate", "private_key"))
        authority._ca = trustme.CA.from_pem(*pems)
        authority.pem = pair["certificate"]
        return authority

    @property
    def pair(self) -> dict[str, str]:
        """Its certificate and its private key, as bosh keeps those of a CA."""
        key = self._ca.private_key_pem.bytes().decode("ascii")
        return {"ca": self.pem, "certificate": self.pem, "private_key": key}

    def between(self, name: str, *, ends: timedelta) -> dict[str, str]:
        """
        Make a CA that is signed by this one, as bosh keeps it.

        @param ends: when it expires, from now.
        """
        now = datetime.now(timezone.utc)
        own = x509.load_pem_x509_certificate(self.pem.encode("ascii"))
        key = ec.generate_private_key(ec.SECP256R1())
        valid = min(now - HOUR, now + ends - YEAR), now + ends
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = (
            _builder(_name(name), own.subject, key, valid)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(identifier, critical=False)
        )
        return {
            "ca": self.pem,
            "certificate": _pem(builder.sign(self._key, hashes.SHA256())),
            "private_key": _private_pem(key, serialization.NoEncryption()),
        }

    def issue(
        self,
        name: str,
        *names: str,
        purpose: str | None = None,
        begins: timedelta = -HOUR,
        ends: timedelta = YEAR,
    ) -> dict[str, str]:
        """
        Make a certificate and its key.

        @param names: DNS names and addresses it is for, beside its common name.
        @param purpose: C{server} or C{client} for one side alone, L{None} for both.
        @param begins: when it starts to be valid, from now.
        @param ends: when it expires, from now.
        @return: a C{tls} section of a configuration, with C{ca} being this one.
        """
        now = datetime.now(timezone.utc)
        valid = min(now + begins, now + ends - HOUR), now + ends
        if purpose is not None:
            key = ec.generate_private_key(ec.SECP256R1())
            return self._sign(name, names, PURPOSES[purpose], valid, key)
        made = self._ca.issue_cert(
            *names, common_name=name, not_before=valid[0], not_after=valid[1]
        )
        return {
            "ca": self.pem,
            "certificate": made.cert_chain_pems[0].bytes().decode("ascii"),
            "private_key": made.private_key_pem.bytes().decode("ascii"),
        }

    def ending(self, ends: timedelta) -> Authority:
        """Return this CA with the same key, as it was made a year before it ends."""
        own = x509.load_pem_x509_certificate(self.pem.encode("ascii"))
        end = datetime.now(timezone.utc) + ends
        builder = _builder(own.subject, own.subject, self._key, (end - YEAR, end))
        for extension in own.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        pem = _pem(builder.sign(self._key, hashes.SHA256()))
        return Authority.of({**self.pair, "certificate": pem})

    @property
    def _key(self) -> PrivateKey:
        key = serialization.load_pem_private_key(
            self._ca.private_key_pem.bytes(), password=None
        )
        assert isinstance(key, PrivateKey)
        return key

    def issue_weak(self, name: str) -> dict[str, str]:
        """Make a certificate whose key is shorter than what OpenSSL takes."""
        now = datetime.now(timezone.utc)
        key = rsa.generate_private_key(65537, 1024)
        return self._sign(name, (), PURPOSES["server"], (now - HOUR, now + YEAR), key)

    def _sign(
        self,
        name: str,
        names: tuple[str, ...],
        purpose: x509.ObjectIdentifier,
        valid: tuple[datetime, datetime],
        key: PrivateKey,
    ) -> dict[str, str]:
        own = x509.load_pem_x509_certificate(self.pem.encode("ascii"))
        builder = _builder(_name(name), own.subject, key, valid).add_extension(
            x509.ExtendedKeyUsage([purpose]), critical=False
        )
        if names:
            alternatives = x509.SubjectAlternativeName(list(map(_alternative, names)))
            builder = builder.add_extension(alternatives, critical=False)
        return {
            "ca": self.pem,
            "certificate": _pem(builder.sign(self._key, hashes.SHA256())),
            "private_key": _private_pem(key, serialization.NoEncryption()),
        }


def expired_ca() -> str:
    """Return the certificate of a CA that has expired."""
    now = datetime.now(timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    valid = now - YEAR, now - timedelta(days=3)
    builder = _builder(_name("old CA"), _name("old CA"), key, valid).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return _pem(builder.sign(key, hashes.SHA256()))


def exchange_key() -> str:
    """Return a key that cannot sign anything."""
    key = x25519.X25519PrivateKey.generate()
    return _private_pem(key, serialization.NoEncryption())


def encrypted_key() -> str:
    """Return a key that needs a password."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _private_pem(key, serialization.BestAvailableEncryption(b"sesame"))


def client_hello() -> bytes:
    """Return what a client begins TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="x").do_handshake()
    return outgoing.read()


def client_context(tls: dict[str, str] | None, directory: str) -> ssl.SSLContext:
    """
    Make what a client of the standard library's speaks TLS with; it trusts anybody.

    @param tls: what to show, or nothing.
    @param directory: where to keep it for OpenSSL, which reads only files.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls is not None:
        path = f"{directory}/shown.pem"
        with open(path, "w", encoding="ascii") as file:
            file.write(tls["private_key"] + tls["certificate"])
        context.load_cert_chain(path)
    return context


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    key: PrivateKey,
    valid: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _private_pem(
    key: PrivateKey | x25519.X25519PrivateKey,
    encryption: serialization.KeySerializationEncryption,
) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode("ascii")
