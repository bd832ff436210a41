"""
AMP boxes as bytes, for a peer that cannot afford to import Twisted.

A box is key/value pairs, each with a two-byte big-endian length, ended by an empty
key; keys have 1 to 255 bytes, values 0 to 65,535 (U{https://amp-protocol.net}).
A value of any size is carried as parts: C{name}, C{name.1}, C{name.2} and so on.
"""

from __future__ import annotations

MAX_KEY = 255
MAX_VALUE = 65535

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Protocol, Tuple

    class Source(Protocol):
        """What bytes are read from."""

        def read(self, size: int, /) -> bytes:
            """Return so many bytes; less only at the end."""


class WireError(Exception):
    """The peer's bytes are no AMP box."""


def encode_box(pairs: Iterable[Tuple[bytes, bytes]]) -> bytes:
    """
    Serialize one box.

    @raise ValueError: if a key or value is longer than AMP can carry.
    """
    out: List[bytes] = []
    for key, value in pairs:
        if not 0 < len(key) <= MAX_KEY:
            raise ValueError(f"AMP key of {len(key)} bytes; 1 to {MAX_KEY} fit")
        if len(value) > MAX_VALUE:
            raise ValueError(f"AMP value of {len(value)} bytes; at most {MAX_VALUE} fit")
        out += (len(key).to_bytes(2, "big"), key, len(value).to_bytes(2, "big"), value)
    out.append(b"\0\0")
    return b"".join(out)


def read_box(stream: Source) -> Dict[bytes, bytes]:
    """
    Read one box.

    @raise EOFError: if the stream ends before the box does.
    @raise WireError: if what comes is no box.
    """
    box: Dict[bytes, bytes] = {}
    while True:
        size = _read_size(stream)
        if size == 0:
            return box
        # Checked before it is read: a peer that speaks no AMP may never send so much.
        if size > MAX_KEY:
            raise WireError(f"AMP key of {size} bytes; at most {MAX_KEY} are allowed")
        key = _read_exactly(stream, size)
        box[key] = _read_exactly(stream, _read_size(stream))


def _read_size(stream: Source) -> int:
    return int.from_bytes(_read_exactly(stream, 2), "big")


def _read_exactly(stream: Source, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def split(name: bytes, value: bytes) -> Iterator[Tuple[bytes, bytes]]:
    """Cut C{value} into as many pairs as it takes; an empty value is one pair."""
    yield name, value[:MAX_VALUE]
    for part in range(1, -(-len(value) // MAX_VALUE)):
        start = part * MAX_VALUE
        yield b"%s.%d" % (name, part), value[start : start + MAX_VALUE]


def join(name: bytes, box: Mapping[bytes, bytes]) -> Optional[bytes]:
    """Put together what L{split} cut, or return L{None} if C{name} is not there."""
    if name not in box:
        return None
    parts = [box[name]]
    while (key := b"%s.%d" % (name, len(parts))) in box:
        parts.append(box[key])
    return b"".join(parts)
