"""A network that the director manages: its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.networks.definition import NetworkProperties
from runc_cpi.daemon.networks.model import InterfaceAddress, Subnet, described
from runc_cpi.errors import InvalidArgument

SCHEMA = 1


def record_path(directory: Path) -> Path:
    """Return where the record is in the directory of a network."""
    return directory / "network.json"


@dataclass(frozen=True, kw_only=True)
class ManagedNetwork:
    """
    A network that create_network made.

    @ivar gateway: the host's address in it, with its size.
    @ivar cloud_properties: as they came with the call that made it.
    @ivar created_at: when it was made, in ISO 8601.
    """

    network_cid: str
    gateway: InterfaceAddress
    cloud_properties: Mapping[str, Any]
    created_at: str

    @property
    def name(self) -> str:
        """What C{cloud_properties.name} of dynamic networks says to be in it."""
        return str(self.cloud_properties.get("name") or self.network_cid)

    @property
    def addresses(self) -> dict[str, Any]:
        """What the director is told, and plans the addresses of VMs by."""
        cidr, gateway = self.gateway.network, self.gateway.ip
        return {"range": str(cidr), "gateway": str(gateway), "reserved": []}

    @property
    def told_properties(self) -> dict[str, Any]:
        """The C{cloud_properties} that the director has its VMs' networks have from now."""
        return {**self.cloud_properties, "name": self.name}

    def subnet(self, *, nat: bool) -> Subnet:
        """
        Return its subnet.

        @param nat: whether VMs leave a network by the host's addresses that does not say.
        """
        properties = NetworkProperties.parse(self.cloud_properties)
        plain = described(self.gateway)
        return Subnet(
            cidr=plain.cidr,
            gateway=plain.gateway,
            bridge=plain.bridge,
            name=self.name,
            mtu=properties.mtu,
            nat=nat if properties.nat is None else properties.nat,
            isolated=properties.isolated,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what is kept on disk."""
        return {"schema": SCHEMA, **vars(self), "gateway": str(self.gateway)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read a record.

        @raise ValueError: if it is not one of this version.
        """
        if record.get("schema") != SCHEMA:
            raise ValueError(f"schema {record.get('schema')!r}; {SCHEMA} is known")
        try:
            NetworkProperties.parse(record["cloud_properties"])
            return cls(
                network_cid=record["network_cid"],
                gateway=ip_interface(record["gateway"]),
                cloud_properties=record["cloud_properties"],
                created_at=record["created_at"],
            )
        except (KeyError, TypeError, InvalidArgument) as error:
            raise ValueError(f"not a network's record: {error}") from None
