"""Commands about what happens here: events, and calls that are under way."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi.daemon.rpc.commands.base import JSON, Command

FILTERS = (b"filters", JSON(optional=True))
LIMIT = (b"limit", amp.Integer())
EVENTS = (b"events", JSON())
LAST = (b"last", amp.Integer())


class ListEvents(Command):
    """
    Say what happened: the newest events, the oldest of them first.

    C{before} is the number that all are below; C{last} is that of the last event of all,
    from which L{FollowEvents} goes on.
    """

    looks = True
    is_event = False
    arguments = [FILTERS, LIMIT, (b"before", amp.Integer(optional=True))]
    response = [EVENTS, LAST]


class FollowEvents(Command):
    """
    Say what happens next, and wait for it up to C{seconds}.

    C{after} is the number of the last event that the caller knows, and C{last} the one for
    the next call.  C{missed} events went by before the caller asked.
    """

    looks = True
    is_event = False
    arguments = [FILTERS, LIMIT, (b"after", amp.Integer()), (b"seconds", amp.Integer())]
    response = [EVENTS, LAST, (b"missed", amp.Integer())]


class ListCalls(Command):
    """Say which calls are under way, the oldest first; C{total} is how many there are."""

    looks = True
    is_event = False
    response = [(b"calls", JSON()), (b"total", amp.Integer())]
