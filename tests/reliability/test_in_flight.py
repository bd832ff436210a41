"""The daemon dies while the runtime works for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.daemon import REPAIRED
from tests.harness.lab import Lab
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper
from tests.reliability import model
from tests.reliability.site import Site

OPERATIONS = [
    ("create_vm", "create"),
    ("create_vm", "start"),
    ("reboot_vm", "exec"),
    ("reboot_vm", "delete"),
    ("reboot_vm", "create"),
    ("reboot_vm", "start"),
    ("delete_vm", "delete"),
]
SERVING = "serving at"


@pytest.fixture(autouse=True)
def leaves_nothing() -> None:
    """Check for leftovers after the last test; until then the tests share what is made."""


@pytest.fixture(scope="module")
def wrapper(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Wrapper:
    """A runtime that does its work itself, and one that starts another process for it."""
    directory = tmp_path_factory.mktemp("wrapper") / "wrapper"
    return Wrapper(directory, apart=request.param)


@pytest.fixture(scope="module")
def site(lab: Lab, wrapper: Wrapper, answering: Path, layout: Path) -> Iterator[Site]:
    """A daemon with that runtime."""
    with lab.daemons() as new_daemon:
        daemon = new_daemon(config={"runtime": str(wrapper.program)})
        site = Site(daemon, answering, layout)
        yield site
        wrapper.mend()
        site.restore()


# A runtime that works itself has nothing left to do after its work.
@pytest.mark.parametrize(
    ("wrapper", "after"),
    [(False, False), (True, False), (True, True)],
    ids=["itself-before", "apart-before", "apart-after"],
    indirect=["wrapper"],
    scope="module",
)
@pytest.mark.parametrize(("method", "operation"), OPERATIONS)
def test_runtime_at_work(
    site: Site, wrapper: Wrapper, method: str, operation: str, after: bool
) -> None:
    """
    A runtime whose daemon died does nothing once the next daemon works.

    It dies with its daemon; the next daemon waits for what the runtime started itself.
    """
    site.restore()
    arguments = site.vm_arguments() if method == "create_vm" else [site.new_vm().cid]
    before = site.observe()
    starts, repairs = (site.daemon.log.count(text) for text in (SERVING, REPAIRED))
    wrapper.hold(operation, after=after, once=True)
    call = site.cpi.start(method, *arguments)
    eventually(lambda: wrapper.is_waiting(operation), f"{operation} is called")
    site.daemon.kill()
    assert site.cpi.finish(call)["error"]["ok_to_retry"] is True
    site.daemon.launch()
    if wrapper.apart:
        # Time for the daemon to come up, if it would not wait.
        time.sleep(1)
        assert site.daemon.log.count(SERVING) == starts
        wrapper.mend()
    site.daemon.wait_until(lambda: site.daemon.log.count(SERVING) > starts)
    # If the runtime had not died, it would go on now.
    wrapper.mend()
    site.daemon.wait_until(lambda: site.daemon.log.count(REPAIRED) > repairs)
    allowed = [before]
    if method != "create_vm":
        allowed.append(model.after(before, method, arguments))
    world = site.observe()
    assert world in allowed
    site.check(world)
