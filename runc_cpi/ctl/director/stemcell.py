"""What the name of a stemcell's file tells."""

from __future__ import annotations

import re

# Such as bosh-stemcell-1.484-warden-boshlite-ubuntu-noble.tgz.
_FILE = re.compile(r"(?:light-)?bosh-stemcell-([\d.]+)-([a-z0-9-]+?)(-go_agent)?\.tgz")


def name_and_version(url: str) -> tuple[str, str] | None:
    """Return the name and version of the stemcell at a URL, or L{None} if it tells none."""
    found = _FILE.fullmatch(url.rpartition("/")[2])
    if found is None:
        return None
    version, infrastructure, suffix = found.groups()
    return f"bosh-{infrastructure}{suffix or ''}", version
