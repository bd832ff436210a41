"""
DNS messages as bytes: a relay reads only the little of them that it must know (RFC 1035).

All else, such as record types and options of EDNS that nobody knows yet, passes as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

Address = IPv4Address | IPv6Address

# The header: an id, flags, and how many entries each of the four sections has.
_HEADER = struct.Struct("!HHHHHH")
_ANSWER, _OPCODE, _TRUNCATED, _WANTED = 0x8000, 0x7800, 0x0200, 0x0100
_OWN, _AVAILABLE, _CODE = 0x0400, 0x0080, 0x000F
# After the name: a question has a type and a class, a record a TTL and a length as well.
_QUESTION, _RECORD = struct.Struct("!HH"), struct.Struct("!HHIH")
_TTL, _TTL_OFFSET = struct.Struct("!I"), 4
NUMBER_SIZE = 2
_POINTER, _LONGEST_LABEL, _LONGEST_NAME = 0xC0, 63, 255
# A name that is told by a pointer to that of the question.
_THAT_NAME = b"\xc0\x0c"
_INTERNET = 1
_OPT = 41  # RFC 6891
_TRANSFERS = (251, 252)  # IXFR, AXFR: their answer is more than one message
LEAST_DATAGRAM, MOST_DATAGRAM = 512, 4096  # bytes
LONGEST_QUERY = 2048  # bytes; those of today are below 512

NO_ERROR, MALFORMED, SERVER_FAILURE, NO_SUCH_NAME = 0, 1, 2, 3
NOT_IMPLEMENTED, REFUSED = 4, 5
# Another server may do better than one that answers so.
FAILURES = (SERVER_FAILURE, NOT_IMPLEMENTED, REFUSED)


class BadMessage(Exception):
    """
    This is no query that can be answered.

    @ivar reply: what is to be sent instead of an answer, or L{None} for nothing.
    """

    def __init__(self, reply: bytes | None = None) -> None:
        super().__init__()
        self.reply = reply


@dataclass(frozen=True, kw_only=True)
class Query:
    """
    A query that can be answered.

    @ivar message: all of it.
    @ivar question: its question, with the name as it was written.
    @ivar name: the name in small letters, such as C{b"host.internal"}.
    @ivar kind: the type of the records that are wanted.
    @ivar datagram_size: bytes of the longest datagram that may answer it.
    """

    message: bytes
    question: bytes
    name: bytes
    kind: int
    datagram_size: int

    @property
    def number(self) -> bytes:
        """Its id."""
        return self.message[:NUMBER_SIZE]

    @property
    def identity(self) -> bytes:
        """All but its id: queries that are equal in this get equal answers."""
        return self.message[NUMBER_SIZE:]


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


def read_query(message: bytes) -> Query:
    """
    Read what a client sent.

    @raise BadMessage: if it is no query, or one that is not served.
    """
    if len(message) < _HEADER.size:
        raise BadMessage
    _, flags, questions, *rest = _HEADER.unpack_from(message)
    if flags & _ANSWER:
        raise BadMessage  # to answer an answer could go on for ever
    if flags & _OPCODE:
        raise BadMessage(reply(message, NOT_IMPLEMENTED))
    try:
        if questions != 1:
            raise ValueError
        name, end = _read_name(message, _HEADER.size)
        kind, _ = _QUESTION.unpack_from(message, end)
        end += _QUESTION.size
        sizes = [
            record.data_class
            for record in _records(message, end, sum(rest))
            if record.kind == _OPT
        ]
    except (ValueError, IndexError, struct.error):
        raise BadMessage(reply(message, MALFORMED)) from None
    question = message[_HEADER.size : end]
    if kind in _TRANSFERS:
        raise BadMessage(reply(message, REFUSED, question))
    return Query(
        message=message,
        question=question,
        name=name,
        kind=kind,
        datagram_size=min(max([LEAST_DATAGRAM, *sizes]), MOST_DATAGRAM),
    )


def _read_name(message: bytes, at: int) -> tuple[bytes, int]:
    """Return the name of a question in small letters, and the offset after it."""
    start, labels = at, []
    while length := message[at]:
        # Nothing is before a question that a pointer could lead to.
        if length > _LONGEST_LABEL or at - start > _LONGEST_NAME:
            raise ValueError
        at += 1 + length
        labels.append(message[at - length : at])
    return b".".join(labels).lower(), at + 1


def _records(message: bytes, at: int, count: int) -> Iterator[Record]:
    """
    Find the records of a message.

    @param at: the offset of the first.
    @raise ValueError: if it is malformed, or IndexError, or struct.error.
    """
    for _ in range(count):
        start = at
        while length := message[at]:
            if length >= _POINTER:
                at += 1
                break
            if length > _LONGEST_LABEL:
                raise ValueError
            at += 1 + length
        at += 1
        kind, data_class, ttl, size = _RECORD.unpack_from(message, at)
        fields, at = at, at + _RECORD.size + size
        if at > len(message):
            raise ValueError
        yield Record(kind, data_class, ttl, start, fields, at)


def answer_records(answer: bytes) -> list[Record]:
    """
    Find the records of an answer to one question.

    @raise BadMessage: if the message is malformed.
    """
    try:
        _, _, questions, *counts = _HEADER.unpack_from(answer)
        at = _HEADER.size
        for _ in range(questions):
            at = _read_name(answer, at)[1] + _QUESTION.size
        return list(_records(answer, at, sum(counts)))
    except (ValueError, IndexError, struct.error):
        raise BadMessage from None


def lifetime(answer: bytes) -> int:
    """
    Return for how many seconds all records of an answer hold, 0 if it has none.

    What there is not holds as long as the SOA record that comes with it (RFC 2308).
    """
    try:
        return min((record.ttl for record in _lasting(answer)), default=0)
    except BadMessage:
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
    return [record for record in answer_records(answer) if record.kind != _OPT]


def renumbered(message: bytes, number: bytes) -> bytes:
    """
    Return a message with another id.

    @param number: the id, two bytes.
    """
    return number + message[NUMBER_SIZE:]


def answers(message: bytes, query: bytes, question: bytes) -> bool:
    """
    Say whether a message answers a query.

    @param question: that of the query.
    """
    if len(message) < _HEADER.size or message[:NUMBER_SIZE] != query[:NUMBER_SIZE]:
        return False
    _, flags, questions, *_ = _HEADER.unpack_from(message)
    if not flags & _ANSWER:
        return False
    if questions == 0:
        return bool(flags & _CODE)  # an error, of a server that did not read so far
    asked = message[_HEADER.size : _HEADER.size + len(question)]
    return questions == 1 and asked.lower() == question.lower()


def code_of(answer: bytes) -> int:
    """Return how it went: 0 is well (RFC 1035, RCODE)."""
    return int(_HEADER.unpack_from(answer)[1] & _CODE)


def has_answers(answer: bytes) -> bool:
    """Say whether there are records in the section for those that were asked for."""
    return bool(_HEADER.unpack_from(answer)[3])


def is_truncated(answer: bytes) -> bool:
    """Say whether records were left out for want of room."""
    return bool(_HEADER.unpack_from(answer)[1] & _TRUNCATED)


def reply(message: bytes, code: int, question: bytes = b"") -> bytes:
    """
    Make an answer without records.

    @param message: the query.
    @param question: the query's, if it can be repeated.
    """
    number, flags, *_ = _HEADER.unpack_from(message)
    flags = flags & (_OPCODE | _WANTED) | _ANSWER | _AVAILABLE | code
    return _HEADER.pack(number, flags, bool(question), 0, 0, 0) + question


def address_reply(query: Query, addresses: Sequence[Address], ttl: int) -> bytes:
    """
    Make an answer of our own: the addresses of a name, those that are asked for.

    @param ttl: for how many seconds it holds.
    """
    records = [
        _THAT_NAME
        + _RECORD.pack(kind, _INTERNET, ttl, len(address.packed))
        + address.packed
        for address in addresses
        if query.kind == (kind := 1 if address.version == 4 else 28)  # A, AAAA
    ]
    number, flags, *_ = _HEADER.unpack_from(reply(query.message, NO_ERROR))
    header = _HEADER.pack(number, flags | _OWN, 1, len(records), 0, 0)
    return header + query.question + b"".join(records)


def fitted(answer: bytes, query: Query) -> bytes:
    """Return an answer that fits a datagram; if need be without records, which says so."""
    if len(answer) <= query.datagram_size:
        return answer
    try:
        options = [rec for rec in answer_records(answer) if rec.kind == _OPT]
    except BadMessage:
        options = []
    number, flags, *_ = _HEADER.unpack_from(answer)
    header = _HEADER.pack(number, flags | _TRUNCATED, 1, 0, 0, len(options))
    return header + query.question + b"".join(answer[o.start : o.end] for o in options)
