"""A daemon waits for a copy of the last one's lock, and not for another daemon."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from runc_cpi.daemon.storage import lock
from runc_cpi.daemon.storage.lock import NAME, DaemonLock


def held(work_dir: Path) -> int:
    """Return a descriptor that has the lock."""
    fd = os.open(work_dir / NAME, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def test_a_copy_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was being started has the lock until it runs its program."""
    monkeypatch.setattr(lock, "COPY_TIMEOUT", 60.0)
    copy = threading.Timer(0.1, os.close, [held(tmp_path)])
    copy.start()
    taken = DaemonLock(tmp_path)
    taken.take()
    taken.release()
    copy.join()


def test_another_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps the lock is another daemon."""
    monkeypatch.setattr(lock, "COPY_TIMEOUT", 0.1)
    fd = held(tmp_path)
    try:
        with pytest.raises(BlockingIOError):
            DaemonLock(tmp_path).take()
    finally:
        os.close(fd)
