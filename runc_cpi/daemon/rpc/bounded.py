"""An AMP connection that a slow or hostile peer cannot make costly."""

from __future__ import annotations

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
from twisted.python.failure import Failure
from zope.interface import implementer

from runc_cpi.daemon.base import parcels
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.encryption import NO_TLS_HERE, begins_tls
from runc_cpi.daemon.entrance.first_answer import first_answer
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.rpc.budget import Budget, Exceeded
from runc_cpi.daemon.rpc.call_queue import CallQueue
from runc_cpi.daemon.rpc.idle_timer import IdleTimer
from runc_cpi.errors import TLSRejected

Call = tuple[Callable[[], Deferred[amp.AmpBox]], Deferred[amp.AmpBox]]


class Retired(Exception):
    """A call came when no more are taken."""


@implementer(IPushProducer)
class BoundedAMP(amp.AMP):
    """
    AMP within L{LimitsConfig}.

    A peer that does not read its answers, or has too many calls under way, is not read
    from until it does, or until they end.  One that sends too much, or nothing, or what
    is no call, is cut off; calls that are under way are brought to their end all the
    same.
    """

    log = Logger()
    transport: Any

    def __init__(self, limits: LimitsConfig, reactor: Any, peer_log: PeerLog) -> None:
        super().__init__()
        self._limits, self._peer_log = limits, peer_log
        self._budget = Budget(limits.message_bytes)
        self._calls: CallQueue[Call] = CallQueue(limits.calls)
        self._idle_timer = IdleTimer(reactor, self.timeoutConnection)
        self._all_ended: Deferred[None] | None = None
        self._is_beginning_calls = self._is_paused = False
        self._is_known = self._is_cut_off = self._is_retired = False

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
        self._idle_timer.start(self._limits.first_seconds)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Stop counting, and let go of all that waits."""
        self._idle_timer.stop()
        for descriptor in self._descriptors.values():
            parcels.close(descriptor)
        self._descriptors.clear()
        if isinstance(reason.value, SSL.Error):
            self._log_tls_failure(reason.value)
        super().connectionLost(reason)
        self._calls.release()
        self._begin_calls()

    def _log_tls_failure(self, error: Any) -> None:
        reasons = error.args[0] if error.args else ()
        words = "; ".join(str(reason[-1]) for reason in reasons)
        self._warn("TLS with {peer} failed: {words}", words=words or "no reason given")

    def _warn(self, text: str, **parts: str) -> None:
        self._peer_log.warn(self.peer, text, peer=self.peer, **parts)

    def timeoutConnection(self) -> None:
        """Cut off a peer that says nothing."""
        if self.transport is not None:
            self.transport.abortConnection()

    def retire(self) -> None:
        """Take no more calls, and hang up once those under way are answered."""
        self._is_retired = True
        if self.transport is not None:
            self.hang_up_if_done()
            self._update_idle_timer()

    def hang_up_if_done(self) -> None:
        """Hang up if no more calls are taken, and nothing is waited for."""
        if self._is_retired and self._calls.is_empty and not self.is_waited_for:
            self.transport.loseConnection()

    @property
    def is_waited_for(self) -> bool:
        """Whether the peer still has to say something that is no call."""
        return False

    async def finished(self) -> None:
        """Wait until no call is under way, which may be long after the peer is gone."""
        while not self._calls.is_empty:
            self._all_ended = Deferred()
            await self._all_ended

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Keep a file, packed, for the message that goes with it, but not many."""
        super().fileDescriptorReceived(parcels.pack(descriptor))
        try:
            self._budget.check_descriptors(len(self._descriptors))
        except Exceeded as error:
            self._cut_off(str(error))

    def proto_key(self, string: bytes) -> str:
        """Count a key; a message is complete with an empty one."""
        if not string:
            self._budget.message_begins()
        return self._counted(string, super().proto_key)

    def proto_value(self, string: bytes) -> str:
        """Count a value."""
        return self._counted(string, super().proto_value)

    def _counted(self, string: bytes, proceed: Callable[[bytes], str]) -> str:
        try:
            self._budget.count_string(len(string))
        except Exceeded as error:
            self._cut_off(str(error))
        state = "" if self._is_cut_off else str(proceed(string))
        return "discard" if self._is_cut_off else state

    def proto_discard(self, string: bytes) -> str:
        """Ignore what comes after the peer was cut off."""
        return "discard"

    def lengthLimitExceeded(self, length: int) -> None:
        """Hang up on what does not speak AMP, and tell it if it speaks TLS."""
        if not self._is_known and begins_tls(length.to_bytes(2, "big")):
            self._warn(
                "refused a connection from {peer}: it speaks TLS, and tls is not set"
            )
            self.transport.write(first_answer(TLSRejected(NO_TLS_HERE)))
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
        Note a first call: the peer is none that only holds a connection.

        @return: whether it may go on.
        """
        return True

    def _cut_off(self, why: str) -> None:
        self._is_cut_off = True
        self._warn("cut off a connection from {peer}: {why}", why=why)
        self.transport.abortConnection()

    def dispatchCommand(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        """Have a call wait for its turn; until it is answered the peer may be silent."""
        answer: Deferred[amp.AmpBox] = Deferred()
        begin = partial(copy_context().run, maybeDeferred, self.begin_call, box)
        self._calls.add((begin, answer))
        self._begin_calls()
        return answer

    def begin_call(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        """Begin a call whose turn it is, unless it comes too late."""
        if self.transport is None:
            return fail(ConnectionDone("the caller hung up before the call began"))
        if self._is_retired:
            return fail(Retired("runc-cpid is about to stop; try again"))
        answer: Deferred[amp.AmpBox] = super().dispatchCommand(box)
        return answer

    def _begin_calls(self) -> None:
        """Begin what may begin; what a single read brought can be more than that."""
        if self._is_beginning_calls:
            return  # further up the stack, where the loop goes on
        self._is_beginning_calls = True
        while call := self._calls.begin():
            begin, answer = call
            begin().addBoth(self._ended, answer)
        self._is_beginning_calls = False
        if self.transport is not None:
            self.hang_up_if_done()
            self._read_or_pause()
            self._update_idle_timer()

    def _ended(self, result: Any, answer: Deferred[Any]) -> None:
        self._calls.end()
        answer.callback(result)
        self._begin_calls()
        if self._all_ended is not None and self._calls.is_empty:
            waiting, self._all_ended = self._all_ended, None
            waiting.callback(None)

    def pauseProducing(self) -> None:
        """The peer does not read its answers: take no more of its calls."""
        if not self._calls.is_held:
            self._calls.hold()
            self._read_or_pause()
            self._update_idle_timer()

    def resumeProducing(self) -> None:
        """The peer has read its answers."""
        self._calls.release()
        self._begin_calls()

    def stopProducing(self) -> None:
        """The connection is gone."""

    def _read_or_pause(self) -> None:
        """Read from the peer if a call that it sends could begin."""
        if self._calls.is_full != self._is_paused:
            self._is_paused = self._calls.is_full
            if self._is_paused:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def _update_idle_timer(self) -> None:
        """Count the time in which it is the peer's turn, to speak or to read."""
        if not self._is_known:
            return  # the time for its first message goes on
        limits = self._limits
        if self._calls.is_held or self._calls.is_empty:
            seconds = limits.finish_seconds if self._is_retired else limits.idle_seconds
            self._idle_timer.start(seconds)
        else:
            self._idle_timer.stop()
