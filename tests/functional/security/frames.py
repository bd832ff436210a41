"""Frames that a VM could send, and a model of which ones it may send."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from runc_cpi.daemon.networks.model import hardware_address

ARP, IPV4, IPV6, VLAN, QINQ = 0x0806, 0x0800, 0x86DD, 0x8100, 0x88A8
ICMPV6, ROUTER, ASKS_FOR_NEIGHBOUR, NEIGHBOUR, REDIRECT = 58, 134, 135, 136, 137
# Extension headers, and messages about groups (RFC 8200, RFC 3810).
HOP_BY_HOP, HIDING, GROUPS = 0, (43, 51, 60, 135, 139, 140), (131, 132, 143)
FRAGMENT = 44
BROADCAST = b"\xff" * 6
ALL_NODES = bytes.fromhex("333300000001")
REQUEST, REPLY = 1, 2
SEND = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("eth0", 0))
    for frame in sys.stdin.read().split():
        out.send(bytes.fromhex(frame))
"""


def mac_of(address: str) -> bytes:
    """Return the hardware address of the VM that has an address."""
    return bytes.fromhex(hardware_address(ip_address(address)).replace(":", ""))


def ethernet(kind: int, source: bytes, payload: bytes, to: bytes = BROADCAST) -> bytes:
    """Return a frame."""
    return to + source + struct.pack("!H", kind) + payload


def arp(
    source: bytes, address: str, *, operation: int = REPLY, sender: bytes | None = None
) -> bytes:
    """Return a frame that says at which hardware address an address is (RFC 826)."""
    fields = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + (sender or source)
    fields += socket.inet_aton(address) + bytes(6) + socket.inet_aton("192.0.2.1")
    return ethernet(ARP, source, fields)


def ipv4(
    source: bytes, address: str, data: bytes = b"", to: str = "255.255.255.255"
) -> bytes:
    """Return a datagram, of a protocol for experiments (RFC 3692)."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64, 253, 0)
    header += socket.inet_aton(address) + socket.inet_aton(to)
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", total ^ 0xFFFF) + header[12:]
    return ethernet(IPV4, source, header + data)


def ipv6(
    source: bytes, address: str, data: bytes, *, kind: int = ICMPV6, to: str = "ff02::1"
) -> bytes:
    """
    Return a datagram to all nodes of the link.

    @param kind: what the data is of: a protocol, or an extension header.
    """
    ends = b"".join(socket.inet_pton(socket.AF_INET6, end) for end in (address, to))
    header = struct.pack("!IHBB", 6 << 28, len(data), kind, 255) + ends
    return ethernet(IPV6, source, header + data, ALL_NODES)


def icmpv6(source: bytes, address: str, kind: int, data: bytes) -> bytes:
    """Return a message of ICMPv6 to all nodes of the link (RFC 4443)."""
    message = struct.pack("!BBH", kind, 0, 0) + data
    ends = (socket.inet_pton(socket.AF_INET6, end) for end in (address, "ff02::1"))
    pseudo = b"".join(ends) + struct.pack("!II", len(message), ICMPV6)
    total = sum(struct.unpack(f"!{len(pseudo + message) // 2}H", pseudo + message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    message = message[:2] + struct.pack("!H", total ^ 0xFFFF) + message[4:]
    return ipv6(source, address, message)


def router_advertisement(source: bytes, address: str = "fe80::bad") -> bytes:
    """Return a frame in which a VM offers to be the router (RFC 4861, 4.2)."""
    return icmpv6(source, address, ROUTER, struct.pack("!BBHII", 64, 0, 9000, 0, 0))


def neighbour_advertisement(source: bytes, address: str, target: str) -> bytes:
    """Return a frame that says at which hardware address a target is (RFC 4861, 4.4)."""
    option = struct.pack("!BB", 2, 1) + source
    about = socket.inet_pton(socket.AF_INET6, target)
    return icmpv6(source, address, NEIGHBOUR, struct.pack("!I", 1 << 29) + about + option)


def fragments(frame: bytes, size: int, kind: int | None = None) -> list[bytes]:
    """
    Return a datagram of IPv6 in fragments (RFC 8200, 4.5).

    @param size: of the data in each but the last, a multiple of 8.
    @param kind: what the fragments but the first say that they are of; by default, that of
        the datagram.
    """
    kinds, data = [frame[20], frame[20] if kind is None else kind], frame[54:]
    ends = (socket.inet_ntop(socket.AF_INET6, end) for end in (frame[22:38], frame[38:54]))
    address, to = ends
    found = []
    for start in range(0, len(data), size):
        place = start | (start + size < len(data))
        header = struct.pack("!BBHI", kinds[start > 0], 0, place, 1)
        part = header + data[start : start + size]
        found.append(ipv6(frame[6:12], address, part, kind=FRAGMENT, to=to))
    return found


def tagged(frame: bytes, kind: int = VLAN) -> bytes:
    """Put a frame into VLAN 1."""
    return frame[:12] + struct.pack("!HH", kind, 1) + frame[12:]


def may_pass(
    frame: bytes,
    mac: bytes,
    addresses: Sequence[bytes],
    blocks: Sequence[IPv4Network | IPv6Network] = (),
) -> bool:
    """Say whether a VM with these addresses, and these blocks of them, may send a frame."""

    def is_own(address: bytes) -> bool:
        in_block = any(ip_address(address) in block for block in blocks)
        return address in addresses or in_block

    if frame[6:12] != mac:
        return False
    if frame[12:14] == struct.pack("!H", IPV6):
        has_ipv6 = any(len(address) == 16 for address in addresses)
        return has_ipv6 and may_pass_ipv6(frame, is_own)
    if frame[12:14] == struct.pack("!H", IPV4):
        return is_own(frame[26:30]) and frame[30] != 127
    of_ethernet_and_ipv4 = struct.pack("!HHHBB", ARP, 1, IPV4, 6, 4)
    if frame[12:20] != of_ethernet_and_ipv4 or frame[22:28] != mac:
        return False
    return is_own(frame[28:32]) or frame[28:32] == bytes(4)


def may_pass_ipv6(frame: bytes, is_own: Callable[[bytes], bool]) -> bool:
    """
    Say whether a VM may send a frame of IPv6.

    @param is_own: says whether an address is the VM's.
    """
    sender, kind, data = frame[22:38], frame[20:21], frame[54:]
    if kind == _byte(ICMPV6) and data[:1] == _byte(ASKS_FOR_NEIGHBOUR):
        return is_own(sender) or sender == bytes(16)
    if not is_own(sender):
        return False
    if kind == _byte(HOP_BY_HOP):
        return data[:2] == bytes([ICMPV6, 0]) and data[8:9] in map(_byte, GROUPS)
    if kind == _byte(ICMPV6):
        if data[:1] == _byte(NEIGHBOUR):
            return len(data) >= 24 and is_own(data[8:24])
        return data[:1] not in (b"", _byte(ROUTER), _byte(REDIRECT))
    if kind == _byte(FRAGMENT):
        whole = (HOP_BY_HOP, FRAGMENT, ICMPV6, *HIDING)
        return data[:1] not in (b"", *map(_byte, whole))
    return kind not in map(_byte, HIDING)


def _byte(number: int) -> bytes:
    return bytes([number])


def send_from(pid: int, frames: list[bytes]) -> None:
    """Send frames by the interface of a VM, as root in it can."""
    argv = ["nsenter", f"--target={pid}", "--net", sys.executable, "-c", SEND]
    text = "\n".join(frame.hex() for frame in frames)
    subprocess.run(argv, input=text, text=True, check=True, timeout=60)
