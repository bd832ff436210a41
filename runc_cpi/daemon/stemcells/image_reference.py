"""Which OCI image a light stemcell is made of: what C{cloud_properties} say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from runc_cpi.errors import InvalidArgument

REGISTRY = "docker://"
_HEX = r"[0-9a-f]{64}"
_DIGEST = re.compile(rf"sha256:{_HEX}")
# docker-cpi and warden-cpi take their digest without its kind as well.
_BARE_DIGEST = re.compile(rf"(sha256:)?{_HEX}")
_EXPLICIT = re.compile(
    r"(docker://[A-Za-z0-9][A-Za-z0-9._:/@-]*|oci(-archive)?:/[A-Za-z0-9._/@+-]+(:[A-Za-z0-9._-]+)?)"
)
# As those two CPIs name an image: [HOST[:PORT]/]NAME[:TAG][@DIGEST].
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_BARE = re.compile(
    rf"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    rf"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:{_HEX})?"
)
# Other places that images can be in, which a name and a tag could be taken for
# (containers-transports(5)).
_OTHER_PLACES = re.compile(
    "(oci|oci-archive|dir|docker-archive|docker-daemon|containers-storage|ostree|sif|tarball):.*"
)
ACCEPTED = (
    "[HOST/]NAME[:TAG] in a registry, with docker:// before it or not, oci:/PATH[:TAG] or "
    "oci-archive:/PATH[:TAG]"
)
_PATHS = ("oci:/", "oci-archive:/")
# An @ that no digest follows.
_USER = re.compile("@(?!sha256:)")
# A colon before a slash is that of a registry's port.
_TAG = re.compile(r":[^/:]*$")


@dataclass(frozen=True)
class ImageReference:
    """
    An image in a registry, or in a path of this host.

    @ivar text: where it is, as skopeo(1) takes it.
    @ivar digest: the digest of what that leads to, or L{None} if any will do.
    """

    text: str
    digest: str | None = None

    @classmethod
    def parse(cls, cloud_properties: Mapping[str, Any]) -> Self:
        """
        Read C{image_reference}, and C{image_digest} or C{digest}.

        @raise InvalidArgument: naming what is wrong, and what is accepted.
        """
        text = _reference(cloud_properties.get("image_reference"))
        digest = _one_of(
            image_digest=_digest("image_digest", cloud_properties, _DIGEST),
            digest=_digest("digest", cloud_properties, _BARE_DIGEST),
        )
        own = _digest_in(text)
        if digest is not None and own not in (None, digest):
            raise InvalidArgument(
                f"cloud_properties.image_digest: {digest!r} must be the digest in "
                f"image_reference, {own!r}"
            )
        return cls(text, digest)

    @property
    def is_in_a_registry(self) -> bool:
        """Whether it is fetched from a registry."""
        return self.text.startswith(REGISTRY)

    @property
    def pinned(self) -> str:
        """
        The reference by which a registry gives out nothing but the digest's image.

        skopeo takes a tag or a digest, not both.  Other references stay as they are.
        """
        wanted = self.digest or _digest_in(self.text)
        if not self.is_in_a_registry or wanted is None:
            return self.text
        return f"{REGISTRY}{_TAG.sub('', _name(self.text))}@{wanted}"


def _reference(given: object) -> str:
    if isinstance(given, str):
        if not given.startswith(_PATHS) and _USER.search(given):
            # It is not told: what is before the @ may be a password.
            raise InvalidArgument(
                f"cloud_properties.image_reference: must be {ACCEPTED}, without a user and "
                "a password; the daemon takes credentials from where skopeo has them"
            )
        if _EXPLICIT.fullmatch(given):
            return given
        if _BARE.fullmatch(given) and not _OTHER_PLACES.fullmatch(given):
            return REGISTRY + given
    raise InvalidArgument(f"cloud_properties.image_reference: {given!r} must be {ACCEPTED}")


def _digest(key: str, given: Mapping[str, Any], form: re.Pattern[str]) -> str | None:
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not form.fullmatch(value):
        raise InvalidArgument(
            f"cloud_properties.{key}: {value!r} must be sha256: and 64 hexadecimal digits"
        )
    return f"sha256:{value.removeprefix('sha256:')}"


def _one_of(*, image_digest: str | None, digest: str | None) -> str | None:
    """Return the one that is given; both say the same."""
    if None not in (image_digest, digest) and image_digest != digest:
        raise InvalidArgument(
            f"cloud_properties.digest: {digest!r} must be image_digest, {image_digest!r}"
        )
    return image_digest or digest


def _digest_in(text: str) -> str | None:
    # In other references an @ is part of a path.
    return text.partition("@")[2] or None if text.startswith(REGISTRY) else None


def _name(text: str) -> str:
    return text.removeprefix(REGISTRY).partition("@")[0]
