"""Messages of netlink, for what C{pyroute2} is slow at or does not know."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence

HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
# linux/netlink.h
NETFILTER = 12  # NETLINK_NETFILTER
REQUEST, ACK, DUMP, INTERRUPTED = 0x1, 0x4, 0x300, 0x10  # NLM_F_*
# The flags of a change: what it is about may be there, may not be there, and may be made.
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400  # NLM_F_*
ERROR, DONE = 2, 3  # NLMSG_*
NESTED = 0x8000  # NLA_F_NESTED
TYPE_MASK = 0x3FFF  # NLA_TYPE_MASK
ROOM = 1 << 17  # bytes; the kernel sends less at once
MOST_TRIES = 3
_ALIGNMENT = 4


class Refused(OSError):
    """The kernel refuses what it was asked; the message says why."""

    def __str__(self) -> str:
        return str(self.strerror)


def dump(protocol: int, kind: int, question: bytes) -> Sequence[bytes]:
    """
    Return all messages that answer a question, without their headers.

    If what it is about changes meanwhile, an answer may lack something that was there all
    the time, so it is asked again.  After the last try the answer counts as it is.

    @param protocol: such as C{NETLINK_ROUTE}.
    @param kind: the type of the question.
    @raise OSError: if the kernel refuses.
    """
    for _ in range(MOST_TRIES):
        messages, is_whole = _dump_once(protocol, kind, question)
        if is_whole:
            break
    return messages


def _dump_once(protocol: int, kind: int, question: bytes) -> tuple[list[bytes], bool]:
    """Return what answers a question, and whether nothing has changed meanwhile."""
    messages: list[bytes] = []
    is_whole = True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as kernel:
        kernel.send(_message(kind, REQUEST | DUMP, question))
        while True:
            part = kernel.recv(ROOM)
            at = 0
            while at + HEADER.size <= len(part):
                length, found, flags, *_ = HEADER.unpack_from(part, at)
                body = part[at + HEADER.size : at + length]
                is_whole &= not flags & INTERRUPTED
                if found == DONE:
                    return messages, is_whole
                if found == ERROR:
                    _raise(body)
                messages.append(body)
                at += length + -length % _ALIGNMENT


def ask(protocol: int, kind: int, question: bytes) -> bytes:
    """
    Return the one message that answers a question, without its header.

    @param protocol: such as C{NETLINK_ROUTE}.
    @param kind: the type of the question.
    @raise OSError: if the kernel refuses.
    """
    answer = _exchange(protocol, _message(kind, REQUEST, question))
    body = answer[HEADER.size :]
    if HEADER.unpack_from(answer)[1] == ERROR:
        _raise(body)
    return body


def request(protocol: int, kind: int, body: bytes, flags: int = 0) -> None:
    """
    Ask for a change.

    @param protocol: such as C{NETLINK_ROUTE}.
    @param kind: the type of the message.
    @param flags: such as L{CREATE}.
    @raise OSError: if the kernel refuses.
    """
    answer = _exchange(protocol, _message(kind, REQUEST | ACK | flags, body))
    _raise(answer[HEADER.size :])


def _exchange(protocol: int, message: bytes) -> bytes:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as kernel:
        kernel.send(message)
        return kernel.recv(ROOM)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, flags, 1, 0) + body


def _raise(error: bytes) -> None:
    """Raise what a message of errors says, unless it says that all is well."""
    (number,) = struct.unpack_from("=i", error)
    if number:
        raise Refused(-number, os.strerror(-number))


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute as it goes into a message."""
    length = ATTRIBUTE.size + len(value)
    return ATTRIBUTE.pack(length, kind) + value + bytes(-length % _ALIGNMENT)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the attributes in a message, or in an attribute that holds others."""
    offset = 0
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        yield kind & TYPE_MASK, data[offset + ATTRIBUTE.size : offset + length]
        offset += max(length, ATTRIBUTE.size) + -length % _ALIGNMENT
