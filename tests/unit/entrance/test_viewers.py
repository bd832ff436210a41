"""Who may only look, and which commands that leaves."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from runc_cpi.daemon.entrance.viewers import Viewers
from runc_cpi.daemon.rpc import commands
from tests.harness.certificates import Authority

AUTHORITY = Authority()


class Encrypted:
    """A connection with TLS, whose peer has shown a certificate."""

    def __init__(self, *names: str) -> None:
        pem = AUTHORITY.issue(*names)["certificate"]
        self._certificate = x509.load_pem_x509_certificate(pem.encode())

    def getPeerCertificate(self) -> Any:
        """Return it."""
        return self

    def to_cryptography(self) -> x509.Certificate:
        """Return it as that library has it."""
        return self._certificate


@pytest.mark.parametrize(
    ("names", "found"),
    [(["viewer"], "viewer"), (["x", "viewer"], "viewer"), (["director"], None)],
    ids=["common", "alternative", "other"],
)
def test_names(names: list[str], found: str | None) -> None:
    """A client may only look if one of its names is listed."""
    assert Viewers(["viewer", "y"]).name_of(Encrypted(*names)) == found
    assert Viewers().name_of(Encrypted(*names)) is None


def test_what_looks() -> None:
    """Only commands that change nothing, and keep nothing, are for all."""
    looking = {name.decode() for name, each in commands.BY_NAME.items() if each.looks}
    assert looking == {
        *("Ping", "HasVM", "HasDisk", "GetDisks", "Status", "MeasureVMs"),
        *("ListVMs", "ListDisks", "ListSnapshots", "ListNetworks", "ListStemcells"),
        *("ListEvents", "FollowEvents", "ListCalls"),
    }
