"""
A full disk: calls fail with the right error, leave nothing, and work once there is room.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.images import archive, entry, shell_entries
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

SIZE = 24 << 20


class SmallDisk:
    """
    A small file system that holds a daemon's working directory.

    @ivar path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        path.mkdir()
        options = f"size={SIZE},mode=700"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        subprocess.run(mount, check=True)

    def fill(self) -> None:
        """Fill the file system up."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                try:
                    while ballast.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def empty(self) -> None:
        """Free the space again."""
        self._ballast.unlink(missing_ok=True)

    def remove(self) -> None:
        """Unmount the file system."""
        subprocess.run(["umount", str(self.path)], check=True)


@pytest.fixture(params=["unix", "tcp"])
def network_type(request: pytest.FixtureRequest) -> str:
    """Each of the two transports of an image."""
    kind: str = request.param
    return kind


@pytest.fixture
def confined(
    leaves_nothing: None, new_daemon: NewDaemon, network_type: str
) -> Iterator[tuple[Daemon, SmallDisk]]:
    """A daemon whose work_dir is on a small file system, and that file system."""
    daemon = new_daemon(network_type=network_type)
    disk = SmallDisk(daemon.work_dir)
    daemon.start()
    yield daemon, disk
    disk.empty()
    daemon.tear_down()
    disk.remove()


def test_full(confined: tuple[Daemon, SmallDisk], tmp_path: Path, tiny: Path) -> None:
    """On a full disk every call fails for want of room, and changes nothing."""
    daemon, disk = confined
    big = tmp_path / "big"
    big.write_bytes(archive([*shell_entries(), entry("big", bytes(2 * SIZE))]))
    error = daemon.cpi.error("create_stemcell", str(big), {})
    assert error["type"] == "Bosh::Clouds::NoDiskSpace", error
    eventually(lambda: not list(daemon.scratch.iterdir()), "scratch is empty")
    assert not list((daemon.work_dir / "stemcells").iterdir())

    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    daemon.cpi.ok("set_vm_metadata", vm.cid, {"a": "b"})
    record = (vm.directory / "vm.json").read_text()
    disk.fill()
    # Its settings do not fit into a last free block.
    env = {"x": "y" * 100_000}
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, env=env))
    # This is the one error of create_vm that the director tries again for.
    assert error["type"] == "Bosh::Clouds::VMCreationFailed", error
    assert error["ok_to_retry"] is True
    assert daemon.vm_cids() == [vm.cid]
    error = daemon.cpi.error("set_vm_metadata", vm.cid, {"a": "c" * 100_000})
    assert error["type"] == "Bosh::Clouds::NoDiskSpace", error
    assert (vm.directory / "vm.json").read_text() == record
    error = daemon.cpi.error("create_stemcell", str(tiny), {})
    assert error["type"] == "Bosh::Clouds::NoDiskSpace", error
    assert vm.is_alive()
    # A deletion makes room, so it must not need any.
    disk.fill()
    daemon.cpi.ok("delete_vm", vm.cid)
    disk.empty()
    assert daemon.create_vm(stemcell).address == daemon.network + "254"
