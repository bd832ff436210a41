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
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.descent import Entered, walk
from runc_cpi.daemon.vms.device_rules import ALLOWED, DeviceRule

LOOP_MAJOR = 7  # of the numbers of loop devices (devices.txt)
# The host's /dev/console.  crun allows it in any container, whatever it is told; v1 refuses
# that if the cgroup above does not allow it.
CONSOLE = DeviceRule("c", 5, 1)
_RULE = re.compile(rb"^b %d:(\d+) " % LOOP_MAJOR, re.MULTILINE)


class DeviceRules(Protocol):
    """The device rules of VMs."""

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """
        Return what a container's specification must allow.

        @param minors: the minor numbers of the loop devices that the VM boots with.
        """

    def fence(self, cgroup: str, rules: Sequence[DeviceRule]) -> None:
        """
        Make a VM's cgroup, and bound what all processes in it may ever open.

        The container's cgroup is made in it, so that the VM cannot change the bound.

        @param cgroup: the path of the VM's cgroup in its hierarchies.
        @raise OSError: if the kernel refuses.
        """

    def narrow(self, cgroup: str) -> None:
        """
        Take away what the fence let the runtime have to make the container.

        @param cgroup: the path of the VM's cgroup in its hierarchies; nothing of the VM
            runs in it yet.
        @raise OSError: if the kernel refuses.
        """

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """
        Let a VM's processes open these loop devices, and no others.

        @param cgroup: the path of the VM's cgroup in its hierarchies.
        @raise OSError: if the kernel refuses.
        """


class RulesV1:
    """
    The device controller of cgroup v1: rules are added and taken away one by one.

    A cgroup never allows what the one above it does not.  It copies those rules when it is
    made and does not follow later ones, so the container's own, and those that the VM
    made, are changed as well.
    """

    def __init__(self, root: Path = hierarchies.ROOT / "devices") -> None:
        self._root = root

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """Allow these devices."""
        return [_loop(minor).to_spec() for minor in minors]

    def fence(self, cgroup: str, rules: Sequence[DeviceRule]) -> None:
        """Write all rules; nothing may be in the cgroup yet."""
        top = self._root / cgroup.lstrip("/")
        top.mkdir(parents=True, exist_ok=True)
        (top / "devices.deny").write_text("a")
        for rule in (*rules, CONSOLE):
            (top / "devices.allow").write_text(str(rule))

    def narrow(self, cgroup: str) -> None:
        """Deny the console; that goes for the container's cgroup as well."""
        (self._root / cgroup.lstrip("/") / "devices.deny").write_text(str(CONSOLE))

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """Write the difference to what is allowed now."""
        for step in walk(self._root / cgroup.lstrip("/")):
            if isinstance(step, Entered):
                with suppress(FileNotFoundError):  # the VM removed it meanwhile
                    _change_loops(step.fd, set(minors))


def _change_loops(directory: int, minors: set[int]) -> None:
    """Change which loop devices one cgroup allows."""
    found = _RULE.findall(hierarchies.read(directory, "devices.list"))
    allowed = {int(minor) for minor in found}
    for name, changed in (("allow", minors - allowed), ("deny", allowed - minors)):
        for minor in changed:
            fd = os.open(f"devices.{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
            with open(fd, "w", encoding="ascii") as file:
                file.write(str(_loop(minor)))


class RulesV2:
    """
    The device programs of cgroup v2: those of a cgroup and of all above it must agree.

    The runtime sets a program on the container's cgroup, once.  That is made to allow every
    loop device, and a program that the daemon sets on the VM's cgroup narrows that.
    """

    def __init__(self, root: Path = hierarchies.ROOT) -> None:
        self._root = root

    def for_spec(self, minors: Collection[int]) -> list[dict[str, object]]:
        """Allow all loop devices; the program on the VM's cgroup decides."""
        return [DeviceRule("b", LOOP_MAJOR, None).to_spec()]

    def fence(self, cgroup: str, rules: Sequence[DeviceRule]) -> None:
        """Set a program on the VM's cgroup."""
        self._path(cgroup).mkdir(parents=True, exist_ok=True)
        self._set(cgroup, rules)

    def narrow(self, cgroup: str) -> None:
        """Do nothing: the runtime's program may allow what the fence does not."""

    def allow_loops(self, cgroup: str, minors: Collection[int]) -> None:
        """Replace the program on the VM's cgroup."""
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
    return RulesV1() if (hierarchies.ROOT / "devices").is_dir() else RulesV2()


def allowed_by(bundle: Bundle) -> list[DeviceRule]:
    """
    Return what the specification of a container allows.

    @raise OSError: if it cannot be read.
    """
    spec = json.loads(bundle.config.read_bytes())
    rules = spec["linux"]["resources"]["devices"]
    return [DeviceRule.from_spec(rule) for rule in rules if rule["allow"]]
