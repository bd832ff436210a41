"""Configs of a director: ours are kept up to date, those of the operator stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runc_cpi.ctl.director import configs
from runc_cpi.ctl.director.bosh_cli import BoshCLI
from runc_cpi.ctl.director.director import Director
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.manifest import Manifest
from runc_cpi.ctl.director.running import CommandFailed
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.operator import Operator


class Told(Director):
    """
    A director with one config.

    @ivar wanted: what C{up} would tell. @ivar has: what it has, or L{None}.
    @ivar is_up: whether it answers.
    """

    def __init__(self, directory: StateDirectory, **more: Any) -> None:
        super().__init__(Operator(), directory, Settings(**more))
        self.wanted, self.is_up = "a: 1\n", True
        self.has: str | None = None
        self.bosh = BoshCLI(Path("/nonexistent"), directory, self.runner)
        self.bosh.interpolate = lambda arguments: self.wanted  # type: ignore[method-assign]
        self.complete = ""
        self.manifest = Manifest(
            settings=self.settings,
            deployment=None,
            release=Path("/r.tgz"),
            tls=None,
            directory=directory,
            cache=None,
        )

    def ask(self, name: str, *arguments: str | Path) -> str:
        """Return the config, as bosh does."""
        assert arguments == ("cloud-config",)
        if not self.is_up:
            raise CommandFailed("bosh ended", ["connection refused"])
        if self.has is None:
            raise CommandFailed("bosh ended", ["No cloud config", "Exit code 1"])
        return self.has

    def tell(self, name: str, *arguments: str | Path) -> None:
        """Take the config."""
        assert arguments[0] == "update-cloud-config"
        self.has = self.wanted


@pytest.fixture
def director(directory: StateDirectory) -> Told:
    """A director that has no config yet."""
    return Told(directory)


def test_ours(director: Told) -> None:
    """It is told once, and again when it would be another one."""
    assert configs.tell(director, "cloud-config") == "told"
    director.has = "{a: 1}  # written in another way"
    assert configs.tell(director, "cloud-config") == "as it was"
    director.wanted = "a: 2\n"
    assert configs.tell(director, "cloud-config") == "told"
    assert director.has == "a: 2\n"


def test_the_operators(director: Told, directory: StateDirectory) -> None:
    """It stays, whether it was there before or came since; without it ours is back."""
    director.has = "b: 1\n"
    assert configs.tell(director, "cloud-config") == "yours; left as it is"
    assert director.has == "b: 1\n"
    director.has = None
    assert configs.tell(director, "cloud-config") == "told"
    director.has = "b: 1\n"
    assert configs.tell(director, "cloud-config") == "yours; left as it is"
    assert director.has == "b: 1\n"


def test_broken_off(director: Told, directory: StateDirectory) -> None:
    """A config that was told without a note of it is known for ours by what it is."""
    assert configs.tell(director, "cloud-config") == "told"
    directory.told.unlink()
    assert configs.tell(director, "cloud-config") == "as it was"
    director.wanted = "a: 2\n"
    assert configs.tell(director, "cloud-config") == "told"


def test_no_answer(director: Told) -> None:
    """That is no director without a config."""
    director.is_up = False
    with pytest.raises(CommandFailed):
        configs.tell(director, "cloud-config")
