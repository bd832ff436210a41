"""What stemcells ask of the host."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

from zope.interface import Interface

from runc_cpi.daemon.storage.interfaces import ITrees


class IUpload(Interface):
    """An image on its way into a directory."""

    def write(data: bytes) -> Awaitable[None]:
        """Take the next bytes; ready once they are accepted downstream."""

    def finish() -> Awaitable[None]:
        """There are no more bytes: wait until all is unpacked."""

    def abort() -> Awaitable[None]:
        """Give up, and wait until nothing runs for it any more."""


class IArchiver(ITrees):
    """Unpacks images, and removes what was unpacked."""

    def open(target: Path) -> IUpload:
        """Unpack an image, whose bytes will be written, into C{target}."""

    def unpack(image: int, target: Path) -> Awaitable[None]:
        """Unpack the image that is in the parcel C{image} (C{base/parcels.py})."""


class IImages(Interface):
    """Brings OCI images to this host."""

    def check(reference: object, digest: object) -> None:
        """Raise InvalidArgument if these cannot be a reference and a digest."""

    def fetch(reference: str, digest: str | None, scratch: Path) -> Awaitable[str]:
        """
        Copy an image to C{scratch}, and return the digest of the copy's manifest.

        Raise StemcellRejected if the reference leads to something without C{digest}.
        """

    def unpack(scratch: Path, target: Path) -> Awaitable[None]:
        """Unpack to C{target} what was fetched to C{scratch}."""
