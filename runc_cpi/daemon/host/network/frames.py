"""Which frames a VM may send: an eBPF program that looks at each."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address

from runc_cpi.daemon.host.bpf import instruction

# The verdicts of a filter with direct action (linux/pkt_cls.h).
PASS, DROP = 0, 2

# From linux/bpf_common.h and linux/bpf.h.
_LOAD_HALF, _LOAD_WORD = 0x69, 0x61
_COPY, _SET, _ADD = 0xBF, 0xB7, 0x07
_JUMP, _IF_EQUAL, _IF_DIFFERENT = 0x05, 0x16, 0x56  # the latter two on 32 bits
_CALL, _EXIT = 0x85, 0x95
_LOAD_BYTES = 26
_FRAME_POINTER = 10

# Where a frame has what is looked at (IEEE 802.3, RFC 791, RFC 826).
_SOURCE, _SOURCE_SIZE = 6, 8  # with the protocol, which follows
_IPV4_SENDER = 26
_ARP, _ARP_SIZE = 14, 14  # up to the sender's hardware address, which is the last of it
_ARP_SENDER = 28
_IPV4_PROTOCOL, _ARP_PROTOCOL = b"\x08\x00", b"\x08\x06"
_OF_ETHERNET_AND_IPV4 = b"\x00\x01\x08\x00", b"\x06\x04"
_NOBODY = IPv4Address(0)  # who asks whether an address is free (RFC 5227)


def program(hardware: str, addresses: Collection[IPv4Address]) -> bytes:
    """
    Assemble the program for one VM.

    It lets through ARP and IPv4 whose senders are the VM itself, and nothing else: no
    IPv6, nor anything that switches tell each other. VLAN tags are off by the time.

    @param hardware: the VM's hardware address.
    @param addresses: its addresses.
    """
    mac = bytes.fromhex(hardware.replace(":", ""))
    code = _Assembler()
    code.add(_COPY, 6, 1)  # the frame; calls leave this register alone
    code.load(_SOURCE, _SOURCE_SIZE)
    code.drop_unless(mac, at=0)
    code.read(_LOAD_HALF, at=6)
    code.jump(_IF_EQUAL, 3, _number(_ARP_PROTOCOL), "arp")
    code.jump(_IF_DIFFERENT, 3, _number(_IPV4_PROTOCOL), "drop")
    code.sender(_IPV4_SENDER, addresses)
    code.label("arp")
    code.load(_ARP, _ARP_SIZE)
    kinds, sizes = _OF_ETHERNET_AND_IPV4
    code.drop_unless(kinds + sizes, at=0)
    code.drop_unless(mac, at=8)
    code.sender(_ARP_SENDER, [*addresses, _NOBODY])
    for name, verdict in (("drop", DROP), ("pass", PASS)):
        code.label(name)
        code.add(_SET, 0, value=verdict)
        code.add(_EXIT)
    return code.assemble()


def _number(data: bytes) -> int:
    """Return what a register holds after these bytes were loaded; signed, as values are."""
    wide = len(data) == 4
    return int.from_bytes(data, sys.byteorder, signed=wide)


class _Assembler:
    """
    Puts a program together; what is loaded of a frame lies below the frame pointer.
    """

    _BUFFER = -16

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int, int, str]] = []
        self._labels: dict[str, int] = {}

    def add(
        self,
        code: int,
        target: int = 0,
        source: int = 0,
        *,
        offset: int = 0,
        value: int = 0,
    ) -> None:
        """Add an instruction."""
        self._code.append((code, target, source, offset, value, ""))

    def jump(self, code: int, register: int, value: int, label: str) -> None:
        """Add a jump to a label that comes later."""
        self._code.append((code, register, 0, 0, value, label))

    def label(self, name: str) -> None:
        """Give the next instruction a name."""
        self._labels[name] = len(self._code)

    def load(self, offset: int, size: int) -> None:
        """Copy so much of the frame to the buffer; drop one that is too short for that."""
        self.add(_COPY, 1, 6)
        self.add(_SET, 2, value=offset)
        self.add(_COPY, 3, _FRAME_POINTER)
        self.add(_ADD, 3, value=self._BUFFER)
        self.add(_SET, 4, value=size)
        self.add(_CALL, value=_LOAD_BYTES)
        self.jump(_IF_DIFFERENT, 0, 0, "drop")

    def read(self, code: int, at: int) -> None:
        """Read from the buffer to register 3."""
        self.add(code, 3, _FRAME_POINTER, offset=self._BUFFER + at)

    def drop_unless(self, six: bytes, at: int) -> None:
        """Drop the frame unless the buffer holds these six bytes."""
        for code, data, start in ((_LOAD_WORD, six[:4], at), (_LOAD_HALF, six[4:], at + 4)):
            self.read(code, start)
            self.jump(_IF_DIFFERENT, 3, _number(data), "drop")

    def sender(self, offset: int, addresses: Iterable[IPv4Address]) -> None:
        """Let the frame pass if it has one of these addresses there, or else drop it."""
        self.load(offset, 4)
        self.read(_LOAD_WORD, at=0)
        for address in addresses:
            self.jump(_IF_EQUAL, 3, _number(address.packed), "pass")
        self.jump(_JUMP, 0, 0, "drop")

    def assemble(self) -> bytes:
        """Return the program, with each jump by its distance from the next instruction."""
        return b"".join(
            instruction(
                code, target, source, self._labels[to] - here - 1 if to else offset, value
            )
            for here, (code, target, source, offset, value, to) in enumerate(self._code)
        )
