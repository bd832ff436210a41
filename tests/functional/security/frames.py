"""Frames that a VM could send, and a model of which ones it may send."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network

from runc_cpi.daemon.networks.model import hardware_address

ARP, IPV4, IPV6, VLAN, QINQ = 0x0806, 0x0800, 0x86DD, 0x8100, 0x88A8
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
    return bytes.fromhex(hardware_address(IPv4Address(address)).replace(":", ""))


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


def router_advertisement(source: bytes) -> bytes:
    """Return a frame in which a VM offers to be the router (RFC 4861, 4.2)."""
    sender = socket.inet_pton(socket.AF_INET6, "fe80::bad")
    everybody = socket.inet_pton(socket.AF_INET6, "ff02::1")
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 9000, 0, 0)
    pseudo = sender + everybody + struct.pack("!II", len(message), 58)
    total = sum(struct.unpack(f"!{len(pseudo + message) // 2}H", pseudo + message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    message = message[:2] + struct.pack("!H", total ^ 0xFFFF) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + sender + everybody
    return ethernet(IPV6, source, header + message, ALL_NODES)


def tagged(frame: bytes, kind: int = VLAN) -> bytes:
    """Put a frame into VLAN 1."""
    return frame[:12] + struct.pack("!HH", kind, 1) + frame[12:]


def may_pass(
    frame: bytes, mac: bytes, addresses: list[bytes], blocks: list[IPv4Network]
) -> bool:
    """Say whether a VM with these addresses, and these blocks of them, may send a frame."""

    def is_own(address: bytes) -> bool:
        in_block = any(IPv4Address(address) in block for block in blocks)
        return address in addresses or in_block

    if frame[6:12] != mac:
        return False
    if frame[12:14] == struct.pack("!H", IPV4):
        return is_own(frame[26:30]) and frame[30] != 127
    of_ethernet_and_ipv4 = struct.pack("!HHHBB", ARP, 1, IPV4, 6, 4)
    if frame[12:20] != of_ethernet_and_ipv4 or frame[22:28] != mac:
        return False
    return is_own(frame[28:32]) or frame[28:32] == bytes(4)


def send_from(pid: int, frames: list[bytes]) -> None:
    """Send frames by the interface of a VM, as root in it can."""
    argv = ["nsenter", f"--target={pid}", "--net", sys.executable, "-c", SEND]
    text = "\n".join(frame.hex() for frame in frames)
    subprocess.run(argv, input=text, text=True, check=True, timeout=60)
