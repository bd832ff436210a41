"""One VM: what it was made from and with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Self

from runc_cpi.daemon.base.pids import LEAST_PIDS, MOST_PIDS
from runc_cpi.daemon.disks.disk import MAXIMUM_SIZE
from runc_cpi.daemon.vms.agent_settings import agent_settings
from runc_cpi.daemon.vms.spec import BOOTS
from runc_cpi.errors import InvalidArgument

SCHEMA = 2
PROPERTIES = frozenset(
    ("cpu", "ram", "pids", "ephemeral_disk_size", "init", "capabilities", "cpi_access")
)
MINIMUM_RAM = 32
MAXIMUM_RAM = 1 << 24
MAXIMUM_CPU = 4096


@dataclass(frozen=True, kw_only=True)
class VMProperties:
    """
    What the C{cloud_properties} of a VM mean here.

    @ivar cpu: processors it may use, or L{None} for all.
    @ivar ram: MiB it may use, or L{None} for all.
    @ivar pids: how many processes and threads it may have, or L{None} for as many as VMs
        have here.
    @ivar ephemeral_disk_size: MiB of its /var/vcap/data, or L{None} for no bound.
    @ivar init: C{runit} or C{systemd}, or L{None} to go by the stemcell.
    @ivar all_capabilities: whether it has all that there are, to pass them on.
    @ivar cpi_access: whether it may call the daemon without TLS, as a director must.
    @ivar unknown: names that mean nothing here.
    """

    cpu: float | None = None
    ram: int | None = None
    pids: int | None = None
    ephemeral_disk_size: int | None = None
    init: str | None = None
    all_capabilities: bool = False
    cpi_access: bool = False
    unknown: tuple[str, ...] = ()

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check C{cloud_properties}.  Names of other CPIs are let pass: one manifest
        may serve several.

        @raise InvalidArgument: naming the property and what is accepted.
        """
        if not isinstance(raw, dict):
            raise InvalidArgument("cloud_properties: must be an object")
        init = raw.get("init")
        if init is not None and (not isinstance(init, str) or init not in BOOTS):
            choices = " or ".join(BOOTS)
            raise InvalidArgument(f"cloud_properties.init: {init!r}; must be {choices}")
        capabilities = raw.get("capabilities")
        if capabilities not in (None, "default", "all"):
            message = f"{capabilities!r}; must be default or all"
            raise InvalidArgument(f"cloud_properties.capabilities: {message}")
        cpi_access = raw.get("cpi_access")
        if cpi_access is not None and not isinstance(cpi_access, bool):
            message = f"{cpi_access!r}; must be true or false"
            raise InvalidArgument(f"cloud_properties.cpi_access: {message}")
        cpu = _number("cpu", raw, (int, float), 0.01, MAXIMUM_CPU)
        ram = _number("ram", raw, int, MINIMUM_RAM, MAXIMUM_RAM)
        pids = _number("pids", raw, int, LEAST_PIDS, MOST_PIDS)
        size = _number("ephemeral_disk_size", raw, int, 1, MAXIMUM_SIZE)
        return cls(
            cpu=cpu,
            ram=None if ram is None else int(ram),
            pids=None if pids is None else int(pids),
            ephemeral_disk_size=None if size is None else int(size),
            init=init,
            all_capabilities=capabilities == "all",
            cpi_access=bool(cpi_access),
            unknown=tuple(sorted(str(name) for name in raw.keys() - PROPERTIES)),
        )


def _number(
    name: str,
    raw: Mapping[str, Any],
    kinds: type[int] | tuple[type[int], type[float]],
    least: float,
    most: float,
) -> float | None:
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise InvalidArgument(f"cloud_properties.{name}: {value!r} is no {_KIND[name]}")
    if not least <= value <= most:
        message = f"cloud_properties.{name}: {value} is not between {least} and {most}"
        raise InvalidArgument(message)
    return float(value)


_KIND = {
    "cpu": "number of processors",
    "ram": "whole number of MiB",
    "pids": "whole number of processes",
    "ephemeral_disk_size": "whole number of MiB",
}


@dataclass(frozen=True, kw_only=True)
class VM:
    """
    The record of a VM.

    @ivar networks: the networks as the VM has them, by name.
    @ivar addresses: the addresses on its interface; the first is the main one.
    @ivar env: C{env} of create_vm, whole.
    @ivar agent: C{mbus}, C{ntp} and C{blobstore} of the CPI that made it.
    @ivar metadata: what set_vm_metadata last said.
    @ivar created_at: when, in ISO 8601.
    @ivar stopped: whether it ended by itself, and is to stay so.
    """

    vm_cid: str
    agent_id: str
    stemcell_cid: str
    cloud_properties: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]
    addresses: tuple[IPv4Address, ...]
    env: Mapping[str, Any]
    agent: Mapping[str, Any]
    created_at: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = False

    @property
    def may_call(self) -> bool:
        """Whether it may call the daemon without TLS."""
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
            "addresses": [str(address) for address in self.addresses],
            "env": dict(self.env),
            "agent": dict(self.agent),
            "created_at": self.created_at,
            "metadata": dict(self.metadata),
            "stopped": self.stopped,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read a record.  Before schema 2 there was no C{stopped}.

        @raise ValueError: if it is none, or of a newer version.
        """
        schema = record.get("schema")
        if schema == 1:
            record = {**record, "stopped": False}
        elif schema != SCHEMA:
            raise ValueError(f"schema {schema!r}; 1 and {SCHEMA} are known")
        elif "stopped" not in record:
            raise ValueError("not a VM's record: no stopped")
        values = {name: value for name, value in record.items() if name != "schema"}
        try:
            addresses = tuple(map(IPv4Address, values.pop("addresses")))
            return cls(addresses=addresses, **values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a VM's record: {error}") from None

    def settings(self, disks: Mapping[str, str]) -> dict[str, Any]:
        """
        Return the settings for its agent.

        @param disks: where persistent disks are found, by their cids.
        """
        return agent_settings(
            vm_cid=self.vm_cid,
            agent_id=self.agent_id,
            networks=self.networks,
            env=self.env,
            agent=self.agent,
            disks=disks,
        )


@dataclass(frozen=True, kw_only=True)
class NewVM:
    """The arguments of a create_vm call, as the contract names them."""

    agent_id: Any
    stemcell_cid: Any
    cloud_properties: Any
    networks: Any
    disk_cids: Any
    env: Any
    agent: Any

    def check(self) -> None:
        """
        Check what is not checked elsewhere.

        @raise InvalidArgument: naming the argument and what is accepted.
        """
        if not self.agent_id or not isinstance(self.agent_id, str):
            raise InvalidArgument("agent_id: must be a string that is not empty")
        for name in ("env", "agent"):
            if not isinstance(getattr(self, name), dict):
                raise InvalidArgument(f"{name}: must be an object")
        disk_cids = self.disk_cids
        if not isinstance(disk_cids, list) or not all(
            isinstance(disk_cid, str) for disk_cid in disk_cids
        ):
            raise InvalidArgument("disk_cids: must be a list of disk ids")
