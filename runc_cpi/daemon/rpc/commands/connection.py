"""Commands about the connection itself."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi.daemon.rpc.commands.base import Command


class Ping(Command):
    """Say that the daemon is there, and which version it is."""

    looks = True
    is_event = False
    response = [(b"version", amp.Unicode())]


class Confirm(Command):
    """
    Say that what was made on this connection has been told of, so that it stays.

    A caller sends it once its answer is where it belongs, and need not wait for an answer.
    """

    is_event = False
    arguments = [(b"cid", amp.Unicode())]
    requiresAnswer = False
