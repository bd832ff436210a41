"""Files that callers pass are held in parcels, and closed with them."""

from __future__ import annotations

import os
import select
import socket
import sys

import pytest

from runc_cpi.daemon.base import parcels

PATIENCE = 60.0


def pipe_with_packed_end() -> tuple[int, int]:
    """Return the end of a pipe, and the other end in a parcel."""
    other, file = os.pipe()
    parcel = parcels.pack(file)
    # No child can inherit it any more, from here on.
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)
    return other, parcel


def test_what_is_packed_can_be_taken_out() -> None:
    """A file can be taken out of a parcel, and peeked at before."""
    other, parcel = pipe_with_packed_end()
    with socket.socket(fileno=parcel) as end:
        for flags in (socket.MSG_PEEK, 0):
            _, [(_, _, data)], _, _ = end.recvmsg(1, socket.CMSG_SPACE(4), flags)
            with os.fdopen(int.from_bytes(data, sys.byteorder), "wb") as file:
                file.write(b"x")
            assert os.read(other, 2) == b"x"
    os.close(other)


def test_it_goes_with_its_parcel() -> None:
    """A file is closed when its parcel is closed."""
    other, parcel = pipe_with_packed_end()
    parcels.close(parcel)
    readable, _, _ = select.select([other], [], [], PATIENCE)
    assert readable
    assert os.read(other, 1) == b""
    os.close(other)


def test_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is closed if the kernel has no room for the parcel."""

    def refuse(*arguments: object) -> None:
        raise OSError("too many references")

    monkeypatch.setattr(socket, "send_fds", refuse)
    other, file = os.pipe()
    with pytest.raises(OSError, match="too many references"):
        parcels.pack(file)
    readable, _, _ = select.select([other], [], [], PATIENCE)
    assert readable
    assert os.read(other, 1) == b""
    os.close(other)
