"""That fakes behave as the interfaces say that they stand for."""

from __future__ import annotations

from tests.behaviour import (
    disks,
    firewall,
    guests,
    host_ports,
    meter,
    names,
    networker,
    oom_killer,
    root_disks,
    runtime,
    sockets,
    stemcells,
    trees,
)
from tests.behaviour.fake_host import FakeHost


class FakeRuntimeTests(FakeHost, runtime.Behaviour):
    """L{FakeRuntime} and L{FakeInit}."""


class FakeGuestsTests(FakeHost, guests.Behaviour):
    """L{FakeGuests}."""


class FakeRootDisksTests(FakeHost, root_disks.Behaviour):
    """L{FakeRootDisks}."""


class FakeOOMKillerTests(FakeHost, oom_killer.Behaviour):
    """L{FakeOOMKiller}."""


class FakeMeterTests(FakeHost, meter.Behaviour):
    """L{FakeMeter}."""


class FakeNetworkerTests(FakeHost, networker.Behaviour):
    """L{FakeNetworker}."""


class FakeNameServiceTests(FakeHost, names.Behaviour):
    """L{FakeNameService}."""


class FakeFirewallTests(FakeHost, firewall.Behaviour):
    """L{FakeFirewall}."""


class FakeHostPortsTests(FakeHost, host_ports.Behaviour):
    """L{FakeHostPorts}."""


class FakeSocketsTests(FakeHost, sockets.Behaviour):
    """L{FakeSockets}."""


class FakeTreesTests(FakeHost, trees.Behaviour):
    """L{FakeArchiver}, which is one of trees as well."""


class FakeArchiverTests(FakeHost, stemcells.ArchiverBehaviour):
    """L{FakeArchiver} and L{FakeUpload}."""


class FakeImagesTests(FakeHost, stemcells.ImagesBehaviour):
    """L{FakeImages}."""


class FakeDriverTests(FakeHost, disks.Behaviour):
    """L{FakeDriver}."""
