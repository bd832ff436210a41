"""Removals of interfaces: what the kernel refuses, and what takes it long."""

from __future__ import annotations

import errno
from threading import Event

import pytest
from twisted.logger import capturedLogs, eventAsText

from runc_cpi.daemon.host.network import links, rtnetlink
from tests.harness.waiting import eventually


@pytest.fixture
def loopback() -> str:
    """The interface that each host has, whose removal is asked of nobody here."""
    assert links.find("lo") is not None
    return "lo"


def test_a_refusal(loopback: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told what the kernel says."""

    def refuse(index: int) -> None:
        assert index == links.find(loopback)
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(rtnetlink, "remove_link", refuse)
    with pytest.raises(OSError, match="Operation not supported"):
        links.remove(loopback)


def test_one_that_is_gone(loopback: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no error if somebody else was quicker."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(rtnetlink, "remove_link", refuse)
    links.remove(loopback)
    links.remove("none")


def test_one_that_takes_long(loopback: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The caller goes on once the name is free.  The log tells of the thread that waits, which
    is counted until it ends.
    """
    gone, asked = Event(), Event()

    def remove(_: int) -> None:
        asked.set()
        gone.wait()

    monkeypatch.setattr(links, "LONG", 0.01)
    monkeypatch.setattr(rtnetlink, "remove_link", remove)
    index = links.find(loopback)
    monkeypatch.setattr(links, "find", lambda _: None if asked.is_set() else index)
    try:
        with capturedLogs() as log:
            links.remove(loopback)
            eventually(lambda: bool(log), "it is told")
        text = eventAsText(log[0], includeTimestamp=False)
        assert f"has not removed interface {index} within 0.01 s" in text
        assert links.stuck_removals() == 1
    finally:
        gone.set()
    eventually(lambda: links.stuck_removals() == 0, "it is counted no more")
