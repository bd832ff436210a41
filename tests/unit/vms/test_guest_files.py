"""The files that each VM gets, and how they are written over those of a stemcell."""

from __future__ import annotations

import json
import os
import stat
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.base.id_range import SIZE, IdRange
from runc_cpi.daemon.stemcells.features import Features
from runc_cpi.daemon.vms.files.guest_files import (
    READ_LIMIT,
    GuestFile,
    agent_config,
    guest_files,
    write_upper,
)
from runc_cpi.daemon.vms.files.settings_file import settings_file
from tests.harness.trees import link, write

AGENT = "var/vcap/bosh/agent.json"
CONFIG = {"Platform": {"Linux": {"UseDefaultTmpDir": True}}, "Infrastructure": {"a": [1]}}
PLAIN = Features(init="runit", sync_time=False, resolved=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root file system, with a directory beside it that is the host's."""
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    return root


def files(*names: str) -> list[GuestFile]:
    """Return files to write."""
    return [GuestFile(name=name, content=f"in {name}\n") for name in names]


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """An empty upper layer."""
    upper = tmp_path / "upper"
    upper.mkdir()
    return upper


def test_files_are_written_with_their_modes(root: Path, upper: Path) -> None:
    """Files get the modes they are given, whatever the umask is."""
    secret = GuestFile(name="var/vcap/bosh/settings.json", content="{}", mode=0o600)
    script = GuestFile(name="bin/script", content="#!/bin/sh\n", mode=0o755)
    before = os.umask(0o077)
    try:
        write_upper([*files("etc/hosts"), secret, script], root, upper)
    finally:
        os.umask(before)
    assert (upper / "etc/hosts").read_text() == "in etc/hosts\n"
    modes = [
        stat.S_IMODE((upper / name).stat().st_mode)
        for name in ("etc", "etc/hosts", "var/vcap/bosh/settings.json", "bin/script")
    ]
    assert modes == [0o755, 0o644, 0o600, 0o755]


def test_directories_look_like_the_stemcells(root: Path, upper: Path) -> None:
    """A directory that is made for a file has the owner and mode of the stemcell's."""
    (root / "etc/deep").mkdir(parents=True)
    (root / "etc").chmod(0o751)
    (root / "etc/deep").chmod(0o2770)
    write_upper(files("etc/deep/file", "etc/other"), root, upper)
    assert stat.S_IMODE((upper / "etc").stat().st_mode) == 0o751
    assert stat.S_IMODE((upper / "etc/deep").stat().st_mode) == 0o2770
    for name in ("etc", "etc/deep"):
        model, made = (root / name).stat(), (upper / name).stat()
        assert (made.st_uid, made.st_gid) == (model.st_uid, model.st_gid)


@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_nothing_is_written_through_a_link(root: Path, upper: Path, target: str) -> None:
    """A stemcell whose /etc leads to the host's files changes none of them."""
    outside = root.parent / "outside"
    (outside / "hosts").write_text("the host's")
    link(root, "etc", str(outside) if target == "absolute" else "../outside")
    write_upper(files("etc/hosts", "etc/hostname"), root, upper)
    assert sorted(os.listdir(outside)) == ["hosts"]
    assert (outside / "hosts").read_text() == "the host's"
    assert not (upper / "etc").is_symlink()
    assert (upper / "etc/hosts").read_text() == "in etc/hosts\n"


def test_a_mode_is_not_taken_from_outside(root: Path, upper: Path) -> None:
    """The mode of a directory is not that of the host's which a stemcell's link names."""
    outside = root.parent / "outside"
    outside.chmod(0o700)
    link(root, "etc", str(outside))
    write_upper(files("etc/hosts"), root, upper)
    assert stat.S_IMODE((upper / "etc").stat().st_mode) == 0o755


def test_a_directory_is_not_modelled_on_a_file(root: Path, upper: Path) -> None:
    """A directory in place of a stemcell's file does not get the mode of the file."""
    (root / "etc").write_text("a stemcell gone wrong")
    (root / "etc").chmod(0o644)
    write_upper(files("etc/hosts"), root, upper)
    assert stat.S_IMODE((upper / "etc").stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_files_of_a_vm_with_own_ids(root: Path, upper: Path) -> None:
    """Files are its root's; a directory's owner is the same user as in the stemcell."""
    (root / "etc").mkdir(exist_ok=True)
    os.chown(root / "etc", 33, 34)
    write_upper(files("etc/hosts", "new/file"), root, upper, IdRange(SIZE))
    owners = {
        name: ((upper / name).stat().st_uid - SIZE, (upper / name).stat().st_gid - SIZE)
        for name in ("etc", "etc/hosts", "new", "new/file")
    }
    assert owners == {
        "etc": (33, 34),
        "etc/hosts": (0, 0),
        "new": (0, 0),
        "new/file": (0, 0),
    }


def contents(features: Features, dns: list[str]) -> dict[str, GuestFile]:
    """Return a VM's files by name."""
    made = guest_files(
        vm_cid="vm-1",
        address=IPv4Address("10.0.0.2"),
        dns=dns,
        features=features,
    )
    return {file.name: file for file in made}


def test_files_every_vm_gets() -> None:
    """A VM can resolve names from its first moment, and only root reads its settings."""
    made = contents(PLAIN, ["192.0.2.1", "192.0.2.2"])
    assert made["etc/hostname"].content == "vm-1\n"
    assert "10.0.0.2 vm-1\n" in made["etc/hosts"].content
    assert "127.0.0.1 localhost\n" in made["etc/hosts"].content
    resolv_conf = "nameserver 192.0.2.1\nnameserver 192.0.2.2\n"
    assert made["etc/resolv.conf"].content == resolv_conf
    assert len(made) == 3
    settings = settings_file({"agent_id": "agent-1"})
    assert settings.name == "var/vcap/bosh/warden-cpi-agent-env.json"
    assert json.loads(settings.content) == {"agent_id": "agent-1"}
    assert settings.mode == 0o600


def test_the_clock_script_is_made_harmless() -> None:
    """The agent's script that sets the clock is replaced where a stemcell has it."""
    made = contents(Features(init="runit", sync_time=True, resolved=False), [])
    script = made["var/vcap/bosh/bin/sync-time"]
    assert script.mode == 0o755
    assert script.content.startswith("#!/bin/sh\n")
    assert "chronyc" not in script.content


def test_resolved_gets_fallback_servers() -> None:
    """systemd-resolved gets name servers that those of the agent take precedence over."""
    made = contents(Features(init="systemd", sync_time=False, resolved=True), ["192.0.2.1"])
    drop_in = made["etc/systemd/resolved.conf.d/05-runc-cpi.conf"]
    assert drop_in.content == "[Resolve]\nFallbackDNS=192.0.2.1\n"


@pytest.mark.parametrize("binds", [True, False])
def test_the_agents_configuration(tmp_path: Path, binds: bool) -> None:
    """One key of the agent's configuration is set, and all others stay."""
    write(tmp_path, AGENT, json.dumps(CONFIG))
    (file,) = agent_config(tmp_path, binds=binds)
    assert file.name == AGENT
    changed: Any = json.loads(file.content)
    assert changed["Platform"]["Linux"].pop("BindMountPersistentDisk") is binds
    assert changed == CONFIG


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{ broken",
        "[]",
        "null",
        "{}",
        '{"Platform": null}',
        '{"Platform": {"Linux": 5}}',
        b"\xff\xfe",
        b" " * (READ_LIMIT + 1),
    ],
)
def test_one_that_cannot_be_changed(tmp_path: Path, content: str | bytes | None) -> None:
    """A configuration of the agent that is broken is left as it is."""
    if content is not None:
        write(tmp_path, AGENT, content)
    assert agent_config(tmp_path, binds=True) == []
