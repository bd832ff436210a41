"""An AMP connection that a slow or hostile peer cannot make costly."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from runc_cpi.daemon.base import parcels
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.complaints import Complaints
from runc_cpi.daemon.entrance.encryption import NO_TLS_HERE, begins_tls
from runc_cpi.daemon.entrance.refusals import refusal
from runc_cpi.errors import TLSRejected

# What a key and its value cost beside their bytes, so that many tiny ones count.
ENTRY_COST = 128
DESCRIPTORS = 8


class Retired(Exception):
    """A call came when no more are taken."""


@implementer(IPushProducer)
class BoundedAMP(amp.AMP, TimeoutMixin):
    """
    AMP within L{LimitsConfig}.

    A peer that does not read its answers, or has too many calls under way, is not read
    from until it does, or until they end.  One that sends too much, or nothing, or what
    is no call, is cut off; calls that are under way are brought to their end all the
    same.
    """

    log = Logger()
    transport: Any

    def __init__(self, limits: LimitsConfig, reactor: Any, complaints: Complaints) -> None:
        super().__init__()
        self._limits, self._reactor, self._complaints = limits, reactor, complaints
        self._waiting: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._under_way = 0
        self._idle: Deferred[None] | None = None
        self._message = 0
        self._choked = self._paused = self._proceeding = self._is_cut_off = False
        self._is_known = False
        self._retired = False

    def callLater(self, period: float, function: Any) -> Any:
        """Use the daemon's clock for timeouts."""
        return self._reactor.callLater(period, function)

    @property
    def peer(self) -> str:
        """The peer's address, for the log."""
        host = getattr(self._peer, "host", None)
        return "the unix socket" if host is None else str(host)

    def connectionMade(self) -> None:
        """Begin to count the time."""
        super().connectionMade()
        self._peer = self.transport.getPeer()
        if ITCPTransport.providedBy(self.transport):
            # Answers are small, and must not wait for the peer to confirm earlier ones.
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.setTimeout(self._limits.first_seconds)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Stop counting, and let go of all that waits."""
        self.setTimeout(None)
        for descriptor in self._descriptors.values():
            parcels.close(descriptor)
        self._descriptors.clear()
        if isinstance(reason.value, SSL.Error):
            self._tell_of_tls(reason.value)
        super().connectionLost(reason)
        self._choked = False
        self._proceed()

    def _tell_of_tls(self, error: Any) -> None:
        reasons = error.args[0] if error.args else ()
        words = "; ".join(str(reason[-1]) for reason in reasons)
        self._complain("TLS with {peer} failed: {words}", words=words or "no reason given")

    def _complain(self, text: str, **parts: str) -> None:
        self._complaints.tell(self.peer, text, peer=self.peer, **parts)

    def timeoutConnection(self) -> None:
        """Cut off a peer that says nothing."""
        if self.transport is not None:
            self.transport.abortConnection()

    def retire(self) -> None:
        """Take no more calls, and hang up once those under way are answered."""
        self._retired = True
        if self.transport is not None:
            self.hang_up_if_done()
            self._rest()

    def hang_up_if_done(self) -> None:
        """Hang up if no more calls are taken, and nothing is waited for."""
        if self._retired and not self._busy and not self.is_waited_for:
            self.transport.loseConnection()

    @property
    def is_waited_for(self) -> bool:
        """Whether the peer still has to say something that is no call."""
        return False

    async def finished(self) -> None:
        """Wait until no call is under way, which may be long after the peer is gone."""
        while self._busy:
            self._idle = Deferred()
            await self._idle

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Keep a file, packed, for the message that goes with it, but not many."""
        super().fileDescriptorReceived(parcels.pack(descriptor))
        if len(self._descriptors) > DESCRIPTORS:
            self._cut_off("more descriptors than its messages name")

    def proto_key(self, string: bytes) -> str:
        """Count a key; a message is complete with an empty one."""
        if not string:
            self._message = 0
        return self._counted(string, super().proto_key)

    def proto_value(self, string: bytes) -> str:
        """Count a value."""
        return self._counted(string, super().proto_value)

    def _counted(self, string: bytes, proceed: Any) -> str:
        self._message += len(string) + ENTRY_COST
        if self._message > self._limits.message_bytes:
            self._cut_off(f"a message of more than {self._limits.message_bytes} bytes")
        state = "" if self._is_cut_off else str(proceed(string))
        return "discard" if self._is_cut_off else state

    def proto_discard(self, string: bytes) -> str:
        """Ignore what comes after the peer was cut off."""
        return "discard"

    def lengthLimitExceeded(self, length: int) -> None:
        """Hang up on what does not speak AMP, and tell it if it speaks TLS."""
        if not self._is_known and begins_tls(length.to_bytes(2, "big")):
            self._complain(
                "refused a connection from {peer}: it speaks TLS, and tls is not set"
            )
            self.transport.write(refusal(TLSRejected(NO_TLS_HERE)))
            super().lengthLimitExceeded(length)
        else:
            self._cut_off("what it says is no AMP")

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        """Take a call; a peer has nothing else to say."""
        if amp.ASK not in box or amp.COMMAND not in box:
            self._cut_off("a message that is no call")
            return
        if not self._is_known:
            self._is_known = True
            if not self.introduced():
                self._cut_off("there is no room for it")
                return
        super().ampBoxReceived(box)

    def introduced(self) -> bool:
        """
        A first call has come: the peer is none that only holds a connection.

        @return: whether it may go on.
        """
        return True

    def _cut_off(self, why: str) -> None:
        self._is_cut_off = True
        self._complain("cut off a connection from {peer}: {why}", why=why)
        self.transport.abortConnection()

    def dispatchCommand(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        """Have a call wait for its turn; until it is answered the peer may be silent."""
        answer: Deferred[amp.AmpBox] = Deferred()
        begin = partial(copy_context().run, maybeDeferred, self._begin, box)
        self._waiting.append((begin, answer))
        self._proceed()
        return answer

    def _begin(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        if self.transport is None:
            return fail(ConnectionDone("the caller hung up before the call began"))
        if self._retired:
            return fail(Retired("runc-cpid is about to stop; try again"))
        answer: Deferred[amp.AmpBox] = super().dispatchCommand(box)
        return answer

    def _proceed(self) -> None:
        """Begin what may begin; what a single read brought can be more than that."""
        if self._proceeding:
            return  # further up the stack, where the loop goes on
        self._proceeding = True
        while self._waiting and not self._choked and self._under_way < self._limits.calls:
            begin, answer = self._waiting.popleft()
            self._under_way += 1
            begin().addBoth(self._ended, answer)
        self._proceeding = False
        if self.transport is not None:
            self.hang_up_if_done()
            self._breathe()
            self._rest()

    def _ended(self, result: Any, answer: Deferred[Any]) -> None:
        self._under_way -= 1
        answer.callback(result)
        self._proceed()
        if self._idle is not None and not self._busy:
            idle, self._idle = self._idle, None
            idle.callback(None)

    @property
    def _busy(self) -> bool:
        """Whether a call is not answered yet."""
        return bool(self._waiting) or self._under_way > 0

    def pauseProducing(self) -> None:
        """The peer does not read its answers: take no more of its calls."""
        if not self._choked:
            self._choked = True
            self._breathe()
            self._rest()

    def resumeProducing(self) -> None:
        """The peer has read its answers."""
        self._choked = False
        self._proceed()

    def stopProducing(self) -> None:
        """The connection is gone."""

    def _breathe(self) -> None:
        """Read from the peer, or do not."""
        busy = self._choked or bool(self._waiting) or self._under_way >= self._limits.calls
        if busy != self._paused:
            self._paused = busy
            if busy:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def _rest(self) -> None:
        """Count the time in which it is the peer's turn, to speak or to read."""
        idle = self._choked or not self._busy
        limits = self._limits
        patience = limits.finish_seconds if self._retired else limits.idle_seconds
        if self._is_known:
            self.setTimeout(patience if idle else None)
