"""OCI runtimes beside runc: each that is on the search path runs VMs, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.life import live
from tests.harness import runtimes
from tests.harness.lab import NewDaemon


@pytest.fixture(params=runtimes.others())
def runtime(request: pytest.FixtureRequest) -> str:
    """The name of an OCI runtime: the test is run for each."""
    name: str = request.param
    return name


def test_life(
    new_daemon: NewDaemon, runtime: str, image: Callable[[str], Path], kind: str
) -> None:
    """
    With each runtime a VM boots, has a disk, is rebooted, and leaves nothing.

    The daemon takes nothing that the runtime keeps for a container of it.
    """
    daemon = new_daemon(within=runtimes.layout(runtime), config={"runtime": runtime})
    daemon.start()
    live(daemon, daemon.create_vm(daemon.create_stemcell(image(kind))))
    daemon.stop()
    daemon.start()
    assert "repair: removed" not in daemon.log


def test_refusal(new_daemon: NewDaemon, runtime: str) -> None:
    """A runtime that does not work with this host's cgroups is refused in its own words."""
    if not runtimes.refuses_this_host(runtime):
        pytest.skip("it works with the cgroups of this host")
    line = new_daemon(config={"runtime": runtime}).refusal()
    assert "cannot make containers here: " in line
    assert "hybrid" in line
