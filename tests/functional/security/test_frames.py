"""The program that filters frames, run by the kernel on frames of all kinds."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given, settings
from hypothesis import strategies as st

from runc_cpi.daemon.host import bpf
from runc_cpi.daemon.host.network import frames
from runc_cpi.daemon.networks.model import Address, IPNetwork, hardware_address
from tests.functional.security.frames import (
    ARP,
    ASKS_FOR_NEIGHBOUR,
    BROADCAST,
    FRAGMENT,
    GROUPS,
    HIDING,
    HOP_BY_HOP,
    ICMPV6,
    IPV4,
    IPV6,
    NEIGHBOUR,
    REDIRECT,
    ROUTER,
    arp,
    ethernet,
    fragments,
    icmpv6,
    ipv4,
    ipv6,
    mac_of,
    may_pass,
    neighbour_advertisement,
    router_advertisement,
)

CLASSIFIER, TEST_RUN = 3, 10  # linux/bpf.h
OWN = ["10.0.0.2", "10.0.7.255", "255.255.255.254"]
ADDRESSES = [IPv4Address(own) for own in OWN]
PACKED = [address.packed for address in ADDRESSES]
MAC = mac_of(OWN[0])
BLOCKS = [IPv4Network("10.0.16.16/28"), IPv4Network("192.128.0.0/9")]
# The last one of a block, and what is next to it.
EDGES = ["10.0.16.31", "10.0.16.32", "192.128.0.0", "192.127.255.255"]
# The same frames in each run, and no deadline on slow machines.
steady = settings(deadline=None, derandomize=True, database=None, max_examples=100)


def verdict(code: bytes, frame: bytes) -> int:
    """Let the kernel run a program on a frame (BPF_PROG_TEST_RUN)."""
    program = bpf.load(CLASSIFIER, code, b"test")
    try:
        data = ctypes.create_string_buffer(frame, len(frame))
        attributes = ctypes.create_string_buffer(
            struct.pack("<4IQ40x", program, 0, len(frame), 0, ctypes.addressof(data)), 64
        )
        bpf.call(TEST_RUN, attributes)
        (result,) = struct.unpack_from("<I", attributes, 4)
        return int(result)
    finally:
        os.close(program)


OWN6 = ["fd00::2", "2001:db8:0:7:ffff:ffff:ffff:ffff"]
ADDRESSES6 = [IPv6Address(own) for own in OWN6]
BLOCKS6 = [IPv6Network("fd00:0:0:9::/64"), IPv6Network("fd00:1::4/126")]


# In a block, and beside one.
IN6 = ["fd00::9:ffff:ffff:ffff:ffff", "fd00:1::7", "fd00:1::8", "fd00:0:0:a::"]


def check(frame: bytes) -> None:
    """The kernel decides as the model does, for a VM without IPv6 and for one with it."""
    addresses: list[Address] = [*ADDRESSES]
    blocks: list[IPNetwork] = [*BLOCKS]
    for more_addresses, more_blocks in (([], []), (ADDRESSES6, BLOCKS6)):
        addresses += more_addresses
        blocks += more_blocks
        code = frames.program(hardware_address(ADDRESSES[0]), addresses, blocks)
        passes = may_pass(frame, MAC, [each.packed for each in addresses], blocks)
        expected = frames.PASS if passes else frames.DROP
        assert verdict(code, frame) == expected, frame.hex()


@steady
@given(
    st.sampled_from([OWN[0], OWN[2], "10.0.0.3", "0.0.0.0", "2.0.0.10", *EDGES]),
    st.sampled_from([MAC, mac_of("10.0.0.3"), MAC[:5] + b"\x03", BROADCAST]),
    st.sampled_from([MAC, mac_of("10.0.0.3"), MAC[:5] + b"\x03", bytes(6)]),
    st.integers(0, 50),
    st.integers(0, 255),
    st.sampled_from(["", "10.0.0.9", "127.0.0.1", "127.255.0.3", "126.0.0.1", "1.0.0.127"]),
)
def test_changed_frames(
    address: str, source: bytes, sender: bytes, at: int, value: int, to: str
) -> None:
    """The program decides right for true and false senders, with one byte changed."""
    asks = arp(source, address, sender=sender)
    frame = ipv4(source, address, to=to) if to else asks
    check(frame)
    changed = bytearray(frame)
    changed[at % len(frame)] = value
    check(bytes(changed))


@steady
@given(
    st.sampled_from([*OWN6, "::", "fd00::3", "fd00:0:0:1::2", "2001:db8:0:8::", *IN6]),
    st.sampled_from(
        [ROUTER, ASKS_FOR_NEIGHBOUR, NEIGHBOUR, REDIRECT, 128]
        + [HOP_BY_HOP, *HIDING, 6, FRAGMENT]
    ),
    st.sampled_from([*OWN6, "fd00::3", *IN6]),
    st.integers(12, 90),
    st.integers(0, 255),
)
def test_changed_frames_of_ipv6(
    address: str, kind: int, target: str, at: int, value: int
) -> None:
    """The program decides right of all kinds of IPv6, with one byte changed."""
    about = bytes(4) + IPv6Address(target).packed
    if kind >= 128:
        frame = icmpv6(MAC, address, kind, about)
    else:
        header = bytes([ICMPV6, 0]) + bytes(6)
        frame = ipv6(MAC, address, header + bytes([GROUPS[0]]) + about, kind=kind)
    check(frame)
    changed = bytearray(frame)
    changed[at % len(frame)] = value
    check(bytes(changed))


def test_what_vms_say_of_others() -> None:
    """A VM is no router and no other neighbour, and asks for neighbours as itself."""
    mac = hardware_address(ADDRESSES[0])
    code = frames.program(mac, ADDRESSES6)
    for frame, passes in (
        (router_advertisement(MAC, OWN6[0]), False),
        (neighbour_advertisement(MAC, OWN6[0], OWN6[1]), True),
        (neighbour_advertisement(MAC, OWN6[0], "fd00::3"), False),
        (icmpv6(MAC, "::", ASKS_FOR_NEIGHBOUR, bytes(20)), True),
        (icmpv6(MAC, "fd00::3", ASKS_FOR_NEIGHBOUR, bytes(20)), False),
        (icmpv6(MAC, OWN6[0], 128, bytes(4)), True),
        (ipv4(MAC, OWN[0]), False),
    ):
        assert verdict(code, frame) == (frames.PASS if passes else frames.DROP), frame.hex()


def test_fragments() -> None:
    """A VM may send fragments, but of nothing that has to be looked at as a whole."""
    code = frames.program(hardware_address(ADDRESSES[0]), ADDRESSES6)
    of_udp = ipv6(MAC, OWN6[0], bytes(64), kind=17)
    word = neighbour_advertisement(MAC, OWN6[0], "fd00::3")
    for frame in fragments(of_udp, 32):
        assert verdict(code, frame) == frames.PASS
    extended = [hiding(word, kind) for kind in (HOP_BY_HOP, *HIDING)]
    for hidden in (word, *fragments(of_udp, 64), *extended):
        for frame in fragments(hidden, 16):
            assert verdict(code, frame) == frames.DROP, frame.hex()
    # The first one tells what it is of.
    for first in (fragments(word, 64, kind=17)[0], fragments(word, 16, kind=17)[0]):
        assert verdict(code, first) == frames.DROP
    another = ipv6(MAC, "fd00::3", bytes(64), kind=17)
    assert verdict(code, fragments(another, 32)[1]) == frames.DROP


def hiding(frame: bytes, kind: int) -> bytes:
    """Put an extension header of a kind before the data of a datagram of IPv6."""
    header = bytes([frame[20], 0, 1, 4]) + bytes(4)
    size = struct.pack("!H", len(frame) - 54 + len(header))
    return frame[:18] + size + bytes([kind]) + frame[21:54] + header + frame[54:]


@steady
@given(
    st.sampled_from([ARP, IPV4, IPV6, 0x8100, 0, 0x0608, 0x0008]),
    st.sampled_from([MAC, MAC[::-1]]),
    st.binary(min_size=40, max_size=60),
)
def test_any_frame(kind: int, source: bytes, payload: bytes) -> None:
    """
    The program decides right whatever follows the header (the kernel wants whole IP
    headers).
    """
    check(ethernet(kind, source, payload))


def test_many_addresses() -> None:
    """The program works for a VM in hundreds of networks, with hundreds of blocks."""
    addresses = [IPv4Address(0x0A000002 + n) for n in range(1000)]
    of_ipv6 = [ADDRESSES6[0] + n for n in range(100)]
    blocks = [IPv4Network((0x0B000000 + 16 * n, 28)) for n in range(1000)]
    addresses6: list[Address] = [*addresses, *of_ipv6]
    code = frames.program(hardware_address(addresses[0]), addresses6, blocks)
    assert verdict(code, icmpv6(MAC, str(of_ipv6[-1]), 128, bytes(4))) == frames.PASS
    assert verdict(code, ipv4(MAC, str(addresses[-1]))) == frames.PASS
    assert verdict(code, ipv4(MAC, str(blocks[-1][-1]))) == frames.PASS
    assert verdict(code, ipv4(MAC, str(blocks[-1][-1] + 1))) == frames.DROP
    assert verdict(code, ipv4(MAC, str(addresses[-1] + 1))) == frames.DROP


def test_signals_do_not_matter() -> None:
    """The kernel gives up when one comes, as when a child of the daemon ends."""
    code = frames.program(hardware_address(ADDRESSES[0]), ADDRESSES)
    arrivals: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: arrivals.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(500):
            os.close(bpf.load(CLASSIFIER, code, b"test"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert arrivals
