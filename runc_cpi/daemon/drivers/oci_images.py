"""OCI images: fetched with skopeo, unpacked with umoci."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from zope.interface import implementer

from runc_cpi.daemon.domain.interfaces import IImages
from runc_cpi.daemon.drivers.process import Processes
from runc_cpi.errors import InvalidArgument, NoDiskSpace, StemcellRejected

FETCH_TIMEOUT = 3600.0
LAYOUT = "oci"
TAG = "stemcell"
REFERENCE = re.compile(
    r"(docker://[A-Za-z0-9][A-Za-z0-9._:/@-]*|oci(-archive)?:/[A-Za-z0-9._/@+-]+(:[A-Za-z0-9._-]+)?)"
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@implementer(IImages)
class OCIImages:
    """Brings images to this host."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def check(self, reference: object, digest: object) -> None:
        """
        @raise InvalidArgument: if these cannot be a reference and a digest.
        """
        if not isinstance(reference, str) or not REFERENCE.fullmatch(reference):
            raise InvalidArgument(
                f"cloud_properties.image_reference: {reference!r} must be docker://NAME, "
                "oci:/PATH[:TAG] or oci-archive:/PATH[:TAG]"
            )
        if digest is not None and (
            not isinstance(digest, str) or not DIGEST.fullmatch(digest)
        ):
            raise InvalidArgument(
                f"cloud_properties.image_digest: {digest!r} must be sha256: and 64 "
                "hexadecimal digits"
            )

    async def fetch(self, reference: str, scratch: Path) -> str:
        """
        Copy an image to C{scratch}; its blobs are verified on the way.

        @return: the digest of its manifest.
        @raise StemcellRejected: if it cannot be had.
        """
        layout = scratch / LAYOUT
        await self._run(["skopeo", "copy", "--quiet", reference, f"oci:{layout}:{TAG}"])
        index = json.loads((layout / "index.json").read_text("utf-8"))
        digest = str(index["manifests"][0]["digest"])
        if not DIGEST.fullmatch(digest):
            raise StemcellRejected(f"the image has the digest {digest!r}, no sha256")
        return digest

    async def unpack(self, scratch: Path, target: Path) -> None:
        """
        Unpack to C{target} what L{fetch} brought to C{scratch}.

        @raise StemcellRejected: if its layers cannot be unpacked.
        """
        image = f"{scratch / LAYOUT}:{TAG}"
        await self._run(["umoci", "raw", "unpack", "--image", image, str(target)])

    async def _run(self, argv: Sequence[str]) -> None:
        outcome = await self._processes.run(argv, timeout=FETCH_TIMEOUT)
        if not outcome.ok:
            if b"no space left on device" in outcome.stderr:
                raise NoDiskSpace("the disk ran full while the image was fetched")
            raise StemcellRejected(f"the image cannot be had: {outcome.complaint()}")
