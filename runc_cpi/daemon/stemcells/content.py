"""What an image is by what is in it, so that the same one is known again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Content:
    """
    An image.

    @ivar digest: C{sha256:} and the hash of an image file, or of an OCI image's manifest.
    @ivar size: how many bytes the image file has, or L{None} for an OCI image.
    """

    digest: str
    size: int | None = None
