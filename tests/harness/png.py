"""Pictures in PNG (W3C PNG 3), made smaller: with a palette, and well compressed."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIBBBBB")
RGB, RGBA = 2, 6  # colour types
MOST_COLOURS = 256

Colour = tuple[int, int, int]


def smaller(picture: bytes) -> bytes:
    """
    Return a picture with at most 256 colours: the most frequent ones, or the nearest.

    @param picture: as browsers make them: 8 bits a channel, not interlaced.
    @raise ValueError: if it is something else.
    """
    width, rows = _decoded(picture)
    counts: Counter[Colour] = Counter()
    pixels = []
    for row in rows:
        line = list(zip(row[0::3], row[1::3], row[2::3], strict=True))
        counts.update(line)
        pixels.append(line)
    palette = [colour for colour, _ in counts.most_common(MOST_COLOURS)]
    index = {colour: palette.index(_nearest(colour, palette)) for colour in counts}
    lines = b"".join(b"\0" + bytes(map(index.__getitem__, line)) for line in pixels)
    return SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", HEADER.pack(width, len(pixels), 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", b"".join(map(bytes, palette))),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _nearest(colour: Colour, palette: list[Colour]) -> Colour:
    return min(
        palette,
        key=lambda other: sum((a - b) ** 2 for a, b in zip(colour, other, strict=True)),
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place < len(picture):
        (size,) = struct.unpack_from(">I", picture, place)
        yield picture[place + 4 : place + 8], picture[place + 8 : place + 8 + size]
        place += size + 12


def _decoded(picture: bytes) -> tuple[int, list[bytes]]:
    """Return the width, and for each line its pixels in three bytes each."""
    if not picture.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    chunks = list(_chunks(picture))
    width, _, depth, kind, *_, interlace = HEADER.unpack(dict(chunks)[b"IHDR"])
    if depth != 8 or kind not in (RGB, RGBA) or interlace:
        raise ValueError(f"depth {depth}, colour type {kind}: not as browsers make them")
    channels = 3 if kind == RGB else 4
    content = zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT"))
    size = width * channels
    before, rows = bytes(size), []
    for start in range(0, len(content), size + 1):
        line = content[start + 1 : start + 1 + size]
        before = _unfiltered(content[start], line, before, channels)
        rows.append(
            bytes(value for place, value in enumerate(before) if place % channels != 3)
        )
    return width, rows


def _unfiltered(kind: int, line: bytes, above: bytes, channels: int) -> bytes:
    """Undo what makes a line better to compress (W3C PNG 3, 9)."""
    done = bytearray(line)
    for place, value in enumerate(line):
        left = done[place - channels] if place >= channels else 0
        up = above[place]
        corner = above[place - channels] if place >= channels else 0
        guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
        done[place] = (value + guess) & 255
    return bytes(done)


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda each: abs(estimate - each))
