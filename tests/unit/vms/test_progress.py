"""How far a reboot has come, as one daemon notes it for the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.vms import progress
from runc_cpi.daemon.vms.progress import Progress


@pytest.mark.parametrize("stage", Progress)
def test_what_is_noted_is_read(tmp_path: Path, stage: Progress) -> None:
    """A stage is read as it was noted, until it is cleared, which can be done twice."""
    bundle = Bundle(tmp_path)
    assert progress.read(bundle) is None
    progress.write(bundle, stage)
    assert progress.read(bundle) is stage
    progress.clear(bundle)
    progress.clear(bundle)
    assert progress.read(bundle) is None


@pytest.mark.parametrize("content", [b"", b"boot", b"\xff"])
def test_a_note_that_was_cut_off(tmp_path: Path, content: bytes) -> None:
    """A reboot whose note is cut off begins with asking the VM to halt: it may run."""
    bundle = Bundle(tmp_path)
    bundle.reboot_note.write_bytes(content)
    assert progress.read(bundle) is Progress.HALTING
