"""Networks as the director sends them, and a subnet for them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from runc_cpi.daemon.networks.model import Subnet

SUBNET = Subnet(
    cidr=IPv4Network("10.0.0.0/16"),
    gateway=IPv4Address("10.0.0.1"),
    bridge="br0",
    dns=("192.0.2.53",),
)
OTHER = Subnet(
    cidr=IPv4Network("10.9.0.0/24"),
    gateway=IPv4Address("10.9.0.254"),
    bridge="br1",
    name="other",
    dns=("192.0.2.54",),
)
MANUAL: dict[str, Any] = {
    "type": "manual",
    "ip": "10.0.0.2",
    "netmask": "255.255.0.0",
    "prefix": "32",
    "gateway": "10.0.0.1",
    "dns": ["198.51.100.1"],
    "default": ["dns", "gateway"],
    "cloud_properties": {"name": "random"},
}
VIP: dict[str, Any] = {
    "type": "vip",
    "ip": "203.0.113.1",
    "prefix": "32",
    "cloud_properties": {},
}
DYNAMIC: dict[str, Any] = {"type": "dynamic", "cloud_properties": {}}
