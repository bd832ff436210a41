"""Which resources the kernel can limit."""

from __future__ import annotations

from pathlib import Path

from runc_cpi.daemon.host import resource_limits


def test_where_processes_can_be_bounded(tmp_path: Path) -> None:
    """The pids controller is a hierarchy of cgroups v1, or named by those of v2."""
    assert not resource_limits.pids_accounting(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu rapids\n")
    assert not resource_limits.pids_accounting(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    assert resource_limits.pids_accounting(tmp_path)
    (tmp_path / "cgroup.controllers").unlink()
    (tmp_path / "pids").mkdir()
    assert resource_limits.pids_accounting(tmp_path)
