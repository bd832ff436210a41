"""Measures what VMs use: their cgroups, their interfaces and the files of their disks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path

from zope.interface import implementer

from runc_cpi.daemon.host.cgroups import accounts, hierarchies
from runc_cpi.daemon.host.network.veth import host_interface
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.vms.interfaces import IMeter
from runc_cpi.daemon.vms.usage import Usage

# Of the network namespace of the thread that reads it (proc(5)).
INTERFACES = Path("/proc/thread-self/net/dev")
RECEIVED, SENT = 0, 8  # the columns of bytes
BLOCK = 512  # bytes, whatever the file system (stat(2))


@implementer(IMeter)
class Meter:
    """
    Reads what the kernel counts.

    @param root: where cgroups are mounted.
    @param interfaces: the file with the counters of interfaces.
    """

    def __init__(
        self, root: Path = hierarchies.ROOT, interfaces: Path = INTERFACES
    ) -> None:
        self._root, self._interfaces = root, interfaces

    def measure(self, states: Sequence[ContainerState]) -> Mapping[str, Usage]:
        """Measure VMs; one that ends meanwhile is left out."""
        traffic = _traffic(self._interfaces)
        read_account = accounts.reader(self._root)
        found = {}
        for state in states:
            account = read_account(state.cgroup)
            if account is None:
                continue
            # What the host's end of a pair receives is what the VM sends.
            sent, received = _sum(state.vm_cid, traffic)
            disk, limit = _disk(state.bundle)
            found[state.vm_cid] = Usage(
                **vars(account),
                disk=disk,
                disk_limit=limit,
                received=received,
                sent=sent,
            )
        return found


def _traffic(interfaces: Path) -> dict[str, tuple[int, int]]:
    """Return the bytes that each interface of the host has received and sent."""
    found = {}
    for line in interfaces.read_text("utf-8", "replace").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        found[name.strip()] = int(fields[RECEIVED]), int(fields[SENT])
    return found


def _sum(vm_cid: str, traffic: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    names = (host_interface(vm_cid, number) for number in count())
    pairs = [traffic[name] for name in takewhile(traffic.__contains__, names)]
    return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


def _disk(bundle: Bundle) -> tuple[int | None, int | None]:
    """Return the bytes that the disks of a VM's own take, and may take."""
    found = []
    for path in (bundle.root_image, bundle.ephemeral):
        with suppress(OSError):
            found.append(path.stat())
    if not found:
        return None, None
    taken = sum(file.st_blocks for file in found) * BLOCK
    return taken, sum(file.st_size for file in found)
