"""Answers of name servers, kept for as long as their records hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from runc_cpi.daemon.host.dns import messages, records

MOST_ANSWERS = 2048
LONGEST_ANSWER = 4096  # bytes; the longer it is, the longer it takes to look through
LONGEST_TIME = 3600  # seconds
# A name that is not there may be made a moment later, by whoever asks for it again.
LONGEST_TIME_WITHOUT = 10  # seconds


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """
    An answer that is kept.

    @ivar came: when it came.
    @ivar ends: when it is to be forgotten.
    """

    answer: bytes
    came: float
    ends: float


class Cache:
    """
    Keeps answers by what was asked.  When it is full, what was used last stays.

    @param seconds: the clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def get(self, identity: bytes) -> bytes | None:
        """
        Return an answer whose records have as much time to live as is left of it.

        @param identity: L{Query.identity<runc_cpi.daemon.host.dns.queries.Query.identity>}.
        @return: L{None} if there is none.
        """
        kept = self._kept.get(identity)
        if kept is None:
            return None
        now = self._seconds()
        if now >= kept.ends:
            del self._kept[identity]
            return None
        self._kept.move_to_end(identity)
        return records.aged(kept.answer, int(now - kept.came))

    def put(self, identity: bytes, answer: bytes) -> None:
        """Keep an answer, if it may be kept: no failure, and none without records."""
        code = messages.code_of(answer)
        if (
            len(answer) > LONGEST_ANSWER
            or messages.is_truncated(answer)
            or code not in (messages.NO_ERROR, messages.NO_SUCH_NAME)
        ):
            return
        longest = LONGEST_TIME if messages.has_answers(answer) else LONGEST_TIME_WITHOUT
        holds = min(longest, records.lifetime(answer))
        if not holds:
            return
        now = self._seconds()
        self._kept[identity] = _Kept(answer=answer, came=now, ends=now + holds)
        self._kept.move_to_end(identity)
        if len(self._kept) > MOST_ANSWERS:
            self._kept.popitem(last=False)
