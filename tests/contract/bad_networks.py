"""Calls about managed networks that are refused."""

from __future__ import annotations

from typing import Any

from tests.contract.bad_requests import TEXT, call
from tests.contract.cases import Case

RANGE = {"range": "10.1.0.0/24", "cloud_properties": {}}
BITS = "must have 8 to 30 bits, to have room for VMs"
WHERE = r"subnet_definition\."


def definition(**fields: Any) -> dict[str, Any]:
    """Return a call that asks for a network, with changes."""
    return call("create_network", {**RANGE, **fields})


def _properties(name: str, values: list[Any], accepted: str) -> list[Case]:
    return [
        Case(
            f"{value!r} as {name} of a network",
            definition(cloud_properties={name: value}),
            rf"{WHERE}cloud_properties\.{name}: .* must be {accepted}",
        )
        for value in values
    ]


# What the executable itself refuses: the daemon is not even there.
ARGUMENTS = [
    Case(
        "a text as definition",
        call("create_network", "10.1.0.0/24"),
        "subnet_definition: '10.1.0.0/24' must be an object",
    ),
    Case(
        "no definition",
        call("create_network", None),
        "subnet_definition: None must be an object",
    ),
    Case("a number as network", call("delete_network", 7), f"network_cid: 7 {TEXT}"),
]

# What only the daemon can refuse.
NETWORKS = [
    Case(
        "no range",
        call("create_network", {"cloud_properties": {}}),
        f"{WHERE}range: a network needs a range, or netmask_bits",
    ),
    *[
        Case(
            f"{value!r} as range",
            definition(range=value),
            f"{WHERE}range: .* must be an IPv4 network such as 10.1.0.0/24",
        )
        for value in ("10.1.0.7/24", "10.1.0.0/33", "x", "", 5, ["10.1.0.0/24"], True)
    ],
    *[
        Case(f"{value!r} as range", definition(range=value), f"{WHERE}range: .* {BITS}")
        for value in ("10.1.0.0/31", "10.1.0.1", "0.0.0.0/0")
    ],
    Case(
        "a range of IPv6",
        definition(range="2001:db8::/64"),
        f"{WHERE}range: '2001:db8::/64' is of IPv6; only IPv4 networks can be managed",
        "NotSupported",
    ),
    *[
        Case(
            f"{value!r} as gateway of a network",
            definition(gateway=value),
            f"{WHERE}gateway: .* must be an address in 10.1.0.0/24",
        )
        for value in ("10.2.0.1", "10.1.0.0", "10.1.0.255", "10.1.0.1/24", 1, "::1", "")
    ],
    Case(
        "a gateway of no range",
        definition(range=None, netmask_bits=24, gateway="10.1.0.1"),
        f"{WHERE}gateway: '10.1.0.1' needs a range that it is in",
    ),
    *[
        Case(
            f"{value!r} as netmask_bits",
            definition(range=None, netmask_bits=value),
            f"{WHERE}netmask_bits: .* {BITS}",
        )
        for value in (0, 31, -1, "24", 24.0, True, [24])
    ],
    Case(
        "netmask_bits of another range",
        definition(netmask_bits=25),
        f"{WHERE}netmask_bits: 25 is not that of the range 10.1.0.0/24",
    ),
    *[
        Case(
            f"a managed network of type {kind!r}",
            definition(type=kind),
            f"{WHERE}type: .* cannot be managed; it must be manual",
        )
        for kind in ("dynamic", "vip", None, 5, ["manual"])
    ],
    Case(
        "unknown fields",
        definition(static=[], reserved=["10.1.0.2"]),
        "subnet_definition: this CPI does not know reserved, static; it takes type, range, "
        "gateway, netmask_bits, cloud_properties",
        "NotSupported",
    ),
    *[
        Case(
            f"{value!r} as properties of a network",
            definition(cloud_properties=value),
            f"{WHERE}cloud_properties: .* must be an object",
        )
        for value in (["x"], [], "", False, 0)
    ],
    *_properties("name", ["", 5, "a\nb", ["a"], {}], "a name"),
    *_properties(
        "mtu", [575, 65536, "1400", True, 1400.5], "a number of bytes from 576 to 65535"
    ),
    *_properties("nat", [1, "no", []], "true or false"),
    *_properties("isolated", [0, "yes", {}], "true or false"),
    Case(
        "a range that is not allowed",
        definition(range="203.0.113.0/24"),
        "subnet_definition: 203.0.113.0/24 is no network of this host, and outside of "
        "allowed_networks",
        "CloudError",
    ),
    Case(
        "the configured range",
        definition(range="10.0.0.0/29"),
        "network 10.0.0.0/29 is the network .* of this host",
        "CloudError",
    ),
    Case(
        "a range around the configured one",
        definition(range="10.0.0.0/24"),
        "network 10.0.0.0/24 with the gateway 10.0.0.1 overlaps with 10.0.0.0/29",
        "CloudError",
    ),
    Case(
        "no room left",
        definition(range=None, netmask_bits=8),
        "no network of 8 bits is left in allowed_networks of the daemon, which is "
        "10.0.0.0/8",
        "CloudError",
    ),
    Case(
        "deletion of no network",
        call("delete_network", "network-x"),
        "there is no network 'network-x'",
        "NetworkNotFound",
    ),
    Case(
        "a path as network",
        call("delete_network", "../../etc"),
        r"there is no network '\.\./\.\./etc'",
        "NetworkNotFound",
    ),
]
