"""What to change in other firewalls, and what to say of them."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from runc_cpi.daemon.host.network.beside import (
    advice,
    advice_for_overlay,
    corrections,
)

OPEN = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
DOCKER = "-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n"
UFW = "-P INPUT DROP\n-P FORWARD DROP\n-N ufw-user-forward\n-N ufw-user-input\n"
IN = "DOCKER-USER -i br1 -m comment --comment ours -j ACCEPT"
OUT = (
    "DOCKER-USER -o br1 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT "
    "-m comment --comment ours -j ACCEPT"
)
OTHERS = "-A DOCKER-USER -i br9 -m comment --comment other -j ACCEPT\n"


def changed(listing: str, *bridges: str) -> list[str]:
    """Return the changes as lines."""
    return [" ".join(change) for change in corrections(listing, "ours", bridges)]


def test_docker() -> None:
    """
    Docker's chain gets a rule for each way, and loses those that are not wanted.

    They stand behind the rules of others, but before what returns.
    """
    assert changed(OPEN, "br1") == []
    assert changed(DOCKER, "br1") == [f"-A {IN}", f"-A {OUT}"]
    both = f"{DOCKER}{OTHERS}-A {IN}\n-A {OUT}\n-A DOCKER-USER -j RETURN\n"
    assert changed(both, "br1") == []
    assert changed(both) == [f"-D {IN}", f"-D {OUT}"]
    placed = f"-I {IN}".replace("USER", "USER 3")
    assert changed(both.replace(f"-A {IN}\n", ""), "br1") == [placed]


@pytest.mark.parametrize(
    ("listing", "firewalld", "commands"),
    [
        ("", None, []),
        (OPEN, None, []),
        (DOCKER, None, []),
        (
            OPEN,
            "table inet firewalld {}",
            [
                "firewall-cmd --permanent --zone=trusted --add-interface=br1",
                "firewall-cmd --reload",
            ],
        ),
        (OPEN, 'iifname "br1" goto filter_IN_trusted', []),
        (
            UFW,
            None,
            [
                "ufw allow in on br1",
                "ufw route allow in on br1",
                "ufw route allow out on br1",
            ],
        ),
        (
            f"{UFW}-A ufw-user-input -i br1 -j ACCEPT\n"
            "-A ufw-user-forward -i br1 -j ACCEPT\n-A ufw-user-forward -o br1 -j ACCEPT\n",
            None,
            [],
        ),
        (
            "-P INPUT DROP\n-P FORWARD DROP\n",
            None,
            [
                "iptables -I INPUT -i br1 -j ACCEPT",
                "iptables -I FORWARD -i br1 -j ACCEPT",
                "iptables -I FORWARD -o br1 -j ACCEPT",
            ],
        ),
        (
            "-P FORWARD DROP\n-A FORWARD -i br1 -j ACCEPT\n-A FORWARD -o br1 -j ACCEPT",
            None,
            [],
        ),
    ],
)
def test_advice(listing: str, firewalld: str | None, commands: list[str]) -> None:
    """Each firewall has commands of its own, which are not named once they were typed."""
    assert list(advice(listing, firewalld, "br1")) == commands


def test_docker_and_peers() -> None:
    """VMs of peers reach those of this host by their own addresses."""
    remote = [IPv4Network("10.9.0.0/16")]
    changes = corrections(DOCKER, "ours", ["br1"], remote)
    peers = "-A DOCKER-USER -s 10.9.0.0/16 -o br1 -m comment --comment ours -j ACCEPT"
    assert peers in [" ".join(change) for change in changes]
    assert (
        corrections(f"{DOCKER}-A {IN}\n-A {OUT}\n{peers}\n", "ours", ["br1"], remote) == []
    )


@pytest.mark.parametrize(
    ("listing", "firewalld", "commands"),
    [
        ("", None, []),
        (OPEN, None, []),
        (DOCKER, None, []),
        (
            OPEN,
            "table inet firewalld {}",
            ["firewall-cmd --permanent --add-port=4789/udp", "firewall-cmd --reload"],
        ),
        (OPEN, "udp dport 4789 accept", []),
        (UFW, None, ["ufw allow 4789/udp"]),
        (f"{UFW}-A ufw-user-input -p udp -m udp --dport 4789 -j ACCEPT\n", None, []),
        (
            "-P INPUT DROP\n",
            None,
            ["iptables -I INPUT -p udp -m udp --dport 4789 -j ACCEPT"],
        ),
        ("-P INPUT DROP\n-A INPUT -p udp -m udp --dport 4789 -j ACCEPT\n", None, []),
    ],
)
def test_advice_for_overlays(
    listing: str, firewalld: str | None, commands: list[str]
) -> None:
    """What stops an overlay is told as commands, until it does not stop it any more."""
    assert advice_for_overlay(listing, firewalld, 4789) == commands
