"""DNS messages: what is read of them, and what is made."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.names import dns

from runc_cpi.daemon.host.dns import messages, queries, records
from runc_cpi.daemon.host.dns.queries import BadQuery
from runc_cpi.daemon.host.dns.records import Malformed
from tests.harness.names import addresses_in, decoded, query_of

QUERY = query_of("One.Example")
EDNS = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"  # RFC 6891, for 4096 bytes


def with_edns(message: bytes, option: bytes = EDNS) -> bytes:
    """Return a message with one more additional record."""
    return message[:11] + bytes([message[11] + 1]) + message[12:] + option


def answer_to(query: bytes, *ttls: int) -> bytes:
    """Return an answer, with a record for each TTL."""
    message = decoded(query)
    message.answer, message.additional = 1, []
    message.answers = [
        dns.RRHeader(b"one.example", dns.A, ttl=ttl, payload=dns.Record_A("192.0.2.1", ttl))
        for ttl in ttls
    ]
    encoded: bytes = message.toStr()
    return encoded


def test_a_query() -> None:
    """A query's name is read in small letters, and the question kept as it is."""
    query = queries.read_query(QUERY)
    assert (query.name, query.kind) == (b"one.example", dns.A)
    assert query.question == QUERY[12:]
    assert query.datagram_size == 512


@pytest.mark.parametrize(
    ("size", "taken"), [(0, 512), (512, 512), (1232, 1232), (4096, 4096), (65535, 4096)]
)
def test_the_size_of_datagrams(size: int, taken: int) -> None:
    """A client may take longer datagrams, and says so by EDNS."""
    option = EDNS[:3] + size.to_bytes(2, "big") + EDNS[5:]
    assert queries.read_query(with_edns(QUERY, option)).datagram_size == taken


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", None),
        (QUERY[:11], None),
        (answer_to(QUERY), None),
        (QUERY[:2] + b"\x28" + QUERY[3:], dns.ENOTIMP),  # an update (RFC 2136)
        (QUERY[:12], dns.EFORMAT),
        (QUERY[:-1], dns.EFORMAT),
        (QUERY[:5] + b"\x00" + QUERY[6:], dns.EFORMAT),  # no question
        (QUERY[:5] + b"\x02" + QUERY[6:], dns.EFORMAT),
        (QUERY[:12] + b"\xc0\x0c\x00\x01\x00\x01", dns.EFORMAT),  # a pointer to itself
        (QUERY[:12] + b"\x3fx" * 300, dns.EFORMAT),
        (QUERY[:11] + b"\x01" + QUERY[12:], dns.EFORMAT),  # a record that is not there
        (with_edns(QUERY)[:-1] + b"\x01", dns.EFORMAT),  # one that is cut off
        (query_of("one.example", dns.AXFR), dns.EREFUSED),
        (query_of("one.example", dns.IXFR), dns.EREFUSED),
    ],
    # Messages have random numbers, and the names of tests must not.
    ids=count(),
)
def test_what_is_no_query(message: bytes, code: int | None) -> None:
    """What is no query is told so, unless it is an answer, or hardly anything."""
    with pytest.raises(BadQuery) as caught:
        queries.read_query(message)
    reply = caught.value.reply
    if reply is None:
        assert code is None
    else:
        told = decoded(reply)
        assert (told.rCode, told.answer) == (code, 1)
        assert reply[:2] == message[:2]


@given(st.binary(max_size=80), st.integers(0, len(QUERY)))
def test_any_bytes(noise: bytes, kept: int) -> None:
    """Whatever comes, nothing but L{BadQuery} comes of it."""
    message = QUERY[:kept] + noise
    with suppress(BadQuery):
        query = queries.read_query(message)
        queries.fitted(message + bytes(4096), query)
    if len(message) >= 12:
        records.lifetime(message)
        with suppress(Malformed):
            records.aged(message, 1)


def test_time_to_live() -> None:
    """An answer holds as long as the record that holds the shortest."""
    answer = answer_to(QUERY, 300, 7, 60)
    assert records.lifetime(answer) == 7
    assert records.lifetime(answer_to(QUERY)) == 0
    # What EDNS has in that place are flags.
    assert records.lifetime(with_edns(answer)) == 7
    older = decoded(records.aged(with_edns(answer), 10))
    assert [record.ttl for record in older.answers] == [290, 0, 50]
    assert records.aged(with_edns(answer), 10).endswith(EDNS)


def test_which_answer_is_ones_own() -> None:
    """An answer has the id and the question of the query, or is an error without one."""
    question = queries.read_query(QUERY).question
    own = answer_to(QUERY, 1)
    error = QUERY[:2] + b"\x80\x01" + bytes(8)
    for taken in (own, own[:12] + own[12:].lower(), error):
        assert messages.answers(taken, QUERY, question)
    other = answer_to(query_of("two.example"), 1)
    without = error[:3] + b"\x00" + error[4:]
    false = [
        QUERY,
        messages.renumbered(own, bytes([own[0] ^ 1, own[1]])),
        own[:11],
        without,
    ]
    for refused in [*false, messages.renumbered(other, QUERY[:2])]:
        assert not messages.answers(refused, QUERY, question)


def test_what_does_not_fit() -> None:
    """A long answer is cut to the question and what EDNS says, and tells it."""
    query = queries.read_query(QUERY)
    answer = with_edns(answer_to(QUERY, *[1] * 40))
    cut = queries.fitted(answer, query)
    assert cut.endswith(EDNS)
    told = decoded(cut)
    assert (told.trunc, told.answers, len(told.queries)) == (1, [], 1)
    assert queries.fitted(answer, queries.read_query(with_edns(QUERY))) == answer
    assert len(queries.fitted(bytes(1000), query)) <= 512


@pytest.mark.parametrize(
    ("kind", "address", "found"),
    [(dns.A, "192.0.2.1", True), (dns.AAAA, "192.0.2.1", False), (dns.AAAA, "::1", True)],
)
def test_an_address_of_ours(kind: int, address: str, found: bool) -> None:
    """A name has addresses of the kind that is asked for, or none."""
    query = queries.read_query(query_of("host.internal", kind))
    answer = decoded(queries.address_reply(query, [ip_address(address)], 60))
    assert (answer.auth, answer.rCode, len(answer.answers)) == (1, dns.OK, found)
    assert [record.ttl for record in answer.answers] == [60] * found
    if found and kind == dns.A:
        assert addresses_in(answer) == [address]
