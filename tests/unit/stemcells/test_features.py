"""What is found out about a stemcell's root file system; no link leads out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runc_cpi.daemon.stemcells.features import Features, inspect
from tests.harness.trees import link

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


@pytest.mark.parametrize(
    ("library", "version"),
    [
        ("usr/lib/systemd/libsystemd-shared-252.so", 252),
        ("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-259.so", 259),
        ("usr/lib64/systemd/libsystemd-shared-258.1-1.fc43.so", 258),
        ("usr/lib/systemd/libsystemd-core-252.so", None),
    ],
)
def test_the_version_of_systemd(root: Path, library: str, version: int | None) -> None:
    """Its own library tells it, wherever distributions have that."""
    with_systemd(root, "/lib/systemd/systemd")
    program(root, library)
    features = inspect(root)
    assert features is not None
    assert features.systemd == version


def test_runit_alone(root: Path) -> None:
    """A stemcell with runit's start script alone is booted by runit."""
    program(root, RUNIT)
    assert inspect(root) == Features(init="runit", sync_time=False, resolved=False)


@pytest.mark.parametrize("target", ["/lib/systemd/systemd", "../lib/systemd/systemd"])
def test_systemd_alone(root: Path, target: str) -> None:
    """A link to systemd is followed within the stemcell's root, also if it is absolute."""
    with_systemd(root, target)
    assert init_of(root) == "systemd"


def test_both_with_the_agent_under_runit(root: Path) -> None:
    """runit boots a stemcell with both inits, as jammy, and no unit for the agent."""
    with_systemd(root, "/lib/systemd/systemd")
    program(root, RUNIT)
    program(root, "etc/service/agent/run")
    assert init_of(root) == "runit"


@pytest.mark.parametrize("unit", [AGENT_UNIT, "usr/lib/systemd/system/bosh-agent.service"])
def test_both_with_the_agent_under_systemd(root: Path, unit: str) -> None:
    """Of both inits, systemd boots a stemcell, such as noble, with a unit for the agent."""
    with_systemd(root, "/lib/systemd/systemd")
    program(root, RUNIT)
    program(root, unit, 0o644)
    assert init_of(root) == "systemd"


def test_an_agent_unit_without_systemd(root: Path) -> None:
    """A unit for the agent does not make an init of systemd if that is not there."""
    program(root, RUNIT)
    program(root, AGENT_UNIT, 0o644)
    assert init_of(root) == "runit"


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_script_that_cannot_run_is_none(root: Path, mode: int) -> None:
    """Neither a script that is not executable nor a directory is taken for an init."""
    program(root, RUNIT, mode)
    assert inspect(root) is None
    (root / RUNIT).unlink()
    (root / RUNIT).mkdir()
    assert inspect(root) is None


def test_another_init_can_be_chosen_later(root: Path) -> None:
    """A root file system with a shell and no init is a stemcell all the same."""
    program(root, "bin/sh")
    assert init_of(root) is None


def test_what_is_no_root_file_system(root: Path) -> None:
    """A tree without any program is no root file system."""
    program(root, "README", 0o644)
    assert inspect(root) is None


def test_features(root: Path) -> None:
    """The agent's clock script and systemd-resolved are found, and a record keeps that."""
    with_systemd(root, "/lib/systemd/systemd")
    program(root, "usr/lib/systemd/systemd-resolved")
    program(root, "var/vcap/bosh/bin/sync-time")
    assert inspect(root) == Features(init="systemd", sync_time=True, resolved=True)
    assert Features(**json.loads(json.dumps(inspect(root).to_json()))) == inspect(root)  # type: ignore[union-attr]


def test_resolved_counts_under_systemd_only(root: Path) -> None:
    """systemd-resolved does not count under runit, where nobody starts it."""
    program(root, RUNIT)
    program(root, "lib/systemd/systemd-resolved")
    assert inspect(root) == PLAIN


def test_links_do_not_find_the_hosts_files(root: Path) -> None:
    """A link that leads out of the tree ends inside, so no program of the host is found."""
    outside = root.parent / "outside"
    program(outside, "sbin/runsvdir-start")
    program(outside, "bin/sh")
    link(root, "usr", str(outside))
    link(root, "bin", "../../../../../../../../.." + str(outside / "bin"))
    link(root, "sbin/init", "/proc/self/root/lib/systemd/systemd")
    assert inspect(root) is None


def test_links_in_a_circle(root: Path) -> None:
    """Links in a circle lead nowhere, and do no harm."""
    link(root, "usr", "/lib")
    link(root, "lib", "/usr")
    assert inspect(root) is None
