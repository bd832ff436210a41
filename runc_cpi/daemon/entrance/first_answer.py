"""The answer to the first call of a peer that is not let in."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi import wire
from runc_cpi.errors import CPIError


def first_answer(error: CPIError) -> bytes:
    """Return an error, as bytes, as the answer to whatever the first call is."""
    return wire.encode_box(
        [
            (amp.ERROR, b"1"),
            (amp.ERROR_CODE, type(error).__name__.encode("ascii")),
            (amp.ERROR_DESCRIPTION, str(error).encode("utf-8")),
        ]
    )
