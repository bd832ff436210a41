"""Limits of the host's kernel: a script raises them, and the daemon warns of low ones."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from runc_cpi.daemon.host.kernel_limits import WANTED
from tests.harness.images import PROJECT
from tests.harness.lab import NewDaemon

INSTANCES, KEYS = "fs.inotify.max_user_instances", "kernel.keys.maxkeys"
LOW = f"/proc/sys/{INSTANCES.replace('.', '/')}"
# Mounts in a private namespace: files take the place of all limits, and of /etc/sysctl.d.
MOUNT_FILES = f"""
mkdir -p /etc/sysctl.d
mount --bind "$0/sysctl.d" /etc/sysctl.d
for name in {" ".join(WANTED)}; do
  limit=/proc/sys/$(echo "$name" | tr . /)
  test ! -e "$limit" || mount --bind "$0/$name" "$limit"
done
exec "$@"
"""
ELSEWHERE = (
    *("unshare", "--mount", "--propagation", "slave"),
    *("sh", "-euc", MOUNT_FILES),
)


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    """The files of three limits: one is low, one is very high, the others are enough."""
    for name, wanted in WANTED.items():
        (tmp_path / name).write_text(f"{wanted}\n")
    (tmp_path / INSTANCES).write_text("128\n")
    (tmp_path / KEYS).write_text("5000000\n")
    (tmp_path / "sysctl.d").mkdir()
    return tmp_path


def raise_limits(limits: Path, *prefix: str) -> str:
    """Run the script; return what it says about the low limit."""
    argv = [*ELSEWHERE, str(limits), *prefix, str(PROJECT / "operations" / "raise-limits")]
    outcome = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def conf(limits: Path) -> str:
    """Return the file that counts for later boots."""
    return (limits / "sysctl.d" / "60-runc-cpi.conf").read_text()


def test_low_limits_are_raised(limits: Path) -> None:
    """
    A low limit is raised now and for later boots; none is lowered; a second run does
    nothing.
    """
    assert "fs.inotify.max_user_instances from 128 to 8192" in raise_limits(limits)
    assert (limits / INSTANCES).read_text() == "8192\n"
    assert (limits / KEYS).read_text() == "5000000\n"
    assert conf(limits).splitlines()[1:] == [f"{INSTANCES} = 8192"]
    first = conf(limits)
    assert raise_limits(limits) == ""
    # Another limit that is low later does not replace the first in the file.
    (limits / KEYS).write_text("200\n")
    assert "kernel.keys.maxkeys from 200 to 2000" in raise_limits(limits)
    assert set(first.splitlines()) < set(conf(limits).splitlines())


def test_limits_that_cannot_be_raised(limits: Path) -> None:
    """A limit that cannot be raised is named, and the script succeeds."""
    read_only = f'mount -o remount,bind,ro {LOW}; exec "$0"'
    said = raise_limits(limits, "sh", "-euc", read_only)
    assert "cannot raise fs.inotify.max_user_instances" in said
    assert (limits / INSTANCES).read_text() == "128\n"


def started(daemon_options: Sequence[str], new_daemon: NewDaemon) -> str:
    """Start a daemon, and return its log."""
    daemon = new_daemon()
    daemon.launch(prefix=daemon_options)
    daemon.wait_until(lambda: "serving at" in daemon.log)
    log = daemon.log
    daemon.stop()
    return log


def test_low_limits_are_warned_of(limits: Path, new_daemon: NewDaemon) -> None:
    """
    The daemon warns of a low limit in one line, with its name, its value and the remedy.
    """
    log = started([*ELSEWHERE, str(limits)], new_daemon)
    (line,) = [line for line in log.splitlines() if "max_user_instances" in line]
    assert "fs.inotify.max_user_instances is 128 and should be 8192" in line
    assert "operations/raise-limits" in line
    assert "kernel.keys.maxkeys" not in line
