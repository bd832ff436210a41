"""Downloads and what was fetched before: each file has its digest, or is not used."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.error
import urllib.request
from pathlib import Path

import click
import pytest

from runc_cpi.ctl.director.downloads import Cache, check, download

URL = "https://example.com/d/release?v=1"
CONTENT = b"content"
SHA1, SHA256 = (getattr(hashlib, name)(CONTENT).hexdigest() for name in ("sha1", "sha256"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Serves the content at every URL; the URLs that were asked for."""
    asked: list[str] = []

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        if "none" in url:
            raise urllib.error.URLError("Name or service not known")
        return io.BytesIO(CONTENT)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


@pytest.mark.parametrize(
    "digest",
    [SHA1, SHA1.upper(), f"sha256:{SHA256}", f"{'0' * 40};sha256:{SHA256}"],
    ids=["sha1", "upper", "sha256", "both"],
)
def test_digests(digest: str, served: list[str], tmp_path: Path) -> None:
    """A digest is as BOSH writes it; of several the strongest counts."""
    download(URL, digest, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("digest", ["0" * 40, f"sha256:{SHA1}", f"{SHA1};sha256:0"])
def test_another_digest(digest: str, served: list[str], tmp_path: Path) -> None:
    """What has another digest is not there afterwards."""
    with pytest.raises(click.ClickException, match="it is not used"):
        download(URL, digest, tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_a_digest_that_is_none(tmp_path: Path) -> None:
    """It is not taken for a match."""
    (tmp_path / "f").touch()
    with pytest.raises(click.ClickException, match="'md5:0' is no digest that is known"):
        check(tmp_path / "f", "md5:0")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://none.example/f", "Name or service not known"),
        ("file:///etc/passwd", "only http and https URLs are downloaded"),
    ],
)
def test_what_cannot_be_had(url: str, why: str, served: list[str], tmp_path: Path) -> None:
    """The URL and the reason are named, and nothing is left."""
    with pytest.raises(click.ClickException) as refused:
        download(url, None, tmp_path / "file")
    assert refused.value.message == f"{url}: {why}"
    assert not list(tmp_path.iterdir())


def test_a_cache(served: list[str], tmp_path: Path) -> None:
    """A file is fetched once; its name cannot lead out of the directory."""
    cache = Cache(tmp_path)
    assert cache.find(URL) is None
    path = cache.add(URL, SHA1)
    assert cache.add(URL, SHA1) == path
    assert served == [URL]
    for hostile in ("https://example.com/..", "https://example.com/a/..%2f", "https://x/"):
        assert cache.add(hostile).parent == tmp_path
    assert Cache(tmp_path).find(URL) == path


def test_a_damaged_file_is_fetched_anew(served: list[str], tmp_path: Path) -> None:
    """So is one of which another digest is wanted now, which the server has not."""
    cache = Cache(tmp_path)
    cache.add(URL, SHA1).write_bytes(b"damaged")
    assert cache.add(URL, SHA1).read_bytes() == CONTENT
    assert cache.whole(URL) is not None
    with pytest.raises(click.ClickException, match="it is not used"):
        cache.add(URL, "0" * 40)
    assert served == [URL] * 3


def test_a_cache_that_was_changed(served: list[str], tmp_path: Path) -> None:
    """A file that is another one now is refused; an index names none elsewhere."""
    cache = Cache(tmp_path)
    cache.add(URL).write_bytes(b"another")
    with pytest.raises(click.ClickException, match="it is not used"):
        cache.find(URL)
    entry = {"file": "../../etc/passwd", "digest": "0"}
    (tmp_path / "index.json").write_text(json.dumps({URL: entry}))
    assert cache.find(URL) is None
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(click.ClickException, match="index.json"):
        cache.find(URL)
