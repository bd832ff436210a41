"""OCI images: fetched with skopeo, unpacked with umoci."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from zope.interface import implementer

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.stemcells.image_reference import ImageReference
from runc_cpi.daemon.stemcells.interfaces import IImages
from runc_cpi.errors import NoDiskSpace, StemcellRejected

FETCH_TIMEOUT = 3600.0  # seconds
# The copy of an image: an OCI image layout in this directory, with this tag.
LAYOUT = "oci"
TAG = "stemcell"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@implementer(IImages)
class OCIImages:
    """Brings images to this host, and unpacks them."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def fetch(self, image: ImageReference, scratch: Path) -> str:
        """
        Copy an image to C{scratch}; skopeo verifies its blobs on the way.

        @return: the digest of the copy's manifest.  It differs from that of C{image} if it
            was converted to OCI's format, or chosen from a list for several architectures.
        @raise StemcellRejected: if it cannot be had, or has another digest.
        @raise NoDiskSpace: if the file system ran full.
        """
        layout = scratch / LAYOUT
        target = f"oci:{layout}:{TAG}"
        await self._run(["skopeo", "copy", "--quiet", image.pinned, target])
        index = json.loads((layout / "index.json").read_text("utf-8"))
        copied = str(index["manifests"][0]["digest"])
        if not DIGEST.fullmatch(copied):
            raise StemcellRejected(f"the image has the digest {copied!r}, no sha256")
        # A registry was asked for the digest itself: skopeo compared it.
        if not image.is_in_a_registry and image.digest not in (None, copied):
            await self._compare(image)
        return copied

    async def _compare(self, image: ImageReference) -> None:
        outcome = await self._run(["skopeo", "inspect", "--raw", image.text])
        found = "sha256:" + sha256(outcome.stdout).hexdigest()
        if found != image.digest:
            raise StemcellRejected(
                f"{image.text} has the digest {found}, and not {image.digest}"
            )

    async def unpack(self, scratch: Path, target: Path) -> None:
        """
        Unpack to C{target} what L{fetch} copied to C{scratch}.

        @raise StemcellRejected: if its layers cannot be unpacked.
        @raise NoDiskSpace: if the file system ran full.
        """
        image = f"{scratch / LAYOUT}:{TAG}"
        await self._run(["umoci", "raw", "unpack", "--image", image, str(target)])

    async def _run(self, argv: Sequence[str]) -> Outcome:
        outcome = await self._processes.run(argv, timeout=FETCH_TIMEOUT, lane=Lane.BULK)
        if not outcome.ok:
            if b"no space left on device" in outcome.stderr:
                raise NoDiskSpace("the disk ran full while the image was fetched")
            raise StemcellRejected(f"the image cannot be had: {outcome.complaint()}")
        return outcome
