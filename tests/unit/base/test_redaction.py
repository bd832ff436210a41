"""Secrets that are taken out of texts, and texts that stay as they are."""

from __future__ import annotations

import time

import pytest

from runc_cpi.daemon.base.redaction import redacted

DIGEST = "sha256:" + "d" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at nats://u:hunter2@h:4222/x", "at nats://<redacted>@h:4222/x"),
        ("http://u:hun@ter2@h/x", "http://<redacted>@h/x"),
        ("http://hunter2@h", "http://<redacted>@h"),
        ("http://u:hun/ter2@h/x", "http://<redacted>@h/x"),
        ("x://a:b@c,x://d:hunter2@e", "x://<redacted>@e"),
        ("image: 'u:hunter2@h:5000/x' is", "image: '<redacted>@h:5000/x' is"),
        ("u:hunter2@h", "<redacted>@h"),
        ("u:hun/ter@2@h", "<redacted>@h"),
        (f"u:hunter2@h/x@{DIGEST}", f"<redacted>@h/x@{DIGEST}"),
        ("GET https://h/x?token=hunter2 failed", "GET https://h/x?<redacted> failed"),
        ("https://u:a?b@h/x?token=hunter2", "https://<redacted>@h/x?<redacted>"),
        ("Authorization: Bearer hunter2.x-y", "Authorization: Bearer <redacted>"),
        ("authorization: basic dTpodW50ZXIy, x", "authorization: basic <redacted>, x"),
        ("-----BEGIN KEY-----\nhunter2", "-----BEGIN <redacted>"),
    ],
)
def test_secrets(text: str, expected: str) -> None:
    """What has the form of a secret is left out, and what is around it stays."""
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "vips@home: a@b",
        "created vm-1 at 10.0.0.2 from stemcell-1",
        f"docker://example/stemcell:1@{DIGEST}",
        f"ubuntu:22.04@{DIGEST}",
        "oci:/srv/a@b/c",
        "https://h/x@y",
        "is it http://h/x?",
        "which one: a or b?",
        "the basic set",
    ],
)
def test_others(text: str) -> None:
    """What only looks a little like a secret stays."""
    assert redacted(text) == text


@pytest.mark.parametrize(
    "part", ["a:", "@", "a:@", "://", "http://a?", "basic ", "sha256:@"]
)
def test_long_texts(part: str) -> None:
    """A text that was made to take long takes no longer than others."""
    began = time.process_time()
    redacted(part * 100_000)
    assert time.process_time() - began < 2
