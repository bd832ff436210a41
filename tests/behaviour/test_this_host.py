"""That the drivers of this host behave as the interfaces say."""

from __future__ import annotations

import shutil
import subprocess
from typing import ClassVar

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
from tests.behaviour.this_host import ThisHost


class RuntimeTests(ThisHost, runtime.Behaviour):
    """runc."""


class GuestsTests(ThisHost, guests.Behaviour):
    """Visits to VMs of runc."""


class RootDisksTests(ThisHost, root_disks.Behaviour):
    """Files with a file system, mounted on the host."""

    async def test_what_is_synced_is_in_the_file(self) -> None:
        """A copy of the file, as a power cut would leave it, has what was written."""
        await self.make()
        await self.root_disks.sync(self.bundle)
        copy = str(self.directory / "copy")
        shutil.copyfile(self.bundle.root_image, copy)
        # What only the journal has by now is put in its place.
        subprocess.run(["e2fsck", "-fy", copy], check=False, capture_output=True)
        argv = ["debugfs", "-R", "cat /file", copy]
        found = subprocess.run(argv, check=True, capture_output=True, text=True)
        self.assertEqual(found.stdout, "kept")


class OOMKillerTests(ThisHost, oom_killer.Behaviour):
    """The memory controller of cgroups."""


class MeterTests(ThisHost, meter.Behaviour):
    """L{Meter}."""


class NetworkerTests(ThisHost, networker.Behaviour):
    """A bridge, and veth pairs."""

    async def setUp(self) -> None:
        await super().setUp()
        self.make_network()


class NameServiceTests(ThisHost, names.Behaviour):
    """Sockets at a gateway."""

    async def setUp(self) -> None:
        await super().setUp()
        self.make_network()
        self.make_names()


class FirewallTests(ThisHost, firewall.Behaviour):
    """nftables, and settings of the kernel."""

    async def setUp(self) -> None:
        await super().setUp()
        self.make_network()
        self.make_firewall()


class HostPortsTests(ThisHost, host_ports.Behaviour):
    """What the kernel tells about sockets that listen."""


class SocketsTests(ThisHost, sockets.Behaviour):
    """What the kernel tells about connections."""

    async def setUp(self) -> None:
        await super().setUp()
        self.make_connection()


class TreesTests(ThisHost, trees.Behaviour):
    """The walk through trees that may be deep."""


class ArchiverTests(ThisHost, stemcells.ArchiverBehaviour):
    """tar and the decompressors."""


class ImagesTests(ThisHost, stemcells.ImagesBehaviour):
    """skopeo and umoci."""


class ImageDisksTests(ThisHost, disks.Behaviour):
    """Disks that are files behind loop devices."""


class DirectoryDisksTests(ThisHost, disks.Behaviour):
    """Disks that are directories, mounted into VMs."""

    async def setUp(self) -> None:
        await super().setUp()
        self.driver = self.directory_driver


class Isolated(ThisHost):
    """A VM that has users of its own (C{security.profile: isolated})."""

    own_ids: ClassVar[tuple[int, int] | None] = (1879048192, 1879113727)


class IsolatedRuntimeTests(Isolated, runtime.Behaviour):
    """runc, with user namespaces."""


class IsolatedGuestsTests(Isolated, guests.Behaviour):
    """Visits to VMs of runc that have user namespaces."""


class IsolatedImageDisksTests(Isolated, disks.Behaviour):
    """Disks that are files, mounted in VMs by the daemon."""


class IsolatedDirectoryDisksTests(Isolated, disks.Behaviour):
    """Disks that are directories, mounted in VMs with the ids of these."""

    async def setUp(self) -> None:
        await super().setUp()
        self.driver = self.directory_driver
