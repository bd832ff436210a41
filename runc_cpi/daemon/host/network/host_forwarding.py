"""Has the host forward packets while VMs need it, and as it did before afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

from twisted.logger import Logger

from runc_cpi.daemon.host.network import libnftables, reliance, sysctls, table

VERSIONS = (4, 6)
NAMES = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


class HostForwarding:
    """
    What the host forwarded before there were VMs; every method blocks.

    A daemon notes it in its table.  Of several daemons each does that needs it: the last
    one has it as it was.

    @param name: the table's.
    @ivar marked: the kinds of IP, 4 and 6, that the host did not forward, also when
        somebody took the table away.
    @ivar learners: the interfaces by which it learned routes of IPv6, while it has to
        forward that.  The kernel forgets these when it begins to forward, and learns no
        more, unless told to.  It begins for these also if others did forward before.
    """

    log = Logger()

    def __init__(self, name: str) -> None:
        self._name = name
        self.marked: set[int] = set()
        self.learners: set[str] = set()

    def note(
        self,
        forwarded: Collection[int],
        found: AbstractSet[str],
        others: Sequence[AbstractSet[str]],
        tables: Collection[str],
    ) -> None:
        """
        Note what the host forwards by itself, and end what is needed no more.

        @param forwarded: the kinds of IP that it has to forward from now.
        @param found: the chains of this daemon's table.
        @param others: those of each other daemon's.
        @param tables: the names of the tables of all daemons.
        @raise OSError: if the kernel refuses.
        """
        for version in VERSIONS:
            mark = table.MARKS[version]
            is_others = any(mark in chains for chains in others)
            if mark in found:
                self.marked.add(version)
            if version in forwarded:
                if is_others or not sysctls.forwards_anywhere(version):
                    self.marked.add(version)
            elif version in self.marked:
                if not is_others:
                    self._end(version, tables)
                self.marked.remove(version)
        if 6 in forwarded:
            self.learners |= self._learners(tables) | set(sysctls.learners())
        else:
            self.learners.clear()

    def begin(self, forwarded: Collection[int]) -> None:
        """
        Have the host forward kinds of IP; the table tells by now what it did before.

        @raise OSError: if the kernel refuses.
        """
        sysctls.keep_learning(self.learners, on=True)
        for version in forwarded:
            sysctls.set_forwarding(version, on=True)

    def is_so(self, forwarded: Collection[int]) -> bool:
        """Say whether the host forwards these kinds of IP, and learns as it did."""
        is_forwarding = all(map(sysctls.is_forwarding, forwarded))
        return is_forwarding and sysctls.keeps_learning(self.learners)

    def _end(self, version: int, tables: Collection[str]) -> None:
        other = reliance.found(version)
        if other is not None:
            text = "{name} stays on: {other} may rely on it"
            self.log.info(text, name=NAMES[version], other=other)
            return
        sysctls.set_forwarding(version, on=False)
        if version == 6:
            sysctls.keep_learning(self.learners | self._learners(tables), on=False)

    def _learners(self, tables: Collection[str]) -> set[str]:
        """Return the interfaces that tables of daemons name."""
        found: set[str] = set()
        for name in tables:
            found |= interfaces_in(name, table.LEARNERS)
        return found


def interfaces_in(name: str, of: str) -> set[str]:
    """
    Return the interfaces that a table has in a set, if it has one of that name.

    @param name: the table's.
    @param of: the set's.
    """
    try:
        printed = libnftables.run(f"list set {table.FAMILY} {name} {of}")
    except libnftables.NftablesUnusable:
        return set()
    return table.names_of_interfaces(printed)
