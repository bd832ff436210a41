"""Certificates that bosh has made for a director: they last a year, and are renewed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import click
import yaml
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from runc_cpi.ctl.director.directory import StateDirectory

# Renewed is what ends sooner than this.
SOON = timedelta(days=30)
# Clocks of hosts differ.
BACKDATED = timedelta(hours=1)
# What bosh, and others of its kind, make CAs with.
SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def ends(credentials: Mapping[str, Any]) -> dict[str, datetime]:
    """Return when each certificate ends, by the name of its variable."""
    return {name: each.not_valid_after_utc for name, each in _certificates(credentials)}


def read(directory: StateDirectory) -> dict[str, Any]:
    """
    Return what bosh has made for a director so far, which may be nothing.

    @raise click.ClickException: if the file is no such.
    """
    path = directory.credentials
    try:
        found = yaml.safe_load(path.read_text("utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (ValueError, yaml.YAMLError):
        # What is wrong about it could be shown only with a part of it.
        raise click.ClickException(f"{path}: it is no YAML; take it from backups") from None
    if not isinstance(found, dict):
        raise click.ClickException(f"{path}: it must be names with their values")
    return found


def due(credentials: Mapping[str, Any], now: datetime) -> list[str]:
    """
    Return the names of the certificates that end soon, and that bosh can make anew.

    A certificate that is not of a CA of these credentials is the operator's own.
    """
    found, keys = dict(_certificates(credentials)), _authorities(credentials)
    known = {_text(credentials[name]["certificate"]) for name in keys}
    return [
        name
        for name, certificate in found.items()
        if certificate.not_valid_after_utc - now <= SOON
        and (name in keys or _text(credentials[name].get("ca")) in known)
    ]


def renew(
    credentials: Mapping[str, Any], names: Collection[str], now: datetime
) -> dict[str, Any]:
    """
    Return credentials that have bosh make certificates anew, when it reads them.

    A CA keeps its key and its name, and becomes valid for as long again as it was made for.
    So whoever knows it as it was accepts what it signs from now on, and the other way
    round: no VM is cut off before it has the new one.

    @param names: some of L{due}.
    """
    keys = _authorities(credentials)
    changed = {key: value for key, value in credentials.items() if key not in names}
    for name in keys.keys() & names:
        before = credentials[name]
        certificate = x509.load_pem_x509_certificate(before["certificate"].encode())
        pem = _prolonged(certificate, keys[name], now)
        changed[name] = {**before, "certificate": pem}
        _replace_ca(changed, before["certificate"], pem)
    return changed


def write(directory: StateDirectory, credentials: Mapping[str, Any]) -> None:
    """Write the credentials as bosh reads them; each value is a text to it too."""
    text = yaml.safe_dump(dict(credentials), sort_keys=False, default_style="|")
    directory.write(directory.credentials, text)


def told(credentials: Mapping[str, Any], now: datetime) -> str:
    """Say which certificate ends first, and when."""
    found = ends(credentials)
    if not found:
        return "none yet"
    name = min(found, key=lambda each: found[each])
    days = (found[name] - now).days
    if days < 0:
        return f"{name} has ended on {found[name]:%Y-%m-%d}"
    return f"{name} ends first, in {days} days"


def _certificates(
    credentials: Mapping[str, Any],
) -> Iterator[tuple[str, x509.Certificate]]:
    """Return the certificates with the names of their variables."""
    for name, value in credentials.items():
        pem = value.get("certificate") if isinstance(value, dict) else None
        if isinstance(pem, str):
            try:
                yield name, x509.load_pem_x509_certificate(pem.encode())
            except ValueError:
                continue  # something else of that name


def _authorities(credentials: Mapping[str, Any]) -> dict[str, SigningKey]:
    """Return the keys of the CAs that sign themselves, by their names."""
    return {
        name: key
        for name, certificate in _certificates(credentials)
        if certificate.issuer == certificate.subject
        and (key := _key(credentials[name].get("private_key"))) is not None
    }


def _key(pem: Any) -> SigningKey | None:
    """Return a key that can sign, if it is such a one."""
    try:
        key = load_pem_private_key(str(pem).encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, SigningKey) else None


def _prolonged(certificate: x509.Certificate, key: SigningKey, now: datetime) -> str:
    """Return a CA that is valid for as long as it was, from now on, as PEM."""
    lasts = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lasts)
    )
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


def _replace_ca(credentials: dict[str, Any], before: str, pem: str) -> None:
    """Name a CA as it is now, wherever it was named as before."""
    for name, value in credentials.items():
        if isinstance(value, dict) and _text(value.get("ca")) == _text(before):
            credentials[name] = {**value, "ca": pem}


def _text(pem: Any) -> str:
    return pem.strip() if isinstance(pem, str) else ""
