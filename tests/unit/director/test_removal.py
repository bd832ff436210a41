"""C{destroy}: what the daemon refuses to delete holds up nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from runc_cpi.ctl.director.director import Director
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.removal import Removal
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.operator import Operator
from runc_cpi.errors import CloudError, DaemonUnreachable

REFUSAL = "vm-1: the record cannot be read"


class Asked(Operator):
    """A daemon with a VM that is set aside, and others; it deletes all but that."""

    there = {
        "vms": [{"vm_cid": "vm-1"}, {"vm_cid": "vm-2"}],
        "disks": [{"disk_cid": "disk-1"}],
    }

    def __init__(self) -> None:
        super().__init__()
        self.deleted: list[str] = []
        self.error = CloudError("the record cannot be read")

    def ask(self, name: str, **arguments: Any) -> dict[bytes, bytes]:
        """List, or delete."""
        if name.startswith("List"):
            key = name.removeprefix("List").lower()
            return {key.encode(): json.dumps(self.there.get(key, [])).encode()}
        (cid,) = arguments.values()
        if cid == "vm-1":
            raise self.error
        self.deleted.append(cid)
        return {}


@pytest.fixture
def director(directory: StateDirectory, tmp_path: Path) -> Director:
    """A director whose daemon's files we have written, with a VM in its directory."""
    settings = Settings(config=str(tmp_path / "etc" / "config.yml"))
    director = Director(Operator(), directory, settings)
    director.files.write(settings)
    with director.files.config.open("a") as file:
        file.write(f"work_dir: {tmp_path / 'work'}\nbridge: none0\n")
    (tmp_path / "work" / "vms" / "vm-1").mkdir(parents=True)
    return director


@pytest.fixture
def asked(director: Director, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the director's daemon is asked."""
    asked = Asked()
    monkeypatch.setattr(director, "operator", lambda: asked)
    return asked


def run(removal: Removal, name: str) -> str:
    """Take a step."""
    return next(step for step in removal.steps() if step.name == name).run()


def test_one_that_cannot_be_deleted(director: Director, asked: Asked) -> None:
    """All others are deleted; then it fails, and says why."""
    with pytest.raises(CloudError, match=REFUSAL):
        run(Removal(director, force=False), "leftovers")
    assert asked.deleted == ["vm-2", "disk-1"]


def test_it_is_left_out_by_force(director: Director, asked: Asked) -> None:
    """It goes on without it, and says so."""
    told = run(Removal(director, force=True), "leftovers")
    assert told == f"2 deleted; left out: {REFUSAL}"
    assert asked.deleted == ["vm-2", "disk-1"]


def test_a_daemon_that_is_gone(director: Director, asked: Asked) -> None:
    """Nothing else is asked of it, also by force."""
    asked.error = DaemonUnreachable("no daemon")
    with pytest.raises(DaemonUnreachable):
        run(Removal(director, force=True), "leftovers")
    assert asked.deleted == []


def test_data_of_a_vm(director: Director) -> None:
    """They stay, and are named; by force it goes on."""
    there = f"{director.config.work_dir}: there are VMs, such as vm-1"
    with pytest.raises(click.ClickException, match="there are VMs"):
        run(Removal(director, force=False), "work_dir")
    removal = Removal(director, force=True)
    assert run(removal, "work_dir") == f"left out: {there}"
    assert not removal.is_empty
    assert (director.config.work_dir / "vms" / "vm-1").exists()
