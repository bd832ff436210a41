"""To which deployment and instance something belongs, as the log and events tell it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """
    Where BOSH has a VM or a disk.

    @ivar deployment: its name, or an empty text.
    @ivar instance: what BOSH calls the VM, such as C{db/0}, or an empty text.
    """

    deployment: str = ""
    instance: str = ""


NOWHERE = Place()

PlaceOf = Callable[[Collection[str]], Place]
"""Returns where the first of some ids belongs of which that is known, or L{NOWHERE}."""
