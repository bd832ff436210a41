"""Certificates of every kind, good and bad, for the two sides of a connection."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEAR = timedelta(days=365)
HOUR = timedelta(hours=1)
PURPOSES = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}


class Authority:
    """
    A CA.

    @ivar pem: its certificate.
    """

    def __init__(self, name: str, *, ends: timedelta = YEAR) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        signs = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = (
            self._builder(name, self._key, -HOUR, ends)
            .add_extension(signs, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = _pem(self._certificate)

    def issue(
        self,
        name: str,
        *names: str,
        purpose: str | None = "client",
        begins: timedelta = -HOUR,
        ends: timedelta = YEAR,
    ) -> dict[str, str]:
        """
        Make a certificate and its key.

        @param names: DNS names and addresses it is for, beside its common name.
        @param purpose: C{server}, C{client} or L{None} for any.
        @param begins: when it starts to be valid, from now.
        @param ends: when that is over, from now.
        @return: a C{tls} section of a configuration, with C{ca} being this one.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(name, key, begins, ends)
        if names:
            alternatives = x509.SubjectAlternativeName(list(map(_alternative, names)))
            builder = builder.add_extension(alternatives, critical=False)
        if purpose is not None:
            usage = x509.ExtendedKeyUsage([PURPOSES[purpose]])
            builder = builder.add_extension(usage, critical=False)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "ca": self.pem,
            "certificate": _pem(builder.sign(self._key, hashes.SHA256())),
            "private_key": private.decode("ascii"),
        }

    def _builder(
        self, name: str, key: ec.EllipticCurvePrivateKey, begins: timedelta, ends: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now + begins, now + ends - HOUR))
            .not_valid_after(now + ends)
        )


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


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
