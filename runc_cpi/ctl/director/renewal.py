"""Certificates that bosh has made for a director: they last a year, and are renewed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import click
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from runc_cpi.ctl.director.authorities import (
    SigningKey,
    certificates,
    is_authority,
    parsed,
    signers_of,
)
from runc_cpi.ctl.director.directory import StateDirectory

# Renewed is what ends sooner than this.
SOON = timedelta(days=30)
# Clocks of hosts differ.
BACKDATED = timedelta(hours=1)
NOTHING: Mapping[str, Any] = MappingProxyType({})
RENEWED = "runc-cpictl director up renews it"
YOURS = "it is yours to renew: the key of its CA is neither in creds.yml nor in --vars"


@dataclass(frozen=True, order=True)
class Ending:
    """
    The end of a certificate.

    @ivar end: when it is.
    @ivar name: the certificate's variable.
    @ivar advice: who renews it.
    """

    end: datetime
    name: str
    advice: str

    def told(self, now: datetime, *, is_first: bool) -> str:
        """
        Say when it is.

        @param is_first: whether no other certificate ends before.
        """
        days = (self.end - now).days
        if days < 0:
            return f"{self.name} has ended on {self.end:%Y-%m-%d}"
        return f"{self.name} ends{' first,' if is_first else ''} in {days} days"


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


def due(
    credentials: Mapping[str, Any], now: datetime, given: Mapping[str, Any] = NOTHING
) -> list[str]:
    """
    Return the names of the certificates that end soon, and that can be made anew.

    A certificate is the operator's own if the key of its CA is nowhere here.

    @param given: the operator's variables, among which a CA may be.
    """
    signers = signers_of(credentials, given)
    return [
        name
        for name, certificate in certificates(credentials)
        if name in signers and certificate.not_valid_after_utc - now <= SOON
    ]


def renew(
    credentials: Mapping[str, Any],
    names: Collection[str],
    now: datetime,
    given: Mapping[str, Any] = NOTHING,
) -> dict[str, Any]:
    """
    Return credentials that have bosh make certificates anew, when it reads them.

    A CA keeps its key and its name, and becomes valid for as long again as it was made for.
    So whoever knows it as it was accepts what it signs from now on, and the other way
    round: no VM is cut off before it has the new one.

    @param names: some of L{due}.
    @param given: the operator's variables.
    """
    signers = signers_of(credentials, given)
    authorities = {
        name: certificate
        for name, certificate in certificates(credentials)
        if name in names and is_authority(certificate)
    }
    changed = {
        name: value
        for name, value in credentials.items()
        if name not in names or name in authorities
    }
    for name, before in authorities.items():
        pem = _prolonged(before, signers[name], now)
        changed[name] = {**changed[name], "certificate": pem}
        _replace_ca(changed, before, pem)
    return changed


def write(directory: StateDirectory, credentials: Mapping[str, Any]) -> None:
    """Write the credentials as bosh reads them; each value is a text to it too."""
    text = yaml.safe_dump(dict(credentials), sort_keys=False, default_style="|")
    directory.write(directory.credentials, text)


def first_ends(
    credentials: Mapping[str, Any], given: Mapping[str, Any] = NOTHING
) -> list[Ending]:
    """
    Return what ends first of what can be made anew, and what ends first of the rest.

    @param given: the operator's variables.
    """
    signers = signers_of(credentials, given)
    firsts: dict[str, Ending] = {}
    for name, certificate in certificates(credentials):
        advice = RENEWED if name in signers else YOURS
        ending = Ending(certificate.not_valid_after_utc, name, advice)
        firsts[advice] = min(ending, firsts.get(advice, ending))
    return sorted(firsts.values())


def told(
    credentials: Mapping[str, Any], now: datetime, given: Mapping[str, Any] = NOTHING
) -> str:
    """
    Say which certificate ends first, and when, and what to do about what ends soon.

    @param given: the operator's variables.
    """
    said: list[str] = []
    for ending in first_ends(credentials, given):
        is_due = ending.end - now <= SOON
        if not said or is_due:
            said.append(ending.told(now, is_first=not said))
        if is_due:
            said.append(ending.advice)
    return "; ".join(said) or "none yet"


def _prolonged(certificate: x509.Certificate, key: SigningKey, now: datetime) -> str:
    """
    Return a CA that is valid for as long as it was, from now on, as PEM.

    @param key: of who has signed it.
    """
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


def _replace_ca(credentials: dict[str, Any], before: x509.Certificate, pem: str) -> None:
    """Name a CA as it is now, wherever it was named as before."""
    for name, value in credentials.items():
        if isinstance(value, dict) and parsed(value.get("ca")) == before:
            credentials[name] = {**value, "ca": pem}
