"""Bounds of what clients have under way: all of them together, and each."""

from __future__ import annotations

from collections.abc import Callable

Drop = Callable[[], None]


class Places:
    """
    So many places there are, and so many of them one client may have.

    If all are taken, a client with fewer than another takes a place of whoever has the
    most: what is oldest there is dropped.  So some clients cannot keep out another.
    """

    def __init__(self, total: int, each: int) -> None:
        self._total, self._each = total, each
        # By client, in the order in which they were taken.
        self._taken: dict[str, dict[Drop, None]] = {}
        self._count = 0

    def take(self, client: str, drop: Drop) -> bool:
        """
        Give a client a place, if it can have one; return whether it can.

        @param drop: is called if the place is taken back.  It tells this place from others.
        """
        own = len(self._taken.get(client, ()))
        if own >= self._each or (self._count >= self._total and not self._drop_one(own)):
            return False
        self._taken.setdefault(client, {})[drop] = None
        self._count += 1
        return True

    def _drop_one(self, own: int) -> bool:
        """Take a place back for one who has so many; return whether that is fair."""
        client, most = max(self._taken.items(), key=lambda taken: len(taken[1]))
        if len(most) <= own + 1:
            return False
        oldest = next(iter(most))
        self.free(client, oldest)
        oldest()
        return True

    def free(self, client: str, drop: Drop) -> None:
        """Take a place back, unless that was done."""
        taken = self._taken.get(client, {})
        if drop in taken:
            del taken[drop]
            self._count -= 1
            if not taken:
                del self._taken[client]
