"""A fake of a disk driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import InvalidArgument
from tests.fakes.script import Script


@implementer(IDiskDriver)
class FakeDriver:
    """
    Disks that are files of a few bytes, and what VMs see of them.

    @ivar taken: how many bytes each disk is said to take.
    @ivar seen: the disks that each VM sees, by the directory of the VM.
    @ivar sizes: the size each disk was last made or grown to, by its directory.
    @ivar kept: what the last call was told that the VM has.
    """

    name = "fake"
    agent_binds = False
    keeps_to_sizes = True

    def __init__(self, script: Script) -> None:
        self.script = script
        self.taken = 0
        self.seen: dict[Path, set[str]] = {}
        self.sizes: dict[Path, int] = {}
        self.kept: list[str] = []
        self.store: str | None = None

    def check(self, filesystem: str, size: int) -> None:
        """Refuse disks of 1 MiB."""
        if size == 1:
            raise InvalidArgument("size: 1 MiB is too small")

    def hint(self, disk_cid: str, bundle: Bundle) -> str:
        """Return a path."""
        return f"/dev/{disk_cid}"

    def create(self, path: Path, size: int, filesystem: str) -> Any:
        """Make a file."""
        paths.image_of(path).write_text(f"{filesystem} {size}")
        return self.script.act("create")

    def make_ephemeral(self, bundle: Path, size: int) -> Any:
        """Make a file of that size, with nothing in it."""
        with open(Bundle(bundle).ephemeral, "wb") as file:
            file.truncate(size << 20)
        return self.script.act("make_ephemeral")

    def sweep(self, directory: Path, kept: Sequence[Path]) -> Any:
        """Note what is to stay."""
        self.kept = [path.name for path in kept]
        return self.script.act("sweep", [])

    def allocated(self, path: Path) -> int:
        """Say what it is told to; without the file it fails as the real ones do."""
        paths.image_of(path).stat()
        return self.taken

    def ephemeral_room(self, bundle: Path) -> int:
        """Nothing was written yet."""
        file = Bundle(bundle).ephemeral
        return file.stat().st_size if file.exists() else 0

    def attach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> Any:
        """Have the VM see the disk, and say whether it did not."""
        self.kept = [path.name for path in attached]
        shown = self.script.act("attach")
        seen = self.seen.setdefault(container.bundle.path, set())

        def show(_: object) -> bool:
            is_new = disk_cid not in seen
            seen.add(disk_cid)
            return is_new

        return shown.addCallback(show)

    def detach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> Any:
        """Have the VM see the disk no more."""
        self.kept = [path.name for path in attached]
        taken = self.script.act("detach")
        seen = self.seen.setdefault(container.bundle.path, set())
        return taken.addCallback(lambda _: seen.discard(disk_cid))

    def boot(self, disks: Mapping[str, Path], container: ContainerState) -> Any:
        """Have the VM see the disks, and return nodes for them."""
        self.kept = sorted(disks)
        self.seen[container.bundle.path] = set(disks)
        nodes = [
            {"path": self.hint(disk_cid, container.bundle)} for disk_cid in sorted(disks)
        ]
        return self.script.act("boot", BootParts(devices=nodes))

    def booted(
        self,
        attached: Sequence[Path],
        container: ContainerState,
        store: str | None,
        filesystem: str,
    ) -> Any:
        """Note what is to be mounted."""
        self.store = store
        return self.script.act("booted")

    def thaw(self, path: Path, container: ContainerState) -> Any:
        """Note it; nothing is ever frozen."""
        return self.script.act("thaw", False)

    def halted(self, container: ContainerState) -> Any:
        """Note it."""
        return self.script.act("halted")

    def grow(
        self, path: Path, size: int, filesystem: str, container: ContainerState | None
    ) -> Any:
        """Note the size."""
        self.sizes[path] = size
        return self.script.act("grow")

    def snapshot(self, path: Path, target: Path, container: ContainerState | None) -> Any:
        """Copy the file."""
        paths.image_of(target).write_bytes(paths.image_of(path).read_bytes())
        return self.script.act("snapshot")


verifyObject(IDiskDriver, FakeDriver(Script()))
