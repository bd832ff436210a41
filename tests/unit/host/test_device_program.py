"""The device program answers as its rules say, interpreted here by instruction."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi.daemon.host.cgroups import device_program
from runc_cpi.daemon.vms.device_rules import ALLOWED, DeviceRule

KINDS = {"b": 1, "c": 2}
ACCESSES = {"m": 1, "r": 2, "w": 4}
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
        elif opcode == 0x77:
            registers[target] >>= value
        elif opcode == 0xBF:
            registers[target] = registers[source]
        elif opcode == 0xB7:
            registers[target] = value
        elif opcode == 0x55:
            assert offset >= 0, "the kernel wants no loops"
            if registers[target] != value:
                at += offset
        else:
            assert opcode == 0x95, hex(opcode)
            return registers[0]
    raise AssertionError("it does not end")


def verdict(rules: list[DeviceRule], kind: int, major: int, minor: int, access: int) -> int:
    """Ask the program for these rules, as the kernel does."""
    return run(device_program.assemble(rules), access << 16 | kind, major, minor)


def allows(rule: DeviceRule, kind: int, major: int, minor: int, access: int) -> bool:
    """Say what a rule means."""
    return (
        KINDS[rule.kind] == kind
        and rule.major in (None, major)
        and rule.minor in (None, minor)
        and not access & ~sum(ACCESSES[letter] for letter in rule.access)
    )


numbers = st.integers(0, 3) | st.sampled_from([7, 136, 4095, 65543, (1 << 20) - 1])
rules = st.builds(
    DeviceRule,
    st.sampled_from("bc"),
    st.none() | numbers,
    st.none() | numbers,
    st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm"]),
)


@given(
    st.lists(rules, max_size=6),
    st.sampled_from([1, 2]),
    numbers,
    numbers,
    st.integers(1, 7),
)
def test_what_rules_mean(
    rules: list[DeviceRule], kind: int, major: int, minor: int, access: int
) -> None:
    """An access is allowed if one rule allows all of it."""
    expected = any(allows(rule, kind, major, minor, access) for rule in rules)
    assert verdict(rules, kind, major, minor, access) == expected


@pytest.mark.parametrize("minors", [[], [0], [3], [5, 1, 3], list(range(60))])
def test_loop_devices(minors: list[int]) -> None:
    """The loop devices that are listed may be used in every way, and no others."""
    loops = [*ALLOWED, *(DeviceRule("b", LOOP, minor) for minor in minors)]
    for minor in range(70):
        for access in range(2, 8):
            allowed = verdict(loops, KINDS["b"], LOOP, minor, access)
            assert allowed == (minor in minors), (minor, access)


@pytest.mark.parametrize("minor", [1, 2, 4, 11])
def test_devices_of_the_host(minor: int) -> None:
    """Nodes of the host's memory, ports and log can be made, but not opened."""
    assert verdict(list(ALLOWED), KINDS["c"], 1, minor, ACCESSES["m"])
    assert not verdict(list(ALLOWED), KINDS["c"], 1, minor, ACCESSES["r"])
    assert verdict(list(ALLOWED), KINDS["c"], 1, 3, 7)


@pytest.mark.parametrize("count", [0, 1, 2, 64])
def test_every_way_ends(count: int) -> None:
    """Each jump stays within the program, as the kernel's verifier asks."""
    loops = [DeviceRule("b", LOOP, minor) for minor in range(count)]
    code = list(struct.iter_unpack("<BBhi", device_program.assemble(loops)))
    for at, (opcode, _, offset, _) in enumerate(code):
        if opcode == 0x55:
            assert 0 <= offset < len(code) - at - 1
    assert code[-1][0] == 0x95
