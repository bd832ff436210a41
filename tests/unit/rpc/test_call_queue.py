"""Which of a connection's calls may begin, and when the peer is not read from."""

from __future__ import annotations

from runc_cpi.daemon.rpc.call_queue import CallQueue

LIMIT = 2


def queue_of(count: int) -> CallQueue[int]:
    """Return a queue in which so many calls wait."""
    queue: CallQueue[int] = CallQueue(LIMIT)
    for number in range(count):
        queue.add(number)
    return queue


def begin_all(queue: CallQueue[int]) -> list[int]:
    """Begin every call that may begin."""
    begun = []
    while (call := queue.begin()) is not None:
        begun.append(call)
    return begun


def test_calls_begin_in_order() -> None:
    """Calls begin as they came, and one more for each that ends."""
    queue = queue_of(4)
    assert begin_all(queue) == [0, 1]
    queue.end()
    assert begin_all(queue) == [2]
    queue.end()
    queue.end()
    assert begin_all(queue) == [3]


def test_a_queue_is_empty_once_every_call_has_ended() -> None:
    """A call that waits or is under way keeps a connection busy."""
    queue = queue_of(0)
    assert queue.is_empty
    queue.add(0)
    assert not queue.is_empty
    begin_all(queue)
    assert not queue.is_empty
    queue.end()
    assert queue.is_empty


def test_a_queue_is_full_when_a_call_would_wait() -> None:
    """The peer is not read from while one more call could not begin."""
    queue = queue_of(LIMIT - 1)
    begin_all(queue)
    assert not queue.is_full
    queue.add(1)
    assert queue.is_full
    begin_all(queue)
    assert queue.is_full
    queue.end()
    assert not queue.is_full


def test_no_call_begins_while_answers_are_not_read() -> None:
    """A queue that is held is full, and goes on where it was."""
    queue = queue_of(1)
    queue.hold()
    assert queue.is_held
    assert queue.is_full
    assert begin_all(queue) == []
    queue.release()
    assert begin_all(queue) == [0]
    assert not queue.is_full
