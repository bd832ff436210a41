"""What a director is to be like: options, what is kept of them, and bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from runc_cpi.ctl.director.settings import DEPLOYMENT, Settings
from tests.unit.ctl.invoking import Tool


def test_usual_ones() -> None:
    """Without options there is a network, and bosh-deployment is pinned to a commit."""
    usual = Settings()
    assert (usual.cidr, usual.gateway, usual.address) == (
        "10.0.0.0/16",
        "10.0.0.1",
        "10.0.0.4",
    )
    assert usual.deployment_source == DEPLOYMENT
    assert len(DEPLOYMENT.rpartition("@")[2]) == 40


def test_options_are_kept() -> None:
    """What was given before holds until something else is given, or it is taken back."""
    first = Settings().with_options({"cidr": "10.9.0.0/24", "features": ("uaa",)})
    kept = Settings.from_json(first.to_json())
    assert kept == first
    second = kept.with_options({"disk_size": 2048, "features": None, "ops": ()})
    assert (second.cidr, second.features) == ("10.9.0.0/24", ("uaa",))
    assert second.with_options({"cidr": "none"}).cidr == Settings().cidr
    assert second.with_options({"features": ("none",)}).features == ()


def test_of_another_version() -> None:
    """Settings that are not known are passed over, and missing ones are as usual."""
    assert Settings.from_json(json.dumps({"name": "n", "new": 1})).name == "n"


def test_files_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is kept by its whole path."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.yml", "s.tgz"):
        (tmp_path / name).touch()
    options = {"ops": ("a.yml",), "stemcell": "s.tgz", "bosh_deployment": "d"}
    settings = Settings().with_options(options)
    assert settings.ops == (f"{tmp_path}/a.yml",)
    assert settings.stemcell == f"{tmp_path}/s.tgz"
    assert settings.deployment_source == f"{tmp_path}/d"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "a b"}, "--name: 'a b' is no name of a director"),
        ({"cidr": "10.0.0.1/16"}, "--cidr: '10.0.0.1/16' is no IPv4 network"),
        ({"cidr": "x"}, "--cidr: 'x' is no IPv4 network such as 10.0.0.0/16"),
        ({"cidr": "10.0.0.0/30"}, "--cidr: 10.0.0.0/30 is too small"),
        ({"ip": "10.1.0.4"}, "--ip: 10.1.0.4 must be in 10.0.0.0/16"),
        ({"ip": "10.0.0.1"}, "--ip: 10.0.0.1 must be in 10.0.0.0/16, and be none of"),
        ({"ip": "x"}, "--ip: 'x' is no IPv4 address"),
        ({"disk_size": 5}, "--disk-size: 5 MiB; it must be from 1024 to"),
        ({"ops": ("/none",)}, "--ops: /none: there is no such file"),
        ({"manifest": "/none"}, "--manifest: /none: there is no such file"),
        ({"stemcell": "/none"}, "--stemcell: /none: there is no such file"),
        ({"stemcell": "https://x/s.tgz"}, "--stemcell: a URL takes its digest as well"),
        ({"features": ("x",)}, "--with: 'x' is unknown; there are uaa, credhub, jumpbox"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_ones(options: dict[str, Any], said: str) -> None:
    """The option is named, with its value and what is accepted."""
    with pytest.raises(click.UsageError) as refused:
        Settings().with_options(options)
    assert refused.value.message.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--with", "dns,x"], "'x' is unknown; there are uaa, credhub, jumpbox, dns"),
        (["up", "--disk-size", "x"], "'x' is not a valid integer"),
        (["up", "x"], "Got unexpected extra argument"),
        (["nothing"], "No such command 'nothing'"),
        (["fetch"], "Missing argument 'DIRECTORY'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_command_lines(
    arguments: list[str], said: str, tool: Tool, tmp_path: Path
) -> None:
    """A bad command line is refused before anything is made."""
    where = tmp_path / "d"
    refused = tool.refusal("director", "--state-dir", where, *arguments)
    assert said in refused
    assert not where.exists()
