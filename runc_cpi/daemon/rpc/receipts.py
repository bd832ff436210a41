"""What was made for callers who have yet to say that they told of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context

from twisted.internet.defer import Deferred
from twisted.logger import Logger

Undo = Callable[[str], Awaitable[None]]


class Receipts:
    """
    The receipts that the caller at the other end of one connection owes.

    A caller can die after it was answered and before it told anybody, or find that nobody
    listens to it any more.  What was made for it has a name then that nobody knows.
    """

    log = Logger()

    def __init__(self) -> None:
        self._owed: dict[str, tuple[Undo, Context]] = {}
        self._caller_is_gone = False

    @property
    def are_owed(self) -> bool:
        """Whether there is something that nobody is known to have been told of."""
        return bool(self._owed)

    async def made(self, cid: str, undo: Undo, confirms: bool) -> None:
        """
        Expect a receipt for what was made if one will come; undo it if the caller is gone.

        @param cid: its name.
        @param undo: removes it; it is called with the name.
        @param confirms: whether the caller has promised a receipt.
        """
        if confirms or self._caller_is_gone:
            self.expect(cid, undo)
        if self._caller_is_gone:
            await self.undo()

    def expect(self, cid: str, undo: Undo) -> None:
        """Expect a receipt for C{cid}; C{undo} is called with it if none comes."""
        self._owed[cid] = (undo, copy_context())

    def take(self, cid: str) -> None:
        """Take the receipt for C{cid}, which stays; one that was not owed is no error."""
        self._owed.pop(cid, None)

    def waive(self) -> None:
        """
        Expect no receipts any more.

        Of a caller that is there and says nothing it is not known whom it has told.
        """
        for cid in self._owed:
            self.log.warn("{cid} stays, and may be known to nobody", cid=cid)
        self._owed.clear()

    def caller_is_gone(self) -> None:
        """Expect nothing of the caller any more: the connection has ended."""
        self._caller_is_gone = True

    async def undo(self) -> None:
        """Remove again what no receipt has come for, as the caller is gone."""
        while self._owed:
            cid, (undo, context) = self._owed.popitem()
            # In the log it belongs to the request that had it made.
            await context.run(Deferred.fromCoroutine, self._undo_one(cid, undo))

    async def _undo_one(self, cid: str, undo: Undo) -> None:
        self.log.info("nobody was told of {cid}", cid=cid, happened="taken_back")
        try:
            await undo(cid)
        except Exception as error:  # whatever it is, the rest is undone all the same
            self.log.error("{cid} stays: {error}", cid=cid, error=str(error))
