"""A director's life: up, again, stop, start, a reboot, an upgrade, and its end."""

from __future__ import annotations

from tests.harness.bosh.site import Site


def test_life(site: Site) -> None:
    """All commands, in the order in which an operator uses them."""
    print(site.ok("up", *site.usual))
    print(site.ok("up"))
    print(site.status())
    print(site.run("print-env").stdout)
    print(site.ok("stop"))
    print(site.ok("start"))
    print(site.ok("destroy", "--yes"))
