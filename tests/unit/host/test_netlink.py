"""Answers of the kernel that come in parts, and while something changes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from runc_cpi.daemon.host.network import netlink
from runc_cpi.daemon.host.network.netlink import DONE, HEADER, INTERRUPTED

KIND = 20


def message(body: bytes, kind: int = KIND, flags: int = 0) -> bytes:
    """Return a message of the kernel."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, 1, 0) + body


class Kernel:
    """A socket by which these parts come, one answer after the other."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self.asked = 0

    def __call__(self, *_: Any) -> Kernel:
        """Be opened."""
        return self

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, _: bytes) -> None:
        """Take a question."""
        self.asked += 1

    def recv(self, _: int) -> bytes:
        """Return the next part."""
        return next(self._parts)


END = message(b"", DONE)
CHANGED = [message(b"old.", flags=INTERRUPTED), END]
CHANGED_AT_END = [message(b"old.") + message(b"", DONE, INTERRUPTED)]


@pytest.mark.parametrize(
    ("parts", "asked", "expected"),
    [
        ([message(b"one.") + message(b"two."), END], 1, [b"one.", b"two."]),
        ([*CHANGED, *CHANGED_AT_END, message(b"new.") + END], 3, [b"new."]),
        ([*CHANGED, *CHANGED, *CHANGED, message(b"new.") + END], 3, [b"old."]),
    ],
    ids=["whole", "asked again", "given up"],
)
def test_dumps(
    parts: list[bytes], asked: int, expected: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again while something changes, but not for ever."""
    kernel = Kernel(iter(parts))
    monkeypatch.setattr(socket, "socket", kernel)
    found = netlink.dump(socket.NETLINK_ROUTE, KIND, b"")
    monkeypatch.undo()
    assert (list(found), kernel.asked) == (expected, asked)
