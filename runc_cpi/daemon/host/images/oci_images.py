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

FETCH_TIMEOUT = 3600.0
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
    """Brings images to this host."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def check(self, reference: object, digest: object) -> None:
        """
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
        Copy an image to C{scratch}; its blobs are verified on the way.

        @param digest: that of what the reference leads to, or L{None} for any.
        @return: the digest of the copy's manifest: another one if the image is not of
            OCI's own format, or was chosen from a list for several kinds of machine.
        @raise StemcellRejected: if it cannot be had, or has another digest.
        """
        layout = scratch / LAYOUT
        source = _pinned(reference, digest)
        await self._run(["skopeo", "copy", "--quiet", source, f"oci:{layout}:{TAG}"])
        index = json.loads((layout / "index.json").read_text("utf-8"))
        copied = str(index["manifests"][0]["digest"])
        if not DIGEST.fullmatch(copied):
            raise StemcellRejected(f"the image has the digest {copied!r}, no sha256")
        # What comes from a registry by its digest was compared with it.
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
        Unpack to C{target} what L{fetch} brought to C{scratch}.

        @raise StemcellRejected: if its layers cannot be unpacked.
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
    Return a reference that leads to nothing but what has the digest, if that can be.

    skopeo takes a tag or a digest of a registry's image, and not both.
    """
    wanted = digest or _digest_in(reference)
    if not reference.startswith(REGISTRY) or wanted is None:
        return reference
    return f"{REGISTRY_TAG.sub('', reference.partition('@')[0])}@{wanted}"


def _digest_in(reference: str) -> str | None:
    # Elsewhere it is a part of a path.
    own = reference.partition("@")[2] if reference.startswith(REGISTRY) else ""
    return own or None
