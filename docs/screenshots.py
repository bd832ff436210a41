"""
Makes the pictures of the status page, with a browser that looks at a fake host.

C{python docs/screenshots.py} writes them to docs/images. It needs Chromium, and what the
tests need. Each picture is made anew with the names and numbers of tests/unit/status.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.harness import png
from tests.harness.browser import browser
from tests.unit.status.examples import example
from tests.unit.status.serving import served

IMAGES = ROOT / "docs" / "images"
VMS = 50
MOST_BYTES = 150_000


@dataclass(frozen=True)
class Picture:
    """
    A picture.

    @ivar name: of its file.
    @ivar width: of the screen, in pixels as CSS counts them.
    @ivar height: of the screen, likewise.
    @ivar scheme: C{dark} or C{light}.
    @ivar before: what is done before it is taken, in JavaScript.
    """

    name: str
    width: int
    height: int
    scheme: str
    before: str = ""


OPEN = "document.querySelector('#vms-table .more-button').click()"
PICTURES = (
    Picture("status-light.png", 1280, 800, "light", OPEN),
    Picture("status-dark.png", 1280, 800, "dark"),
    Picture("status-phone.png", 390, 844, "dark"),
)


def take(url: str) -> None:
    """Take all pictures; this blocks."""
    with browser() as page:
        for picture in PICTURES:
            page.look_as(picture.width, picture.height, picture.scheme)
            page.go(url)
            page.until("document.getElementById('light').className === 'dot good'")
            page.evaluate(f"{picture.before}; document.activeElement.blur()")
            content = png.smaller(page.screenshot())
            if len(content) > MOST_BYTES:
                raise SystemExit(f"{picture.name}: {len(content)} bytes are too many")
            (IMAGES / picture.name).write_bytes(content)
            print(f"wrote docs/images/{picture.name}, {len(content)} bytes")


async def make(reactor: Any) -> None:
    """Serve the page, and take the pictures."""
    with tempfile.TemporaryDirectory() as directory:
        made = await example(reactor, Path(directory) / "work", VMS)
        async with served(reactor, made.documents) as url:
            await deferToThread(take, url)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(make(reactor)))
