"""Questions that several clients ask at once."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from runc_cpi.daemon.host.dns.queries import read_query
from runc_cpi.daemon.host.dns.questions import Questions
from tests.harness.names import query_of

QUERY = read_query(query_of("one.example"))


class Asker:
    """
    Asks, and has answers when a test fires them.

    @ivar asked: what fires the answers.
    @ivar cancelled: how often nobody waited any more.
    """

    def __init__(self) -> None:
        self.questions = Questions()
        self.asked: list[Deferred[bytes]] = []
        self.cancelled = 0

    async def ask(self) -> bytes:
        """Wait for the test."""
        self.asked.append(Deferred(self._cancel))
        return await self.asked[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def client(self) -> tuple[Deferred[bytes], list[object]]:
        """Have one more client wait; return its turn, and what it has got."""
        turn: Deferred[bytes] = Deferred()
        got: list[object] = []
        answer = self.questions.answer(QUERY, self.ask, turn)
        Deferred.fromCoroutine(answer).addBoth(got.append)
        return turn, got


@pytest.fixture
def asker() -> Asker:
    """Nobody asks yet."""
    return Asker()


def test_one_question_of_many(asker: Asker) -> None:
    """All who ask while it is under way get the answer to one question."""
    clients = [asker.client() for _ in range(3)]
    (asked,) = asker.asked
    asked.callback(b"answer")
    assert [got for _, got in clients] == [[b"answer"]] * 3
    asker.client()
    assert len(asker.asked) == 2


def test_a_client_that_is_dropped(asker: Asker) -> None:
    """Others still get the answer; when nobody waits, the question is given up."""
    first, second = asker.client(), asker.client()
    first[0].errback(ValueError())
    assert len(first[1]) == 1
    asker.client()[0].errback(ValueError())
    assert (len(asker.asked), asker.cancelled) == (1, 0)
    second[0].errback(ValueError())
    assert asker.cancelled == 1
    # It can be asked again.
    _, got = asker.client()
    asker.asked[1].callback(b"answer")
    assert got == [b"answer"]


def test_a_failure_is_told_to_all(asker: Asker) -> None:
    """Nobody waits for ever if asking fails."""
    clients = [asker.client() for _ in range(2)]
    asker.asked[0].errback(ValueError("a bug"))
    for _, (failure,) in clients:
        assert "a bug" in str(failure)
