"""
DNS messages as bytes: a relay reads only the little of them that it must know (RFC 1035).

All else, such as record types and options of EDNS that nobody knows yet, passes as it is.
"""

from __future__ import annotations

import secrets
import struct

PORT = 53
# An id, flags, and how many entries each of the four sections has.
HEADER = struct.Struct("!HHHHHH")
ANSWER, OPCODE, OWN, TRUNCATED = 0x8000, 0x7800, 0x0400, 0x0200
_WANTED, _AVAILABLE, _CODE = 0x0100, 0x0080, 0x000F
NUMBER_SIZE = 2

NO_ERROR, MALFORMED, SERVER_FAILURE, NO_SUCH_NAME = 0, 1, 2, 3
NOT_IMPLEMENTED, REFUSED = 4, 5
# Another server may do better than one that answers so.
FAILURES = (SERVER_FAILURE, NOT_IMPLEMENTED, REFUSED)


def renumbered(message: bytes, number: bytes) -> bytes:
    """
    Return a message with another id.

    @param number: the id, two bytes.
    """
    return number + message[NUMBER_SIZE:]


def randomly_numbered(query: bytes) -> bytes:
    """Return a query with an id that nobody can guess."""
    return renumbered(query, secrets.token_bytes(NUMBER_SIZE))


def answers(message: bytes, query: bytes, question: bytes) -> bool:
    """
    Say whether a message answers a query.

    @param question: that of the query.
    """
    if len(message) < HEADER.size or message[:NUMBER_SIZE] != query[:NUMBER_SIZE]:
        return False
    _, flags, questions, *_ = HEADER.unpack_from(message)
    if not flags & ANSWER:
        return False
    if questions == 0:
        return bool(flags & _CODE)  # an error, of a server that did not read so far
    asked = message[HEADER.size : HEADER.size + len(question)]
    return questions == 1 and asked.lower() == question.lower()


def code_of(answer: bytes) -> int:
    """Return how it went: 0 is well (RFC 1035, RCODE)."""
    return int(HEADER.unpack_from(answer)[1] & _CODE)


def has_answers(answer: bytes) -> bool:
    """Say whether there are records in the section for those that were asked for."""
    return bool(HEADER.unpack_from(answer)[3])


def is_truncated(answer: bytes) -> bool:
    """Say whether records were left out for want of room."""
    return bool(HEADER.unpack_from(answer)[1] & TRUNCATED)


def reply(message: bytes, code: int, question: bytes = b"") -> bytes:
    """
    Make an answer without records.

    @param message: the query.
    @param question: the query's, if it can be repeated.
    """
    number, flags, *_ = HEADER.unpack_from(message)
    flags = flags & (OPCODE | _WANTED) | ANSWER | _AVAILABLE | code
    return HEADER.pack(number, flags, bool(question), 0, 0, 0) + question
