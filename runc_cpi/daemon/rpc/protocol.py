"""The protocol of one connection: it finds who answers a call, and cleans up at its end."""

from __future__ import annotations

import re
from contextvars import Context, copy_context
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from runc_cpi import __version__
from runc_cpi.daemon.base import calls
from runc_cpi.daemon.base.log import request_id
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.entrance.viewers import Viewers
from runc_cpi.daemon.events.followers import Following
from runc_cpi.daemon.rpc import commands, noted_calls
from runc_cpi.daemon.rpc.bounded import BoundedAMP
from runc_cpi.daemon.rpc.receipts import Receipts
from runc_cpi.daemon.rpc.refusals import refusal
from runc_cpi.daemon.rpc.responders.disks import DiskResponders
from runc_cpi.daemon.rpc.responders.events import EventResponders
from runc_cpi.daemon.rpc.responders.networks import NetworkResponders
from runc_cpi.daemon.rpc.responders.operator import OperatorResponders
from runc_cpi.daemon.rpc.responders.stemcells import StemcellResponders
from runc_cpi.daemon.rpc.responders.vms import VMResponders
from runc_cpi.daemon.rpc.subjects import Subjects
from runc_cpi.daemon.rpc.uploads import Uploads
from runc_cpi.errors import AccessRefused

Answer = dict[str, Any]

# Characters of a command's name that are logged.
COMMAND_LIMIT = 64
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


class Connections(Protocol):
    """All connections of the daemon."""

    def introduced(self, protocol: CPIProtocol) -> bool:
        """Count a connection that makes its first call; return whether it may go on."""

    def left(self, protocol: CPIProtocol) -> None:
        """Forget a connection that is gone, and so is all that was begun for it."""


class CPIProtocol(BoundedAMP):
    """
    One connection.

    Work that a call has begun is brought to its end when the caller goes away.  What
    was made is removed again if nobody is known to have learned its name.

    @param subjects: what calls are about.
    @param connections: is told when this one makes its first call, and when it is gone.
    """

    log = Logger()

    def __init__(
        self,
        subjects: Subjects,
        limits: LimitsConfig,
        reactor: Any,
        peer_log: PeerLog,
        connections: Connections,
        viewers: Viewers,
    ) -> None:
        super().__init__(limits, reactor, peer_log)
        self._connections, self._viewers = connections, viewers
        self._receipts = receipts = Receipts()
        history = subjects.history
        self._noted = history.calls
        self._uploads = uploads = Uploads(subjects.stemcells, limits.uploads, self._noted)
        self._following = Following(history.journal, history.followers, self._origin)
        self._responders = (
            VMResponders(subjects.vms, receipts),
            DiskResponders(subjects.disks, subjects.snapshots, subjects.vms, receipts),
            StemcellResponders(subjects.stemcells, uploads, receipts, self._getDescriptor),
            NetworkResponders(subjects.networks, receipts),
            OperatorResponders(subjects.reconciler, subjects.power, subjects.usages),
            EventResponders(history.journal, history.calls, self._following),
        )

    def _origin(self) -> str | None:
        """Return whose followers are counted together: those of an address."""
        return getattr(self._peer, "host", None)

    @commands.Ping.responder
    def ping(self) -> Answer:
        return {"version": __version__}

    @commands.Confirm.responder
    def confirm(self, cid: str) -> Answer:
        self._receipts.take(cid)
        self.hang_up_if_done()
        return {}

    def locateResponder(self, name: bytes) -> Any:
        """
        Find what answers a command.

        TLS begins with the first byte or not at all, so AMP's own command for it is
        unknown here.

        @return: a function of the box, or L{None} if there is no such command.
        """
        if name == amp.StartTLS.commandName:
            return None
        # AMP's other way, by the names of methods, takes nothing but ASCII.
        responder = amp.CommandLocator.locateResponder(self, name)
        for responders in self._responders:
            responder = responder or responders.locateResponder(name)
        return responder

    def dispatchCommand(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        """Answer a command, marking the log with the request it belongs to."""
        context = copy_context()
        context.run(request_id.set, _request_id_of(box))
        call = context.run(noted_calls.begin, self._noted, box)
        context.run(calls.current.set, call)
        answer: Deferred[amp.AmpBox] = context.run(super().dispatchCommand, box)
        name = box[amp.COMMAND][:COMMAND_LIMIT].decode("ascii", "replace")
        name = name if call is None else call.method
        answer.addErrback(lambda failure: context.run(refusal, failure, name))
        if call is not None:
            answer.addBoth(self._note_end, call, context)
        return answer

    def _note_end(self, answer: Any, call: calls.Call, context: Context) -> Any:
        context.run(noted_calls.end, self._noted, call, answer)
        return answer

    def begin_call(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        """Begin a call: it does not wait for its turn any more."""
        call = calls.current.get()
        if call is not None:
            call.take_turn()
        self._check_rights(box)
        return super().begin_call(box)

    def _check_rights(self, box: amp.AmpBox) -> None:
        """
        @raise AccessRefused: if the peer may only look, and the call would change things.
        """
        command = commands.BY_NAME.get(box[amp.COMMAND])
        if self.transport is None or command is None or command.looks:
            return
        name = self._viewers.name_of(self.transport)
        if name is not None:
            raise AccessRefused(
                f"{command.method}: {name} may only look: it is in tls.viewing_clients"
            )

    def retire(self) -> None:
        """Take no more calls, and wait for no more events."""
        self._following.end()
        super().retire()

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        """Take a call; or a receipt, which waits for no turn, as the end may follow it."""
        if amp.ASK not in box and box.get(amp.COMMAND) == commands.Confirm.commandName:
            self.confirm(box.get(b"cid", b"").decode("utf-8", "replace"))
        else:
            super().ampBoxReceived(box)

    def introduced(self) -> bool:
        """Count this connection: it has made its first call."""
        return self._connections.introduced(self)

    @property
    def is_waited_for(self) -> bool:
        """Whether a receipt is owed: the daemon does not hang up before it comes."""
        return self._receipts.are_owed

    def timeoutConnection(self) -> None:
        """Cut off a peer that says nothing; it may have told of what was made for it."""
        self._receipts.waive()
        super().timeoutConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Clear away what was being uploaded, and what nobody was told of."""
        self._receipts.caller_is_gone()
        self._following.end()
        super().connectionLost(reason)
        leaving = Deferred.fromCoroutine(self._leave())
        leaving.addErrback(
            lambda failure: self.log.failure("bug: cannot clean up a connection", failure)
        )

    async def _leave(self) -> None:
        try:
            await self._uploads.abort_all()
            # What was begun is ended all the same, and a stop waits for that.
            await self.finished()
            await self._receipts.undo()
        finally:
            self._connections.left(self)


def _request_id_of(box: amp.AmpBox) -> str:
    given: bytes = box.get(b"request_id", b"")
    return given.decode("ascii") if REQUEST_ID.fullmatch(given) else ""
