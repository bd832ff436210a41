"""Questions and records in DNS messages: where they are, and for how long they hold."""

from __future__ import annotations

import struct
from typing import NamedTuple

from runc_cpi.daemon.host.dns.messages import HEADER

# After the name: a question has a type and a class, a record a TTL and a length as well.
_QUESTION, RECORD = struct.Struct("!HH"), struct.Struct("!HHIH")
_TTL, _TTL_OFFSET = struct.Struct("!I"), 4
_POINTER, _LONGEST_LABEL, _LONGEST_NAME = 0xC0, 63, 255
OPT = 41  # RFC 6891


class Malformed(ValueError):
    """The message is cut off, or makes no sense."""


class Question(NamedTuple):
    """
    The first question of a message.

    @ivar name: the name in small letters, such as C{b"host.internal"}.
    @ivar kind: the type of the records that are wanted.
    @ivar end: the offset after its last byte.
    """

    name: bytes
    kind: int
    end: int


class Record(NamedTuple):
    """
    A record of a message.

    @ivar start: the offset of its first byte.
    @ivar fields: the offset of what follows its name.
    @ivar end: the offset after its last byte.
    """

    kind: int
    data_class: int
    ttl: int
    start: int
    fields: int
    end: int


def read_question(message: bytes) -> Question:
    """
    Read the first question of a message.

    @raise Malformed: if there is none.
    """
    at, labels = HEADER.size, []
    try:
        while length := message[at]:
            # Nothing is before a question that a pointer could lead to.
            if length > _LONGEST_LABEL or at - HEADER.size > _LONGEST_NAME:
                raise Malformed
            at += 1 + length
            labels.append(message[at - length : at])
        kind, _ = _QUESTION.unpack_from(message, at + 1)
    except (IndexError, struct.error):
        raise Malformed from None
    return Question(b".".join(labels).lower(), kind, at + 1 + _QUESTION.size)


def read_records(message: bytes, at: int, count: int) -> list[Record]:
    """
    Find records of a message.

    @param at: the offset of the first.
    @raise Malformed: if there are not so many.
    """
    found = []
    try:
        for _ in range(count):
            start = at
            while length := message[at]:
                if length >= _POINTER:
                    at += 1
                    break
                if length > _LONGEST_LABEL:
                    raise Malformed
                at += 1 + length
            fields = at + 1
            kind, data_class, ttl, size = RECORD.unpack_from(message, fields)
            at = fields + RECORD.size + size
            found.append(Record(kind, data_class, ttl, start, fields, at))
    except (IndexError, struct.error):
        raise Malformed from None
    if at > len(message):
        raise Malformed
    return found


def records_of(answer: bytes) -> list[Record]:
    """
    Find all records of an answer to one question.

    @raise Malformed: if the message is.
    """
    _, _, questions, *counts = HEADER.unpack_from(answer)
    at = read_question(answer).end if questions else HEADER.size
    return read_records(answer, at, sum(counts))


def lifetime(answer: bytes) -> int:
    """
    Return for how many seconds all records of an answer hold, 0 if it has none.

    What there is not holds as long as the SOA record that comes with it (RFC 2308).
    """
    try:
        return min((record.ttl for record in _lasting(answer)), default=0)
    except Malformed:
        return 0


def aged(answer: bytes, seconds: int) -> bytes:
    """
    Return an answer whose records have so much less time to live.

    @param answer: has a L{lifetime}.
    """
    if not seconds:
        return answer
    changed = bytearray(answer)
    for record in _lasting(answer):
        left = max(record.ttl - seconds, 0)
        _TTL.pack_into(changed, record.fields + _TTL_OFFSET, left)
    return bytes(changed)


def _lasting(answer: bytes) -> list[Record]:
    # In place of a TTL, that of EDNS has flags.
    return [record for record in records_of(answer) if record.kind != OPT]
