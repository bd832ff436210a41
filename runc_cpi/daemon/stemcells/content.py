"""What an image is by what is in it, so that the same one is known again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from typing_extensions import Self

from runc_cpi.errors import InvalidArgument

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Content:
    """
    An image.

    @ivar digest: C{sha256:} and the hash of an image file, or of an OCI image's manifest.
    @ivar size: how many bytes the image file has, or L{None} for an OCI image.
    """

    digest: str
    size: int | None = None

    @classmethod
    def named(cls, digest: str, size: int) -> Self:
        """
        Return the image file that a caller names.

        @raise InvalidArgument: if that names none.
        """
        if not _DIGEST.fullmatch(digest):
            raise InvalidArgument(
                f"digest: {digest!r} must be sha256: and 64 hexadecimal digits"
            )
        return cls(digest, checked_size(size))

    def __str__(self) -> str:
        """Its digest, and its size if it has one, for people."""
        return self.digest if self.size is None else f"{self.digest}, {self.size} bytes"


def checked_size(size: int) -> int:
    """
    Return the size of an image file as a caller tells it.

    @raise InvalidArgument: if no image file has it.
    """
    if size < 1:
        raise InvalidArgument(f"size: {size} must be a number of bytes, 1 or more")
    return size
