"""An AMP connection that a slow or hostile peer cannot make costly."""

from __future__ import annotations

import os
from contextvars import copy_context
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredSemaphore, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from runc_cpi.daemon.config import LimitsConfig

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
    from until it does, or until they end.  One that sends too much, or nothing, is cut
    off; calls that are under way are brought to their end all the same.
    """

    log = Logger()
    transport: Any

    def __init__(self, limits: LimitsConfig, reactor: Any) -> None:
        super().__init__()
        self._limits, self._reactor = limits, reactor
        self._slots = DeferredSemaphore(limits.calls)
        self._under_way = 0
        self._message = 0
        self._choked = False
        self._retired = False

    def callLater(self, period: float, function: Any) -> Any:
        """Use the daemon's clock for timeouts."""
        return self._reactor.callLater(period, function)

    def connectionMade(self) -> None:
        """Begin to count the time."""
        super().connectionMade()
        self._peer = self.transport.getPeer()
        self.transport.registerProducer(self, True)
        self.setTimeout(self._limits.first_seconds)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Stop counting, and let go of descriptors that nothing asked for."""
        self.setTimeout(None)
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        if isinstance(reason.value, SSL.Error):
            self._tell_of_tls(reason.value)
        super().connectionLost(reason)

    def _tell_of_tls(self, error: Any) -> None:
        reasons = error.args[0] if error.args else ()
        words = "; ".join(str(reason[-1]) for reason in reasons)
        peer = getattr(self._peer, "host", "a peer")
        self.log.warn(
            "TLS with {peer} failed: {words}", peer=peer, words=words or "no reason given"
        )

    def timeoutConnection(self) -> None:
        """Cut off a peer that says nothing."""
        if self.transport is not None:
            self.transport.abortConnection()

    def retire(self) -> None:
        """Take no more calls, and hang up once those under way are answered."""
        self._retired = True
        if not self._under_way:
            self.transport.loseConnection()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Keep a descriptor for the message that goes with it, but not many."""
        super().fileDescriptorReceived(descriptor)
        if len(self._descriptors) > DESCRIPTORS:
            self._cut_off("more than its messages name")

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
            return "discard"
        return str(proceed(string))

    def proto_discard(self, string: bytes) -> str:
        """Ignore what comes after the peer was cut off."""
        return "discard"

    def _cut_off(self, why: str) -> None:
        self.log.warn("cut off a connection: {why}", why=why)
        self.transport.abortConnection()

    def dispatchCommand(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        """Count a call while it is under way; meanwhile the peer may be silent."""
        self._under_way += 1
        self.setTimeout(None)
        self._breathe()
        # What was read along with others may be more than is allowed, and waits.
        context = copy_context()
        answer: Deferred[Any] = self._slots.acquire()
        answer.addCallback(lambda _: context.run(self._begin, box))
        return answer.addBoth(self._answered)

    def _begin(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        if self.transport is None:
            return fail(ConnectionDone("the caller hung up before the call began"))
        if self._retired:
            return fail(Retired("runc-cpid is about to stop; try again"))
        answer: Deferred[amp.AmpBox] = super().dispatchCommand(box)
        return answer

    def _answered(self, result: Any) -> Any:
        self._slots.release()
        self._under_way -= 1
        if self.transport is not None:
            if not self._under_way:
                self.setTimeout(self._limits.idle_seconds)
                if self._retired:
                    # Once this answer is written.
                    self.callLater(0, self.transport.loseConnection)
            self._breathe()
        return result

    def pauseProducing(self) -> None:
        """The peer does not read its answers: read no more of its calls."""
        self._choked = True
        self._breathe()

    def resumeProducing(self) -> None:
        """The peer has read its answers."""
        self._choked = False
        self._breathe()

    def stopProducing(self) -> None:
        """The connection is gone."""

    def _breathe(self) -> None:
        if self._choked or self._under_way >= self._limits.calls:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()
