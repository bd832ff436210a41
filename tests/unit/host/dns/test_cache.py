"""Answers that are kept: for how long, and how many."""

from __future__ import annotations

from itertools import count

import pytest
from twisted.internet.task import Clock
from twisted.names import dns

from runc_cpi.daemon.host.dns import cache
from runc_cpi.daemon.host.dns.cache import Cache
from tests.harness.names import NameServer, decoded, query_of

TTL = 300
SERVER = NameServer({"one.example": ["192.0.2.1"]})
QUERY = query_of("one.example")
ANSWER = SERVER.answer(QUERY, "udp", 512)
MISSING = SERVER.answer(query_of("none.example"), "udp", 512)


@pytest.fixture
def clock() -> Clock:
    """The clock of the cache."""
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> Cache:
    """The cache."""
    return Cache(clock.seconds)


def test_an_answer_ages(kept: Cache, clock: Clock) -> None:
    """An answer is kept for the time that its records have, which becomes less."""
    assert kept.get(QUERY) is None
    kept.put(QUERY, ANSWER)
    assert kept.get(QUERY) == ANSWER
    clock.advance(TTL - 1)
    (record,) = decoded(kept.get(QUERY) or b"").answers
    assert record.ttl == 1
    clock.advance(1)
    assert kept.get(QUERY) is None


def test_what_is_not_there_is_kept_for_a_moment(kept: Cache, clock: Clock) -> None:
    """That there is no such name is forgotten soon."""
    kept.put(QUERY, MISSING)
    assert kept.get(QUERY) == MISSING
    clock.advance(cache.LONGEST_TIME_WITHOUT)
    assert kept.get(QUERY) is None


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER[:3] + bytes([0x80 | dns.ESERVER]) + ANSWER[4:],
        ANSWER[:2] + bytes([ANSWER[2] | 0x02]) + ANSWER[3:],  # truncated
        ANSWER[:-1],  # malformed
        ANSWER[:7] + b"\x00" + ANSWER[8 : len(QUERY)],  # without records
        ANSWER + bytes(cache.LONGEST_ANSWER),
    ],
    # Messages have random numbers, and the names of tests must not.
    ids=count(),
)
def test_what_is_not_kept(kept: Cache, answer: bytes) -> None:
    """Failures, parts, and what is long or malformed are not kept."""
    kept.put(QUERY, answer)
    assert kept.get(QUERY) is None


def test_it_is_bounded(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not used for longest goes when there is no more room."""
    monkeypatch.setattr(cache, "MOST_ANSWERS", 2)
    for name in (b"one", b"two"):
        kept.put(name, ANSWER)
    kept.get(b"one")
    kept.put(b"three", ANSWER)
    assert [kept.get(name) is not None for name in (b"one", b"two", b"three")] == [
        *(True, False, True)
    ]
    kept.clear()
    assert kept.get(b"one") is None
