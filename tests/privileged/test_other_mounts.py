"""The runtime sees the mounts of the host and of its own VM, not those of others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.disks import mountinfo
from runc_cpi.daemon.host.namespaces import unshare_fs, unshare_mounts
from runc_cpi.daemon.host.oci import other_mounts

SIZE = 1 << 20  # bytes


def in_a_namespace(work: Callable[[], None]) -> None:
    """Work in a mount namespace that ends with the thread that is in it."""
    with ThreadPoolExecutor(1, initializer=unshare_fs) as thread:
        thread.submit(unshare_mounts).result()
        thread.submit(work).result()


def seen(below: Path) -> set[str]:
    """Return where this thread sees mounts below a directory, or of the kernel."""
    with open("/proc/thread-self/mountinfo", "rb") as file:
        points = [place.point for place in mountinfo.places(file.read())]
    others = ("/proc", "/dev", "/sys", str(below))
    return {point for point in points if point == "/" or point.startswith(others)}


def mount(*path: object) -> Path:
    """Mount an empty file system in memory."""
    directory = Path(*map(str, path))
    directory.mkdir(parents=True, exist_ok=True)
    mounting.mount_memory(str(directory), SIZE)
    return directory


@pytest.mark.parametrize("number", [other_mounts.FEW - 1, other_mounts.FEW])
@pytest.mark.parametrize("place", ["root", "own"])
def test_mounts_of_others_are_hidden(tmp_path: Path, place: str, number: int) -> None:
    """Many mounts are hidden, wherever the directory is mounted; few stay as they are."""

    def work() -> None:
        home = tmp_path if place == "root" else mount(tmp_path, "disk")
        vms, beside = home / "vms", mount(home, "beside")
        (beside / "file").touch()
        others = {str(mount(vms, each, "layers")) for each in range(number)}
        own = mount(vms, "own", "layers")
        (own / "file").touch()
        mount(own, "data")
        before = seen(tmp_path)
        other_mounts.hide(vms, vms / "own")
        assert (own / "file").exists()
        assert (beside / "file").exists()
        assert (vms / "0").is_dir()
        after = before
        if number >= other_mounts.FEW:
            # What is the VM's own is there by a mount of its own.
            after = (before - others) | {str(own.parent)}
        assert seen(tmp_path) == after

    in_a_namespace(work)
