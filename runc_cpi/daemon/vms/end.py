"""The end of a VM that nobody asked for: when it was noticed, and how it came."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from signal import SIGINT
from typing import Any

from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class End:
    """
    How the first process of a VM ended.

    If neither its status nor a signal is known, it ended while no daemon ran.

    @ivar at: when that was noticed, in ISO 8601.
    @ivar status: the status that it exited with, or L{None}.
    @ivar signal: the number of the signal that ended it, or L{None}.
    """

    at: str
    status: int | None = None
    signal: int | None = None

    @classmethod
    def of(cls, at: str, wait_status: int | None) -> Self:
        """
        Return an end.

        @param wait_status: as wait(2) has it, or L{None} if it cannot be told.
        """
        if wait_status is None:
            return cls(at=at)
        if os.WIFSIGNALED(wait_status):
            return cls(at=at, signal=os.WTERMSIG(wait_status))
        return cls(at=at, status=os.WEXITSTATUS(wait_status))

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read what L{to_json} returned.

        @raise TypeError: if it is something else.
        """
        return cls(**record)

    def to_json(self) -> dict[str, Any]:
        """Return what a VM's record holds."""
        return asdict(self)

    def describe(self) -> dict[str, Any]:
        """Return what is told of it."""
        return {**self.to_json(), "how": str(self)}

    def __str__(self) -> str:
        """Say in words how it ended, to go on from its name."""
        if self.signal is not None:
            return f"was ended by signal {self.signal}"
        if self.status is not None:
            return f"ended with status {self.status}"
        return "ended, it is not known how"

    @property
    def is_failure(self) -> bool:
        """
        Whether the VM failed, and was not halted from within.

        A VM is halted by its init's exit with status 0, or by reboot(2) in it, which the
        kernel turns into SIGINT (pid_namespaces(7)).
        """
        if self.signal is not None:
            return self.signal != SIGINT
        return self.status != 0
