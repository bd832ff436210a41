"""Requests that the daemon refuses: bad networks and properties, and unknown cids."""

from __future__ import annotations

from typing import Any

from tests.contract.bad_requests import call, create_vm
from tests.contract.cases import Case

MANUAL = {"type": "manual", "ip": "10.0.0.4", "netmask": "255.255.255.248"}


def network(**changes: Any) -> dict[str, Any]:
    """Return a request for a VM with one network, with changes to it."""
    return create_vm(networks={"n": {**MANUAL, **changes}})


def properties(**values: Any) -> dict[str, Any]:
    """Return a request for a VM with cloud_properties."""
    return create_vm(cloud_properties=values)


NETWORKS = [
    Case("no network", create_vm(networks={}), "networks: must hold a manual or a dynamic"),
    Case(
        "a virtual network alone",
        network(type="vip"),
        "networks: must hold a manual or a dynamic",
    ),
    Case(
        "a text as network",
        create_vm(networks={"n": "x"}),
        r"networks\.n: 'x' must be an object",
    ),
    Case(
        "null as network",
        create_vm(networks={"n": None}),
        r"networks\.n: None must be an object",
    ),
    Case(
        "an unknown type",
        network(type="bridge"),
        r"networks\.n\.type: 'bridge' is none of manual, dynamic, vip",
    ),
    Case(
        "a number as type",
        network(type=5),
        r"networks\.n\.type: 5 is none of manual, dynamic, vip",
    ),
    Case("null as type", network(type=None), r"networks\.n\.type: None is none of manual"),
    Case(
        "a list as type",
        network(type=["manual"]),
        r"networks\.n\.type: \['manual'\] is none of manual",
    ),
    Case(
        "a virtual network without an address",
        create_vm(networks={"n": MANUAL, "v": {"type": "vip"}}),
        r"networks\.v\.ip: None is no IPv4 address; a vip network needs one",
    ),
    Case(
        "no address",
        network(ip=None),
        r"networks\.n\.ip: None is no IP address; a manual",
    ),
    Case(
        "a number as address",
        network(ip=167772164),
        r"networks\.n\.ip: 167772164 is no IP",
    ),
    Case(
        "a name as address",
        network(ip="host"),
        r"networks\.n\.ip: 'host' is no IP address",
    ),
    Case(
        "an address that is none",
        network(ip="10.0.0.300"),
        r"networks\.n\.ip: '10\.0\.0\.300' is no IP",
    ),
    Case(
        "an address with a length",
        network(ip="10.0.0.4/29"),
        r"networks\.n\.ip: '10\.0\.0\.4/29' is no",
    ),
    Case(
        "an address of a zone",
        network(ip="fe80::4%eth0"),
        r"networks\.n\.ip: 'fe80::4%eth0' is no IP address",
    ),
    Case(
        "an address of a link",
        network(ip="fe80::4", netmask="64", gateway=None),
        r"networks\.n\.ip: fe80::/64 is no network that VMs can have",
    ),
    Case(
        "a netmask of another kind",
        network(ip="fd00::4", netmask="255.255.255.0"),
        r"networks\.n\.netmask: '255\.255\.255\.0' must be a netmask such as ffff:",
    ),
    Case(
        "a netmask of IPv6 with holes",
        network(ip="fd00::4", netmask="ffff::ffff"),
        r"networks\.n\.netmask: 'ffff::ffff' must be a netmask such as ffff:",
    ),
    Case(
        "a gateway of another kind",
        network(ip="fd00::4", netmask="64", gateway="10.0.0.1"),
        r"networks\.n\.gateway: '10\.0\.0\.1' must be an address in fd00::/64",
    ),
    Case(
        "a virtual network of IPv6",
        create_vm(networks={"n": MANUAL, "v": {"type": "vip", "ip": "2001:db8::4"}}),
        r"networks\.v\.ip: '2001:db8::4' is no IPv4 address; a vip network needs one",
    ),
    Case(
        "name servers in a text",
        network(dns="192.0.2.1"),
        r"networks\.n\.dns: '192\.0\.2\.1' must be a list of addresses",
    ),
    Case(
        "a number as name server",
        network(dns=[5]),
        r"networks\.n\.dns: .*5.* must be a list of addresses",
    ),
    Case(
        "a name as name server",
        network(dns=["ns.example"]),
        r"networks\.n\.dns: .*ns\.example.*address",
    ),
    Case(
        "two name servers in one",
        network(dns=["192.0.2.1\n192.0.2.2"]),
        r"networks\.n\.dns: .*address",
    ),
    Case(
        "defaults in a text",
        network(default="dns"),
        r"networks\.n\.default: 'dns' must be a list of strings",
    ),
    Case(
        "a number as default",
        network(default=[1]),
        r"networks\.n\.default: .*1.* must be a list of strings",
    ),
    Case("a list as prefix", network(prefix=[32]), r"networks\.n\.prefix: \[32\]"),
    *[
        Case(
            f"{value!r} as prefix",
            network(prefix=value),
            r"networks\.n\.prefix: .* must be a number of bits from 1 to 32",
        )
        for value in (
            0,
            "0",
            33,
            -1,
            "33",
            "28.",
            " 28",
            "0x1c",
            "255.255.255.240",
            "\u0663",
        )
    ],
    Case(
        "a block that begins elsewhere",
        network(prefix="28"),
        r"networks\.n\.ip: '10\.0\.0\.4' is not the first address of a block of 28 bits; "
        r"that is 10\.0\.0\.0",
    ),
    Case(
        "a block that is larger than the network",
        network(ip="10.0.0.0", prefix=28),
        r"block 10\.0\.0\.0/28 is not within 10\.0\.0\.0/29",
        "CloudError",
    ),
    Case(
        "a block with the gateway",
        network(ip="10.0.0.0", prefix="31"),
        r"block 10\.0\.0\.0/31 has 10\.0\.0\.1, which is the gateway of the VM network",
        "CloudError",
    ),
    Case(
        "an address in a block of the same VM",
        create_vm(
            networks={"n": {**MANUAL, "ip": "10.0.0.5"}, "m": {**MANUAL, "prefix": 31}}
        ),
        r"networks\.n\.ip: '10\.0\.0\.5' is in 10\.0\.0\.4/31 of networks\.m",
    ),
    Case(
        "one address twice",
        create_vm(networks={"n": MANUAL, "m": MANUAL}),
        r"networks\.m.*10\.0\.0\.4",
    ),
    Case(
        "an address elsewhere",
        network(ip="192.0.2.4"),
        r"networks\.n: 192\.0\.2\.0/29 is no network of .* outside of allowed_networks",
        "CloudError",
    ),
    Case(
        "a network around another",
        network(ip="10.0.1.4", netmask="255.255.0.0"),
        r"network 10\.0\.0\.0/16 .* overlaps with 10\.0\.0\.0/29 of this host",
        "CloudError",
    ),
    Case(
        "an address elsewhere without a netmask",
        network(ip="10.0.1.4", netmask=None),
        r"networks\.n\.netmask: None must be a netmask such as 255\.255\.255\.0",
    ),
    Case(
        "a netmask inside out",
        network(ip="10.0.1.4", netmask="0.0.0.255"),
        r"networks\.n\.netmask: '0\.0\.0\.255' must be a netmask",
    ),
    Case(
        "a network without room",
        network(ip="10.0.1.4", netmask="255.255.255.254"),
        r"networks\.n\.netmask: '255.255.255.254' leaves no room for VMs",
    ),
    Case(
        "a gateway elsewhere",
        network(ip="10.0.1.4", gateway="10.0.2.1"),
        r"networks\.n\.gateway: '10\.0\.2\.1' must be an address in 10\.0\.1\.0/29",
    ),
    Case(
        "one interface in two networks",
        create_vm(
            networks={
                "n": {**MANUAL, "nic_group": 1},
                "m": {**MANUAL, "ip": "10.0.1.4", "nic_group": "1"},
            }
        ),
        r"networks\.m\.nic_group: '1' is that of networks\.n, too",
    ),
    Case(
        "the gateway",
        network(ip="10.0.0.1"),
        r"address 10\.0\.0\.1 is the gateway",
        "CloudError",
    ),
    Case(
        "the broadcast address",
        network(ip="10.0.0.7"),
        r"address 10\.0\.0\.7 is the broadcast address of 10\.0\.0\.0/29",
        "CloudError",
    ),
    Case(
        "the network address",
        network(ip="10.0.0.0"),
        r"address 10\.0\.0\.0 is the network address of 10\.0\.0\.0/29",
        "CloudError",
    ),
]

CPU = "is no number of processors"
RAM = "is no whole number of MiB"
PROPERTIES = [
    Case("cpu in a text", properties(cpu="2"), rf"cloud_properties\.cpu: '2' {CPU}"),
    Case("cpu of true", properties(cpu=True), rf"cloud_properties\.cpu: True {CPU}"),
    Case("cpu in a list", properties(cpu=[2]), rf"cloud_properties\.cpu: \[2\] {CPU}"),
    Case(
        "no cpu at all",
        properties(cpu=0),
        r"cloud_properties\.cpu: 0 is not between 0\.01 and 4096",
    ),
    Case(
        "less than no cpu",
        properties(cpu=-0.5),
        r"cloud_properties\.cpu: -0\.5 is not between",
    ),
    Case(
        "too many cpus",
        properties(cpu=10**30),
        r"cloud_properties\.cpu: 10+ is not between",
    ),
    Case("ram with a unit", properties(ram="1G"), rf"cloud_properties\.ram: '1G' {RAM}"),
    Case(
        "ram in fractions", properties(ram=512.5), rf"cloud_properties\.ram: 512\.5 {RAM}"
    ),
    Case("ram of false", properties(ram=False), rf"cloud_properties\.ram: False {RAM}"),
    Case(
        "little ram",
        properties(ram=31),
        r"cloud_properties\.ram: 31 is not between 32 and 16777216",
    ),
    Case(
        "few pids",
        properties(pids=63),
        r"cloud_properties\.pids: 63 is not between 64 and 4194304",
    ),
    Case(
        "pids in words",
        properties(pids="max"),
        r"cloud_properties\.pids: 'max' is no whole number of processes",
    ),
    Case(
        "much ram",
        properties(ram=1 << 25),
        r"cloud_properties\.ram: 33554432 is not between 32 and",
    ),
    Case(
        "an unknown init",
        properties(init="upstart"),
        r"cloud_properties\.init: 'upstart'; must be runit or systemd",
    ),
    Case(
        "a number as init",
        properties(init=1),
        r"cloud_properties\.init: 1; must be runit or systemd",
    ),
    Case(
        "a list as init",
        properties(init=["runit"]),
        r"cloud_properties\.init: \['runit'\]; must be runit",
    ),
    Case(
        "an object as init",
        properties(init={"a": 1}),
        r"cloud_properties\.init: .*must be runit",
    ),
    Case(
        "access as a text",
        properties(cpi_access="yes"),
        r"cloud_properties\.cpi_access: 'yes'; must be true or false",
    ),
    Case(
        "access as a number",
        properties(cpi_access=1),
        r"cloud_properties\.cpi_access: 1; must be true or false",
    ),
    Case(
        "a small root disk",
        properties(root_disk_size=63),
        r"cloud_properties\.root_disk_size: 63 is not between 64 and 8388608",
    ),
    Case(
        "a root disk in a text",
        properties(root_disk_size="10G"),
        r"cloud_properties\.root_disk_size: '10G' is no whole number of MiB",
    ),
    Case(
        "a disk size in a text",
        properties(ephemeral_disk_size="lots"),
        r"cloud_properties\.ephemeral_disk_size: 'lots'",
    ),
    Case(
        "a disk size below zero",
        properties(ephemeral_disk_size=-1),
        r"cloud_properties\.ephemeral_disk_size: -1",
    ),
]

ABSENT = [
    Case(
        "no such stemcell",
        create_vm(stemcell_cid="s-x"),
        "there is no stemcell 's-x'",
        "CloudError",
    ),
    Case(
        "a path as stemcell",
        create_vm(stemcell_cid="../x"),
        r"there is no stemcell '\.\./x'",
        "CloudError",
    ),
    Case(
        "reboot of no VM", call("reboot_vm", "vm-x"), "there is no VM 'vm-x'", "VMNotFound"
    ),
    Case(
        "metadata of no VM",
        call("set_vm_metadata", "vm-x", {}),
        "there is no VM 'vm-x'",
        "VMNotFound",
    ),
    Case(
        "metadata of no disk",
        call("set_disk_metadata", "d-x", {}),
        "there is no disk 'd-x'",
        "DiskNotFound",
    ),
    Case(
        "a path as VM",
        call("reboot_vm", "../../etc"),
        r"there is no VM '\.\./\.\./etc'",
        "VMNotFound",
    ),
    Case(
        "an empty line in a cid",
        call("reboot_vm", "vm\n\nx"),
        r"there is no VM 'vm\\n\\nx'",
        "VMNotFound",
    ),
]

CASES = [*NETWORKS, *PROPERTIES, *ABSENT]
