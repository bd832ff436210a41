"""The benchmarks run; people judge their results."""

from __future__ import annotations

from tests.benchmarks.events import filled, seen
from tests.benchmarks.measuring import layout
from tests.benchmarks.networks import networks
from tests.benchmarks.subjects import everything
from tests.harness import images
from tests.harness.lab import Lab


def test_everything_is_measured() -> None:
    """Each subject has a time, and the report shows all of them."""
    lab = Lab()
    made = {kind: images.bootable(kind) for kind in images.KINDS}
    try:
        with lab.daemons() as new_daemon:
            rows = everything(new_daemon, made, 2, lab.home, large=False)
    finally:
        lab.close()
    report = layout(rows)
    print(report)
    assert all(row.milliseconds > 0 for row in rows)
    assert all(row.what in report for row in rows)


def test_events_are_measured() -> None:
    """A follower sees each call, and the daemon's memory is read as events come."""
    lab = Lab()
    try:
        with lab.daemons() as new_daemon:
            daemon = new_daemon().start()
            rows = seen(daemon, 2)
            parts = list(filled(daemon, 100))
    finally:
        lab.close()
    assert all(row.milliseconds > 0 for row in rows)
    assert [events for events, _ in parts] == list(range(10, 101, 10))
    assert all(mebibytes > 0 for _, mebibytes in parts)


def test_networks_are_measured() -> None:
    """The network's part of create_vm is measured, with ports, with blocks and without."""
    rows = networks(1, crowds=[2])
    beside = [row.what for row in rows if row.what.startswith("beside")]
    more = ("", ", a port each", ", a block each")
    assert beside == [f"beside 2 VMs{each}" for each in more]
    assert all(row.milliseconds > 0 for row in rows)
