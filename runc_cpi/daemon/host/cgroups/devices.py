"""Which devices the processes of a VM may open, on cgroup v1 and v2."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from runc_cpi.daemon.host.cgroups import device_program, hierarchies
from runc_cpi.daemon.storage.descent import Entered, walk
from runc_cpi.daemon.vms.device_rules import ALLOWED, DeviceRule

CGROUPS = Path("/sys/fs/cgroup")
LOOP_MAJOR = 7
_RULE = re.compile(rb"^b %d:(\d+) " % LOOP_MAJOR, re.MULTILINE)


class DeviceRules(Protocol):
    """The device rules of VMs."""

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """Return what a container's specification must allow, to boot with these."""

    def fence(self, cgroup: str, rules: Sequence[DeviceRule]) -> None:
        """
        Make a VM's cgroup, and bound what all in it may ever open.

        The container's own cgroup is to be in it, so that the VM cannot change this.

        @param cgroup: its path in its hierarchies.
        @raise OSError: if the kernel refuses.
        """

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """
        Let a VM's processes open these loop devices, and no others.

        @param cgroup: the VM's path in its hierarchies.
        @raise OSError: if the kernel refuses.
        """


class RulesV1:
    """
    The device controller of cgroup v1: rules are added and taken away one by one.

    A cgroup never allows what the one above it does not.  It copies those rules when it is
    made and does not follow later ones, so the container's own, and those that the VM
    made, are brought along.
    """

    def __init__(self, root: Path = CGROUPS / "devices") -> None:
        self._root = root

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """Allow these devices."""
        return [_loop(minor).to_spec() for minor in minors]

    def fence(self, cgroup: str, rules: Sequence[DeviceRule]) -> None:
        """Write all rules; nothing may be in the cgroup yet."""
        top = self._root / cgroup.lstrip("/")
        top.mkdir(parents=True, exist_ok=True)
        (top / "devices.deny").write_text("a")
        for rule in rules:
            (top / "devices.allow").write_text(str(rule))

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """Write the difference to what is allowed now."""
        for step in walk(self._root / cgroup.lstrip("/")):
            if isinstance(step, Entered):
                with suppress(FileNotFoundError):  # the VM removed it meanwhile
                    _change_loops(step.fd, set(minors))


def _change_loops(directory: int, minors: set[int]) -> None:
    found = _RULE.findall(hierarchies.read(directory, "devices.list"))
    allowed = {int(minor) for minor in found}
    for name, changed in (("allow", minors - allowed), ("deny", allowed - minors)):
        for minor in changed:
            fd = os.open(f"devices.{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
            with open(fd, "w", encoding="ascii") as file:
                file.write(str(_loop(minor)))


class RulesV2:
    """
    On cgroup v2 a program decides, and all programs of a cgroup and of those above it must
    agree.  The runtime sets one once and for all, on the container's cgroup; it is made to
    allow every loop device, and a program of ours on the VM's narrows that.
    """

    def __init__(self, root: Path = CGROUPS) -> None:
        self._root = root

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """Allow all loop devices; the other program decides."""
        return [DeviceRule("b", LOOP_MAJOR, None).to_spec()]

    def fence(self, cgroup: str, rules: Sequence[DeviceRule]) -> None:
        """Set a program."""
        self._path(cgroup).mkdir(parents=True, exist_ok=True)
        self._set(cgroup, rules)

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """Replace the program."""
        self._set(cgroup, [*ALLOWED, *map(_loop, sorted(minors))])

    def _path(self, cgroup: str) -> Path:
        return self._root / cgroup.lstrip("/")

    def _set(self, cgroup: str, rules: Sequence[DeviceRule]) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        directory = os.open(self._path(cgroup), flags)
        try:
            device_program.allow(directory, rules)
        finally:
            os.close(directory)


def _loop(minor: int) -> DeviceRule:
    return DeviceRule("b", LOOP_MAJOR, minor)


def device_rules() -> DeviceRules:
    """Return what this host has: v1's controller wherever it is mounted, else v2."""
    return RulesV1() if (CGROUPS / "devices").is_dir() else RulesV2()


def allowed_by(bundle: Path) -> list[DeviceRule]:
    """Return what the specification of a container allows."""
    spec = json.loads((bundle / "config.json").read_bytes())
    rules = spec["linux"]["resources"]["devices"]
    return [DeviceRule.from_spec(rule) for rule in rules if rule["allow"]]
