"""The daemon dies while it makes or removes VMs by crun, which is not like runc in all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import runtimes
from tests.harness.lab import Lab
from tests.reliability.site import Site
from tests.reliability.trial import die_at

CRUN = "crun"
# By call: steps of it at which crun is at work, or has left something.
STEPS = [
    ("create_vm", "running nsenter create"),
    ("create_vm", "running crun start"),
    ("delete_vm", "running crun delete"),
    ("reboot_vm", "ended nsenter create"),
]


@pytest.fixture(autouse=True)
def leaves_nothing() -> None:
    """Check for leftovers after the last test; until then the tests share what is made."""


@pytest.fixture(scope="module")
def site(lab: Lab, answering: Path, layout: Path) -> Iterator[Site]:
    """A daemon with crun."""
    with lab.daemons() as new_daemon:
        daemon = new_daemon(within=runtimes.layout(CRUN), config={"runtime": CRUN})
        site = Site(daemon, answering, layout)
        yield site
        site.restore()


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_a_step(site: Site, name: str, step: str) -> None:
    """After a death at the step the promise holds, and the call can be repeated."""
    die_at(site, name, step)


def test_a_container_that_nobody_starts(site: Site) -> None:
    """
    A container that was made and not started does not keep the daemon from starting.

    It holds the lock of the daemon's children, which crun leaves open in it.
    """
    die_at(site, "create_vm", "ended nsenter create")
    assert "(crun), which an earlier daemon left at work" in site.daemon.log
