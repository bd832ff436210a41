"""How much a peer may send before it is cut off: bytes of a message, and open files."""

from __future__ import annotations

# What a key and its value cost beside their bytes, so that many tiny ones count.
ENTRY_COST = 128
# Open files that no message has named yet.
DESCRIPTORS = 8


class Exceeded(Exception):
    """A peer has sent more than it may; the message says what."""


class Budget:
    """
    What one peer may send.

    @param message_bytes: the size of one message.
    """

    def __init__(self, message_bytes: int) -> None:
        self._message_bytes = message_bytes
        self._received = 0

    def message_begins(self) -> None:
        """Count from nothing again: the message before is complete."""
        self._received = 0

    def count_string(self, size: int) -> None:
        """
        Count a key or a value.

        @param size: its bytes.
        @raise Exceeded: if the message is too large with it.
        """
        self._received += size + ENTRY_COST
        if self._received > self._message_bytes:
            raise Exceeded(f"a message of more than {self._message_bytes} bytes")

    def check_descriptors(self, count: int) -> None:
        """
        Check how many open files wait for the message that names them.

        @raise Exceeded: if there are too many.
        """
        if count > DESCRIPTORS:
            raise Exceeded("more descriptors than its messages name")
