"""The arguments of create_vm, checked and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.networks import ports, requests
from runc_cpi.daemon.networks.model import Network
from runc_cpi.daemon.networks.ports import PublishedPort
from runc_cpi.daemon.vms.properties import VMProperties
from runc_cpi.errors import InvalidArgument


@dataclass(frozen=True, kw_only=True)
class NewVM:
    """
    The VM that a create_vm call asks for.

    @ivar cloud_properties: as they came, for the VM's record.
    @ivar properties: what they mean.
    @ivar ports: the ports of the host that are to lead to it.
    @ivar env: C{env} of the call, whole.
    @ivar agent: C{mbus}, C{ntp} and C{blobstore} of the CPI that calls.
    """

    agent_id: str
    stemcell_cid: str
    cloud_properties: Mapping[str, Any]
    properties: VMProperties
    networks: Sequence[Network]
    ports: Sequence[PublishedPort]
    env: Mapping[str, Any]
    agent: Mapping[str, Any]

    @classmethod
    def parse(
        cls,
        *,
        agent_id: Any,
        stemcell_cid: str,
        cloud_properties: Any,
        networks: Any,
        disk_cids: Any,
        env: Any,
        agent: Any,
    ) -> Self:
        """
        Check the arguments of a call, named as the contract names them.

        C{disk_cids} is checked and not used: it tells where the VM's disks are, and all
        are on this host.

        @raise InvalidArgument: naming the argument and what is accepted.
        """
        if not agent_id or not isinstance(agent_id, str):
            raise InvalidArgument("agent_id: must be a string that is not empty")
        for name, value in (("env", env), ("agent", agent)):
            if not isinstance(value, dict):
                raise InvalidArgument(f"{name}: must be an object")
        if not isinstance(disk_cids, list) or not all(
            isinstance(disk_cid, str) for disk_cid in disk_cids
        ):
            raise InvalidArgument("disk_cids: must be a list of disk ids")
        properties = VMProperties.parse(cloud_properties)
        return cls(
            agent_id=agent_id,
            stemcell_cid=stemcell_cid,
            cloud_properties=cloud_properties,
            properties=properties,
            networks=requests.parse(networks),
            ports=ports.parse(cloud_properties.get("ports")),
            env=env,
            agent=agent,
        )
