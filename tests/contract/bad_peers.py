"""Peers and overlays in a daemon's configuration that are refused."""

from __future__ import annotations

from tests.contract.cases import Case

ADDRESS = r"must be an IPv4 address"
UNREACHABLE = "is no address that other hosts can reach"
OWN = "need networks of their own"
P = "address: 192.0.2.3, cidr: 10.1.0.0/16"
Q = "address: 192.0.2.4"

PEERS = [
    *[
        Case(f"{text} as peers", f"peers: {text}", "peers: .* must be a list of peers")
        for text in ("yes", "192.0.2.3", f"{{{P}}}")
    ],
    *[
        Case(f"peers {text}", f"peers: [{text}]", rf"peers\[{number}\]{message}")
        for text, number, message in (
            ("192.0.2.3", 0, r": '192.0.2.3' must be keys and values"),
            ("{}", 0, rf"\.address: None {ADDRESS}"),
            ("{address: there, cidr: 10.1.0.0/16}", 0, rf"\.address: 'there' {ADDRESS}"),
            ("{address: 'fd00::3'}", 0, rf"\.address: 'fd00::3' {ADDRESS}"),
            ("{address: 127.0.0.1}", 0, rf"\.address: '127.0.0.1' {UNREACHABLE}"),
            ("{address: 0.0.0.0}", 0, rf"\.address: '0.0.0.0' {UNREACHABLE}"),
            ("{address: 224.0.0.1}", 0, rf"\.address: '224.0.0.1' {UNREACHABLE}"),
            ("{address: 255.255.255.255}", 0, rf"\.address: .* {UNREACHABLE}"),
            ("{address: 192.0.2.3}", 0, r"\.cidr: None must be an IPv4 network such as"),
            (
                "{address: 192.0.2.3, cidr: []}",
                0,
                r"\.cidr: \[\] must be .*, or a list of such",
            ),
            (
                "{address: 192.0.2.3, cidr: [7]}",
                0,
                r"\.cidr: 7 must be an IPv4 network such as",
            ),
            ("{address: 192.0.2.3, cidr: x}", 0, r"\.cidr: 'x' must be an IPv4 network"),
            (f"{{{P}, port: 1}}", 0, r"\.port: unknown key; the known ones are address, c"),
            (
                "{address: 192.0.2.3, cidr: 10.0.7.0/24}",
                0,
                rf"\.cidr: 10.0.7.0/24 overlaps with 10.0.0.0/16 of 'default', .* {OWN}",
            ),
            (
                "{address: 10.0.7.3, cidr: 10.1.0.0/16}",
                0,
                r"\.address: 10.0.7.3 is in 10.0.0.0/16 of 'default', a network of this",
            ),
            (
                "{address: 10.1.0.3, cidr: 10.1.0.0/16}",
                0,
                r"\.address: 10.1.0.3 is in 10.1.0.0/16 of peers\[0\].cidr; it must be the",
            ),
            (
                f"{{{P}}}, {{{P}}}",
                1,
                r"\.address: 192.0.2.3 is that of peers\[0\], too",
            ),
            (
                f"{{{P}}}, {{{Q}, cidr: [10.2.0.0/16, 10.1.7.0/24]}}",
                1,
                rf"\.cidr: 10.1.7.0/24 overlaps with 10.1.0.0/16 of peers\[0\].*{OWN}",
            ),
        )
    ],
    *[
        Case(f"the overlay {text}", f"overlay: {text}", f"overlay{message}")
        for text, message in (
            ("geneve", ": 'geneve' must be none or vxlan"),
            ("yes", ": True must be keys and values"),
            ("[vxlan]", r": \['vxlan'\] must be keys and values"),
            ("{kind: vxlan, mtu: 1}", r"\.mtu: unknown key; the known ones are kind, id,"),
            ("{kind: gre}", r"\.kind: 'gre' must be none or vxlan"),
            ("{id: 0}", r"\.id: 0 must be a whole number from 1 to 16777215"),
            ("{id: 16777216}", r"\.id: 16777216 must be a whole number"),
            ("{port: 65536}", r"\.port: 65536 must be a whole number from 1 to 65535"),
            ("{address: here}", rf"\.address: 'here' {ADDRESS}"),
            ("{address: 127.0.0.1}", rf"\.address: '127.0.0.1' {UNREACHABLE}"),
        )
    ],
]
