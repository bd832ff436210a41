"""For how long a daemon is asked whether it lives, and what ends that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runc_cpi.cpi import connecting, silence
from tests.contract.peers import cpi_config
from tests.harness.images import PROJECT

# Looks whether a daemon lives, on a host that no way leads away from.
WITHOUT_A_WAY = """
import sys
from runc_cpi.cpi import silence
from runc_cpi.errors import DaemonSilent
from tests.contract.peers import cpi_config

tries, ping = [], silence._ping
def noted(config, deadline):
    tries.append(config)
    if len(tries) > 1:
        silence.PAUSE = silence.PING_TIMEOUT  # this try is the last
    ping(config, deadline)
silence._ping, silence.PAUSE = noted, 0.01
try:
    silence.check(cpi_config("192.0.2.1:80", "tcp"), 1)
except DaemonSilent:
    sys.exit()
sys.exit("it lives")
"""


class Clock:
    """A clock that a test puts forward."""

    now = 100.0

    def monotonic(self) -> float:
        """Return what it shows."""
        return self.now


class Answering:
    """
    A connection at whose other end somebody answers.

    @ivar timeouts: those it was given.
    """

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    def settimeout(self, seconds: float) -> None:
        """Note it."""
        self.timeouts.append(seconds)

    def send(self, data: bytes) -> int:
        """Send all."""
        return len(data)

    def recv(self, size: int) -> bytes:
        """Receive something."""
        return b"\0"

    def close(self) -> None:
        """Do nothing."""


def test_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that it takes to connect is not given to the answer once more."""
    clock, connection = Clock(), Answering()

    def attempt(config: object, seconds: float) -> Answering:
        assert seconds == connecting.ATTEMPT_TIMEOUT
        clock.now += silence.PING_TIMEOUT - 10
        return connection

    monkeypatch.setattr(silence, "time", clock)
    monkeypatch.setattr(connecting, "attempt", attempt)
    silence.check(cpi_config("/nowhere"), 1)
    assert connection.timeouts == [10.0]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")
@pytest.mark.parametrize(
    "route", ["", "ip route add unreachable 192.0.2.0/24;"], ids=["network", "host"]
)
def test_a_host_that_no_way_leads_to(route: str) -> None:
    """It is tried again, as that may pass, and then counts as one that is silent."""
    script = f'{route} exec "$0" -c "$1"'
    outcome = subprocess.run(
        ["unshare", "--net", "sh", "-ec", script, sys.executable, WITHOUT_A_WAY],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr


def test_a_daemon_that_is_gone(tmp_path: Path) -> None:
    """Of its end the call's own connection tells, so this is no reason to give it up."""
    silence.check(cpi_config(f"{tmp_path}/socket"), 1)
