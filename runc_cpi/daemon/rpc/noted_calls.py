"""What is noted of a call that comes: what it is about, and what it was answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from twisted.protocols import amp
from twisted.python.failure import Failure

from runc_cpi.daemon.base.calls import Call
from runc_cpi.daemon.events.calls import Calls, Problem
from runc_cpi.daemon.rpc import commands
from runc_cpi.errors import InternalError

CIDS = (b"vm_cid", b"disk_cid", b"snapshot_cid", b"stemcell_cid", b"network_cid")


def begin(calls: Calls, box: amp.AmpBox) -> Call | None:
    """Note a call that has come, or return L{None} if nobody is told of such calls."""
    command = commands.BY_NAME.get(box[amp.COMMAND])
    if command is None or not command.is_event:
        return None
    return calls.begin(command.method, _cids(box))


def end(calls: Calls, call: Call, answer: amp.AmpBox | Failure) -> None:
    """
    Note what a call was answered.

    @param answer: a L{Failure} is one that L{refusals.refusal} has made.
    """
    if not isinstance(answer, Failure):
        calls.end(call, made=_cids(answer))
        return
    refused = answer.value
    assert isinstance(refused, amp.RemoteAmpError), refused
    error, text = refused.errorCode.decode("ascii", "replace"), refused.description
    if error == InternalError.__name__:
        text = text.partition("\n")[0]  # the rest tells where in the code it is
    calls.end(call, problem=Problem(error, text))


def _cids(box: Mapping[bytes, bytes]) -> Iterator[str]:
    return (box[key].decode("utf-8", "replace") for key in CIDS if key in box)
