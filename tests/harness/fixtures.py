"""Fixtures for tests with real daemons: the lab, daemons in it, and images for them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab, NewDaemon

BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The daemons of all these tests, and the directory that they write to."""
    assert os.geteuid() == 0, "these tests make real containers; run them as root"
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture(autouse=True)
def leaves_nothing(lab: Lab) -> Iterator[None]:
    """Fails a test that leaves something on the host."""
    with lab.leaving_nothing():
        yield


@pytest.fixture
def new_daemon(lab: Lab, leaves_nothing: None) -> Iterator[NewDaemon]:
    """Makes daemons for one test; they are not started yet."""
    with lab.lending() as lend:
        yield lend


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> Daemon:
    """A daemon that serves on a unix socket."""
    return new_daemon().start()


@pytest.fixture(scope="session")
def image() -> Callable[[str], Path]:
    """Gives the image of the bootable stemcell with an init of a kind."""
    return images.bootable


@pytest.fixture(params=images.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The init of a stemcell: the test is run for each."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def busybox() -> bytes:
    """A busybox that needs no libraries."""
    return images.take_out(images.bootable("runit"), "./usr/bin/busybox")


@pytest.fixture(scope="session")
def tiny(lab: Lab, busybox: bytes) -> Path:
    """An image that unpacks and boots in no time, and has no agent."""
    path = lab.home / "tiny.tgz"
    path.write_bytes(gzip.compress(images.tiny(busybox), 1))
    return path


@pytest.fixture(params=["0", "1"])
def bridged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Has the host's rules look at what it bridges, as beside Docker, or not."""
    if not BRIDGED.exists():
        pytest.skip("this kernel cannot do so")
    settings = [BRIDGED, BRIDGED.with_name("bridge-nf-call-ip6tables")]
    before = [setting.read_text() for setting in settings]
    for setting in settings:
        setting.write_text(request.param)
    yield
    for setting, value in zip(settings, before, strict=True):
        setting.write_text(value)
