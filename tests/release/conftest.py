"""Fixtures: the built release, its compiled packages, and daemons to call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab, NewDaemon
from tests.release import jobs, packages
from tests.release.callers import CLI, Director
from tests.release.sites import VIP, Site, properties
from tests.release.vcap import VCAP, sandboxed, seen

Install = Callable[[Mapping[str, Any]], Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that runs build-release for this machine, without the network."""
    wheels = packages.cached_wheels(tmp_path_factory.mktemp("wheels"))

    def build(*arguments: str | Path, search_path: str = packages.SEARCH_PATH) -> str:
        environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
        return packages.build(*arguments, PATH=search_path, **environment)

    return build


@pytest.fixture(scope="session")
def release(build: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release's directory, prepared for the bosh CLI."""
    directory = tmp_path_factory.mktemp("release")
    build("--into", directory, "--no-tarball")
    return directory


@pytest.fixture(scope="session")
def compiled(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of compiled packages, with the CPI's in it."""
    target = tmp_path_factory.mktemp("packages")
    target.chmod(0o755)
    scratch = tmp_path_factory.mktemp("scratch")
    package = release / "packages" / "runc-cpi"
    outcome = packages.compile_package(package, scratch, target / "runc-cpi")
    assert outcome.returncode == 0, outcome.stderr
    return target


@pytest.fixture
def install(release: Path, tmp_path: Path) -> Install:
    """
    Return a function that renders the job of the CPI and returns the directory of jobs.
    """

    def install(properties: Mapping[str, Any]) -> Path:
        target = tmp_path / "jobs"
        target.mkdir(mode=0o755)
        jobs.install(release / "jobs" / "runc_cpi", properties, target)
        return target

    return install


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The place where daemons are made."""
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture
def new_daemon(lab: Lab) -> Iterator[NewDaemon]:
    """
    Return a function that makes daemons, not started, for one test, which must leave
    nothing.
    """
    with lab.daemons() as lend:
        yield lend


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> Daemon:
    """
    A daemon that serves on a TCP port, as one does for BOSH.

    A user of this host takes the place of a director's VM.
    """
    config = {"allow_users": [VCAP], "vip_addresses": [VIP]}
    return new_daemon(network_type="tcp", config=config).start()


@pytest.fixture(scope="session")
def image() -> Path:
    """The image of a stemcell that boots."""
    return images.bootable("runit")


@pytest.fixture
def create_env(install: Install, compiled: Path, daemon: Daemon, image: Path) -> Site:
    """The bosh CLI."""
    return Site(CLI(install(properties(daemon)), compiled), daemon, image)


@pytest.fixture
def director(install: Install, compiled: Path, daemon: Daemon, image: Path) -> Site:
    """A director."""
    argv = sandboxed(compiled, install(properties(daemon)))
    bin_cpi = "/var/vcap/jobs/runc_cpi/bin/cpi"
    return Site(Director([*argv, bin_cpi]), daemon, seen(image))
