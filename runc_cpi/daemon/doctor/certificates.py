"""Certificates: how long those of the configuration are still valid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from runc_cpi.daemon.config import ConfigError
from runc_cpi.daemon.config.certificates import certificates as certificates_of
from runc_cpi.daemon.config.certificates import named_in
from runc_cpi.daemon.config.checks import PEM
from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, unseen, warning
from runc_cpi.daemon.doctor.privileges import is_hidden

SOON = 30  # days
ADVICE = "make others with runc-cpictl certs, or have them renewed"


def certificates(patient: Patient) -> Iterator[Finding]:
    """See when the daemon's certificates and those of CAs expire."""
    for key, value in named_in(patient.config):
        if not value.startswith(PEM) and is_hidden(value):
            yield unseen(key, f"you may not read {value}")
            continue
        try:
            ends = min(found.not_valid_after_utc for found in certificates_of(key, value))
        except ConfigError as error:
            yield fault(key, str(error).removeprefix(f"{key}: "), ADVICE)
        else:
            yield judge(key, ends, datetime.now(timezone.utc))


def judge(key: str, ends: datetime, now: datetime, advice: str = ADVICE) -> Finding:
    """
    Say of a certificate whether it ends soon.

    @param advice: what to do then.
    """
    days = (ends - now).days
    if days < 0:
        return fault(key, f"expired on {ends:%Y-%m-%d}", advice)
    seen = f"expires in {days} days, on {ends:%Y-%m-%d}"
    return warning(key, seen, advice) if days < SOON else fine(key, seen)
