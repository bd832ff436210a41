"""How far a reboot has come, as one daemon notes it for the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi.daemon.vms import progress
from runc_cpi.daemon.vms.progress import NOTE, Progress


@pytest.mark.parametrize("stage", Progress)
def test_what_is_noted_is_read(tmp_path: Path, stage: Progress) -> None:
    """Until it is cleared; to clear it twice does no harm."""
    assert progress.read(tmp_path) is None
    progress.write(tmp_path, stage)
    assert progress.read(tmp_path) is stage
    progress.clear(tmp_path)
    progress.clear(tmp_path)
    assert progress.read(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"boot", b"\xff"])
def test_a_note_that_was_cut_off(tmp_path: Path, content: bytes) -> None:
    """The VM may run: it is asked to halt, as if nothing had been done yet."""
    (tmp_path / NOTE).write_bytes(content)
    assert progress.read(tmp_path) is Progress.HALTING
