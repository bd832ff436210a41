"""Configurations of the executable and of the daemon that are refused."""

from __future__ import annotations

import json
import re

from tests.contract.cases import Case

# What YAML's loader raises for these is no YAML error.
ODD_YAML = [
    Case("a date that is none", "address: 2001-99-99", ".*YAML"),
    Case("a number that is none", "address: !!int x", ".*YAML"),
    Case("a truth that is none", "address: !!bool perhaps", ".*YAML"),
    Case("a moment that is none", "address: !!timestamp soon", ".*YAML"),
    Case("a number without end", "address: " + "9" * 5000, ".*"),
    Case("lists without end", "[" * 10_000, ".*"),
]
BROKEN = [
    Case("an open list", "address: [", ".*YAML at line 1, column 11$"),
    Case("a tab", "\taddress: x", ".*YAML at line 1, column 1$"),
    Case("an alias of nothing", "a: b\naddress: *x", ".*YAML at line 2, column 10$"),
    Case(
        "an object of Python",
        "address: !!python/object:os.system {}",
        ".*YAML at line 1, column 10$",
    ),
    Case("a key that is a list", "? [a]\n: b", ".*YAML at line 1, column 3$"),
    Case("a control character", "address: \x07", ".*YAML$"),
    Case("two documents", "---\n{}\n---\n{}", ".*YAML at line 3, column 1$"),
    # What is around the mistake may well be a password or a private key.
    Case("a secret in quotes", "mbus: 'sesame", "(?!.*sesame).*YAML at line 1, column"),
    Case("a secret in a key", "k: |\n  sesame\n-x", "(?!.*sesame).*YAML at line"),
    Case("a secret as tag", "k: !sesame x", "(?!.*sesame).*YAML at line 1, column 4$"),
    Case("a secret as number", "k: !!int sesame", "(?!.*sesame).*YAML$"),
]

# What is no address of a daemon's port, for whoever is to listen or to call there.
NO_TCP_ADDRESSES = {
    "a path for a port": "/run/x",
    "a name alone": "host",
    "an address alone": "127.0.0.1",
    "a port alone": ":1",
    "no port behind the colon": "127.0.0.1:",
    "port 0": "127.0.0.1:0",
    "port 65536": "127.0.0.1:65536",
    "a port below 0": "127.0.0.1:-1",
    "a port of letters": "127.0.0.1:x",
    "a port as Python writes it": "127.0.0.1:1_0",
    "a port in Arabic digits": "127.0.0.1:\u0663",
    "IPv6 without brackets": "::1:80",
    "IPv4 in brackets": "[127.0.0.1]:80",
}
# What is no network_type.
NO_NETWORK_TYPES = {
    "an unknown network": "udp",
    "a number as network": 5,
    "null as network": None,
    "true as network": True,
    "a list as network": ["unix"],
    "an object as network": {"a": "b"},
}


def _of_both(accepted: str) -> list[Case]:
    """
    Return the rows for keys that both configurations have.

    @param accepted: what the message says of an address.
    """
    addresses = [
        Case(
            name,
            json.dumps({"network_type": "tcp", "address": address}),
            f"address: {re.escape(repr(address))} {accepted}",
        )
        for name, address in NO_TCP_ADDRESSES.items()
    ]
    kinds = [
        Case(
            name,
            json.dumps({"network_type": kind}),
            f"network_type: {re.escape(repr(kind))} must be (tcp or unix|unix or tcp)",
        )
        for name, kind in NO_NETWORK_TYPES.items()
    ]
    return [*ODD_YAML, *BROKEN, *addresses, *kinds]


URL, SERVERS = "agent.mbus: .*URL", "agent.ntp: .*list of servers"
UNIX, TCP = (
    "as network_type is unix",
    r"must be HOST:PORT or \[IPv6\]:PORT, as network_type",
)
CPI = [
    *_of_both(TCP),
    Case("half of JSON", '{"address": "/x"', ".*neither JSON nor YAML"),
    Case("bytes of no text", b"address: \xff", ".*not UTF-8 text"),
    Case("a list", "[]", "must hold keys and values"),
    Case("a text", "unix", "must hold keys and values"),
    Case(
        "an unknown key",
        "adress: /x",
        "adress: unknown key; the known ones are network_type, address, tls, "
        "connect_timeout, agent",
    ),
    Case("a number as key", "5: x", "5: unknown key; the known ones are network_type"),
    Case("a number as address", "address: 9999", "address: 9999 must be a string"),
    Case("null as address", "address:", "address: None must be a string"),
    Case("an empty address", "address: ''", "address: '' must be"),
    Case(
        "a relative path",
        "address: run/cpid.sock",
        f"address: 'run/cpid.sock' must be .*path of a socket, {UNIX}",
    ),
    Case(
        "a port for a path",
        "address: '127.0.0.1:9999'",
        f"address: '127.0.0.1:9999' must be .*{UNIX}",
    ),
    Case("a text as agent", "agent: x", "agent: .*must hold keys and values"),
    Case(
        "an unknown key of the agent",
        "agent: {ntpd: []}",
        "agent.ntpd: unknown key; the known ones are mbus, ntp, blobstore",
    ),
    Case("a number as mbus", "agent: {mbus: 5}", URL),
    Case("a list as mbus", "agent: {mbus: [x]}", URL),
    Case("a text as ntp", "agent: {ntp: time.example}", SERVERS),
    Case("a number in ntp", "agent: {ntp: [5]}", SERVERS),
    Case(
        "a text as blobstore",
        "agent: {blobstore: local}",
        "agent.blobstore: .*provider and options",
    ),
    Case(
        "an unknown key of the blobstore",
        "agent: {blobstore: {opts: {}}}",
        "agent.blobstore.opts: unknown key; the known ones are provider, options",
    ),
    Case(
        "a number as provider",
        "agent: {blobstore: {provider: 5}}",
        "agent.blobstore.provider: .*string",
    ),
    Case(
        "a list as options",
        "agent: {blobstore: {options: []}}",
        "agent.blobstore.options: .*keys and values",
    ),
]

KNOWN = (
    "the known ones are work_dir, network_type, address, cidr, gateway, bridge, networks,"
)
PATH = "an absolute path"
LISTEN = r"must be IP:PORT or \[IPv6\]:PORT, as network_type is tcp"
A = "name: a, cidr: 10.0.0.0/16, bridge: a0"
PART = "must be addresses of 10.0.0.0/16, as ADDRESS"
HOST = "must be the address of a host in 10.0.0.0/16"
INTERFACE = "must be an interface name: 1 to 15"
DAEMON = [
    *_of_both(LISTEN),
    Case("bytes of no text", b"address: \xff", ".*not UTF-8 text"),
    Case("a list", "[]", "the file must hold a mapping"),
    Case("a text", "unix", "the file must hold a mapping"),
    Case("an unknown key", "cird: 10.0.0.0/8", f"cird: unknown key; {KNOWN}"),
    Case("a number as key", "5: x", f"5: unknown key; {KNOWN}"),
    Case("a key of two lines", '"a\\nb": x', "(?!.*\n).*unknown key"),
    Case("null as work_dir", "work_dir:", f"work_dir: None must be {PATH}"),
    Case("a number as work_dir", "work_dir: 5", f"work_dir: 5 must be {PATH}"),
    Case("a relative work_dir", "work_dir: var/lib", f"work_dir: 'var/lib' must be {PATH}"),
    Case("an empty work_dir", "work_dir: ''", f"work_dir: '' must be {PATH}"),
    Case(
        "a work_dir with dots",
        "work_dir: /a/../b",
        rf"work_dir: '/a/\.\./b' must be {PATH}",
    ),
    Case(
        "a work_dir with a comma",
        "work_dir: /a,b",
        f"work_dir: '/a,b' must be {PATH} of letters",
    ),
    Case(
        "a work_dir with a colon",
        "work_dir: /a:b",
        f"work_dir: '/a:b' must be {PATH} of letters",
    ),
    Case("the root as work_dir", "work_dir: /", "work_dir: '/' must"),
    Case("a number as address", "address: 9999", "address: 9999 must be IP:PORT"),
    Case(
        "a relative path",
        "address: cpid.sock",
        "address: 'cpid.sock' must be the absolute path of a socket, as network_type",
    ),
    Case("a long path", f"address: /{'s' * 107}", "address: .*107 bytes, this one has 108"),
    Case(
        "a name for an address",
        "{network_type: tcp, address: 'localhost:80'}",
        f"address: 'localhost:80' {LISTEN}",
    ),
    Case("a number as cidr", "cidr: 10", "cidr: 10 must be a network such as"),
    Case(
        "a text as cidr",
        "cidr: mine",
        "cidr: 'mine' must be a network such as 10.0.0.0/16 or fd00::/64",
    ),
    *[
        Case(f"the IPv6 cidr {cidr}", f"cidr: '{cidr}'", f"cidr: '.*' {message}")
        for cidr, message in (
            ("fe80::/64", "is no network that VMs can have"),
            ("ff05::/16", "is no network that VMs can have"),
            ("::/0", "is no network that VMs can have"),
            ("::ffff:10.0.0.0/112", "is no network that VMs can have"),
            ("fd00::%x/64", "must be a network such as .*: it has a zone"),
            ("fd00::/127", "has no room for VMs; /126"),
            ("fd00::1/64", "must be .*host bits"),
        )
    ],
    Case(
        "a cidr with a host", "cidr: 10.0.0.1/16", "cidr: '10.0.0.1/16' must be .*host bits"
    ),
    Case(
        "a cidr without room",
        "cidr: 10.0.0.0/31",
        "cidr: '10.0.0.0/31' has no room for VMs; /30",
    ),
    Case(
        "a cidr of one address",
        "cidr: 10.0.0.0",
        "cidr: '10.0.0.0/32' has no room for VMs; /30",
    ),
    *[
        Case(f"the cidr {cidr}", f"cidr: {cidr}", f"cidr: '{cidr}' ")
        for cidr in ("0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/4")
    ],
    Case("a gateway elsewhere", "gateway: 10.1.0.1", f"gateway: '10.1.0.1' {HOST}"),
    Case("the network as gateway", "gateway: 10.0.0.0", f"gateway: '10.0.0.0' {HOST}"),
    Case("all as gateway", "gateway: 10.0.255.255", f"gateway: '10.0.255.255' {HOST}"),
    Case("a text as gateway", "gateway: first", f"gateway: 'first' {HOST}"),
    Case("an IPv6 gateway", "gateway: 'fd00::1'", f"gateway: 'fd00::1' {HOST}"),
    Case(
        "a long bridge",
        "bridge: sixteen-letters-",
        f"bridge: 'sixteen-letters-' {INTERFACE}",
    ),
    *[
        Case(f"{text} as networks", f"networks: {text}", "networks: .* must be a list of n")
        for text in ("[]", "yes", "10.0.0.0/16", "{name: a}")
    ],
    *[
        Case(f"networks {text}", f"networks: [{text}]", f"networks{message}")
        for text, message in (
            ("10.0.0.0/16", r"\[0\]: '10.0.0.0/16' must be keys and values"),
            ("{}", r"\[0\]\.name: None must be a name"),
            ("{name: ''}", r"\[0\]\.name: '' must be a name"),
            ("{name: a, bridge: b}", r"\[0\]\.cidr: None must be a network"),
            ("{name: a, cidr: 10.0.0.0/16}", r"\[0\]\.bridge: None must be an interface"),
            ("{name: a, nets: 1}", r"\[0\]\.nets: unknown key; the known ones are name"),
            (f"{{{A}, gateway: 10.1.0.1}}", rf"\[0\]\.gateway: '10.1.0.1' {HOST}"),
            (f"{{{A}, gateway: 1}}", r"\[0\]\.gateway: 1 must be an address"),
            (f"{{{A}, mtu: 100}}", r"\[0\]\.mtu: 100 must be a whole number from 576"),
            (
                "{name: a, cidr: 'fd00::/64', bridge: a0, mtu: 1279}",
                r"\[0\]\.mtu: 1279 must be at least 1280, as fd00::/64 is of IPv6",
            ),
            (
                "{name: a, cidr: 'fd00::/64', bridge: a0, gateway: 10.0.0.1}",
                r"\[0\]\.gateway: '10.0.0.1' must be the address of a host in fd00::/64",
            ),
            (
                "{name: a, cidr: 'fd00::/64', bridge: a0, gateway: 'fd00::1%x'}",
                r"\[0\]\.gateway: 'fd00::1%x' must be the address of a host in fd00::/64",
            ),
            (
                "{name: a, cidr: 'fd00::/64', bridge: a0, dynamic: 'fd00::1%x'}",
                r"\[0\]\.dynamic: 'fd00::1%x' must be addresses of fd00::/64",
            ),
            (
                f"{{{A}, dynamic: 'fd00::9'}}",
                r"\[0\]\.dynamic: 'fd00::9' must be addresses",
            ),
            (f"{{{A}, dynamic: 10.0.0.9-10.0.0.8}}", rf"\[0\]\.dynamic: .*8' {PART}"),
            (f"{{{A}, dynamic: [10.0.0.9]}}", rf"\[0\]\.dynamic: .* {PART}"),
            (f"{{{A}, reserved: 10.0.0.9}}", r"\[0\]\.reserved: '10.0.0.9' must be a l"),
            (f"{{{A}, reserved: [10.1.0.9]}}", rf"\[0\]\.reserved: '10.1.0.9' {PART}"),
            (f"{{{A}, dns: [here]}}", r"\[0\]\.dns: must be addresses such as"),
            (f"{{{A}}}, {{{A}}}", ": two networks have the name 'a'"),
            (
                f"{{{A}}}, {{name: b, cidr: 10.1.0.0/16, bridge: a0}}",
                ": two networks have the bridge 'a0'",
            ),
            (
                f"{{{A}}}, {{name: b, cidr: 10.0.1.0/24, bridge: b0}}",
                ": 10.0.0.0/16 of 'a' overlaps with 10.0.1.0/24 of 'b'",
            ),
        )
    ],
    Case(
        "both forms of networks",
        f"{{cidr: 10.0.0.0/16, networks: [{{{A}}}]}}",
        "cidr: goes without networks, which has it for each",
    ),
    *[
        Case(f"{text} allowed", f"allowed_networks: {text}", f"allowed_networks: .*{what}")
        for text, what in (
            ("10.0.0.0/8", "must be a list"),
            ("[10.0.0.1/8]", "host bits set"),
            ("['fd00::1/8']", "host bits set"),
            ("[8]", "must be a network"),
        )
    ],
    *[
        Case(f"{text} as vips", f"vip_addresses: {text}", f"vip_addresses: .*{what}")
        for text, what in (
            ("192.0.2.1", "must be a list"),
            ("[1]", "must be addresses of"),
            ("[192.0.2.9-192.0.2.1]", "must be addresses of"),
            ("[192.0.2.1/24]", "must be addresses of"),
            ("['2001:db8::1']", "must be addresses of"),
            ("[127.0.0.2]", "in 127.0.0.0/8, where no host has an address"),
            ("[192.0.2.1-224.0.0.1]", "in 224.0.0.0/3, where no host has an address"),
            ("[10.0.255.0-10.1.0.9]", "overlaps with 10.0.0.0/16 of 'default'"),
        )
    ],
    Case(
        "the daemon's own address as vip",
        "{network_type: tcp, address: '192.0.2.5:9', vip_addresses: [192.0.2.0/28]}",
        "vip_addresses: 192.0.2.5 of 192.0.2.0-192.0.2.15 is the address where the daemon",
    ),
    Case(
        "a peer's address as vip",
        "{vip_addresses: [192.0.2.0/28], peers: [{address: 192.0.2.3, cidr: 10.1.0.0/16}]}",
        "vip_addresses: 192.0.2.0-192.0.2.15 overlaps with 192.0.2.3, the address of a",
    ),
    Case(
        "an address of a peer's VMs as vip",
        "{vip_addresses: [10.1.0.9], peers: [{address: 192.0.2.3, cidr: 10.1.0.0/16}]}",
        "vip_addresses: 10.1.0.9-10.1.0.9 overlaps with 10.1.0.0/16, a network of peer 192",
    ),
    Case(
        "the overlay's address as vip",
        "{vip_addresses: [192.0.2.9], overlay: {kind: vxlan, address: 192.0.2.9}}",
        "vip_addresses: 192.0.2.9 of 192.0.2.9-192.0.2.9 is overlay.address",
    ),
    Case("an empty bridge", "bridge: ''", f"bridge: '' {INTERFACE}"),
    Case("a bridge with a slash", "bridge: br/0", f"bridge: 'br/0' {INTERFACE}"),
    Case(
        "a text as a truth value",
        "dns_server: sometimes",
        "dns_server: 'sometimes' must be true or false",
    ),
    Case("a bridge like an option", "bridge: -br", f"bridge: '-br' {INTERFACE}"),
    Case(
        "an empty runtime",
        "runtime: ''",
        "runtime: '' must be the name or path of a program",
    ),
    Case(
        "a runtime like an option",
        "runtime: --version",
        "runtime: '--version' must be the name or path",
    ),
    Case(
        "a list as runtime",
        "runtime: [runc]",
        r"runtime: \['runc'\] must be the name or path of an OCI",
    ),
    Case(
        "an unknown log format", "log_format: xml", "log_format: 'xml' must be text or json"
    ),
    *[
        Case(f"{text} as restart", f"restart: {text}", "restart: .* must be no or on-fail")
        for text in ("yes", "always", "1", "[]", "null")
    ],
    Case("no truth value", "log_spans: some", "log_spans: 'some' must be true or false"),
    Case("no log format", "log_format: no", "log_format: False must be text or json"),
]
