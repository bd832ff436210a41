"""What stemcells ask of the host."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from pathlib import Path

from zope.interface import Interface

from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.image_reference import ImageReference


class IUpload(Interface):
    """An image whose bytes are unpacked into a directory as they come."""

    def write(data: bytes) -> Awaitable[None]:
        """
        Unpack the next bytes; ready when there is room for more.

        @raise StemcellRejected: if the image is no archive, or a broken one.
        @raise NoDiskSpace: if the file system ran full.
        @raise CloudError: if a program that unpacks cannot be started.
        """

    def finish() -> Awaitable[Content]:
        """
        Take note that all bytes were written, and wait until all is unpacked.

        @return: what was written.
        @raise StemcellRejected: if the image is no archive, or a broken one.
        @raise NoDiskSpace: if the file system ran full.
        @raise CloudError: if a program that unpacks cannot be started.
        """

    def abort() -> Awaitable[None]:
        """Stop unpacking, and wait until no process works on it any more."""


class IArchiver(Interface):
    """Unpacks images: tar archives, plain or compressed."""

    def open(target: Path) -> IUpload:
        """Begin to unpack an image into C{target}; its bytes will be written."""

    def identify(image: int, sizes: Collection[int]) -> Awaitable[Content | None]:
        """
        Say what an image file is, without unpacking it.

        @param image: a parcel with the file (C{base/parcels.py}), which stays in it.
        @param sizes: in bytes; a file of another size is not read.
        @return: what it is, or L{None} if it has none of these sizes.
        @raise InvalidArgument: if it is no ordinary file, or cannot be read.
        @raise CloudError: if the program that reads cannot be started.
        """

    def unpack(image: int, target: Path) -> Awaitable[Content]:
        """
        Unpack an image file into C{target}.

        @param image: a parcel with the file (C{base/parcels.py}), which stays open.
        @return: what the file is.
        @raise InvalidArgument: if it is no ordinary file, or cannot be read.
        @raise StemcellRejected: if the image is no archive, or a broken one.
        @raise NoDiskSpace: if the file system ran full.
        @raise CloudError: if a program that unpacks cannot be started.
        """


class IImages(Interface):
    """Brings OCI images to this host."""

    def fetch(image: ImageReference, scratch: Path) -> Awaitable[str]:
        """
        Copy an image to C{scratch}.

        @return: the digest of the copy's manifest.
        @raise StemcellRejected: if it cannot be had, or has another digest.
        @raise NoDiskSpace: if the file system ran full.
        @raise CloudError: if the program that fetches cannot be started.
        """

    def unpack(scratch: Path, target: Path) -> Awaitable[None]:
        """
        Unpack to C{target} what L{fetch} copied to C{scratch}.

        @raise StemcellRejected: if its layers cannot be unpacked.
        @raise NoDiskSpace: if the file system ran full.
        @raise CloudError: if the program that unpacks cannot be started.
        """
