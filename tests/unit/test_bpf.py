"""The program that decides over devices: run here, instruction by instruction."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi.daemon.drivers import bpf

BLOCK, CHARACTER = 1, 2
LOOP = 7
STEPS = 10_000


def run(program: bytes, *context: int) -> int:
    """Interpret the few instructions of eBPF that such a program may have."""
    code = list(struct.iter_unpack("<BBhi", program))
    registers = {1: 0}
    at = 0
    for _ in range(STEPS):
        opcode, pair, offset, value = code[at]
        target, source = pair & 15, pair >> 4
        at += 1
        if opcode == 0x61:  # a word of the context
            assert (registers[source], offset % 4) == (0, 0)
            registers[target] = context[offset // 4]
        elif opcode == 0x57:
            registers[target] &= value
        elif opcode == 0xB7:
            registers[target] = value
        elif opcode in (0x15, 0x55):
            assert offset >= 0, "the kernel wants no loops"
            if (registers[target] == value) is (opcode == 0x15):
                at += offset
        else:
            assert opcode == 0x95, hex(opcode)
            return registers[0]
    raise AssertionError("it does not end")


def verdict(minors: list[int], kind: int, major: int, minor: int, access: int = 7) -> int:
    """Ask the program for these minors, as the kernel does."""
    return run(bpf.rules(minors), access << 16 | kind, major, minor)


@pytest.mark.parametrize("minors", [[], [0], [3], [5, 1, 3], list(range(300))])
def test_loop_devices(minors: list[int]) -> None:
    """Those listed may be used, and no others, whatever is to be done with them."""
    for minor in range(310):
        for access in range(1, 8):
            allowed = verdict(minors, BLOCK, LOOP, minor, access)
            assert allowed == (minor in minors), (minor, access)


@given(
    st.sets(st.integers(0, 1 << 20), max_size=40),
    st.sampled_from([BLOCK, CHARACTER]),
    st.sampled_from([0, 1, 5, 7, 8, 10, 252, 263, 519, 65543]),
    st.integers(0, 1 << 20),
)
def test_other_devices(minors: set[int], kind: int, major: int, minor: int) -> None:
    """They are the runtime's to decide on: this program has nothing against them."""
    allowed = verdict(sorted(minors), kind, major, minor)
    assert allowed == (kind != BLOCK or major != LOOP or minor in minors)


@pytest.mark.parametrize("count", [0, 1, 2, 64])
def test_every_way_ends(count: int) -> None:
    """All jumps lead to a verdict within the program, as the kernel's verifier asks."""
    code = list(struct.iter_unpack("<BBhi", bpf.rules(range(count))))
    for at, (opcode, _, offset, _) in enumerate(code):
        if opcode in (0x15, 0x55):
            assert code[at + 1 + offset][::3] == (0xB7, 1)
    assert code[-1][0] == 0x95
    assert len(code) == 10 + count
