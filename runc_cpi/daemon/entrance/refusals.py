"""Errors for peers who are not let in: the answer to whatever their first call is."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi import wire
from runc_cpi.errors import CPIError


def refusal(error: CPIError) -> bytes:
    """Return an error as the answer to the first call of a connection."""
    return wire.encode_box(
        [
            (amp.ERROR, b"1"),
            (amp.ERROR_CODE, type(error).__name__.encode("ascii")),
            (amp.ERROR_DESCRIPTION, str(error).encode("utf-8")),
        ]
    )
