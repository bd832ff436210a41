"""The steps of C{director up}, as it names them."""

from __future__ import annotations

import re

STEPS = (
    *("host", "files", "daemon", "vm", "bosh-cli", "bosh-deployment", "release"),
    *("manifest", "certificates", "create-env", "director", "cloud-config", "dns"),
    *("cpi-config", "stemcell"),
)
STEP = re.compile(r"\[\d+/\d+\] ([a-z-]+):")


def taken(told: str) -> list[str]:
    """Return the names of the steps that were taken, the one that failed among them."""
    return STEP.findall(told)
