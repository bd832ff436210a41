"""The end of a daemon's data: nothing goes that is in use."""

from __future__ import annotations

import fcntl
from pathlib import Path

import click
import pytest

from runc_cpi.ctl.director.work_dir import remove_work_dir
from runc_cpi.daemon.config import DaemonConfig


@pytest.fixture
def config(tmp_path: Path) -> DaemonConfig:
    """The configuration of a daemon that has ended."""
    (tmp_path / "w" / "disks").mkdir(parents=True)
    (tmp_path / "w" / "lock").touch()
    return DaemonConfig.parse({"work_dir": str(tmp_path / "w"), "bridge": "none0"})


def test_removed(config: DaemonConfig) -> None:
    """All of it goes; a second time there is nothing to do."""
    assert remove_work_dir(config) == f"{config.work_dir} removed"
    assert not config.work_dir.exists()
    assert remove_work_dir(config) == f"{config.work_dir} is gone"


def test_a_mount_point(config: DaemonConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot go is emptied."""

    def busy(self: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rmdir", busy)
    assert remove_work_dir(config) == f"{config.work_dir} emptied"
    assert not list(config.work_dir.iterdir())


def test_a_daemon_that_runs(config: DaemonConfig) -> None:
    """Nothing goes under a daemon's feet."""
    with (config.work_dir / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(click.ClickException, match="a daemon still uses"):
            remove_work_dir(config)
    assert (config.work_dir / "disks").exists()


def test_vms(config: DaemonConfig) -> None:
    """A VM is not removed as a directory."""
    (config.work_dir / "vms" / "vm-1").mkdir(parents=True)
    with pytest.raises(click.ClickException, match="there are VMs"):
        remove_work_dir(config)
