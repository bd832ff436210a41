"""A daemon that is asked to stop finishes the calls under way, and refuses new ones."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from runc_cpi.errors import DaemonUnreachable
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.host import reboot_host
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper


def is_logged(daemon: Daemon, text: str) -> bool:
    """Say whether the log of the daemon has a text."""
    return text in daemon.log


def test_a_stemcell_is_finished(daemon: Daemon, image: Callable[[str], Path]) -> None:
    """
    A create_stemcell under way is finished, its caller is answered, and the next daemon has
    it.
    """
    call = daemon.cpi.start("create_stemcell", str(image("runit")), {})
    eventually(lambda: list(daemon.scratch.glob("new-*/rootfs/*")), "unpacking began")
    daemon.stop()
    answer = daemon.cpi.finish(call)
    assert answer["error"] is None, answer
    daemon.start()
    assert daemon.create_vm(answer["result"]).is_alive()


def test_half_an_upload_is_refused(
    new_daemon: NewDaemon, image: Callable[[str], Path]
) -> None:
    """An unfinished upload is refused at once, and its sender may try again."""
    # Longer than the harness waits for the end of the daemon.
    config = {"limits": {"finish_seconds": 600}}
    daemon = new_daemon(network_type="tcp", config=config).start()
    with daemon.connection() as client:
        upload = int(client.call("OpenStemcell", cloud_properties={})[b"upload"])
        data = image("runit").read_bytes()[:65535]
        client.call("WriteStemcell", upload=upload, data=data)
        daemon.stop()
        with pytest.raises(DaemonUnreachable):
            client.call("WriteStemcell", upload=upload, data=data)
    assert not list(daemon.scratch.iterdir())


def test_a_vm_is_finished(new_daemon: NewDaemon, tmp_path: Path, tiny: Path) -> None:
    """
    A create_vm under way is finished; other peers are told to try again, or cannot connect.
    """
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    stemcell = daemon.create_stemcell(tiny)
    wrapper.hold("start")
    with daemon.connection() as client:
        call = daemon.cpi.start("create_vm", *vm_arguments(stemcell))
        eventually(lambda: wrapper.is_waiting("start"), "the VM is about to start")
        client.call("Ping")
        assert daemon.process is not None
        daemon.process.terminate()
        with pytest.raises(DaemonUnreachable):
            eventually(lambda: not client.call("Ping"), "calls are refused")
    assert daemon.cpi.error("ping")["ok_to_retry"] is True
    wrapper.mend()
    vm_cid, _ = daemon.cpi.finish(call)["result"]
    daemon.process.wait(20)
    daemon.process = None
    daemon.start()
    assert daemon.cpi.ok("has_vm", vm_cid) is True


@pytest.mark.timeout(120)
def test_a_call_that_does_not_end(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path
) -> None:
    """
    A call that does not end is broken off and undone in bounded time; its caller is told.
    """
    wrapper = Wrapper(tmp_path / "wrapper")
    config = {"runtime": str(wrapper.program), "limits": {"finish_seconds": 1}}
    daemon = new_daemon(config=config).start()
    stemcell = daemon.create_stemcell(tiny)
    wrapper.hold("create")
    call = daemon.cpi.start("create_vm", *vm_arguments(stemcell))
    eventually(lambda: wrapper.is_waiting("create"), "the VM is in the making")
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 15
    error = daemon.cpi.finish(call)["error"]
    # The director makes the same call again.
    assert error["type"] == "Bosh::Clouds::VMCreationFailed"
    assert error["ok_to_retry"] is True
    wrapper.mend()
    assert "broken off" in daemon.log
    assert not daemon.vm_cids()


def start_that_hangs(daemon: Daemon, wrapper: Wrapper, stemcell: str) -> list[VM]:
    """Start a daemon after a reboot of the host; all VMs wait to be brought back."""
    vms = [daemon.create_vm(stemcell) for _ in range(3)]
    reboot_host(daemon)
    wrapper.hold("start")
    daemon.start()
    eventually(lambda: wrapper.is_waiting("start"), "VMs are being brought back")
    return vms


def test_vms_are_brought_back_before_the_end(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path
) -> None:
    """A stop waits for VMs that a start brings back; the next start has nothing to do."""
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    vms = start_that_hangs(daemon, wrapper, daemon.create_stemcell(tiny))
    assert daemon.process is not None
    daemon.process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(1)
    wrapper.mend()
    daemon.process.wait(20)
    daemon.process = None
    for vm in vms:
        assert f"brought back {vm.cid}" in daemon.log
        assert vm.is_alive()
    assert "broken off" not in daemon.log
    pids = [vm.pid for vm in vms]
    daemon.start()
    assert [vm.pid for vm in vms] == pids


@pytest.mark.timeout(120)
def test_vms_that_cannot_be_brought_back_in_time(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path
) -> None:
    """A stop waits for a bounded time and names the VMs; the next start goes on."""
    wrapper = Wrapper(tmp_path / "wrapper")
    config = {"runtime": str(wrapper.program), "limits": {"finish_seconds": 1}}
    daemon = new_daemon(config=config).start()
    vms = start_that_hangs(daemon, wrapper, daemon.create_stemcell(tiny))
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 15
    for vm in vms:
        assert f"broken off: bringing back {vm.cid}" in daemon.log
        assert not vm.is_alive()
    assert "bug" not in daemon.log
    wrapper.mend()
    daemon.start()
    for vm in vms:
        back = f"brought back {vm.cid}"
        eventually(partial(is_logged, daemon, back), "it is back", 20)
        assert vm.is_alive()
