"""A range of user and group ids of the host, as one VM of profile C{isolated} has it."""

from __future__ import annotations

from dataclasses import dataclass

# Root, the users of packages and nobody: what a VM's /etc/passwd needs has such an id.
SIZE = 1 << 16  # ids


@dataclass(frozen=True)
class IdRange:
    """
    The ids that a VM has on the host: C{first} is its root, and so on.

    User ids and group ids are mapped alike (user_namespaces(7)).
    """

    first: int

    @property
    def mapping(self) -> str:
        """The range as C{/proc/PID/uid_map} and C{gid_map} take it."""
        return f"0 {self.first} {SIZE}"

    def of(self, number: int) -> int:
        """
        Return the id on the host of what is a user or a group in the VM.

        What no VM can have as an id is given to its root.
        """
        return self.first + (number if number < SIZE else 0)
