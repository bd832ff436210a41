"""The system call bpf(2) on machines of other kinds."""

from __future__ import annotations

import errno
import platform

import pytest

from runc_cpi.daemon.host import bpf


def test_a_machine_that_nothing_is_known_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the machine."""
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(OSError, match="bpf is not known here on s390x") as caught:
        bpf.call(0, b"")
    assert caught.value.errno == errno.ENOSYS
