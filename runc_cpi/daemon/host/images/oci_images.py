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
from runc_cpi.daemon.stemcells.interfaces import IImages
from runc_cpi.errors import InvalidArgument, NoDiskSpace, StemcellRejected

FETCH_TIMEOUT = 3600.0  # seconds
# The copy of an image: an OCI image layout in this directory, with this tag.
LAYOUT = "oci"
TAG = "stemcell"
REFERENCE = re.compile(
    r"(docker://[A-Za-z0-9][A-Za-z0-9._:/@-]*|oci(-archive)?:/[A-Za-z0-9._/@+-]+(:[A-Za-z0-9._-]+)?)"
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REGISTRY = "docker://"
# A colon before a slash is that of a registry's port.
REGISTRY_TAG = re.compile(r":[^/:]*$")


@implementer(IImages)
class OCIImages:
    """Brings images to this host, and unpacks them."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def check(self, reference: object, digest: object) -> None:
        """
        Check C{image_reference} and C{image_digest} of C{cloud_properties}.

        @raise InvalidArgument: if these cannot be a reference and a digest, or the
            reference has another digest in it.
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
        own = _digest_in(reference)
        if digest is not None and own not in (None, digest):
            raise InvalidArgument(
                f"cloud_properties.image_digest: {digest!r} must be the digest in "
                f"image_reference, {own!r}"
            )

    async def fetch(self, reference: str, digest: str | None, scratch: Path) -> str:
        """
        Copy an image to C{scratch}; skopeo verifies its blobs on the way.

        @param digest: the digest of what the reference leads to, or L{None} for any.
        @return: the digest of the copy's manifest.  It differs from C{digest} if the image
            was converted to OCI's format, or chosen from a list for several architectures.
        @raise StemcellRejected: if it cannot be had, or has another digest.
        @raise NoDiskSpace: if the file system ran full.
        """
        layout = scratch / LAYOUT
        source = _pinned(reference, digest)
        await self._run(["skopeo", "copy", "--quiet", source, f"oci:{layout}:{TAG}"])
        index = json.loads((layout / "index.json").read_text("utf-8"))
        copied = str(index["manifests"][0]["digest"])
        if not DIGEST.fullmatch(copied):
            raise StemcellRejected(f"the image has the digest {copied!r}, no sha256")
        # A registry was asked for the digest itself: skopeo compared it.
        if not source.startswith(REGISTRY) and digest not in (None, copied):
            await self._compare(reference, str(digest))
        return copied

    async def _compare(self, reference: str, digest: str) -> None:
        outcome = await self._run(["skopeo", "inspect", "--raw", reference])
        found = "sha256:" + sha256(outcome.stdout).hexdigest()
        if found != digest:
            raise StemcellRejected(f"{reference} has the digest {found}, and not {digest}")

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


def _pinned(reference: str, digest: str | None) -> str:
    """
    Return the reference by which a registry gives out nothing but the digest's image.

    skopeo takes a tag or a digest, not both.  Other references are returned as they are.
    """
    wanted = digest or _digest_in(reference)
    if not reference.startswith(REGISTRY) or wanted is None:
        return reference
    return f"{REGISTRY_TAG.sub('', reference.partition('@')[0])}@{wanted}"


def _digest_in(reference: str) -> str | None:
    # In other references an @ is part of a path.
    own = reference.partition("@")[2] if reference.startswith(REGISTRY) else ""
    return own or None
