"""Loop devices as the kernel has them: ioctls (loop(4), linux/loop.h) and sysfs."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LOOP_SET_FD = 0x4C00
LOOP_CLR_FD = 0x4C01
LOOP_SET_STATUS64 = 0x4C04
LOOP_GET_STATUS64 = 0x4C05
LOOP_SET_CAPACITY = 0x4C07
LOOP_SET_DIRECT_IO = 0x4C08
LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82

LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_DIRECT_IO = 16

# struct loop_info64: device, inode, rdevice, offset, sizelimit; number, encrypt_type,
# encrypt_key_size, flags; file_name, crypt_name, encrypt_key; init.
_INFO = struct.Struct("=5Q4I64s64s32s2Q")
_DEVICE_AND_INODE = struct.Struct("=2Q")
_FLAGS, _FLAGS_AT = struct.Struct("=I"), 52
# struct loop_config: fd, block_size, info, reserved.
_CONFIG = struct.Struct(f"=2I{_INFO.size}s64x")
_NAME_BYTES = 64  # LO_NAME_SIZE

_CONTROL = "/dev/loop-control"
_BLOCK_DEVICES = "/sys/block"
_ATTRIBUTE_BYTES = 1 << 16  # more than the kernel writes into one, which is a page
_FREE_TRIES = 64  # others may take the free device first, once for each of them


@dataclass(frozen=True)
class LoopDevice:
    """
    A loop device.

    @ivar path: of its node on the host.
    @ivar number: as C{st_rdev} has it.
    """

    path: str
    number: int

    @property
    def minor(self) -> int:
        """Its minor number."""
        return os.minor(self.number)

    @property
    def key(self) -> str:
        """Its numbers as mountinfo has them."""
        return f"{os.major(self.number)}:{self.minor}"


def configure(image: Path, *, direct_io: bool) -> LoopDevice:
    """
    Attach a file to a free device.

    @param direct_io: whether to bypass the page cache of the file's own file system, where
        that file system can.
    @raise OSError: if the file cannot be opened, or there is no device to be had.
    """
    with _opened(image, os.O_RDWR) as backing:
        for _ in range(_FREE_TRIES):
            path = f"/dev/loop{_free_number()}"
            with _opened(path, os.O_RDWR) as device:
                try:
                    _bind(device, backing, image, direct_io)
                except OSError as error:
                    if error.errno != errno.EBUSY:  # somebody else took it
                        raise
                else:
                    return LoopDevice(path, os.fstat(device).st_rdev)
    raise OSError(errno.EBUSY, "others take each free loop device first")


def _free_number() -> int:
    with _opened(_CONTROL, os.O_RDWR) as control:
        return fcntl.ioctl(control, LOOP_CTL_GET_FREE)


def _bind(device: int, backing: int, image: Path, direct_io: bool) -> None:
    """Attach a file to a free device, in one step where the kernel can (Linux 5.8)."""
    flags = LO_FLAGS_DIRECT_IO if direct_io else 0
    info = _info(image, flags)
    try:
        fcntl.ioctl(device, LOOP_CONFIGURE, _CONFIG.pack(backing, 0, info))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise
        _bind_in_steps(device, backing, image, direct_io)


def _bind_in_steps(device: int, backing: int, image: Path, direct_io: bool) -> None:
    fcntl.ioctl(device, LOOP_SET_FD, backing)
    try:
        fcntl.ioctl(device, LOOP_SET_STATUS64, _info(image, 0))
    except OSError:
        fcntl.ioctl(device, LOOP_CLR_FD)
        raise
    if direct_io:
        # Not all file systems can; LOOP_CONFIGURE goes on without it as well.
        with suppress(OSError):
            fcntl.ioctl(device, LOOP_SET_DIRECT_IO, 1)


def _info(image: Path, flags: int) -> bytes:
    name = os.fsencode(image)[: _NAME_BYTES - 1]
    return _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, name, b"", b"", 0, 0)


def keep(device: LoopDevice, image: Path) -> bool:
    """
    Have a device outlive its last user, whatever was asked of it before.

    @return: whether it is there, and of C{image}.
    @raise OSError: if the kernel refuses.
    """
    file, info = os.stat(image), bytearray(_INFO.size)
    with _opened(device.path, os.O_RDONLY) as fd:
        try:
            fcntl.ioctl(fd, LOOP_GET_STATUS64, info)
            if _DEVICE_AND_INODE.unpack_from(info) != (file.st_dev, file.st_ino):
                return False
            (flags,) = _FLAGS.unpack_from(info, _FLAGS_AT)
            if flags & LO_FLAGS_AUTOCLEAR:
                _FLAGS.pack_into(info, _FLAGS_AT, flags & ~LO_FLAGS_AUTOCLEAR)
                fcntl.ioctl(fd, LOOP_SET_STATUS64, info)
        except OSError as error:
            if error.errno != errno.ENXIO:  # there is no file behind it any more
                raise
            return False
    return True


def clear(device: LoopDevice, image: Path) -> None:
    """
    Detach a file: at once, or when the last user of its device is gone.

    A device that is not of C{image} any more stays as it is.

    @raise OSError: if the kernel refuses.
    """
    with _opened(device.path, os.O_RDONLY) as fd:
        # By its path: the file itself may have been removed.
        if not is_of(device, image):
            return
        try:
            fcntl.ioctl(fd, LOOP_CLR_FD)
        except OSError as error:
            if error.errno != errno.ENXIO:  # it was detached meanwhile
                raise


def take_size(device: LoopDevice) -> None:
    """
    Have a device take on the size that its file has by now.

    @raise OSError: if the kernel refuses.
    """
    with _opened(device.path, os.O_RDONLY) as fd:
        fcntl.ioctl(fd, LOOP_SET_CAPACITY)


def is_of(device: LoopDevice, image: Path) -> bool:
    """Say whether C{image} is attached to a device."""
    return _backing_file(os.path.basename(device.path)) == _real(image)


def devices_of(images: Collection[Path]) -> dict[Path, LoopDevice]:
    """Return the devices of those of some files that are attached to one."""
    wanted = {_real(image): image for image in images if image.exists()}
    found: dict[Path, LoopDevice] = {}
    if not wanted:
        return found  # and no device is looked at
    for name, file in _attached():
        # It may be detached while we look.
        if file in wanted and (device := _device(name)) is not None:
            found[wanted[file]] = device
    return found


def devices_below(directory: Path) -> dict[str, LoopDevice]:
    """
    Return the devices of all files below a directory, by the real paths of the files.

    Those that are detached once what is mounted of them is unmounted are left out.
    """
    start = _real(directory) + b"/"
    found = {}
    for name, file in _attached():
        if file.startswith(start) and not _goes_by_itself(name):
            device = _device(name)
            if device is not None:
                found[os.fsdecode(file)] = device
    return found


def count_below(directory: Path) -> int:
    """Return how many devices there are of files below a directory."""
    start = _real(directory) + b"/"
    return sum(file.startswith(start) for _, file in _attached())


def _attached() -> Iterator[tuple[str, bytes]]:
    """Return the names of all devices in use, with the real paths of their files."""
    for name in os.listdir(_BLOCK_DEVICES):
        if name.startswith("loop"):
            file = _backing_file(name)
            if file is not None:
                yield name, file


def _backing_file(name: str) -> bytes | None:
    # The kernel ends the path with a newline, and escapes nothing in it.
    content = _read(name, "loop/backing_file")
    return None if content is None else content.removesuffix(b"\n")


def _device(name: str) -> LoopDevice | None:
    numbers = _read(name, "dev")
    if numbers is None:
        return None
    major, minor = numbers.split(b":")
    return LoopDevice(f"/dev/{name}", os.makedev(int(major), int(minor)))


def _goes_by_itself(name: str) -> bool:
    return _read(name, "loop/autoclear") != b"0\n"


def _read(name: str, attribute: str) -> bytes | None:
    try:
        # With many VMs this is done a thousand times: a file object takes twice as long.
        with open(f"{_BLOCK_DEVICES}/{name}/{attribute}", "rb", buffering=0) as file:
            return file.read(_ATTRIBUTE_BYTES)
    except OSError:
        return None  # no file is attached to it, or it is gone


def _real(path: Path) -> bytes:
    return os.fsencode(os.path.realpath(path))


@contextmanager
def _opened(path: str | Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
