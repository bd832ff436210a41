"""A stemcell's inside: which init boots it, what a VM gets, and no link leads out."""

from __future__ import annotations

import json
import os
import stat
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from runc_cpi.daemon.stemcells.features import Features, inspect
from runc_cpi.daemon.vms.guest_files import (
    GuestFile,
    guest_files,
    make_mount_points,
    settings_file,
    write_upper,
)

RUNIT = "usr/sbin/runsvdir-start"
SYSTEMD = "usr/lib/systemd/systemd"
AGENT_UNIT = "etc/systemd/system/bosh-agent.service"
PLAIN = Features(init="runit", sync_time=False, resolved=False)


def program(root: Path, name: str, mode: int = 0o755) -> None:
    """Make a file with its directories."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(mode)


def link(root: Path, name: str, target: str) -> None:
    """Make a symbolic link with its directories."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root file system, with a directory beside it that is the host's."""
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    return root


def with_systemd(root: Path, target: str) -> None:
    """Give it systemd, merged into /usr as distributions have it."""
    program(root, SYSTEMD)
    link(root, "lib", "usr/lib")
    link(root, "sbin", "usr/sbin")
    link(root, "usr/sbin/init", target)


def init_of(root: Path) -> str | None:
    """Return the init that is found."""
    features = inspect(root)
    assert features is not None
    return features.init


def test_runit_alone(root: Path) -> None:
    """The stemcell's own script is what matters."""
    program(root, RUNIT)
    assert inspect(root) == Features(init="runit", sync_time=False, resolved=False)


@pytest.mark.parametrize("target", ["/lib/systemd/systemd", "../lib/systemd/systemd"])
def test_systemd_alone(root: Path, target: str) -> None:
    """The link may be absolute: it means the stemcell's root, not the host's."""
    with_systemd(root, target)
    assert init_of(root) == "systemd"


def test_both_with_the_agent_under_runit(root: Path) -> None:
    """As jammy has it: systemd's files are there and play no part."""
    with_systemd(root, "/lib/systemd/systemd")
    program(root, RUNIT)
    program(root, "etc/service/agent/run")
    assert init_of(root) == "runit"


@pytest.mark.parametrize("unit", [AGENT_UNIT, "usr/lib/systemd/system/bosh-agent.service"])
def test_both_with_the_agent_under_systemd(root: Path, unit: str) -> None:
    """As noble has it: the agent is a unit."""
    with_systemd(root, "/lib/systemd/systemd")
    program(root, RUNIT)
    program(root, unit, 0o644)
    assert init_of(root) == "systemd"


def test_an_agent_unit_without_systemd(root: Path) -> None:
    """The unit alone does not make an init."""
    program(root, RUNIT)
    program(root, AGENT_UNIT, 0o644)
    assert init_of(root) == "runit"


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_script_that_cannot_run_is_none(root: Path, mode: int) -> None:
    """Nor is a directory of that name."""
    program(root, RUNIT, mode)
    assert inspect(root) is None
    (root / RUNIT).unlink()
    (root / RUNIT).mkdir()
    assert inspect(root) is None


def test_another_init_can_be_chosen_later(root: Path) -> None:
    """A root file system with a shell is accepted; only booting it needs more."""
    program(root, "bin/sh")
    assert init_of(root) is None


def test_what_is_no_root_file_system(root: Path) -> None:
    """An archive of something else holds nothing that could run."""
    program(root, "README", 0o644)
    assert inspect(root) is None


def test_features(root: Path) -> None:
    """The agent's clock script and systemd-resolved are noticed."""
    with_systemd(root, "/lib/systemd/systemd")
    program(root, "usr/lib/systemd/systemd-resolved")
    program(root, "var/vcap/bosh/bin/sync-time")
    assert inspect(root) == Features(init="systemd", sync_time=True, resolved=True)
    assert Features(**json.loads(json.dumps(inspect(root).to_json()))) == inspect(root)  # type: ignore[union-attr]


def test_resolved_counts_under_systemd_only(root: Path) -> None:
    """Nobody starts it under runit."""
    program(root, RUNIT)
    program(root, "lib/systemd/systemd-resolved")
    assert inspect(root) == PLAIN


def test_links_do_not_find_the_hosts_files(root: Path) -> None:
    """However a link points out of the tree, it ends inside."""
    outside = root.parent / "outside"
    program(outside, "sbin/runsvdir-start")
    program(outside, "bin/sh")
    link(root, "usr", str(outside))
    link(root, "bin", "../../../../../../../../.." + str(outside / "bin"))
    link(root, "sbin/init", "/proc/self/root/lib/systemd/systemd")
    assert inspect(root) is None


def test_links_in_a_circle(root: Path) -> None:
    """They lead nowhere, and do no harm."""
    link(root, "usr", "/lib")
    link(root, "lib", "/usr")
    assert inspect(root) is None


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
    """The umask has no say."""
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
    """In the VM they show in place of those."""
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
    """What the link points at on the host does not count as the stemcell's."""
    outside = root.parent / "outside"
    outside.chmod(0o700)
    link(root, "etc", str(outside))
    write_upper(files("etc/hosts"), root, upper)
    assert stat.S_IMODE((upper / "etc").stat().st_mode) == 0o755


def test_a_directory_is_not_modelled_on_a_file(root: Path, upper: Path) -> None:
    """A file's mode would make a directory that nobody can enter."""
    (root / "etc").write_text("a stemcell gone wrong")
    (root / "etc").chmod(0o644)
    write_upper(files("etc/hosts"), root, upper)
    assert stat.S_IMODE((upper / "etc").stat().st_mode) == 0o755


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
    """Names resolve from the first moment, and the settings are root's alone."""
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
    """A container must not set the host's clock; only a stemcell that has it needs it."""
    made = contents(Features(init="runit", sync_time=True, resolved=False), [])
    script = made["var/vcap/bosh/bin/sync-time"]
    assert script.mode == 0o755
    assert script.content.startswith("#!/bin/sh\n")
    assert "chronyc" not in script.content


def test_resolved_gets_fallback_servers() -> None:
    """What the agent configures later comes first."""
    made = contents(Features(init="systemd", sync_time=False, resolved=True), ["192.0.2.1"])
    drop_in = made["etc/systemd/resolved.conf.d/05-runc-cpi.conf"]
    assert drop_in.content == "[Resolve]\nFallbackDNS=192.0.2.1\n"


@pytest.mark.parametrize("layer", ["lower", "upper"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "file", "nothing"])
def test_what_is_mounted_on(tmp_path: Path, layer: str, kind: str) -> None:
    """It is a directory of the VM's own in the end, whatever was there."""
    lower, upper, outside = (tmp_path / name for name in ("lower", "upper", "outside"))
    for path in (lower, upper, outside):
        path.mkdir()
    for name in ("dev", "proc", "sys"):
        place = tmp_path / layer / name
        if kind == "file":
            place.write_text("")
        elif kind != "nothing":
            place.symlink_to(outside if kind == "link" else "/no/such")
    make_mount_points(lower, upper)
    for name in ("dev", "proc", "sys"):
        assert not (upper / name).is_symlink()
        assert stat.S_IMODE((upper / name).stat().st_mode) == 0o755
    assert list(outside.iterdir()) == []


def test_directories_are_left_alone(tmp_path: Path) -> None:
    """Those of the stemcell will do, and so will those that a VM made."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for path in (upper / "dev", lower / "proc", lower / "sys"):
        path.mkdir(parents=True)
    make_mount_points(lower, upper)
    assert [path.name for path in upper.iterdir()] == ["dev"]
