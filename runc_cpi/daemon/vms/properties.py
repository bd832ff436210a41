"""The C{cloud_properties} of a VM, checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.base.bounds import (
    LEAST_PIDS,
    LEAST_ROOT_DISK_SIZE,
    MOST_PIDS,
    MOST_ROOT_DISK_SIZE,
)
from runc_cpi.daemon.disks.disk import MAXIMUM_SIZE
from runc_cpi.daemon.vms.inits import INITS
from runc_cpi.errors import InvalidArgument

PROPERTIES = frozenset(
    ("cpu", "ram", "pids", "root_disk_size", "ephemeral_disk_size")
    # The last is read with the networks (networks/ports.py).
    + ("init", "capabilities", "cpi_access", "ports")
)
MINIMUM_CPU, MAXIMUM_CPU = 0.01, 4096  # processors
MINIMUM_RAM, MAXIMUM_RAM = 32, 1 << 24  # MiB
MINIMUM_DISK_SIZE = 1  # MiB

_KIND = {
    "cpu": "number of processors",
    "ram": "whole number of MiB",
    "pids": "whole number of processes",
    "root_disk_size": "whole number of MiB",
    "ephemeral_disk_size": "whole number of MiB",
}


@dataclass(frozen=True, kw_only=True)
class VMProperties:
    """
    What the C{cloud_properties} of a VM mean here.

    @ivar cpu: processors it may use, or L{None} for all.
    @ivar ram: MiB it may use, or L{None} for all.
    @ivar pids: how many processes and threads it may have, or L{None} for as many as VMs
        have here.
    @ivar root_disk_size: MiB of what it may change on /, or L{None} for as many as VMs
        have here.
    @ivar ephemeral_disk_size: MiB of its /var/vcap/data, or L{None} if that is on /.
    @ivar init: C{runit} or C{systemd}, or L{None} to go by the stemcell.
    @ivar all_capabilities: whether it has all that there are, to pass them on.
    @ivar cpi_access: whether it may call the daemon without TLS, as a director must.
    @ivar unknown: names that mean nothing here.
    """

    cpu: float | None = None
    ram: int | None = None
    pids: int | None = None
    root_disk_size: int | None = None
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
        if init is not None and (not isinstance(init, str) or init not in INITS):
            choices = " or ".join(INITS)
            raise InvalidArgument(f"cloud_properties.init: {init!r}; must be {choices}")
        capabilities = raw.get("capabilities")
        if capabilities not in (None, "default", "all"):
            message = f"{capabilities!r}; must be default or all"
            raise InvalidArgument(f"cloud_properties.capabilities: {message}")
        cpi_access = raw.get("cpi_access")
        if cpi_access is not None and not isinstance(cpi_access, bool):
            message = f"{cpi_access!r}; must be true or false"
            raise InvalidArgument(f"cloud_properties.cpi_access: {message}")
        return cls(
            cpu=_number("cpu", raw, (int, float), MINIMUM_CPU, MAXIMUM_CPU),
            ram=_whole_number("ram", raw, MINIMUM_RAM, MAXIMUM_RAM),
            pids=_whole_number("pids", raw, LEAST_PIDS, MOST_PIDS),
            root_disk_size=_whole_number(
                "root_disk_size", raw, LEAST_ROOT_DISK_SIZE, MOST_ROOT_DISK_SIZE
            ),
            ephemeral_disk_size=_whole_number(
                "ephemeral_disk_size", raw, MINIMUM_DISK_SIZE, MAXIMUM_SIZE
            ),
            init=init,
            all_capabilities=capabilities == "all",
            cpi_access=bool(cpi_access),
            unknown=tuple(sorted(str(name) for name in raw.keys() - PROPERTIES)),
        )


def _whole_number(name: str, raw: Mapping[str, Any], least: int, most: int) -> int | None:
    value = _number(name, raw, int, least, most)
    return None if value is None else int(value)


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
