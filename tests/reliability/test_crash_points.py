"""
The daemon dies before each single step of a call: the call is done whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.lab import Lab
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.site import Site
from tests.reliability.trial import die_at_each_step

# The calls that find other files and mounts if the VM has users of its own.
OF_VMS = [
    name
    for name, scenario in SCENARIOS.items()
    if scenario.method.endswith(("_vm", "attach_disk", "detach_disk"))
    or name == "snapshot_disk, mounted"
]


@pytest.fixture(autouse=True)
def leaves_nothing() -> None:
    """Check for leftovers after the last test; until then the tests share what is made."""


@pytest.fixture(scope="module")
def sites(lab: Lab, answering: Path, layout: Path) -> Iterator[list[Site]]:
    """Two daemons, one for each way to reach one."""
    with lab.daemons() as new_daemon:
        daemons = [new_daemon(network_type=kind) for kind in ("unix", "tcp")]
        sites = [Site(daemon, answering, layout) for daemon in daemons]
        yield sites
        for site in sites:
            site.restore()


@pytest.fixture(scope="module")
def isolated_sites(lab: Lab, answering: Path, layout: Path) -> Iterator[list[Site]]:
    """Two daemons whose VMs have users of their own."""
    with lab.daemons() as new_daemon:
        config = {"security": {"profile": "isolated"}}
        daemons = [new_daemon(config=config) for _ in range(2)]
        sites = [Site(daemon, answering, layout) for daemon in daemons]
        yield sites
        for site in sites:
            site.restore()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_step(
    sites: list[Site], name: str, report: Callable[[str], None], pytestconfig: pytest.Config
) -> None:
    """After a death at each step the promise holds, and the call can be repeated."""
    deaths = die_at_each_step(sites, name, long=pytestconfig.getoption("--long"))
    report(f"{name}: survived {deaths} deaths")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", OF_VMS)
def test_every_step_with_isolated_vms(
    isolated_sites: list[Site],
    name: str,
    report: Callable[[str], None],
    pytestconfig: pytest.Config,
) -> None:
    """The same is so for VMs with users of their own, whose disks the daemon mounts."""
    deaths = die_at_each_step(isolated_sites, name, long=pytestconfig.getoption("--long"))
    report(f"{name}, isolated: survived {deaths} deaths")
