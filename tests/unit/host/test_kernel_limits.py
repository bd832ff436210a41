"""Limits of the kernel: which are too low, and that both places that have them agree."""

from __future__ import annotations

from pathlib import Path

from runc_cpi.daemon.host import kernel_limits

CONF = Path(__file__).parents[3] / "operations" / "kernel-limits.conf"


def test_low_limits(tmp_path: Path) -> None:
    """A limit is low, enough, more than that, or not there."""
    for name, value in (
        ("fs/inotify/max_user_instances", "128\n"),
        ("fs/inotify/max_user_watches", "524288\n"),
        ("kernel/pid_max", "9223372036854775807\n"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    expected = "fs.inotify.max_user_instances is 128 and should be 8192"
    assert kernel_limits.low(tmp_path) == [expected]


def test_what_is_raised_is_what_is_wanted() -> None:
    """The file that operations/raise-limits reads names the same limits."""
    lines = [line for line in CONF.read_text().splitlines() if not line.startswith("#")]
    found = {name: int(value) for name, _, value in map(str.split, lines)}
    assert found == dict(kernel_limits.WANTED)
