"""A daemon that dies during a call, as its caller sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.functional.security.peers import cpi
from tests.harness.certificates import Authority
from tests.harness.daemon import vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper


@pytest.mark.parametrize("way", ["unix", "tcp", "tls"])
def test_killed_in_mid_call(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path, authority: Authority, way: str
) -> None:
    """
    The error says that the daemon was lost and the call may be repeated, not that TLS
    failed.
    """
    wrapper = Wrapper(tmp_path / "wrapper")
    config: dict[str, Any] = {"runtime": str(wrapper.program)}
    tls = authority.issue("director") if way == "tls" else None
    if tls is not None:
        config["tls"] = authority.issue("daemon", "127.0.0.1")
    network_type = "unix" if way == "unix" else "tcp"
    daemon = new_daemon(network_type=network_type, config=config).start()
    daemon.cpi = cpi(daemon, tls)
    stemcell = daemon.create_stemcell(tiny)
    wrapper.hold("start")
    call = daemon.cpi.start("create_vm", *vm_arguments(stemcell))
    eventually(lambda: wrapper.is_waiting("start"), "start is called")
    daemon.kill()
    error = daemon.cpi.finish(call)["error"]
    address = daemon.config["address"]
    assert error["message"].startswith(f"lost runc-cpid at {address} before it answered: ")
    assert error["ok_to_retry"] is True
    wrapper.mend()
    daemon.recover()
    daemon.create_vm(stemcell)
