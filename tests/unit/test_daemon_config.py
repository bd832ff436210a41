"""The daemon's configuration: defaults, and what each key may be."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
import yaml

from runc_cpi.daemon.config import ConfigError, DaemonConfig, TCPAddress, UnixAddress

WHOLE = """\
work_dir: /var/lib/cpid-2
network_type: tcp
address: "[::1]:9998"
cidr: 10.7.0.0/24
gateway: 10.7.0.254
bridge: br-vms
runtime: /usr/local/bin/crun
log_format: json
"""


def test_everything_configured() -> None:
    """Each value arrives as what it means."""
    assert DaemonConfig.parse(yaml.safe_load(WHOLE)) == DaemonConfig(
        work_dir=Path("/var/lib/cpid-2"),
        address=TCPAddress("::1", 9998),
        network=IPv4Network("10.7.0.0/24"),
        gateway=IPv4Address("10.7.0.254"),
        bridge="br-vms",
        runtime="/usr/local/bin/crun",
        log_format="json",
    )


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n", "---\n"])
def test_nothing_configured(text: str) -> None:
    """There is a sensible default for everything."""
    config = DaemonConfig.parse(yaml.safe_load(text))
    assert config == DaemonConfig(
        work_dir=Path("/var/lib/runc-cpid"),
        address=UnixAddress("/run/runc-cpid/cpid.sock"),
        network=IPv4Network("10.0.0.0/16"),
        gateway=IPv4Address("10.0.0.1"),
        bridge="runc0",
        runtime="runc",
        log_format="text",
    )


def test_the_gateway_is_the_first_host() -> None:
    """The host's interface has it, with the size of the network."""
    config = DaemonConfig.parse({"cidr": "192.168.5.64/26"})
    assert config.gateway == IPv4Address("192.168.5.65")
    assert config.interface == IPv4Interface("192.168.5.65/26")


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
    """They are written back as they were."""
    config = DaemonConfig.parse({"network_type": "tcp", "address": text})
    assert config.address == address
    assert str(config.address) == text


def test_the_longest_socket_path() -> None:
    """The kernel takes 107 bytes."""
    path = "/" + "s" * 106
    assert DaemonConfig.parse({"address": path}).address == UnixAddress(path)
    with pytest.raises(ConfigError, match="^address: .*107 bytes.*108"):
        DaemonConfig.parse({"address": path + "s"})


@pytest.mark.parametrize("cidr", ["10.0.0.0/30", "10.0.0.0/8", "172.16.0.0/12"])
def test_networks(cidr: str) -> None:
    """Any with room for one VM beside the gateway."""
    assert str(DaemonConfig.parse({"cidr": cidr}).network) == cidr


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/4"])
def test_networks_that_would_break_the_host(cidr: str) -> None:
    """A route to all there is, or to itself, would take the host off the network."""
    with pytest.raises(ConfigError, match=f"^cidr: '{cidr}' "):
        DaemonConfig.parse({"cidr": cidr})


@pytest.mark.parametrize("name", ["runc0", "a", "br-0.1_x", "x" * 15])
def test_bridge_names(name: str) -> None:
    """What the kernel takes for an interface name, and no path or option could be."""
    assert DaemonConfig.parse({"bridge": name}).bridge == name
