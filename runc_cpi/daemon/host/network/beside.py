"""Firewalls that the host has besides: what to change in Docker's, and to say of others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Network

# Docker leaves this chain to others, and asks it first (its documentation of iptables).
DOCKERS_CHAIN = "DOCKER-USER"
# Others reach VMs by published ports, not by the VMs' own addresses.
_ANSWERS_AND_PORTS = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT"
_INPUT_DROP = "-P INPUT DROP"
_UFW_INPUT, _UFW_FORWARD = "ufw-user-input", "ufw-user-forward"


def corrections(
    listing: str,
    comment: str,
    bridges: Collection[str],
    remote: Collection[IPv4Network] = (),
) -> Sequence[Sequence[str]]:
    """
    Return what to tell iptables so that Docker lets pass what bridges forward.

    While Docker has the host look at what it bridges, it drops even what one VM sends to
    another (C{FORWARD} has the policy C{DROP}).  Rules of the operator's come first.

    @param listing: what C{iptables -S} prints.
    @param comment: what marks rules as ours; it goes with no space in it.
    @param remote: the networks of peers' VMs, which reach those of this host as they are.
    """
    lines = listing.splitlines()
    chain = [line for line in lines if line.startswith(f"-A {DOCKERS_CHAIN} ")]
    ours = {line for line in chain if f" --comment {comment} " in line}
    wanted = (
        {
            f"-A {DOCKERS_CHAIN} {way} -m comment --comment {comment} -j ACCEPT"
            for bridge in bridges
            for way in (
                f"-i {bridge}",
                f"-o {bridge} {_ANSWERS_AND_PORTS}",
                *(f"-s {cidr} -o {bridge}" for cidr in remote),
            )
        }
        if f"-N {DOCKERS_CHAIN}" in lines
        else set()
    )
    kept = [line for line in chain if line not in ours - wanted]
    return [
        *(line.replace("-A", "-D", 1).split() for line in sorted(ours - wanted)),
        *(_placed(line, kept).split() for line in sorted(wanted - ours)),
    ]


def _placed(line: str, chain: Sequence[str]) -> str:
    """Return how to put a rule behind those of a chain, but where it is still reached."""
    end = f"-A {DOCKERS_CHAIN} -j RETURN"
    if end not in chain:
        return line
    number = chain.index(end) + 1
    return line.replace(f"-A {DOCKERS_CHAIN}", f"-I {DOCKERS_CHAIN} {number}", 1)


def advice(
    listing: str, firewalld: str | None, bridge: str, program: str = "iptables"
) -> Sequence[str]:
    """
    Return what to type so that other firewalls let VMs pass.

    @param listing: what C{iptables -S} or C{ip6tables -S} prints.
    @param firewalld: what nft prints of firewalld's table, or L{None} if it has none.
    @param program: which of both that was.
    """
    lines = listing.splitlines()
    if firewalld is not None:
        if f'"{bridge}"' in firewalld:
            return []
        return [
            f"firewall-cmd --permanent --zone=trusted --add-interface={bridge}",
            "firewall-cmd --reload",
        ]
    ufw_input, ufw_forward = (
        chain.replace("ufw", "ufw6") if program == "ip6tables" else chain
        for chain in (_UFW_INPUT, _UFW_FORWARD)
    )
    if f"-N {ufw_input}" in lines and _INPUT_DROP in lines:
        ways = {
            f"-A {ufw_input} -i {bridge} -j ACCEPT": f"ufw allow in on {bridge}",
            f"-A {ufw_forward} -i {bridge} -j ACCEPT": f"ufw route allow in on {bridge}",
            f"-A {ufw_forward} -o {bridge} -j ACCEPT": f"ufw route allow out on {bridge}",
        }
        return [command for rule, command in ways.items() if rule not in lines]
    needed = []
    if _INPUT_DROP in lines:
        needed.append(f"INPUT -i {bridge} -j ACCEPT")
    if "-P FORWARD DROP" in lines and f"-N {DOCKERS_CHAIN}" not in lines:
        needed += [f"FORWARD {way} {bridge} -j ACCEPT" for way in ("-i", "-o")]
    return [f"{program} -I {rule}" for rule in needed if f"-A {rule}" not in lines]


def advice_for_overlay(listing: str, firewalld: str | None, port: int) -> Sequence[str]:
    """
    Return what to type so that other firewalls let an overlay pass.

    @param listing: what C{iptables -S} prints.
    @param firewalld: what nft prints of firewalld's table, or L{None} if it has none.
    @param port: of UDP.
    """
    lines = listing.splitlines()
    if firewalld is not None:
        if f"udp dport {port} " in firewalld:
            return []
        return [
            f"firewall-cmd --permanent --add-port={port}/udp",
            "firewall-cmd --reload",
        ]
    if _INPUT_DROP not in lines:
        return []
    rule = f"-p udp -m udp --dport {port} -j ACCEPT"
    if f"-N {_UFW_INPUT}" in lines:
        is_let_in = f"-A {_UFW_INPUT} {rule}" in lines
        return [] if is_let_in else [f"ufw allow {port}/udp"]
    return [] if f"-A INPUT {rule}" in lines else [f"iptables -I INPUT {rule}"]
