"""Rules as nftables has them: one table, whose chains stay and whose sets change."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, ip_address

from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.peers import Peering
from runc_cpi.daemon.networks.rules import Redirection, Ruleset

FAMILY = "inet"
PREFIX = "runc_cpid_"
# Chains of these names, which do nothing, say what kinds of IP, 4 and 6, the host did not
# forward before.
MARKS = {4: "host_did_not_forward", 6: "host_did_not_forward_ipv6"}
# A set of interfaces that the host learned routes by, and goes on to though it forwards.
LEARNERS = "learners"

# What is in a set, by its name; rules find all that differs between hosts in sets.
_TYPES = {
    "set bridges": "ifname",
    "set translated": "ifname",
    "set translated6": "ifname",
    "set isolated": "ifname",
    "set isolated6": "ifname",
    "set looped": "ifname",
    "set within": "ifname . ifname",
    "set own": "ipv4_addr . ipv4_addr",
    "set own6": "ipv6_addr . ipv6_addr",
    "set remote": "ipv4_addr; flags interval",
    "map ports": "inet_proto . inet_service : ipv4_addr . inet_service",
    "map ports_at": "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
    "map ports6": "inet_proto . inet_service : ipv6_addr . inet_service",
    "map ports_at6": "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
    "map vips": "ipv4_addr : ipv4_addr",
    "map sources": "ipv4_addr : ipv4_addr",
}
PORTS = ("ports", "ports_at", "ports6", "ports_at6")
VIPS = "vips"
_REDIRECTION = re.compile(
    r"(?:([0-9a-f.:]+) \. )?(tcp|udp) \. ([0-9]+) : ([0-9a-f.:]+) \. ([0-9]+)"
)
_VIP = re.compile(r"([0-9.]+) : ([0-9.]+)")
# What is bridged and passes these chains nevertheless (br_netfilter) has no iifname when it
# leaves; answers to it come back this way without translation, unless a VM meets itself.
# "martians" comes before connections are tracked: what answers a connection that the host
# made from its loopback is not addressed to the loopback yet.  Nothing leads from ::1 to a
# VM: the kernel lets no such address pass on a wire.
_CHAINS = """
  chain martians {
    type filter hook prerouting priority raw; policy accept;
    iifname @looped ip daddr 127.0.0.0/8 drop
    iifname @looped ip saddr 127.0.0.0/8 drop
  }
  chain published {
    dnat ip to ip daddr . meta l4proto . th dport map @ports_at
    dnat ip to meta l4proto . th dport map @ports
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports_at6
    dnat ip6 to meta l4proto . th dport map @ports6
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    dnat ip to ip daddr map @vips
    ip6 daddr ::1 accept
    meta l4proto { tcp, udp } fib daddr type local jump published
  }
  chain output {
    type nat hook output priority -100; policy accept;
    dnat ip to ip daddr map @vips
    ip6 daddr ::1 accept
    meta l4proto { tcp, udp } fib daddr type local jump published
  }
  chain leaving {
    snat ip to ip saddr map @sources
    masquerade
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    iifname @translated oifname != @bridges ip daddr != @remote jump leaving
    iifname @translated6 oifname != @bridges meta nfproto ipv6 masquerade
    ip saddr 127.0.0.0/8 oifname @looped masquerade
    ip saddr . ip daddr @own ct status dnat masquerade
    ip6 saddr . ip6 daddr @own6 ct status dnat masquerade
    iifname @bridges oifname @bridges ct status dnat masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    ct status dnat accept
    iifname . oifname @within accept
    meta nfproto ipv4 iifname @isolated oifname @bridges drop
    meta nfproto ipv4 iifname @bridges oifname @isolated drop
    meta nfproto ipv6 iifname @isolated6 oifname @bridges drop
    meta nfproto ipv6 iifname @bridges oifname @isolated6 drop
    iifname @isolated ip daddr @remote drop
    ip saddr @remote oifname @isolated drop
  }
"""
# VXLAN tells by nothing but addresses who has sent something; @th,96,24 is its identifier
# (RFC 7348).  The kernel passes a datagram here twice: packed and unpacked.
_OVERLAY = """
  counter {counter} {{
  }}
  chain overlay {{
    type filter hook prerouting priority raw; policy accept;
    udp dport {port} @th,96,24 {id} ip saddr != {{ {peers} }} counter name {counter} drop
    iifname "{interface}" ip saddr != @remote counter name {counter} drop
    iifname != "{interface}" ip saddr @remote counter name {counter} drop
  }}
"""
COUNTER = "not_of_peers"
_PACKETS = re.compile(r"packets ([0-9]+)")
# A chain of this name, which does nothing, tells which chains a table has.
EDITION = "edition_" + sha256(repr((_TYPES, _CHAINS, _OVERLAY)).encode()).hexdigest()[:12]


def name_of(work_dir: object) -> str:
    """Name the table of the daemon with that work_dir; two daemons on one host differ."""
    return PREFIX + sha256(str(work_dir).encode()).hexdigest()[:8]


def is_a_daemons(name: str) -> bool:
    """Say whether a table is that of a daemon, by its name."""
    return name.startswith(PREFIX)


def whole(
    name: str,
    ruleset: Ruleset,
    *,
    marked: Collection[int] = (),
    learners: Collection[str] = (),
) -> str:
    """
    Return commands that make the table anew, in one step for packets.

    @param marked: the kinds of IP whose L{MARKS} it is to have.
    @param learners: what it is to have in L{LEARNERS}.
    """
    contents = _contents(ruleset)
    sets = [
        f"  {kind} {{\n    type {holds}\n{_elements(contents[kind])}  }}"
        for kind, holds in _TYPES.items()
    ]
    heard = _elements(_quoted(learners))
    sets.append(f"  set {LEARNERS} {{\n    type ifname\n{heard}  }}")
    marks = [
        f"  chain {chain} {{\n  }}"
        for chain in [EDITION, *(MARKS[version] for version in sorted(marked))]
    ]
    overlay = _overlay(ruleset.peering)
    body = "\n".join([*sets, _CHAINS.strip("\n"), *overlay, *marks])
    return f"{_forget(name)}table {FAMILY} {name} {{\n{body}\n}}\n"


def _overlay(peering: Peering) -> Sequence[str]:
    """Return what keeps from the overlay all that no peer has sent, if there is one."""
    overlay = peering.overlay
    if overlay is None:
        return []
    peers = ", ".join(sorted(str(peer.address) for peer in peering.peers))
    text = _OVERLAY.format(
        counter=COUNTER,
        port=overlay.port,
        id=overlay.id,
        peers=peers,
        interface=overlay.interface,
    )
    return [text.strip("\n")]


def packets_in(printed: str) -> int:
    """Return how many packets a counter has seen, as nft prints it."""
    found = _PACKETS.search(printed)
    return int(found[1]) if found else 0


def removal(name: str) -> str:
    """Return commands after which there is no such table, and whether there was one."""
    return _forget(name)


def change(name: str, before: Ruleset, after: Ruleset) -> str:
    """Return commands that take a table from one set of rules to another, if any."""
    changes = {"delete": _contents(before - after), "add": _contents(after - before)}
    return "".join(
        _command(verb, name, kind, contents[kind])
        for verb, contents in changes.items()
        for kind in _TYPES
        if contents[kind]
    )


def names_of_interfaces(printed: str) -> set[str]:
    """Return the interfaces that a set has, as nft prints it."""
    return set(printed.split('"')[1::2])


def redirections_in(printed: str) -> Iterator[Redirection]:
    """Return the published ports that maps have, as nft prints them."""
    for address, protocol, port, vm_address, vm_port in _REDIRECTION.findall(printed):
        yield Redirection(
            protocol=protocol,
            address=ip_address(address) if address else None,
            port=int(port),
            vm_address=ip_address(vm_address),
            vm_port=int(vm_port),
        )


def vips_in(printed: str) -> Mapping[Address, Address]:
    """Return the addresses of VMs by those of the host that lead to them, as nft prints."""
    found = _VIP.findall(printed)
    return {IPv4Address(address): IPv4Address(vm_address) for address, vm_address in found}


def chains_in(printed: str) -> Mapping[str, set[str]]:
    """Return the names of chains by table, as nft prints them."""
    chains: dict[str, set[str]] = {}
    table = ""
    for line in printed.splitlines():
        words = line.split()
        if words[:1] == ["table"]:
            table = words[2]
            chains[table] = set()
        elif words[:1] == ["chain"]:
            chains[table].add(words[1])
    return chains


def filters_of_others(printed: str, version: int) -> Sequence[str]:
    """Return the tables of others that look at what is forwarded of a kind of IP."""
    families = "ip " if version == 4 else "ip6 ", "inet "
    found = []
    name = ""
    for line in printed.splitlines():
        words = line.split()
        if words[:1] == ["table"]:
            name = f"{words[1]} {words[2]}"
        elif "hook forward" in line and name.startswith(families):
            found.append(name)
    return [name for name in found if not name.startswith(f"{FAMILY} {PREFIX}")]


def _forget(name: str) -> str:
    # To delete what is not there would be an error.
    return f"table {FAMILY} {name}\ndelete table {FAMILY} {name}\n"


def _command(verb: str, name: str, kind: str, elements: Collection[str]) -> str:
    _, _, set_name = kind.partition(" ")
    listed = ", ".join(sorted(elements))
    return f"{verb} element {FAMILY} {name} {set_name} {{ {listed} }}\n"


def _elements(elements: Collection[str]) -> str:
    listed = ", ".join(sorted(elements))
    return f"    elements = {{ {listed} }}\n" if listed else ""


def _contents(ruleset: Ruleset) -> Mapping[str, frozenset[str]]:
    """Return what each set holds, in the words of nft."""
    ports: dict[str, set[str]] = {name: set() for name in PORTS}
    for r in ruleset.redirections:
        kind = "ports" if r.address is None else "ports_at"
        element = _port(r) if r.address is None else f"{r.address} . {_port(r)}"
        ports[kind if r.vm_address.version == 4 else f"{kind}6"].add(element)
    own: dict[int, set[str]] = {4: set(), 6: set()}
    for address in ruleset.own:
        own[address.version].add(f"{address} . {address}")
    return {
        "set bridges": _quoted(ruleset.bridges),
        "set translated": _quoted(ruleset.translated),
        "set translated6": _quoted(ruleset.translated6),
        "set isolated": _quoted(ruleset.isolated),
        "set isolated6": _quoted(ruleset.isolated6),
        "set looped": _quoted(ruleset.looped),
        "set within": frozenset(f'"{name}" . "{name}"' for name in ruleset.bridges),
        "set own": frozenset(own[4]),
        "set own6": frozenset(own[6]),
        "set remote": frozenset(map(str, ruleset.remote)),
        **{f"map {name}": frozenset(elements) for name, elements in ports.items()},
        "map vips": frozenset(f"{v.address} : {v.vm_address}" for v in ruleset.vips),
        "map sources": frozenset(
            f"{v.vm_address} : {v.address}" for v in ruleset.vips if v.is_source
        ),
    }


def _quoted(names: Collection[str]) -> frozenset[str]:
    return frozenset(f'"{name}"' for name in names)


def _port(redirection: Redirection) -> str:
    r = redirection
    return f"{r.protocol} . {r.port} : {r.vm_address} . {r.vm_port}"
