"""Which devices a VM may use, as rules that the runtime and the kernel are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self


@dataclass(frozen=True)
class DeviceRule:
    """
    Devices that may be used.

    @ivar kind: C{b} for block devices, C{c} for others.
    @ivar major: their major number, or L{None} for all.
    @ivar minor: their minor number, or L{None} for all.
    @ivar access: of C{r}, C{w} and C{m}, to make nodes of them, what is allowed.
    """

    kind: str
    major: int | None
    minor: int | None
    access: str = "rwm"

    def __str__(self) -> str:
        """Return the rule as files of cgroup v1 have it (devices.rst)."""
        major, minor = (
            "*" if number is None else number for number in (self.major, self.minor)
        )
        return f"{self.kind} {major}:{minor} {self.access}"

    def to_spec(self) -> dict[str, Any]:
        """Return the rule as the OCI runtime specification has it."""
        numbers = {"major": self.major, "minor": self.minor}
        named = {name: number for name, number in numbers.items() if number is not None}
        return {"allow": True, "type": self.kind, **named, "access": self.access}

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any]) -> Self:
        """Read what L{to_spec} returned."""
        return cls(rule["type"], rule.get("major"), rule.get("minor"), rule["access"])


# What runtimes allow in any container: nodes of all kinds can be made, and these be used.
ALLOWED = (
    DeviceRule("c", None, None, "m"),
    DeviceRule("b", None, None, "m"),
    DeviceRule("c", 1, 3),  # null
    DeviceRule("c", 1, 5),  # zero
    DeviceRule("c", 1, 7),  # full
    DeviceRule("c", 1, 8),  # random
    DeviceRule("c", 1, 9),  # urandom
    DeviceRule("c", 5, 0),  # tty
    DeviceRule("c", 5, 2),  # ptmx
    DeviceRule("c", 10, 200),  # net/tun
    DeviceRule("c", 136, None),  # pts
)
NOTHING = {"allow": False, "access": "rwm"}
