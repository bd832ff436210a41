"""Certificates among the variables of bosh, and the keys of the CAs that sign them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# What bosh, and others of its kind, make CAs with.
SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
# What is wrong with extensions of certificates, beside what is no such at all.
UNREADABLE = (x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def certificates(
    credentials: Mapping[str, Any],
) -> Iterator[tuple[str, x509.Certificate]]:
    """Return the certificates with the names of their variables."""
    for name, value in credentials.items():
        pem = value.get("certificate") if isinstance(value, dict) else None
        if (certificate := parsed(pem)) is not None:
            yield name, certificate


def parsed(pem: Any) -> x509.Certificate | None:
    """Return a certificate, if it is one that can be read whole."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        list(certificate.extensions)  # which are read only now
    except (AttributeError, ValueError, *UNREADABLE):
        return None
    return certificate


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it is a CA: one that signs itself, or one between that and others."""
    constraints = [
        each.value.ca
        for each in certificate.extensions
        if isinstance(each.value, x509.BasicConstraints)
    ]
    return certificate.issuer == certificate.subject or any(constraints)


def signers_of(
    credentials: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, SigningKey]:
    """
    Return the keys that sign certificates anew, by the names of these; if known.

    @param credentials: what bosh has made.
    @param given: the operator's variables, among which a CA may be.
    """
    keys = {**_authorities(given), **_authorities(credentials)}
    signers = {}
    for name, certificate in certificates(credentials):
        key = keys.get(parsed(credentials[name].get("ca")))
        if key is None and certificate.issuer == certificate.subject:
            key = keys.get(certificate)
        if key is not None:
            signers[name] = key
    return signers


def _authorities(
    variables: Mapping[str, Any],
) -> dict[x509.Certificate | None, SigningKey]:
    """Return the keys of the CAs that have theirs here."""
    return {
        certificate: key
        for name, certificate in certificates(variables)
        if is_authority(certificate)
        and (key := _key(variables[name].get("private_key"))) is not None
    }


def _key(pem: Any) -> SigningKey | None:
    """Return a key that can sign, if it is such a one."""
    try:
        key = load_pem_private_key(str(pem).encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, SigningKey) else None
