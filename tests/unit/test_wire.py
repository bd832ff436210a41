"""AMP boxes as bytes: what goes in comes out, and nothing too long gets in."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp

from runc_cpi import wire

keys = st.binary(min_size=1, max_size=wire.MAX_KEY)
values = st.binary(max_size=300)
boxes = st.dictionaries(keys, values, max_size=8)


@given(st.lists(boxes, max_size=4))
def test_boxes_come_back_in_order(sent: list[dict[bytes, bytes]]) -> None:
    """Boxes written one after the other are read one after the other."""
    stream = io.BytesIO(b"".join(wire.encode_box(box.items()) for box in sent))
    assert [wire.read_box(stream) for _ in sent] == sent
    assert stream.read() == b""


@given(boxes.filter(bool))
def test_twisted_writes_the_same_boxes(box: dict[bytes, bytes]) -> None:
    """The bytes are those of the implementation that the daemon uses."""
    assert wire.encode_box(sorted(box.items())) == amp.AmpBox(box).serialize()


@given(boxes.filter(bool), st.data())
def test_a_box_cut_short_is_the_end_of_the_stream(
    box: dict[bytes, bytes], data: st.DataObject
) -> None:
    """Wherever a box breaks off, it is told as an end and never as a smaller box."""
    whole = wire.encode_box(box.items())
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(EOFError):
        wire.read_box(io.BytesIO(whole[:cut]))


@given(st.binary(max_size=2000))
def test_garbage_is_a_box_or_a_named_error(garbage: bytes) -> None:
    """No bytes of a peer raise anything but the two documented errors."""
    try:
        box = wire.read_box(io.BytesIO(garbage))
    except (EOFError, wire.WireError):
        return
    assert all(0 < len(key) <= wire.MAX_KEY for key in box)


@pytest.mark.parametrize("size", [wire.MAX_KEY + 1, 0x4854])
def test_a_key_too_long_is_refused_before_it_is_read(size: int) -> None:
    """
    The two bytes of a length are enough to see that the peer speaks no AMP.

    Waiting for so long a key would mean to hang for as long as the peer stays.
    """
    stream = io.BytesIO(size.to_bytes(2, "big"))
    with pytest.raises(wire.WireError, match=f"key of {size} bytes"):
        wire.read_box(stream)


@pytest.mark.parametrize("key", [b"", b"k" * 256])
def test_a_key_that_amp_cannot_carry_is_not_written(key: bytes) -> None:
    """An empty key would end the box, a long one would break it."""
    with pytest.raises(ValueError, match=rf"key of {len(key)} bytes"):
        wire.encode_box([(key, b"value")])


def test_a_value_that_amp_cannot_carry_is_not_written() -> None:
    """The limit itself fits, one byte more does not."""
    box = {b"key": b"v" * wire.MAX_VALUE}
    assert wire.read_box(io.BytesIO(wire.encode_box(box.items()))) == box
    with pytest.raises(ValueError, match="value of 65536 bytes"):
        wire.encode_box([(b"key", b"v" * 65536)])


@pytest.mark.parametrize(
    ("size", "parts"), [(0, 1), (1, 1), (65535, 1), (65536, 2), (131070, 2), (400000, 7)]
)
def test_a_value_is_cut_into_as_few_parts_as_fit(size: int, parts: int) -> None:
    """Every part fits, none is empty beside another, and together they are the value."""
    value = bytes(i % 251 for i in range(size))
    pairs = list(wire.split(b"name", value))
    assert len(pairs) == parts
    assert [key for key, _ in pairs] == [
        b"name",
        *(b"name.%d" % i for i in range(1, parts)),
    ]
    assert all(len(part) <= wire.MAX_VALUE for _, part in pairs)
    assert wire.join(b"name", dict(pairs)) == value


def test_parts_survive_a_box() -> None:
    """Several long values keep apart in one box."""
    sent = {b"a": b"1" * 70000, b"b": b"", b"c": b"3" * 65535}
    pairs = [pair for name, value in sent.items() for pair in wire.split(name, value)]
    box = wire.read_box(io.BytesIO(wire.encode_box(pairs)))
    assert {name: wire.join(name, box) for name in sent} == sent


def test_what_is_not_there_is_told_from_what_is_empty() -> None:
    """A missing name joins to nothing, an empty one to no bytes."""
    assert wire.join(b"name", {b"other": b"value"}) is None
    assert wire.join(b"name", {b"name": b""}) == b""


def test_a_part_after_a_gap_is_not_taken() -> None:
    """Parts count up from the first."""
    assert wire.join(b"n", {b"n": b"a", b"n.2": b"c"}) == b"a"
