"""What OCI runtimes keep of their containers, as runc and as crun has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi.daemon.host.oci import runtime_state


def test_what_is_no_container(tmp_path: Path) -> None:
    """Only directories are containers, and none that crun keeps for itself."""
    for name in ("vm-1", "trial-1", ".empty-directory", ".cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert runtime_state.containers(tmp_path) == {"vm-1", "trial-1"}


@pytest.mark.parametrize("name", ["state.json", "status"])
def test_a_sound_state(tmp_path: Path, name: str) -> None:
    """A state is sound if the runtime's own file of it is whole."""
    assert not runtime_state.is_sound(tmp_path)
    (tmp_path / name).write_text('{"pid": ')
    assert not runtime_state.is_sound(tmp_path)
    (tmp_path / name).write_text('{"pid": 1}')
    assert runtime_state.is_sound(tmp_path)
