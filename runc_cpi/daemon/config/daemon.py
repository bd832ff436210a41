"""The whole configuration: after L{DaemonConfig.parse} there are only good values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.config.addresses import (
    DEFAULT_ADDRESSES,
    DEFAULT_CIDR,
    Address,
    Network,
    TCPAddress,
    UnixAddress,
    gateway_in,
    interface_name,
    listening_address,
    source_networks,
    vm_network,
)
from runc_cpi.daemon.config.checks import ConfigError, boolean, choice, number, text
from runc_cpi.daemon.config.host import directory, file_mode, group, program, users
from runc_cpi.daemon.config.http import HTTPConfig, http_section
from runc_cpi.daemon.config.keys import Section, key, section
from runc_cpi.daemon.config.networks import (
    PRIVATE,
    NetworkConfig,
    network_list,
    network_ranges,
)
from runc_cpi.daemon.config.peers import (
    OverlayConfig,
    PeerConfig,
    check_beside_networks,
    overlay_section,
    peer_list,
)
from runc_cpi.daemon.config.sections import (
    DisksConfig,
    EventsConfig,
    LimitsConfig,
    SecurityConfig,
    TLSConfig,
    VMsConfig,
    tls_section,
)
from runc_cpi.daemon.config.vips import check_vips, vip_ranges

DEFAULT_BRIDGE = "runc0"
FIRST_NETWORK = "default"


def _network_of(
    cidr: Network, gateway: str | None, bridge: str, *, nat: bool
) -> NetworkConfig:
    """
    Return the network of the short form.

    @param nat: that of the configuration, which is for IPv4 alone.
    """
    address = gateway_in("gateway", cidr, gateway or str(cidr[1]))
    return NetworkConfig(
        name=FIRST_NETWORK,
        cidr=cidr,
        gateway=address,
        bridge=bridge,
        nat=nat and cidr.version == 4,
    )


def _is_on_failure(key: str, value: Any) -> bool:
    # Without quotes YAML takes "no" for a truth value.
    policy = "no" if value is False else value
    return bool(choice("no", "on-failure")(key, policy) == "on-failure")


@dataclass(frozen=True, kw_only=True)
class DaemonConfig(Section):
    """What the daemon is told: each field is a key of the file."""

    work_dir: Path = key(
        "/var/lib/runc-cpid",
        text("an absolute path", directory),
        "where everything is kept; made if missing. Letters, digits and `._-/`",
    )
    # What address is of tells the same, so this makes no two configurations differ.
    network_type: str = key(
        "unix",
        text("tcp or unix", choice("unix", "tcp")),
        "how calls are taken: `unix` or `tcp`",
        compare=False,
    )
    address: TCPAddress | UnixAddress = key(
        DEFAULT_ADDRESSES["unix"],
        text("IP:PORT, [IPv6]:PORT or the path of a socket"),
        "where calls are taken: path of a socket, `IP:PORT` or `[IPv6]:PORT`",
        value=UnixAddress(DEFAULT_ADDRESSES["unix"]),
        shown="`{unix}`, or `{tcp}`".format(**DEFAULT_ADDRESSES),
    )
    network: Network = key(
        DEFAULT_CIDR,
        text("a network such as 10.0.0.0/16", vm_network),
        "the network of the VMs",
        name="cidr",
    )
    gateway: Address = key(
        None,
        text("an address in cidr"),
        "the host's address in it, and the VMs' default route; a VM follows a change of it "
        "when it boots, but its name server stays the former one, which answers no more: "
        "recreate VMs that have it",
        value=IPv4Network(DEFAULT_CIDR)[1],
        shown="first host of `cidr`",
    )
    bridge: str = key(
        DEFAULT_BRIDGE,
        text("an interface name", interface_name),
        "the host's interface to it; made if missing",
    )
    networks: tuple[NetworkConfig, ...] = key(
        None,
        network_list,
        "networks of VMs that are always there, in place of the one of `cidr`, `gateway` "
        "and `bridge`",
        value=(_network_of(IPv4Network(DEFAULT_CIDR), None, DEFAULT_BRIDGE, nat=True),),
        section=NetworkConfig,
    )
    allowed_networks: tuple[Network, ...] = key(
        PRIVATE,
        network_ranges,
        "where the networks may be that VMs describe themselves; nowhere with `[]`",
        shown="the private ones",
    )
    vip_addresses: tuple[AddressRange, ...] = key(
        [],
        vip_ranges,
        "addresses that `vip` networks may give to VMs, as `[192.0.2.10, 192.0.2.64/28, "
        "192.0.2.20-192.0.2.29]`; see [vips](#vips)",
        value=(),
    )
    dns_server: bool = key(
        True,
        boolean,
        "whether gateways answer DNS, and are the name servers of networks that name "
        "none; otherwise these get the host's: see [names](bosh.md#names)",
    )
    nat: bool = key(
        True,
        boolean,
        "whether VMs of IPv4 networks reach other networks, by the host's addresses; "
        "`networks` says it for each of its own",
    )
    peers: tuple[PeerConfig, ...] = key(
        [],
        peer_list,
        "other hosts, whose VMs and those of this host reach each other",
        section=PeerConfig,
    )
    overlay: OverlayConfig = key(
        "none",
        overlay_section,
        "how they reach each other: `none` for plain routes, `vxlan`, or keys",
        section=OverlayConfig,
    )
    runtime: str = key(
        "runc",
        text("the name or path of an OCI runtime", program),
        "OCI runtime with runc's command line, by name or path; tried at start",
    )
    runtime_timeout: float = key(
        60, number(1, 3600), "seconds after which an operation of it is given up"
    )
    visit_timeout: float = key(
        30,
        number(1, 600),
        "seconds, 1 to 600, after which work on a VM's files is given up: something in the "
        "VM can keep it waiting for ever",
    )
    restart: bool = key(
        "no",
        _is_on_failure,
        "`no`, or `on-failure`: boot a VM again whose first process failed; see "
        "[reliability](reliability.md)",
    )
    repair_interval: float = key(
        300,
        number(10, 86400),
        "seconds, 10 to 86400, between two attempts to clear what is left over",
    )
    log_format: str = key(
        "text", choice("text", "json"), "`text` or `json`, one object a line"
    )
    log_spans: bool = key(
        False,
        boolean,
        "whether the log tells how long the steps of each call take; see "
        "[performance](performance.md#the-steps-of-a-call)",
    )
    socket_mode: int = key(
        "0600",
        text("a file mode in quotes, such as '0660'", file_mode),
        "mode of the socket, in quotes",
        shown="`'0600'`",
        only="unix",
    )
    socket_group: int | None = key(
        None,
        text("the name of a group", group),
        "group of the socket, by name",
        shown="root's",
        only="unix",
    )
    tls: TLSConfig | None = section(
        TLSConfig,
        "a directory that `runc-cpictl certs` made, or keys",
        check=tls_section,
        only="tcp",
    )
    allow_from: tuple[Network, ...] | None = key(
        None,
        source_networks,
        "networks to take connections from, such as `[192.0.2.0/24]`",
        only="tcp",
    )
    allow_users: frozenset[int] = key(
        [],
        users,
        "users of the host, by name or uid, to take connections from as from root, if "
        "there is no `tls`",
        only="tcp",
    )
    disks: DisksConfig = section(DisksConfig, "how persistent disks are made")
    events: EventsConfig = section(EventsConfig, "how much is kept of what happened")
    http: HTTPConfig | None = section(
        HTTPConfig,
        "where the daemon can be looked at by HTTP: its page, metrics and health",
        check=http_section,
    )
    limits: LimitsConfig = section(LimitsConfig, "what a peer may ask of the daemon")
    security: SecurityConfig = section(SecurityConfig, "how much VMs are trusted with")
    vms: VMsConfig = section(VMsConfig, "what each VM gets")

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check a configuration as YAML gives it.

        @raise ConfigError: naming the key, the value and what is accepted.
        """
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            raise ConfigError("the file must hold a mapping of keys to values")
        values = cls.read("", raw)
        network_type = values.get("network_type", cls.network_type)
        address = values.get("address", DEFAULT_ADDRESSES[network_type])
        values["address"] = listening_address(network_type, address)
        one = _network_of(
            values.get("network", cls.network),
            values.get("gateway"),
            values.get("bridge", cls.bridge),
            nat=values.get("nat", cls.nat),
        )
        values["gateway"] = one.gateway
        values["networks"] = values.get("networks") or (one,)
        check_vips(
            "vip_addresses",
            values.get("vip_addresses", ()),
            values["networks"],
            values["address"].ip,
            values.get("peers", ()),
            values.get("overlay"),
        )
        cls._check_network_type(network_type, raw)
        cls._check_short_form(raw)
        check_beside_networks(values.get("peers", ()), values["networks"])
        if values.get("tls") is not None and "allow_users" in raw:
            raise ConfigError("allow_users: goes without tls alone; certificates decide")
        return cls(**values)

    @classmethod
    def _check_short_form(cls, raw: Mapping[str, Any]) -> None:
        for name in ("cidr", "gateway", "bridge"):
            if name in raw and raw.get("networks") is not None:
                raise ConfigError(f"{name}: goes without networks, which has it for each")

    @classmethod
    def _check_network_type(cls, network_type: str, raw: Mapping[str, Any]) -> None:
        for name, known in cls.keys().items():
            if name in raw and known.only not in (None, network_type):
                raise ConfigError(f"{name}: goes with network_type {known.only} alone")
