"""The end of a daemon's data: nothing goes that is in use."""

from __future__ import annotations

import fcntl
import re
from pathlib import Path

import click
import pytest

from runc_cpi.ctl.director import project
from runc_cpi.ctl.director.work_dir import remove_work_dir
from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.storage.depot import NAMES, Depot


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


def test_files_of_others(config: DaemonConfig) -> None:
    """They stay, and are named."""
    for name in ("mine", "also mine"):
        (config.work_dir / name).mkdir()
    assert remove_work_dir(config) == (
        f"{config.work_dir} stays, with files of others: also mine, mine"
    )
    assert {path.name for path in config.work_dir.iterdir()} == {"mine", "also mine"}


def test_a_directory_that_no_daemon_has_used(config: DaemonConfig) -> None:
    """Without a lock nothing goes, also not what has a name of a daemon's."""
    (config.work_dir / "lock").unlink()
    assert remove_work_dir(config) == f"{config.work_dir} stays: no daemon has used it"
    assert (config.work_dir / "disks").exists()


def test_a_daemons_names(tmp_path: Path) -> None:
    """They are what a daemon makes, and what operations/uninstall removes."""
    script = (project.operations() / "uninstall").read_text("utf-8")
    listed = re.search(r"^depot=\(([^)]*)\)", script, re.MULTILINE)
    assert listed is not None
    assert tuple(listed[1].split()) == NAMES
    depot = Depot(tmp_path / "w")
    depot.prepare()
    depot.release()
    assert {path.name for path in depot.work_dir.iterdir()} <= set(NAMES)


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
