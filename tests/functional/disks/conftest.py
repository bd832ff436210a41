"""Fixtures: a VM that boots at once, and has what the agent needs for disks."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.functional.disks.rooms import Room
from tests.functional.disks.site import Site, close
from tests.harness import images
from tests.harness.lab import Lab, NewDaemon

AGENT_CONFIG = "var/vcap/bosh/agent.json"
APPLETS = "chroot cp env find kill ln mkfifo mknod mv nohup printf readlink rmdir seq"
MORE_APPLETS = "sync tar test touch tr umount unshare uname echo grep cut blockdev"


@pytest.fixture(scope="session")
def store_image(lab: Lab, busybox: bytes) -> Path:
    """The image of a VM that has busybox, and the agent's configuration."""
    members = [images.entry("var/vcap/store", mode=0o755, kind=tarfile.DIRTYPE)]
    members.append(images.entry("warden-cpi-dev", mode=0o755, kind=tarfile.DIRTYPE))
    config = images.take_out(images.bootable("runit"), f"./{AGENT_CONFIG}")
    members.append(images.entry(AGENT_CONFIG, config))
    for applet in f"{APPLETS} {MORE_APPLETS}".split():
        link = images.entry(f"bin/{applet}", kind=tarfile.SYMTYPE, link="busybox")
        members.append(link)
    with tarfile.open(fileobj=io.BytesIO(images.tiny(busybox))) as base:
        for member in base:
            file = base.extractfile(member) if member.isreg() else None
            members.append((member, file.read() if file else b""))
    path = lab.home / "store.tgz"
    path.write_bytes(gzip.compress(images.archive(members), 1))
    return path


@pytest.fixture
def new_site(new_daemon: NewDaemon, store_image: Path) -> Callable[..., Site]:
    """
    Return a function that makes a daemon that serves and has a stemcell; its keywords are
    those of a daemon.
    """

    def make(**options: Any) -> Site:
        return Site(new_daemon(**options), store_image).start()

    return make


@pytest.fixture(scope="module")
def shared_site(lab: Lab, store_image: Path) -> Iterator[Site]:
    """The daemon that L{site} gives to all tests of a module."""
    with lab.daemons() as lend:
        yield Site(lend(), store_image).start()


@pytest.fixture
def site(shared_site: Site, leaves_nothing: None) -> Iterator[Site]:
    """A daemon with the image driver and a stemcell; the test must not end it."""
    yield shared_site
    shared_site.clear()


@pytest.fixture
def own_site(new_site: Callable[..., Site]) -> Site:
    """A daemon with a stemcell for one test, which may end and start it."""
    return new_site()


@pytest.fixture
def new_room(new_daemon: NewDaemon, store_image: Path) -> Iterator[Callable[..., Site]]:
    """
    Return a function like L{new_site}, for a file system of its own: its kind, and its size
    in MiB.
    """
    with ExitStack() as stack:

        def make(kind: str, size: int, **options: Any) -> Site:
            daemon = new_daemon(**options)
            room = Room(daemon.work_dir, kind, size)
            stack.callback(room.remove)
            stack.callback(close, daemon)
            return Site(daemon, store_image).start()

        yield make
