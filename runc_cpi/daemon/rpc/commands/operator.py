"""Commands that only the operator's tool sends."""

from __future__ import annotations

from runc_cpi.daemon.rpc.commands.base import JSON, Command


class Repair(Command):
    """Make what there is agree with the records, and say what was done for that."""

    response = [(b"done", JSON()), (b"problems", JSON())]


class Status(Command):
    """Count what there is, and what was deleted and is not removed yet."""

    response = [(b"status", JSON())]
