"""Which loop devices the processes of a container may open, on cgroup v1 and v2."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from runc_cpi.daemon.drivers import bpf
from runc_cpi.daemon.drivers.bpf import LOOP_MAJOR

CGROUPS = Path("/sys/fs/cgroup")
ALL_LOOPS = {"allow": True, "type": "b", "major": LOOP_MAJOR, "access": "rwm"}
_RULE = re.compile(rf"^b {LOOP_MAJOR}:(\d+) ", re.MULTILINE)


class DeviceRules(Protocol):
    """The device rules of containers."""

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """Return what a container's specification must allow, to boot with these."""

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """
        Let a container's processes open these loop devices, and no others.

        @param cgroup: the container's path in its hierarchies.
        @raise OSError: if the kernel refuses.
        """


class RulesV1:
    """
    The device controller of cgroup v1: rules are added and taken away one by one.

    A child cgroup copies its parent's rules when it is made and does not follow later
    ones, so those that the VM itself made are brought along.
    """

    def __init__(self, root: Path = CGROUPS / "devices") -> None:
        self._root = root

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """Allow these devices."""
        return [{**ALL_LOOPS, "minor": minor} for minor in minors]

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """Write the difference to what is allowed now."""
        top = self._root / cgroup.lstrip("/")
        for directory, _, _ in os.walk(top):
            rules = Path(directory) / "devices.list"
            allowed = {int(minor) for minor in _RULE.findall(rules.read_text("ascii"))}
            for minor in set(minors) - allowed:
                rules.with_name("devices.allow").write_text(f"b {LOOP_MAJOR}:{minor} rwm")
            for minor in allowed - set(minors):
                rules.with_name("devices.deny").write_text(f"b {LOOP_MAJOR}:{minor} rwm")


class RulesV2:
    """
    On cgroup v2 the runtime sets a program once and for all.  It is made to allow every
    loop device, and a program of ours beside it narrows that to the attached ones.
    """

    def __init__(self, root: Path = CGROUPS) -> None:
        self._root = root

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """Allow all loop devices; the other program decides."""
        return [dict(ALL_LOOPS)]

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """Replace the program."""
        path = self._root / cgroup.lstrip("/")
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            bpf.allow_loops(directory, minors)
        finally:
            os.close(directory)


def device_rules() -> DeviceRules:
    """Return what this host has: v1's controller wherever it is mounted, else v2."""
    return RulesV1() if (CGROUPS / "devices").is_dir() else RulesV2()
