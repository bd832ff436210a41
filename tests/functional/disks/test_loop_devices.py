"""Loop devices: made, kept and let go by ioctl, on kernels old and new."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.host.disks import loop_ioctl
from runc_cpi.daemon.host.disks.loop_ioctl import LOOP_CONFIGURE, LoopDevice
from tests.functional.disks.site import MIB, let_go, loop_of


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """A file with an odd name, of 4 MiB."""
    path = tmp_path / "an image\x85 ä"
    with path.open("wb") as file:
        file.truncate(4 * MIB)
    yield path
    let_go(path)


@pytest.fixture(params=["Linux 5.8", "earlier"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that knows LOOP_CONFIGURE, or one that refuses what it does not know."""
    if request.param == "earlier":
        ioctl = fcntl.ioctl

        def refusing(fd: int, number: int, *argument: Any) -> Any:
            if number == LOOP_CONFIGURE:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return ioctl(fd, number, *argument)

        monkeypatch.setattr(fcntl, "ioctl", refusing)


def attribute(device: LoopDevice, name: str) -> str:
    """Return what the kernel tells of a device."""
    return Path("/sys/block", Path(device.path).name, name).read_text().strip()


def can_bypass_its_cache(image: Path) -> bool:
    """Say whether a file's own file system has direct I/O, which not all have."""
    try:
        os.close(os.open(image, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("direct_io", [True, False])
def test_a_file_is_attached(image: Path, direct_io: bool) -> None:
    """The device has the size of the file, outlives its users, and is found by the file."""
    device = loop_ioctl.configure(image, direct_io=direct_io)
    assert device.path == f"/dev/{loop_of(image)}"
    assert device.number == os.stat(device.path).st_rdev
    assert int(attribute(device, "size")) * 512 == 4 * MIB
    assert attribute(device, "ro") == "0"
    assert attribute(device, "loop/autoclear") == "0"
    bypasses = direct_io and can_bypass_its_cache(image)
    assert attribute(device, "loop/dio") == str(int(bypasses))
    assert loop_ioctl.devices_of([image, image.with_name("other")]) == {image: device}
    assert loop_ioctl.keep(device, image)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """A file that cannot be opened is an error, and takes no device."""
    with pytest.raises(FileNotFoundError):
        loop_ioctl.configure(tmp_path / "none", direct_io=True)


def test_a_device_is_cleared(image: Path) -> None:
    """A device is let go once; to clear it again is no error."""
    device = loop_ioctl.configure(image, direct_io=True)
    for _ in range(2):
        loop_ioctl.clear(device, image)
        assert not loop_ioctl.is_of(device, image)
    assert not loop_ioctl.keep(device, image)


def test_a_device_of_another_file(image: Path) -> None:
    """A device that is another file's by now is neither kept nor cleared."""
    other = image.with_name("other")
    other.touch()
    device = loop_ioctl.configure(image, direct_io=True)
    assert not loop_ioctl.keep(device, other)
    loop_ioctl.clear(device, other)
    assert loop_ioctl.is_of(device, image)


def test_a_file_that_was_removed(image: Path) -> None:
    """The device of a removed file is found below its directory, and can be cleared."""
    device = loop_ioctl.configure(image, direct_io=True)
    image.unlink()
    try:
        ((path, found),) = loop_ioctl.devices_below(image.parent).items()
    finally:
        loop_ioctl.clear(device, Path(f"{image} (deleted)"))
    assert (path, found) == (f"{image} (deleted)", device)
    assert loop_ioctl.devices_below(image.parent) == {}


def test_a_device_in_use(image: Path) -> None:
    """It goes with its last user, unless it is kept before."""
    device = loop_ioctl.configure(image, direct_io=True)
    for kept in (True, False):
        user = os.open(device.path, os.O_RDONLY)
        try:
            loop_ioctl.clear(device, image)
            assert loop_ioctl.is_of(device, image)
            assert loop_ioctl.devices_below(image.parent) == {}
            if kept:
                assert loop_ioctl.keep(device, image)
        finally:
            os.close(user)
        assert loop_ioctl.is_of(device, image) is kept


def test_a_file_that_grew(image: Path) -> None:
    """The device has the new size once it is told."""
    device = loop_ioctl.configure(image, direct_io=True)
    os.truncate(image, 6 * MIB)
    loop_ioctl.take_size(device)
    assert int(attribute(device, "size")) * 512 == 6 * MIB


def test_others_take_the_device(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody else takes a free device first, the next one is taken."""
    other = image.with_name("other")
    other.write_bytes(bytes(MIB))
    device = loop_ioctl.configure(other, direct_io=True)
    try:
        free, taken = loop_ioctl._free_number, [device.minor]
        monkeypatch.setattr(
            loop_ioctl, "_free_number", lambda: taken.pop() if taken else free()
        )
        assert loop_ioctl.configure(image, direct_io=True) != device
        assert taken == []
        assert loop_ioctl.is_of(device, other)
    finally:
        loop_ioctl.clear(device, other)
