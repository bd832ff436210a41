"""One VM: what it was made from and with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.networks.interfaces import Connections
from runc_cpi.daemon.networks.model import Address, IPNetwork, Nic
from runc_cpi.daemon.networks.ports import PublishedPort
from runc_cpi.daemon.vms.agent_settings import agent_settings
from runc_cpi.daemon.vms.end import End
from runc_cpi.daemon.vms.properties import VMProperties

SCHEMA = 6


@dataclass(frozen=True, kw_only=True)
class VM:
    """
    The record of a VM.

    @ivar networks: the networks as its agent is told them, by name.
    @ivar nics: its network interfaces; the first has the main address.
    @ivar ports: the ports of the host that lead to it.  Older daemons published none.
    @ivar env: C{env} of create_vm, whole.
    @ivar agent: C{mbus}, C{ntp} and C{blobstore} of the CPI that made it.
    @ivar metadata: what set_vm_metadata last said.
    @ivar created_at: when, in ISO 8601.
    @ivar stopped: whether it is down, and is to stay so.
    @ivar end: how it ended by itself, or L{None} if it runs, or the operator stopped it.
    """

    vm_cid: str
    agent_id: str
    stemcell_cid: str
    cloud_properties: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]
    nics: tuple[Nic, ...]
    env: Mapping[str, Any]
    agent: Mapping[str, Any]
    created_at: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = False
    end: End | None = None
    ports: tuple[PublishedPort, ...] = ()

    def is_connected(self, connected: Connections) -> bool:
        """
        Say whether it has all its interfaces.

        @param connected: the bridges that each VM is connected to.
        """
        return sorted(connected.get(self.vm_cid, ())) == sorted(n.bridge for n in self.nics)

    @cached_property
    def properties(self) -> VMProperties:
        """
        What its C{cloud_properties} mean.

        They are not parsed before somebody asks: a VM whose properties an older daemon
        let pass, and this one refuses, cannot be booted, but it can be deleted.

        @raise InvalidArgument: if they are refused.
        """
        return VMProperties.parse(self.cloud_properties)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """
        Its addresses on all interfaces; the first is the main one.

        Of each kind of IP the first is one of the interface with the VM's default route:
        what comes to another one, from outside of its subnet, is not answered by the same
        way.
        """
        placed = [(nic, address.ip) for nic in self.nics for address in nic.addresses]
        placed.sort(key=lambda each: not each[0].leads_out(each[1].version))
        return tuple(address for _, address in placed)

    @property
    def blocks(self) -> tuple[IPNetwork, ...]:
        """The blocks of addresses that it has whole, on all interfaces."""
        return tuple(block for nic in self.nics for block in nic.blocks)

    @property
    def name(self) -> str:
        """What BOSH calls it, such as C{db/0}; at first that is the id of its agent."""
        told = self.metadata
        if isinstance(told.get("name"), str):
            return str(told["name"])
        if "job" in told and "index" in told:
            return f"{told['job']}/{told['index']}"
        return self.agent_id

    @property
    def vips(self) -> tuple[Address, ...]:
        """The addresses of the host that it has, by its C{vip} networks."""
        vips = []
        for network in self.networks.values():
            # Older daemons let any value pass.
            with suppress(ValueError):
                if network["type"] == "vip":
                    vips.append(ip_address(str(network.get("ip"))))
        return tuple(vips)

    @property
    def may_call(self) -> bool:
        """Whether it may call the daemon without TLS."""
        # An older daemon let values of other types pass, which allowed nothing.
        return self.cloud_properties.get("cpi_access") is True

    def to_json(self) -> dict[str, Any]:
        """Return what is kept on disk."""
        return {
            "schema": SCHEMA,
            "vm_cid": self.vm_cid,
            "agent_id": self.agent_id,
            "stemcell_cid": self.stemcell_cid,
            "cloud_properties": dict(self.cloud_properties),
            "networks": dict(self.networks),
            "nics": [nic.to_json() for nic in self.nics],
            "env": dict(self.env),
            "agent": dict(self.agent),
            "created_at": self.created_at,
            "metadata": dict(self.metadata),
            "stopped": self.stopped,
            "end": None if self.end is None else self.end.to_json(),
            "ports": [port.to_json() for port in self.ports],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read a record of this version; C{vms.upgrades} makes one of an older one.

        @raise ValueError: if it is none, or of another version.
        """
        schema = record.get("schema")
        if schema != SCHEMA:
            raise ValueError(f"schema {schema!r}; 1 to {SCHEMA} are known")
        values = {name: value for name, value in record.items() if name != "schema"}
        try:
            values["nics"] = tuple(Nic.from_json(nic) for nic in values["nics"])
            ports = tuple(PublishedPort.from_json(port) for port in values.pop("ports", ()))
            stopped, end = values.pop("stopped"), values.pop("end")
            values["end"] = None if end is None else End.from_json(end)
            return cls(stopped=stopped, ports=ports, **values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a VM's record: {error}") from None

    def settings(self, disks: Mapping[str, str]) -> dict[str, Any]:
        """
        Return the settings for its agent.

        @param disks: where persistent disks are found, by their cids.
        """
        macs = {name: nic.mac for nic in self.nics for name in nic.networks}
        return agent_settings(
            vm_cid=self.vm_cid,
            agent_id=self.agent_id,
            networks=self.networks,
            macs=macs,
            env=self.env,
            agent=self.agent,
            disks=disks,
        )
