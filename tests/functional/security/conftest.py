"""Fixtures: a CA, and the certificates of a daemon and its director."""

from __future__ import annotations

import pytest

from tests.harness.certificates import Authority

Section = dict[str, str]


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The CA that both sides know."""
    return Authority("the CA")


@pytest.fixture(scope="session")
def server_tls(authority: Authority) -> Section:
    """The daemon's certificate, which is for one address only."""
    return authority.issue("daemon", "127.0.0.1", "daemon.example", purpose="server")


@pytest.fixture(scope="session")
def client_tls(authority: Authority) -> Section:
    """What the right client shows."""
    return authority.issue("director", "director.example", purpose="client")
