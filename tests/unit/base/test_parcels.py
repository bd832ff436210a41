"""Parcels: a file in one can be taken out, and is closed with it."""

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
    """A file can be taken out of a parcel, more than once if it is also left there."""
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


def test_a_file_that_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be closed yet goes to no program that a child becomes."""
    monkeypatch.setattr(parcels, "CLOSING_SECONDS", 0.0)
    other, file = os.pipe()
    os.set_inheritable(file, True)  # as what is received is
    with monkeypatch.context() as patch:
        patch.setattr(parcels, "close", lambda _: None)
        parcel = parcels.pack(file)
    assert not os.get_inheritable(file)
    for fd in (other, file, parcel):
        os.close(fd)


def test_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be put into a parcel is closed."""

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
