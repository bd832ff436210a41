"""A start that takes long: who calls meanwhile waits for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Waiting

import pytest

from runc_cpi.cpi import client as client_module
from runc_cpi.cpi import connecting, silence
from runc_cpi.cpi.config import CPIConfig
from tests.benchmarks.encryption import encrypted
from tests.harness import slow_start
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

# Many times what counts as silence here; most of it is spent on a ping.
START = 0.5  # seconds


@pytest.fixture(params=["unix", "tcp", "tls"])
def starting(new_daemon: NewDaemon, request: pytest.FixtureRequest) -> Daemon:
    """A daemon that listens, and does not serve as long as its start is held."""
    if request.param == "tls":
        daemon = encrypted(new_daemon)
        daemon.stop()
    else:
        daemon = new_daemon(network_type=request.param)
    daemon.launcher = slow_start.LAUNCHER
    (daemon.home / slow_start.HELD).touch()
    daemon.launch()
    daemon.wait_until((daemon.home / slow_start.BEGUN).exists)
    return daemon


def test_a_call_waits(starting: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the call nor its pings are taken before the end, and it is not given up."""
    pings: list[str] = []
    ping = silence._ping

    def noted(config: CPIConfig, deadline: float) -> None:
        pings.append(config.address)
        ping(config, deadline)

    monkeypatch.setattr(silence, "_ping", noted)
    monkeypatch.setattr(client_module, "SILENCE", 0.05)
    monkeypatch.setattr(connecting, "ATTEMPT_TIMEOUT", 0.05)
    held = starting.home / slow_start.HELD
    with starting.connection() as caller, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(caller.call, "HasVM", vm_cid="vm-1")
        try:
            with pytest.raises(Waiting):
                answer.result(START)
            if "tls" not in starting.config:
                eventually(lambda: pings, "it is asked whether it lives")
        finally:
            held.unlink()
        assert answer.result()[b"exists"] == b"False"
