"""The daemon's configuration: defaults, and what each key may be."""

from __future__ import annotations

import grp
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.config import (
    ConfigError,
    DaemonConfig,
    DisksConfig,
    LimitsConfig,
    NetworkConfig,
    SecurityConfig,
    TCPAddress,
    TLSConfig,
    UnixAddress,
    VMsConfig,
)
from runc_cpi.daemon.config.sections import LXCFS

NETWORKS = """\
networks:
- {name: default, cidr: 10.0.0.0/16, bridge: runc0}
- name: storage
  cidr: 10.9.0.0/24
  gateway: 10.9.0.254
  bridge: runc1
  mtu: 9000
  reserved: [10.9.0.2-10.9.0.9, 10.9.0.64/28, 10.9.0.99]
  dynamic: 10.9.0.128/25
  dns: [192.0.2.53, "2001:db8::53"]
"""
WHOLE = """\
work_dir: /var/lib/cpid-2
network_type: tcp
address: "[::1]:9998"
cidr: 10.7.0.0/24
gateway: 10.7.0.254
bridge: br-vms
nat: false
runtime: /usr/local/bin/crun
log_format: json
log_spans: true
restart: on-failure
runtime_timeout: 2.5
visit_timeout: 12.5
disks:
  driver: directory
  filesystem: xfs
  direct_io: false
  allocation: full
  overcommit: 2
tls:
  certificate: "\\n-----BEGIN CERTIFICATE-----"
  private_key: /etc/runc-cpid/server.key
  ca: /etc/runc-cpid/ca.crt
  allowed_clients: [director]
allow_from: [192.0.2.0/24, "2001:db8::/32"]
limits:
  connections: 8
  calls: 4
  message_bytes: 65536
  first_seconds: 1.5
  idle_seconds: 60
  finish_seconds: 5
security:
  profile: privileged
  anti_spoofing: false
vms:
  pids: 4096
  root_disk_size: 2048
  lxcfs: /run/lxcfs
"""


def test_everything_configured() -> None:
    """A file with every key gives the values that it says."""
    assert DaemonConfig.parse(yaml.safe_load(WHOLE)) == DaemonConfig(
        work_dir=Path("/var/lib/cpid-2"),
        address=TCPAddress("::1", 9998),
        network=IPv4Network("10.7.0.0/24"),
        gateway=IPv4Address("10.7.0.254"),
        bridge="br-vms",
        networks=(
            NetworkConfig(
                name="default",
                cidr=IPv4Network("10.7.0.0/24"),
                gateway=IPv4Address("10.7.0.254"),
                bridge="br-vms",
                nat=False,
            ),
        ),
        nat=False,
        runtime="/usr/local/bin/crun",
        runtime_timeout=2.5,
        visit_timeout=12.5,
        log_format="json",
        log_spans=True,
        restart=True,
        disks=DisksConfig(
            driver="directory",
            filesystem="xfs",
            direct_io=False,
            allocation="full",
            overcommit=2,
        ),
        tls=TLSConfig(
            certificate="-----BEGIN CERTIFICATE-----",
            private_key="/etc/runc-cpid/server.key",
            ca="/etc/runc-cpid/ca.crt",
            allowed_clients=("director",),
            viewing_clients=(),
        ),
        allow_from=(IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::/32")),
        allow_users=frozenset(),
        limits=LimitsConfig(
            connections=8,
            calls=4,
            message_bytes=65536,
            first_seconds=1.5,
            idle_seconds=60,
            finish_seconds=5,
        ),
        security=SecurityConfig(profile="privileged", anti_spoofing=False),
        vms=VMsConfig(pids=4096, root_disk_size=2048, lxcfs=Path("/run/lxcfs")),
        socket_mode=0o600,
        socket_group=None,
    )


@pytest.mark.parametrize(
    ("text", "restart"),
    [("no", False), ("'no'", False), ("false", False), ("on-failure", True)],
)
def test_restart(text: str, restart: bool) -> None:
    """A bare C{no}, which YAML takes for false, means C{restart: no}."""
    assert DaemonConfig.parse(yaml.safe_load(f"restart: {text}")).restart is restart


@pytest.mark.parametrize(
    ("text", "path"), [("off", None), ("'off'", None), ("auto", LXCFS)]
)
def test_lxcfs(text: str, path: Path | None) -> None:
    """A bare C{off}, which YAML takes for false, means C{off}."""
    config = DaemonConfig.parse(yaml.safe_load(f"vms: {{lxcfs: {text}}}"))
    assert config.vms.lxcfs == path


@pytest.mark.parametrize("text", ["0", "null", ""])
def test_no_bound_for_root_disks(text: str) -> None:
    """Size 0, or none at all, is no bound."""
    config = DaemonConfig.parse(yaml.safe_load(f"vms: {{root_disk_size: {text}}}"))
    assert config.vms.root_disk_size is None


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n", "---\n"])
def test_nothing_configured(text: str) -> None:
    """An empty file gives the default of every key."""
    config = DaemonConfig.parse(yaml.safe_load(text))
    assert config == DaemonConfig(
        work_dir=Path("/var/lib/runc-cpid"),
        address=UnixAddress("/run/runc-cpid/cpid.sock"),
        network=IPv4Network("10.0.0.0/16"),
        gateway=IPv4Address("10.0.0.1"),
        bridge="runc0",
        nat=True,
        runtime="runc",
        runtime_timeout=60,
        visit_timeout=30,
        log_format="text",
        log_spans=False,
        restart=False,
        disks=DisksConfig(
            driver="image",
            filesystem="ext4",
            direct_io=True,
            allocation="sparse",
            overcommit=1.0,
        ),
        tls=None,
        allow_from=None,
        allow_users=frozenset(),
        limits=LimitsConfig(),
        security=SecurityConfig(profile="default", anti_spoofing=True),
        vms=VMsConfig(pids=32768, root_disk_size=20480, lxcfs=LXCFS),
        socket_mode=0o600,
        socket_group=None,
    )


def test_the_defaults_are_those_of_an_empty_file() -> None:
    """A configuration that is made without a file has the same values."""
    assert DaemonConfig() == DaemonConfig.parse({})


def test_the_gateway_is_the_first_host() -> None:
    """Without C{gateway}, the host has the first address of C{cidr}, with its prefix."""
    config = DaemonConfig.parse({"cidr": "192.168.5.64/26"})
    assert config.gateway == IPv4Address("192.168.5.65")
    (network,) = config.networks
    assert (network.name, network.bridge) == ("default", "runc0")
    assert (network.cidr, network.gateway) == (config.network, config.gateway)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9999", TCPAddress("127.0.0.1", 9999)),
        ("0.0.0.0:1", TCPAddress("0.0.0.0", 1)),
        ("[::]:65535", TCPAddress("::", 65535)),
        ("[2001:db8::7]:80", TCPAddress("2001:db8::7", 80)),
    ],
)
def test_addresses_of_tcp(text: str, address: TCPAddress) -> None:
    """An address of TCP is written back as it was."""
    config = DaemonConfig.parse({"network_type": "tcp", "address": text})
    assert config.address == address
    assert str(config.address) == text


def test_the_longest_socket_path() -> None:
    """A path of a socket may have 107 bytes, as the kernel takes no more."""
    path = "/" + "s" * 106
    assert DaemonConfig.parse({"address": path}).address == UnixAddress(path)
    with pytest.raises(ConfigError, match="^address: .*107 bytes.*108"):
        DaemonConfig.parse({"address": path + "s"})


@pytest.mark.parametrize(
    "cidr", ["10.0.0.0/30", "10.0.0.0/8", "172.16.0.0/12", "fd00::/126", "2001:db8::/32"]
)
def test_networks(cidr: str) -> None:
    """A network of VMs needs room for one VM beside the gateway."""
    assert str(DaemonConfig.parse({"cidr": cidr}).network) == cidr


def test_several_networks() -> None:
    """C{networks} has all that the short form has, and more, for each network."""
    raw = yaml.safe_load(NETWORKS)
    assert DaemonConfig.parse(raw).networks == (
        NetworkConfig(
            name="default",
            cidr=IPv4Network("10.0.0.0/16"),
            gateway=IPv4Address("10.0.0.1"),
            bridge="runc0",
        ),
        NetworkConfig(
            name="storage",
            cidr=IPv4Network("10.9.0.0/24"),
            gateway=IPv4Address("10.9.0.254"),
            bridge="runc1",
            mtu=9000,
            reserved=(
                AddressRange(first=IPv4Address("10.9.0.2"), last=IPv4Address("10.9.0.9")),
                AddressRange(first=IPv4Address("10.9.0.64"), last=IPv4Address("10.9.0.79")),
                AddressRange(first=IPv4Address("10.9.0.99"), last=IPv4Address("10.9.0.99")),
            ),
            dynamic=AddressRange(
                first=IPv4Address("10.9.0.128"), last=IPv4Address("10.9.0.255")
            ),
            dns=("192.0.2.53", "2001:db8::53"),
        ),
    )


def test_networks_of_ipv6() -> None:
    """NAT is off unless the network says otherwise; one of IPv4 may share the bridge."""
    six: dict[str, Any] = {"name": "six", "cidr": "fd00::/64", "bridge": "runc0"}
    four = {"name": "four", "cidr": "10.0.0.0/16", "bridge": "runc0"}
    raw = {
        "networks": [four, six, {**six, "name": "s", "cidr": "fd01::/64", "bridge": "b"}]
    }
    raw["networks"][2] |= {"nat": True, "reserved": ["fd01::9-fd01::ff"], "mtu": 1280}
    networks = DaemonConfig.parse(raw).networks
    assert [network.nat for network in networks] == [True, False, True]
    assert [str(network.gateway) for network in networks] == [
        "10.0.0.1",
        "fd00::1",
        "fd01::1",
    ]
    (reserved,) = networks[2].reserved
    assert str(reserved) == "fd01::9-fd01::ff"
    (short,) = DaemonConfig.parse({"cidr": "fd00::/64", "nat": True}).networks
    assert not short.nat
    both = {"networks": [six, {**six, "name": "s", "cidr": "fd01::/64"}]}
    with pytest.raises(ConfigError, match="two networks have the bridge 'runc0'"):
        DaemonConfig.parse(both)


@pytest.mark.parametrize("name", ["runc0", "a", "br-0.1_x", "x" * 15])
def test_bridge_names(name: str) -> None:
    """A bridge may have any name that the kernel takes and that is no path or option."""
    assert DaemonConfig.parse({"bridge": name}).bridge == name


@pytest.mark.parametrize(("text", "mode"), [("0660", 0o660), ("600", 0o600), ("0777", 511)])
def test_socket_modes(text: str, mode: int) -> None:
    """The mode of a socket is octal, with a leading zero or without."""
    assert DaemonConfig.parse({"socket_mode": text}).socket_mode == mode


def test_a_socket_group() -> None:
    """The group of a socket is given by its name."""
    name = grp.getgrgid(0).gr_name
    assert DaemonConfig.parse({"socket_group": name}).socket_group == 0


def test_certificates_may_begin_with_blanks() -> None:
    """PEM may begin with blanks, as templates put it on a line of its own."""
    pem = "-----BEGIN CERTIFICATE-----\n"
    keys = dict.fromkeys(("certificate", "private_key", "ca"), f"\n  {pem}")
    tls = DaemonConfig.parse({"network_type": "tcp", "tls": keys}).tls
    assert tls == TLSConfig(certificate=pem, private_key=pem, ca=pem, allowed_clients=())


@pytest.mark.parametrize(
    ("clients", "viewers"),
    [
        ({}, ("viewer",)),
        ({"allowed_clients": []}, ("viewer",)),
        ({"allowed_clients": ["director"]}, ()),
        ({"allowed_clients": ["director"], "viewing_clients": ["ann"]}, ("ann",)),
        ({"viewing_clients": []}, ()),
    ],
    ids=["all", "none named", "some", "some and one who looks", "nobody looks"],
)
def test_who_may_look(clients: dict[str, Any], viewers: tuple[str, ...]) -> None:
    """Where it is said who is let in, nobody else may look unless that is said."""
    files = dict.fromkeys(("certificate", "private_key", "ca"), "/x")
    tls = DaemonConfig.parse({"network_type": "tcp", "tls": {**files, **clients}}).tls
    assert tls is not None
    assert tls.viewing_clients == viewers


def test_a_network_to_allow_may_be_one_address() -> None:
    """A single address in C{allow_from} is a network of that address alone."""
    config = DaemonConfig.parse({"network_type": "tcp", "allow_from": ["192.0.2.7"]})
    assert config.allow_from == (IPv4Network("192.0.2.7/32"),)


def test_users() -> None:
    """Users in C{allow_users} are given by name or by uid."""
    config = DaemonConfig.parse({"network_type": "tcp", "allow_users": ["root", 1000, 0]})
    assert config.allow_users == {0, 1000}


@pytest.mark.parametrize("section", ["disks", "limits", "security"])
def test_an_empty_section_is_all_defaults(section: str) -> None:
    """A section without keys, as a template may leave it, has all defaults."""
    assert DaemonConfig.parse({section: None}) == DaemonConfig.parse({})
    assert DaemonConfig.parse({section: {}}) == DaemonConfig.parse({})
