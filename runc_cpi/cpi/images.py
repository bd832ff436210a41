"""Images of stemcells: opened, and sent to a daemon that may have them already."""

from __future__ import annotations

import os
import stat

from runc_cpi.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Dict, Optional

    from runc_cpi.cpi.client import Client

CHUNK = 1 << 20  # bytes


def opened(path: str) -> BinaryIO:
    """
    Open an image file.

    @raise InvalidArgument: if it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InvalidArgument(f"image_path: {path}: not an ordinary file")
        return open(path, "rb")
    except OSError as error:
        raise InvalidArgument(f"image_path: {path}: {error.strerror}") from None


def send(
    client: Client,
    image: BinaryIO,
    size: int,
    cloud_properties: Any,
    followed: Optional[Callable[[BinaryIO], BinaryIO]] = None,
) -> Dict[bytes, bytes]:
    """
    Send an image, but for one that the daemon has: of that the digest is enough.

    Only if the daemon has an image of this size, the whole is read for its digest first.

    @param image: is read from its beginning, maybe twice.
    @param size: of the image, in bytes.
    @param followed: returns what is read instead of the image as it is sent; it is not
        called if the digest is enough.
    @return: the answer that has the stemcell's cid.
    @raise CPIError: what the daemon says.
    """
    # What is wrong with an empty one, the daemon says at its end.
    told = {"size": size} if size else {}
    begun = client.call("OpenStemcell", cloud_properties=cloud_properties, **told)
    upload = int(begun[b"upload"])
    # A daemon of before does not ask.
    if begun.get(b"wants_digest") == b"True":
        named = client.call("NameStemcell", upload=upload, digest=digest(image), size=size)
        if b"stemcell_cid" in named:
            return named
        image.seek(0)
    source = image if followed is None else followed(image)
    client.send_stream("WriteStemcell", source, upload=upload)
    return client.call("CloseStemcell", upload=upload)


def digest(image: BinaryIO) -> str:
    """Return C{sha256:} and the hash of what is left to read of an image."""
    from hashlib import sha256  # it loads OpenSSL, and is seldom needed

    hashed = sha256()
    while data := image.read(CHUNK):
        hashed.update(data)
    return f"sha256:{hashed.hexdigest()}"
