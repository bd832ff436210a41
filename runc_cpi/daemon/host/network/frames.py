"""The eBPF program that lets a frame of a VM pass, or drops it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network

from runc_cpi.daemon.host.bpf_code import (
    ADD,
    AND,
    ANSWER,
    CALL,
    CONTEXT,
    COPY,
    FRAME_POINTER,
    IF_DIFFERENT_32,
    IF_EQUAL_32,
    JUMP,
    LOAD_HALF,
    LOAD_WORD,
    SET,
    Assembler,
)

# The verdicts of a filter with direct action (linux/pkt_cls.h).
PASS, DROP = 0, 2

_LOAD_BYTES = 26  # BPF_FUNC_skb_load_bytes, linux/bpf.h
_LOADED, _FRAME = 3, 6  # registers; calls leave the latter alone
# What is loaded of a frame lies below the frame pointer.
_BUFFER = -16

# Where a frame has what is looked at, in bytes (IEEE 802.3, RFC 791, RFC 826).
_SOURCE, _SOURCE_SIZE = 6, 8  # with the protocol, which follows
_IPV4_SENDER, _IPV4_RECEIVER = 26, 30
_ARP, _ARP_SIZE = 14, 14  # up to the sender's hardware address, which is the last of it
_ARP_SENDER = 28
_IPV4_PROTOCOL, _ARP_PROTOCOL = b"\x08\x00", b"\x08\x06"
_OF_ETHERNET_AND_IPV4 = b"\x00\x01\x08\x00", b"\x06\x04"
_LOOPBACK = IPv4Network("127.0.0.0/8")
_NOBODY = IPv4Address(0)  # who asks whether an address is free (RFC 5227)


def program(
    hardware: str,
    addresses: Collection[IPv4Address],
    blocks: Collection[IPv4Network] = (),
) -> bytes:
    """
    Assemble the program for one VM.

    ARP and IPv4 pass whose sender is the VM itself, and nothing else: no IPv6, and none
    of the protocols between switches.  The kernel has taken VLAN tags off by then.  No IPv4
    passes to the host's loopback, also while the host takes such packets from the bridge.

    @param hardware: the VM's hardware address.
    @param addresses: its addresses.
    @param blocks: the networks whose addresses it has all.
    """
    mac = bytes.fromhex(hardware.replace(":", ""))
    code = _FrameAssembler()
    code.add(COPY, _FRAME, CONTEXT)
    code.load(_SOURCE, _SOURCE_SIZE)
    code.drop_unless(mac, at=0)
    code.read(LOAD_HALF, at=6)
    code.jump(IF_EQUAL_32, _LOADED, _number(_ARP_PROTOCOL), "arp")
    code.jump(IF_DIFFERENT_32, _LOADED, _number(_IPV4_PROTOCOL), "drop")
    code.load(_IPV4_RECEIVER, 4)
    code.read(LOAD_WORD, at=0)
    code.add(AND, _LOADED, value=_number(_LOOPBACK.netmask.packed))
    code.jump(IF_EQUAL_32, _LOADED, _number(_LOOPBACK.network_address.packed), "drop")
    code.sender(_IPV4_SENDER, addresses, blocks)
    code.label("arp")
    code.load(_ARP, _ARP_SIZE)
    kinds, sizes = _OF_ETHERNET_AND_IPV4
    code.drop_unless(kinds + sizes, at=0)
    code.drop_unless(mac, at=8)
    code.sender(_ARP_SENDER, [*addresses, _NOBODY], blocks)
    for name, verdict in (("drop", DROP), ("pass", PASS)):
        code.label(name)
        code.answer(verdict)
    return code.assemble()


def _number(data: bytes) -> int:
    """Return what a register holds after these bytes were loaded; signed, as values are."""
    wide = len(data) == 4
    return int.from_bytes(data, sys.byteorder, signed=wide)


class _FrameAssembler(Assembler):
    """Puts a program together that looks at parts of a frame."""

    def load(self, offset: int, size: int) -> None:
        """Copy so much of the frame to the buffer; drop one that is too short for that."""
        self.add(COPY, 1, _FRAME)
        self.add(SET, 2, value=offset)
        self.add(COPY, 3, FRAME_POINTER)
        self.add(ADD, 3, value=_BUFFER)
        self.add(SET, 4, value=size)
        self.add(CALL, value=_LOAD_BYTES)
        self.jump(IF_DIFFERENT_32, ANSWER, 0, "drop")

    def read(self, code: int, at: int) -> None:
        """Read from the buffer to a register."""
        self.add(code, _LOADED, FRAME_POINTER, offset=_BUFFER + at)

    def drop_unless(self, six: bytes, at: int) -> None:
        """Drop the frame unless the buffer holds these six bytes."""
        for code, data, start in ((LOAD_WORD, six[:4], at), (LOAD_HALF, six[4:], at + 4)):
            self.read(code, start)
            self.jump(IF_DIFFERENT_32, _LOADED, _number(data), "drop")

    def sender(
        self,
        offset: int,
        addresses: Iterable[IPv4Address],
        blocks: Iterable[IPv4Network],
    ) -> None:
        """Let the frame pass if it has one of these addresses there, or else drop it."""
        self.load(offset, 4)
        self.read(LOAD_WORD, at=0)
        for address in addresses:
            self.jump(IF_EQUAL_32, _LOADED, _number(address.packed), "pass")
        for block in blocks:
            self.read(LOAD_WORD, at=0)
            self.add(AND, _LOADED, value=_number(block.netmask.packed))
            network = _number(block.network_address.packed)
            self.jump(IF_EQUAL_32, _LOADED, network, "pass")
        self.jump(JUMP, 0, 0, "drop")
