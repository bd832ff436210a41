"""The program that filters frames, run by the kernel on frames of all kinds."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given, settings
from hypothesis import strategies as st

from runc_cpi.daemon.host import bpf
from runc_cpi.daemon.host.network import frames
from runc_cpi.daemon.networks.model import hardware_address
from tests.functional.security.frames import (
    ARP,
    BROADCAST,
    IPV4,
    IPV6,
    arp,
    ethernet,
    ipv4,
    mac_of,
    may_pass,
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


def check(frame: bytes) -> None:
    """The kernel decides as the model does."""
    code = frames.program(hardware_address(ADDRESSES[0]), ADDRESSES, BLOCKS)
    passes = may_pass(frame, MAC, PACKED, BLOCKS)
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
    blocks = [IPv4Network((0x0B000000 + 16 * n, 28)) for n in range(1000)]
    code = frames.program(hardware_address(addresses[0]), addresses, blocks)
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
