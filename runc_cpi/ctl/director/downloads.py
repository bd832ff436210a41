"""Files from the Internet, or from a directory that C{fetch} has filled before."""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.error
import urllib.request
from hashlib import new as new_hash
from pathlib import Path

import click

from runc_cpi.ctl.director.directory import write_whole

INDEX = "index.json"
CHUNK = 1 << 20
# For a server to say anything, in seconds.
TIMEOUT = 60
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class Cache:
    """
    A directory of files, each known by the URL it is from.

    @ivar path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def _index(self) -> dict[str, dict[str, str]]:
        try:
            index: dict[str, dict[str, str]] = json.loads(
                (self.path / INDEX).read_text("utf-8")
            )
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise click.ClickException(f"{self.path / INDEX}: {error}") from None
        return index

    def find(self, url: str) -> Path | None:
        """
        Return the file of a URL, if it is there.

        @raise click.ClickException: if it is not what C{fetch} has put there.
        """
        entry = self._index().get(url)
        if entry is None:
            return None
        path = self.path / Path(entry["file"]).name
        if not path.is_file():
            return None
        check(path, entry["digest"])
        return path

    def whole(self, url: str) -> Path | None:
        """Return the file of a URL, if it is there and not damaged."""
        entry = self._index().get(url)
        path = None if entry is None else self.path / Path(entry["file"]).name
        if entry is None or path is None or not path.is_file():
            return None
        return path if has(path, entry["digest"]) else None

    def add(self, url: str, digest: str | None = None) -> Path:
        """
        Download a file, unless it is there as a whole.

        @param digest: what it must have, as BOSH writes it.
        """
        found = self.whole(url)
        if found is not None and (digest is None or has(found, digest)):
            return found
        target = self.path / self._name(url)
        download(url, digest, target)
        self.note(url, target)
        return target

    def note(self, url: str, path: Path) -> None:
        """Note that a file of the directory stands for a URL."""
        index = self._index()
        index[url] = {"file": path.name, "digest": f"sha256:{digest_of(path, 'sha256')}"}
        text = json.dumps(index, indent=1, sort_keys=True) + "\n"
        write_whole(self.path / INDEX, text, 0o644)

    def _name(self, url: str) -> str:
        short = digest_text(url)[:8]
        last = _NAME.sub("-", url.partition("://")[2].rpartition("/")[2])[-80:]
        return f"{short}-{last.lstrip('-.') or 'file'}"


def download(url: str, digest: str | None, target: Path) -> None:
    """
    Download a file; it is there as a whole or not at all.

    @param digest: what it must have, as BOSH writes it.
    @raise click.ClickException: if it cannot be had, or has another digest.
    """
    draft = target.with_name(f".{target.name}.part")
    try:
        # file: and others would read what is here.
        if not url.startswith(("https://", "http://")):
            raise click.ClickException(f"{url}: only http and https URLs are downloaded")
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT) as source,
            draft.open("wb") as file,
        ):
            shutil.copyfileobj(source, file, CHUNK)
            file.flush()
            os.fsync(file.fileno())
        if digest is not None:
            check(draft, digest, url)
        draft.replace(target)
    except urllib.error.URLError as error:
        raise click.ClickException(f"{url}: {error.reason}") from None
    except OSError as error:
        raise click.ClickException(f"{url}: {error}") from None
    finally:
        draft.unlink(missing_ok=True)


def has(path: Path, digest: str) -> bool:
    """Whether a file has a digest."""
    try:
        check(path, digest)
    except click.ClickException:
        return False
    return True


def check(path: Path, digest: str, name: str | None = None) -> None:
    """
    Compare a file with its digest.

    @param digest: as BOSH writes it: a sha1, C{sha256:…}, or several with semicolons, of
        which the strongest counts.
    @param name: what the file is called in the error.
    @raise click.ClickException: if it has another one.
    """
    known = dict(_algorithm(each) for each in digest.split(";"))
    for algorithm in ("sha512", "sha256", "sha1"):
        if algorithm in known:
            found = digest_of(path, algorithm)
            if found != known[algorithm].lower():
                raise click.ClickException(
                    f"{name or path}: its {algorithm} is {found}, and not "
                    f"{known[algorithm]}; it is not used"
                )
            return
    raise click.ClickException(f"{name or path}: {digest!r} is no digest that is known")


def digest_of(path: Path, algorithm: str) -> str:
    """Return the digest of a file, in hexadecimal."""
    digest = new_hash(algorithm)
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()


def digest_text(text: str) -> str:
    """Return a text's sha256, in hexadecimal."""
    return new_hash("sha256", text.encode()).hexdigest()


def _algorithm(digest: str) -> tuple[str, str]:
    algorithm, colon, value = digest.strip().partition(":")
    return (algorithm, value) if colon else ("sha1", algorithm)
