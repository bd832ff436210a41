"""Which images C{cloud_properties} can name."""

from __future__ import annotations

import pytest

from runc_cpi.daemon.stemcells.image_reference import ImageReference
from runc_cpi.errors import InvalidArgument

HEX = "d" * 64
DIGEST = f"sha256:{HEX}"
OTHER = "sha256:" + "e" * 64
REFERENCE = "docker://registry.example/stemcells/jammy:1.2"


def parse(reference: object, **more: object) -> ImageReference:
    """Read cloud_properties."""
    return ImageReference.parse({"image_reference": reference, **more})


def refusal(reference: object, **more: object) -> str:
    """Return why cloud_properties are refused."""
    with pytest.raises(InvalidArgument) as caught:
        parse(reference, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    "reference",
    [
        REFERENCE,
        "docker://jammy",
        "docker://127.0.0.1:5000/jammy@" + DIGEST,
        "oci:/var/images/jammy",
        "oci:/var/images/jammy:1.2",
        "oci-archive:/var/images/jammy.tar:latest",
    ],
)
@pytest.mark.parametrize("digest", [None, DIGEST])
def test_explicit_references(reference: str, digest: str | None) -> None:
    """An image may be in a registry, or in a path on the daemon's host."""
    assert parse(reference, image_digest=digest) == ImageReference(reference, digest)


@pytest.mark.parametrize(
    "reference",
    [
        "ghcr.io/cloudfoundry/ubuntu-noble-stemcell:1.165",
        "ghcr.io/cloudfoundry/ubuntu-noble-stemcell",
        f"ghcr.io/cloudfoundry/ubuntu-noble-stemcell:1.165@{DIGEST}",
        f"ghcr.io/cloudfoundry/ubuntu-noble-stemcell@{DIGEST}",
        "127.0.0.1:5000/stemcells/jammy__x.y--z:_1.2-rc",
        "localhost/jammy",
        "cloudfoundry/jammy:1",
        "jammy",
        "docker:1",
    ],
)
def test_bare_references(reference: str) -> None:
    """As docker-cpi and warden-cpi have it, a name alone is that of a registry's image."""
    assert parse(reference).text == f"docker://{reference}"


@pytest.mark.parametrize(
    "reference",
    [
        None,
        5,
        "",
        ["docker://x"],
        "docker://",
        "docker://-x",
        "docker:// x",
        "docker://x\n",
        "docker://x --dest-tls-verify=false",
        "oci:relative/path",
        "oci:relative",
        "oci:/a,b",
        "dir:/etc",
        "dir:etc",
        "docker-daemon:x",
        "docker-archive:x",
        "containers-storage:x",
        "ostree:x",
        "sif:x",
        "--help",
        "oci-archive:",
        "-x",
        "/x",
        ":1",
        "@" + DIGEST,
        "x\n",
        "x y",
        "x/../y",
        "..",
        "x:1:2",
        "x@sha256:1",
        "x/Y",
        "http://x/y",
        "x:" + "t" * 129,
    ],
)
def test_what_is_no_reference(reference: object) -> None:
    """What the tools could take for something else than an image is refused by name."""
    message = refusal(reference)
    assert message.startswith(f"cloud_properties.image_reference: {reference!r} must be ")


@pytest.mark.parametrize(
    "reference",
    ["docker://u:hunter2@h/x", "u:hunter2@h/x", "hunter2@h", "http://hunter2@h"],
)
def test_a_password(reference: str) -> None:
    """A reference with a password is refused, and not repeated."""
    message = refusal(reference)
    assert "hunter2" not in message
    assert "without a user and a password" in message


BAD_DIGESTS = [
    "",
    5,
    [DIGEST],
    "md5:" + "d" * 32,
    DIGEST[:-1],
    DIGEST.upper(),
    DIGEST + "\n",
]


@pytest.mark.parametrize("key", ["image_digest", "digest"])
@pytest.mark.parametrize("digest", BAD_DIGESTS)
def test_what_is_no_digest(key: str, digest: object) -> None:
    """A digest that is not sha256 and 64 lower-case hexadecimal digits is refused."""
    message = refusal(REFERENCE, **{key: digest})
    assert message.startswith(f"cloud_properties.{key}: {digest!r} must be sha256: ")


def test_the_digest_of_other_cpis() -> None:
    """C{digest} means C{image_digest}, and may lack its kind; both must be the same."""
    for digest in (DIGEST, HEX):
        assert parse(REFERENCE, digest=digest).digest == DIGEST
    assert parse(REFERENCE, digest=DIGEST, image_digest=DIGEST).digest == DIGEST
    message = refusal(REFERENCE, digest=OTHER, image_digest=DIGEST)
    assert message == f"cloud_properties.digest: {OTHER!r} must be image_digest, {DIGEST!r}"
    assert refusal(REFERENCE, image_digest=HEX).startswith(
        "cloud_properties.image_digest: "
    )


@pytest.mark.parametrize("before", ["docker://", ""])
def test_two_digests(before: str) -> None:
    """A reference that has another digest in it than image_digest is refused."""
    parse(f"oci:/var/images@{OTHER}", image_digest=DIGEST)
    parse(f"{before}jammy@{DIGEST}", image_digest=DIGEST)
    message = refusal(f"{before}jammy@{DIGEST}", image_digest=OTHER)
    assert message.startswith(f"cloud_properties.image_digest: {OTHER!r} must be the ")


def test_pinned() -> None:
    """A registry is asked for the digest and not for the tag, if there is a digest."""
    name = "docker://127.0.0.1:5000/jammy"
    assert parse(f"{name}:1.2", digest=DIGEST).pinned == f"{name}@{DIGEST}"
    assert parse(f"{name}:1.2@{DIGEST}").pinned == f"{name}@{DIGEST}"
    assert parse(f"{name}:1.2").pinned == f"{name}:1.2"
    assert parse("oci:/x", digest=DIGEST).pinned == "oci:/x"
