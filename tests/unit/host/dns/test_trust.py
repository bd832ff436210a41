"""Name servers that were silent, and for how long they are waited for."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from runc_cpi.daemon.host.dns.trust import (
    DISTRUST,
    PATIENCE,
    PATIENCE_OF_DISTRUST,
    Trust,
)

SERVER = "192.0.2.53"


@pytest.fixture
def clock() -> Clock:
    """The clock."""
    return Clock()


@pytest.fixture
def trust(clock: Clock) -> Trust:
    """Knows of nothing yet."""
    return Trust(clock.seconds)


def miss(trust: Trust, clock: Clock) -> None:
    """Ask a server that says nothing."""
    asked = clock.seconds()
    clock.advance(trust.patience(SERVER))
    trust.missed(SERVER, asked)


def test_a_silent_server(trust: Trust, clock: Clock) -> None:
    """One that says nothing is waited for less, for a while that does not get longer."""
    assert trust.patience(SERVER) == PATIENCE
    miss(trust, clock)
    assert trust.patience("192.0.2.54") == PATIENCE
    clock.advance(DISTRUST / 2)
    assert trust.patience(SERVER) == PATIENCE_OF_DISTRUST
    miss(trust, clock)
    clock.advance(DISTRUST / 2)
    assert trust.patience(SERVER) == PATIENCE


def test_a_server_that_has_other_answers(trust: Trust, clock: Clock) -> None:
    """One that has answered anything since it was asked is not silent."""
    asked = clock.seconds()
    clock.advance(PATIENCE / 2)
    trust.heard(SERVER)
    clock.advance(PATIENCE / 2)
    trust.missed(SERVER, asked)
    assert trust.patience(SERVER) == PATIENCE


def test_a_server_that_answers_again(trust: Trust, clock: Clock) -> None:
    """One that was silent is trusted when it answers."""
    miss(trust, clock)
    trust.heard(SERVER)
    assert trust.patience(SERVER) == PATIENCE
