"""The benchmark with many VMs runs, with two of them."""

from __future__ import annotations

from tests.benchmarks.scale import crowd, told
from tests.harness.lab import Lab


def test_many_vms_are_measured() -> None:
    """All figures are there, of a daemon that was started again beside its VMs."""
    lab = Lab()
    try:
        with lab.daemons() as new_daemon, crowd(lab, new_daemon) as many:
            many.grow(2)
            figures = many.measure(rounds=1, seconds=0.1)
            assert len(many.daemon.vm_cids()) == 2
    finally:
        lab.close()
    assert figures.vms == 2
    assert all(took > 0 for took in figures.calls.values())
    assert figures.memory > 0
    assert 0 < figures.answering <= figures.settled
    assert "create_vm" in told(figures, figures)
