"""Receipts: what is removed without one, and what stays."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from runc_cpi.daemon.rpc.receipts import Receipts


class Maker:
    """Takes back what it made, unless it cannot."""

    def __init__(self) -> None:
        self.undone: list[str] = []
        self.stuck: set[str] = set()

    async def undo(self, cid: str) -> None:
        """Note it."""
        if cid in self.stuck:
            raise RuntimeError("in use")
        self.undone.append(cid)


@pytest.fixture
def maker() -> Maker:
    """Nothing is undone yet."""
    return Maker()


def expecting(maker: Maker, *cids: str) -> Receipts:
    """Expect receipts for these."""
    receipts = Receipts()
    for cid in cids:
        receipts.expect(cid, maker.undo)
    return receipts


def undo(receipts: Receipts) -> None:
    """Undo, which ends at once here."""
    assert Deferred.fromCoroutine(receipts.undo()).called


def test_what_has_a_receipt_stays(maker: Maker) -> None:
    """What has a receipt stays; the rest is undone once."""
    receipts = expecting(maker, "a", "b")
    assert receipts.are_owed
    receipts.take("a")
    receipts.take("unheard of")
    undo(receipts)
    undo(receipts)
    assert maker.undone == ["b"]
    assert not receipts.are_owed


def test_what_is_waived_stays(maker: Maker) -> None:
    """What a receipt is waived for stays, as somebody may know of it."""
    receipts = expecting(maker, "a")
    receipts.waive()
    assert not receipts.are_owed
    undo(receipts)
    assert maker.undone == []


def test_one_that_cannot_be_undone(maker: Maker) -> None:
    """An undo that fails does not keep others from being undone."""
    receipts = expecting(maker, "a", "b", "c")
    maker.stuck.add("b")
    undo(receipts)
    assert sorted(maker.undone) == ["a", "c"]
