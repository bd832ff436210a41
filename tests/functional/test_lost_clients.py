"""Callers that go away during a call: nothing is left half done, or without an owner."""

from __future__ import annotations

import io
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a caller at once."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("operation", ["create", "start"])
def test_create_vm(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path, operation: str
) -> None:
    """A VM is removed again if its caller goes away before it learns the cid."""
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    stemcell = daemon.create_stemcell(tiny)
    wrapper.hold(operation)
    call = daemon.cpi.start("create_vm", *vm_arguments(stemcell))
    request = daemon.cpi.last_request_id
    eventually(lambda: wrapper.is_waiting(operation), f"{operation} is called")
    kill(call)
    assert daemon.cpi.ok("ping") == "pong"
    wrapper.mend()
    eventually(lambda: not daemon.vm_cids(), "the VM is removed")
    lines = [line for line in daemon.log.splitlines() if "nobody was told" in line]
    assert len(lines) == 1
    assert f"[{request}]" in lines[0]
    daemon.cpi.ok("delete_stemcell", stemcell)


@pytest.mark.parametrize("method", ["delete_vm", "reboot_vm"])
def test_other_calls_are_brought_to_an_end(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path, method: str
) -> None:
    """A call that does not make anything is finished when its caller goes away."""
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    pid = vm.pid
    wrapper.hold("delete")
    call = daemon.cpi.start(method, vm.cid)
    eventually(lambda: wrapper.is_waiting("delete"), "the container is removed")
    kill(call)
    wrapper.mend()
    if method == "delete_vm":
        eventually(lambda: not daemon.vm_cids(), "the VM is gone")
        eventually(lambda: not list(daemon.scratch.iterdir()), "and so are its files")
    else:
        eventually(lambda: "rebooted" in daemon.log, "the VM is up again")
        assert vm.pid != pid
        assert vm.is_alive()


def test_a_stop_waits_for_what_was_begun(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path
) -> None:
    """A daemon that stops finishes a call whose caller went away."""
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    wrapper.hold("delete")
    call = daemon.cpi.start("delete_vm", vm.cid)
    eventually(lambda: wrapper.is_waiting("delete"), "the container is removed")
    kill(call)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    eventually(lambda: not daemon.socket.exists(), "the daemon takes no more calls")
    assert daemon.is_running
    wrapper.mend()
    daemon.process.wait(10)
    assert daemon.vm_cids() == []
    assert list(daemon.scratch.iterdir()) == []


def test_upload(new_daemon: NewDaemon, image: Callable[[str], Path]) -> None:
    """An upload that is broken off makes no stemcell, and is cleared away at once."""
    daemon = new_daemon(network_type="tcp").start()
    data = image("runit").read_bytes()
    with daemon.connection() as client:
        upload = int(client.call("OpenStemcell", cloud_properties={})[b"upload"])
        half = io.BytesIO(data[: len(data) // 2])
        client.send_stream("WriteStemcell", half, upload=upload)
        eventually(lambda: list(daemon.scratch.glob("new-*/rootfs/*")), "unpacking began")
    eventually(lambda: not list(daemon.scratch.iterdir()), "scratch is empty")
    assert not list((daemon.work_dir / "stemcells").iterdir())
    assert daemon.cpi.ok("ping") == "pong"


def test_image_passed_as_a_file(daemon: Daemon, image: Callable[[str], Path]) -> None:
    """A stemcell is removed again if its caller goes away before it learns the cid."""
    call = daemon.cpi.start("create_stemcell", str(image("systemd")), {})
    eventually(lambda: list(daemon.scratch.glob("new-*/rootfs/*")), "unpacking began")
    kill(call)
    eventually(lambda: "nobody was told" in daemon.log, "the image is unpacked", 30)
    stemcells = daemon.work_dir / "stemcells"
    eventually(lambda: not list(stemcells.iterdir()), "there is no stemcell")
    eventually(lambda: not list(daemon.scratch.iterdir()), "scratch is empty")


def test_slow_sender(new_daemon: NewDaemon, tiny: Path) -> None:
    """An image that comes slowly, with other calls in between, becomes a whole stemcell."""
    daemon = new_daemon(network_type="tcp").start()
    data = tiny.read_bytes()
    with daemon.connection() as client:
        upload = int(client.call("OpenStemcell", cloud_properties={})[b"upload"])
        for start in range(0, len(data), 40_000):
            piece = data[start : start + 40_000]
            client.call("WriteStemcell", upload=upload, data=piece)
            assert daemon.cpi.ok("has_vm", "vm-none") is False
        answer = client.call("CloseStemcell", upload=upload)
    daemon.create_vm(answer[b"stemcell_cid"].decode())
