"""Errors as AMP answers: what a caller is told, and what the log tells besides."""

from __future__ import annotations

import errno

from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.bounded import Retired
from runc_cpi.errors import (
    CloudError,
    CPIError,
    DaemonUnreachable,
    InternalError,
    NoDiskSpace,
)
from runc_cpi.faults import trace

# Characters of a message that cross the wire.
MESSAGE_LIMIT = 4096

log = Logger()


def refusal(failure: Failure, command: str) -> Failure:
    """
    Return the error that a call is answered with.

    Every error is answered, also one that the command does not declare: AMP itself would
    hang up on all other calls of the connection.

    @param failure: why the call failed.
    @param command: the name of the command, or what the contract calls the call.
    """
    error = failure.value
    if isinstance(error, amp.RemoteAmpError):
        code, text = error.errorCode, str(error.description)[:MESSAGE_LIMIT]
        log.info("{command} refused: {text}", command=command, text=text)
    elif isinstance(error, CPIError):
        code, text = commands.WIRE_ERRORS[type(error)], str(error)[:MESSAGE_LIMIT]
        log.info("{command} refused: {text}", command=command, text=text)
    elif isinstance(error, (ConnectionDone, Retired)):
        code, text = commands.WIRE_ERRORS[DaemonUnreachable], str(error)
    elif isinstance(error, OSError):
        kind = NoDiskSpace if error.errno == errno.ENOSPC else CloudError
        code, text = commands.WIRE_ERRORS[kind], f"{command}: {error}"
        log.error("{text}", text=text)
    else:
        log.failure("bug answering {command}", failure, command=command)
        code = commands.WIRE_ERRORS[InternalError]
        text = f"internal error in {command}; the daemon's log tells more"
        text = f"{text}\n{trace(error)}" if error is not None else text
    return Failure(amp.RemoteAmpError(code, text[:MESSAGE_LIMIT], fatal=False))
