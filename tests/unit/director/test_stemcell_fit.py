"""Stemcells that this host cannot boot are refused by their names."""

from __future__ import annotations

import platform
from pathlib import Path

import click
import pytest

from runc_cpi.ctl.director import stemcell_fit
from runc_cpi.daemon.doctor import cgroups

NOBLE = "https://example.com/1/bosh-stemcell-1.484-warden-boshlite-ubuntu-noble.tgz"
RESOLUTE = NOBLE.replace("noble", "resolute")
ARM = NOBLE.replace("noble", "noble-arm64")
HANDLER = """\
enabled
interpreter /usr/bin/qemu-x86_64
flags: OCF
offset 0
magic 7f454c4602010100000000000000000002003e00
mask fffffffffffefe00fffffffffffffffffeffffff
"""


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the kernel lists its handlers; it has none yet."""
    monkeypatch.setattr(stemcell_fit.runs_amd64, "__defaults__", (tmp_path,))
    return tmp_path


def set_host(monkeypatch: pytest.MonkeyPatch, machine: str, *, unified: bool) -> None:
    """Have this host be another."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(cgroups, "are_unified", lambda: unified)


@pytest.mark.parametrize(
    ("url", "machine", "unified", "why"),
    [
        pytest.param(NOBLE, "x86_64", False, None, id="noble, v1"),
        pytest.param(RESOLUTE, "x86_64", True, None, id="resolute, v2"),
        pytest.param(RESOLUTE, "x86_64", False, "cgroup v2 only", id="resolute, v1"),
        pytest.param(NOBLE, "aarch64", True, "amd64, and this", id="arm64"),
        pytest.param(ARM, "aarch64", True, None, id="arm64 for arm64"),
        pytest.param(ARM, "x86_64", True, "arm64, and this", id="for arm64"),
        pytest.param("file:///a/mine.tgz", "aarch64", False, None, id="unknown"),
    ],
)
def test_check(
    url: str,
    machine: str,
    unified: bool,
    why: str | None,
    handlers: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What does not fit is named, with what to do; a name that tells nothing is left."""
    set_host(monkeypatch, machine, unified=unified)
    if why is None:
        stemcell_fit.check(url)
        return
    with pytest.raises(click.ClickException, match=why) as refused:
        stemcell_fit.check(url)
    assert "with --stemcell" in refused.value.message


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        pytest.param(("", ""), True, id="as it is"),
        pytest.param(("enabled", "disabled"), False, id="disabled"),
        pytest.param(("OCF", "OC"), False, id="not in VMs"),
        pytest.param(("02003e00", "0200b700"), False, id="for arm64"),
    ],
)
def test_emulation(
    change: tuple[str, str], runs: bool, handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that runs programs for amd64 in VMs has stemcells for amd64."""
    (handlers / "register").write_bytes(b"\xff")
    (handlers / "qemu-x86_64").write_text(HANDLER.replace(*change))
    assert stemcell_fit.runs_amd64() == runs
    set_host(monkeypatch, "aarch64", unified=True)
    if runs:
        stemcell_fit.check(NOBLE)
