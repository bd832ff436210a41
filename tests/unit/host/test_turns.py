"""Of several daemons one at a time has the turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from runc_cpi.daemon.host.network import turns
from runc_cpi.daemon.host.network.turns import turn


@pytest.fixture(autouse=True)
def name(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have a turn that no daemon of this host waits for."""
    monkeypatch.setattr(turns, "TURN", f"\0{tmp_path_factory.mktemp('turn')}")


@pytest.fixture
def taken() -> Iterator[ExitStack]:
    """Somebody else's turn, which ends when this is closed."""
    with ExitStack() as stack:
        stack.enter_context(turn())
        yield stack


def test_it_waits(taken: ExitStack) -> None:
    """A turn begins when the other one has ended."""
    begun = threading.Event()

    def take() -> None:
        with turn(60):
            begun.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not begun.wait(0.1)
    taken.close()
    assert begun.wait(60)
    waiting.join()


def test_it_does_not_wait_for_ever(taken: ExitStack) -> None:
    """Whoever keeps a turn stops nobody."""
    with turn(0.05):
        pass
    taken.close()
    with turn(0):
        pass
