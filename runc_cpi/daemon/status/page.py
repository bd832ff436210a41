"""The page: one file with all it needs, and a policy that lets it have nothing else."""

from __future__ import annotations

import base64
import re
from functools import cache
from hashlib import sha256
from pathlib import Path

FILE = Path(__file__).with_name("page.html")
CONTENT_TYPE = "text/html; charset=utf-8"


@cache
def content() -> bytes:
    """Return the page; it is read once."""
    return FILE.read_bytes()


@cache
def policy() -> str:
    """
    Return the Content-Security-Policy of the page (W3C CSP 3).

    The browser runs the page's own script and no other, by its hash: what a VM may have
    smuggled in does not run.  Nothing is fetched but from the daemon.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash('script')}",
            f"style-src {_hash('style')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hash(name: str) -> str:
    """Return the hash of what is in the one element of a name."""
    (found,) = re.findall(rf"<{name}\b[^>]*>(.*?)</{name}>".encode(), content(), re.DOTALL)
    return f"'sha256-{base64.b64encode(sha256(found).digest()).decode('ascii')}'"
