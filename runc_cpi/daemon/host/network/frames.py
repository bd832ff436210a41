"""The eBPF program that lets a frame of a VM pass, or drops it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

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
    LOAD_BYTE,
    LOAD_HALF,
    LOAD_WORD,
    SET,
    Assembler,
)
from runc_cpi.daemon.networks.model import Address, IPNetwork

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
_IPV4_PROTOCOL, _ARP_PROTOCOL, _IPV6_PROTOCOL = b"\x08\x00", b"\x08\x06", b"\x86\xdd"
_OF_ETHERNET_AND_IPV4 = b"\x00\x01\x08\x00", b"\x06\x04"
_LOOPBACK = IPv4Network("127.0.0.0/8")
_NOBODY = IPv4Address(0)  # who asks whether an address is free (RFC 5227)

# The same of IPv6 (RFC 8200), and of ICMPv6 in it (RFC 4443).
_IPV6_NEXT, _IPV6_SENDER, _IPV6_DATA = 20, 22, 54
_NEIGHBOUR = _IPV6_DATA + 8  # whom an advertisement of a neighbour is about (RFC 4861)
_EXTENSION_SIZE = 9  # of one that is as short as can be, and the type that follows
_HOP_BY_HOP, _FRAGMENT, _ICMPV6 = 0, 44, 58
# What these hide the kernel would take as if it came without: routing header,
# authentication, options, mobility, HIP, Shim6 (IANA's list of extension headers).
_HIDING = (43, 51, 60, 135, 139, 140)
# What no fragment may be of.  Where connections are tracked, the kernel puts fragments
# together first, and takes words about neighbours from them, though RFC 6980 forbids it.
_WHOLE = (_HOP_BY_HOP, _FRAGMENT, _ICMPV6, *_HIDING)
_ASKS_FOR_NEIGHBOUR, _IS_NEIGHBOUR = 135, 136
_OF_ROUTERS = (134, 137)  # advertisements and redirects
_OF_GROUPS = (131, 132, 143)  # who is in a group (RFC 2710, RFC 3810)
_NOBODY_OF_IPV6 = IPv6Address(0)


def program(
    hardware: str,
    addresses: Collection[Address],
    blocks: Collection[IPNetwork] = (),
) -> bytes:
    """
    Assemble the program for one VM.

    ARP, IPv4 and IPv6 pass whose sender is the VM itself, and nothing else: no IPv6 if it
    has no address of it, no word of a router, and none of the protocols between switches.
    The kernel has taken VLAN tags off by then.  No IPv4 passes to the host's loopback, also
    while the host takes such packets from the bridge.

    @param hardware: the VM's hardware address.
    @param addresses: its addresses.
    @param blocks: the networks whose addresses it has all.
    """
    mac = bytes.fromhex(hardware.replace(":", ""))
    of_ipv4 = [address for address in addresses if isinstance(address, IPv4Address)]
    blocks_of_ipv4 = [block for block in blocks if isinstance(block, IPv4Network)]
    of_ipv6 = [IPv6Network(each) for each in addresses if isinstance(each, IPv6Address)]
    of_ipv6 += [block for block in blocks if isinstance(block, IPv6Network)]
    code = _FrameAssembler()
    code.add(COPY, _FRAME, CONTEXT)
    code.load(_SOURCE, _SOURCE_SIZE)
    code.drop_unless(mac, at=0)
    code.read(LOAD_HALF, at=6)
    code.jump(IF_EQUAL_32, _LOADED, _number(_ARP_PROTOCOL), "arp")
    if of_ipv6:
        code.jump(IF_EQUAL_32, _LOADED, _number(_IPV6_PROTOCOL), "ipv6")
    code.jump(IF_DIFFERENT_32, _LOADED, _number(_IPV4_PROTOCOL), "drop")
    code.load(_IPV4_RECEIVER, 4)
    code.read(LOAD_WORD, at=0)
    code.add(AND, _LOADED, value=_number(_LOOPBACK.netmask.packed))
    code.jump(IF_EQUAL_32, _LOADED, _number(_LOOPBACK.network_address.packed), "drop")
    code.sender(_IPV4_SENDER, of_ipv4, blocks_of_ipv4)
    code.label("arp")
    code.load(_ARP, _ARP_SIZE)
    kinds, sizes = _OF_ETHERNET_AND_IPV4
    code.drop_unless(kinds + sizes, at=0)
    code.drop_unless(mac, at=8)
    code.sender(_ARP_SENDER, [*of_ipv4, _NOBODY], blocks_of_ipv4)
    if of_ipv6:
        _add_ipv6(code, of_ipv6)
    for name, verdict in (("drop", DROP), ("pass", PASS)):
        code.label(name)
        code.answer(verdict)
    return code.assemble()


def _add_ipv6(code: _FrameAssembler, own: Collection[IPv6Network]) -> None:
    """
    Add what lets IPv6 pass from a VM's own addresses, and drops what it says of others.

    @param own: these addresses, each as a network, and the blocks.
    """
    code.label("ipv6")
    code.load_byte(_IPV6_NEXT)
    code.jump(IF_EQUAL_32, _LOADED, _ICMPV6, "icmpv6")
    code.go_if_any(_HIDING, "drop")
    code.jump(IF_EQUAL_32, _LOADED, _FRAGMENT, "fragment")
    code.jump(IF_DIFFERENT_32, _LOADED, _HOP_BY_HOP, "ipv6 sender")
    # Only what says which groups the VM is in needs such options.
    code.load(_IPV6_DATA, _EXTENSION_SIZE)
    for at, expected in ((0, _ICMPV6), (1, 0)):
        code.read(LOAD_BYTE, at=at)
        code.jump(IF_DIFFERENT_32, _LOADED, expected, "drop")
    code.read(LOAD_BYTE, at=8)
    code.go_if_any(_OF_GROUPS, "ipv6 sender")
    code.jump(JUMP, 0, 0, "drop")
    code.label("fragment")
    code.load_byte(_IPV6_DATA)
    code.go_if_any(_WHOLE, "drop")
    code.jump(JUMP, 0, 0, "ipv6 sender")
    code.label("icmpv6")
    code.load_byte(_IPV6_DATA)
    code.go_if_any(_OF_ROUTERS, "drop")
    code.jump(IF_EQUAL_32, _LOADED, _ASKS_FOR_NEIGHBOUR, "asks for neighbour")
    code.jump(IF_DIFFERENT_32, _LOADED, _IS_NEIGHBOUR, "ipv6 sender")
    code.load(_NEIGHBOUR, 16)
    code.go_if_within(own, "ipv6 sender")
    code.jump(JUMP, 0, 0, "drop")
    code.label("asks for neighbour")
    code.load(_IPV6_SENDER, 16)
    code.go_if_within([IPv6Network(_NOBODY_OF_IPV6)], "pass")
    code.label("ipv6 sender")
    code.load(_IPV6_SENDER, 16)
    code.go_if_within(own, "pass")
    code.jump(JUMP, 0, 0, "drop")


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

    def load_byte(self, offset: int) -> None:
        """Load a byte of the frame into a register; drop one that is too short."""
        self.load(offset, 1)
        self.read(LOAD_BYTE, at=0)

    def go_if_any(self, values: Iterable[int], label: str) -> None:
        """Go to a label if the register holds one of these values."""
        for value in values:
            self.jump(IF_EQUAL_32, _LOADED, value, label)

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

    def go_if_within(self, networks: Iterable[IPv6Network], label: str) -> None:
        """Go to a label if the buffer holds an address of one of these networks."""
        for network in networks:
            following = f"after {len(self._code)}"
            address, mask = network.network_address.packed, network.netmask.packed
            for at in range(0, 16, 4):
                if not any(mask[at : at + 4]):
                    break
                self.read(LOAD_WORD, at=at)
                self.add(AND, _LOADED, value=_number(mask[at : at + 4]))
                part = _number(address[at : at + 4])
                self.jump(IF_DIFFERENT_32, _LOADED, part, following)
            self.jump(JUMP, 0, 0, label)
            self.label(following)
