"""Files of lxcfs, which tell processes of a VM about the VM in place of the host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from twisted.logger import Logger

from runc_cpi.daemon.vms.interfaces import IGuests
from runc_cpi.errors import CloudError

# What lxcfs(1) has; older releases have less.
FILES = ("cpuinfo", "meminfo", "stat", "uptime", "loadavg", "swaps", "diskstats")
CPUS = "sys/devices/system/cpu"
SECONDS = 2.0  # after which lxcfs counts as hanging
OWNER = "lxcfs"  # whose visit it is


class Lxcfs:
    """
    Looks before each boot whether lxcfs answers.

    A mount of one that died, or hangs, would keep the VM from booting.

    @param root: where lxcfs is mounted, or L{None} to do without.
    """

    log = Logger()

    def __init__(self, guests: IGuests, root: Path | None) -> None:
        self._guests, self._root = guests, root
        self._said: str | None = None

    async def covers(self) -> Mapping[str, str]:
        """Return what a VM that boots is to see, by the path that it sees it at."""
        if self._root is None:
            return {}
        looking = partial(available, self._root)
        try:
            found = await self._guests.run(OWNER, looking, seconds=SECONDS)
        except CloudError as error:
            text = "lxcfs at {path} does not answer; VMs that boot see the host's memory"
            self._say(text, reason=str(error))
            return {}
        if found:
            self._say("VMs that boot see memory and load of their own, by lxcfs at {path}")
        else:
            self._say("VMs see memory and load of the host: there is no lxcfs at {path}")
        return {f"/{name}": str(self._root / name) for name in found}

    def _say(self, text: str, reason: str | None = None) -> None:
        """Log how it is, unless that was said last."""
        if text == self._said:
            return
        self._said = text
        if reason is None:
            self.log.info(text, path=str(self._root))
        else:
            self.log.warn(text + ": {reason}", path=str(self._root), reason=reason)


def available(root: Path) -> list[str]:
    """
    Name the files that lxcfs has at C{root}, none if it is not mounted there.

    @raise OSError: if it died.
    """
    try:
        (root / "proc/meminfo").read_bytes()
    except FileNotFoundError:
        return []
    names = [*(f"proc/{name}" for name in FILES), CPUS]
    return [name for name in names if (root / name).exists()]
