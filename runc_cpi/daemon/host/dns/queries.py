"""Queries of clients, and the answers that are made for them here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from runc_cpi.daemon.host.dns import messages
from runc_cpi.daemon.host.dns.messages import HEADER, NUMBER_SIZE
from runc_cpi.daemon.host.dns.records import (
    OPT,
    RECORD,
    Malformed,
    read_question,
    read_records,
    records_of,
)

Address = IPv4Address | IPv6Address

LONGEST_QUERY = 2048  # bytes; those of today are below 512
_LEAST_DATAGRAM, _MOST_DATAGRAM = 512, 4096  # bytes
_TRANSFERS = (251, 252)  # IXFR, AXFR: their answer is more than one message
# A name that is told by a pointer to that of the question.
_THAT_NAME = b"\xc0\x0c"
_INTERNET = 1


class BadQuery(Exception):
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


def read_query(message: bytes) -> Query:
    """
    Read what a client sent.

    @raise BadQuery: if it is no query, or one that is not served.
    """
    if len(message) < HEADER.size:
        raise BadQuery
    _, flags, questions, *rest = HEADER.unpack_from(message)
    if flags & messages.ANSWER:
        raise BadQuery  # to answer an answer could go on for ever
    if flags & messages.OPCODE:
        raise BadQuery(messages.reply(message, messages.NOT_IMPLEMENTED))
    try:
        if questions != 1:
            raise Malformed
        name, kind, end = read_question(message)
        records = read_records(message, end, sum(rest))
    except Malformed:
        raise BadQuery(messages.reply(message, messages.MALFORMED)) from None
    question = message[HEADER.size : end]
    if kind in _TRANSFERS:
        raise BadQuery(messages.reply(message, messages.REFUSED, question))
    # EDNS tells the size where other records have their class.
    sizes = [record.data_class for record in records if record.kind == OPT]
    return Query(
        message=message,
        question=question,
        name=name,
        kind=kind,
        datagram_size=min(max([_LEAST_DATAGRAM, *sizes]), _MOST_DATAGRAM),
    )


def address_reply(query: Query, addresses: Sequence[Address], ttl: int) -> bytes:
    """
    Make an answer of our own: the addresses of a name, those that are asked for.

    @param ttl: for how many seconds it holds.
    """
    records = [
        _THAT_NAME + RECORD.pack(kind, _INTERNET, ttl, len(address.packed)) + address.packed
        for address in addresses
        if query.kind == (kind := 1 if address.version == 4 else 28)  # A, AAAA
    ]
    number, flags, *_ = HEADER.unpack_from(messages.reply(query.message, messages.NO_ERROR))
    header = HEADER.pack(number, flags | messages.OWN, 1, len(records), 0, 0)
    return header + query.question + b"".join(records)


def fitted(answer: bytes, query: Query) -> bytes:
    """Return an answer that fits a datagram; if need be without records, which says so."""
    if len(answer) <= query.datagram_size:
        return answer
    try:
        options = [rec for rec in records_of(answer) if rec.kind == OPT]
    except Malformed:
        options = []
    number, flags, *_ = HEADER.unpack_from(answer)
    header = HEADER.pack(number, flags | messages.TRUNCATED, 1, 0, 0, len(options))
    return header + query.question + b"".join(answer[o.start : o.end] for o in options)
