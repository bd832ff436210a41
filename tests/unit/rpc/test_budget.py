"""What a peer may send before it is cut off."""

from __future__ import annotations

import pytest

from runc_cpi.daemon.rpc.budget import DESCRIPTORS, ENTRY_COST, Budget, Exceeded

LIMIT = 10 * ENTRY_COST


def test_a_message_of_exactly_the_limit() -> None:
    """A message may have as many bytes as the limit says, and none more."""
    budget = Budget(LIMIT)
    budget.count_string(LIMIT - ENTRY_COST)
    with pytest.raises(Exceeded, match=f"^a message of more than {LIMIT} bytes$"):
        budget.count_string(0)


def test_empty_strings_count() -> None:
    """A message of many empty values is as large as one of few long ones."""
    budget = Budget(LIMIT)
    for _ in range(10):
        budget.count_string(0)
    with pytest.raises(Exceeded):
        budget.count_string(0)


def test_each_message_is_counted_by_itself() -> None:
    """The bytes of one message are not held against the next."""
    budget = Budget(LIMIT)
    for _ in range(100):
        budget.count_string(LIMIT // 2)
        budget.message_begins()


def test_descriptors() -> None:
    """A peer may pass a few open files ahead of the message that names them."""
    budget = Budget(LIMIT)
    budget.check_descriptors(DESCRIPTORS)
    with pytest.raises(Exceeded, match="descriptors"):
        budget.check_descriptors(DESCRIPTORS + 1)
