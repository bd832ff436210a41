"""The console of a VM: it is kept, limited in size, never blocks the VM, and is shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.waiting import eventually

BOUND = 1 << 20
# The sizes of a console's file system, and of the log that was moved aside.
MOST = 4 * BOUND
CTL = Path(sys.executable).with_name("runc-cpictl")
# Writes endlessly, some MiB at a time, and goes on when a write fails.
NOISY = """\
#!/bin/sh
while [ ! -e /go ]; do sleep 0.05; done
while [ ! -e /stop ]; do
  busybox dd if=/dev/zero bs=64k count=512 2>/dev/null | busybox tr '\\0' x
  echo >> /rounds
done
while :; do echo "quiet again"; sleep 0.05; done
"""
# The rounds are some seconds apart.
ROUNDS = 40
INIT = """\
#!/bin/sh
echo "first words"
echo "complaint" >&2
while [ ! -e /go ]; do sleep 0.05; done
dd if=/dev/zero bs=64k count=48 | tr '\\0' x
echo
echo "last words"
while :; do
  [ -e /more ] && rm /more && echo "more words"
  sleep 0.05
done
"""


def test_console(daemon: Daemon, tmp_path: Path, busybox: bytes) -> None:
    """The output and the errors of a VM are in its console log, which is kept short."""
    path = tmp_path / "image"
    init = INIT.replace("dd if", "busybox dd if").replace("| tr", "| busybox tr")
    path.write_bytes(images.tiny(busybox, init))
    vm = daemon.create_vm(daemon.create_stemcell(path))
    console, old = vm.directory / "console.log", vm.directory / "console.log.1"
    eventually(lambda: "complaint" in console.read_text(), "the VM has spoken")
    assert "first words" in console.read_text()
    assert console.stat().st_mode & 0o777 == 0o600
    # The VM writes on to the same file while there is no daemon.
    daemon.stop()
    vm.run("/bin/busybox", "touch", "/go")
    eventually(lambda: console.stat().st_size > 3 * BOUND, "the VM has said a lot")
    eventually(lambda: console.read_text().endswith("last words\n"), "it is done")
    daemon.start()
    eventually(lambda: console.stat().st_size < BOUND, "the log is trimmed", ROUNDS)
    eventually(lambda: old.exists(), "the end of it is kept", 5)
    assert old.read_text().endswith("last words\n")
    assert old.stat().st_size <= BOUND
    vm.run("/bin/busybox", "touch", "/more")
    eventually(lambda: "more words" in console.read_text(), "it is still written to")
    # The file is cut short, and has no hole.
    assert "\0" not in console.read_text()
    assert vm.is_alive()


@pytest.mark.parametrize("served", [True, False])
def test_a_noisy_vm(daemon: Daemon, tmp_path: Path, busybox: bytes, served: bool) -> None:
    """The host keeps little of a VM that writes much, with a daemon or without."""
    path = tmp_path / "image"
    path.write_bytes(images.tiny(busybox, NOISY))
    vm = daemon.create_vm(daemon.create_stemcell(path))
    console, old = vm.directory / "console.log", vm.directory / "console.log.1"
    rounds = vm.directory / "upper" / "rounds"
    if not served:
        daemon.stop()
    vm.run("/bin/busybox", "touch", "/go")
    # That is 160 MiB.
    eventually(lambda: rounds.exists() and rounds.stat().st_size >= 5, "it is noisy", 60)
    room = sum(file.stat().st_blocks * 512 for file in (console, old) if file.exists())
    assert room <= MOST + BOUND
    vm.run("/bin/busybox", "touch", "/stop")
    if not served:
        daemon.start()
    # What the VM writes now is kept, and it still runs.
    eventually(lambda: "quiet again" in console.read_text(), "it is heard again", 60)
    assert vm.is_alive()
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.is_alive()


def test_following(daemon: Daemon, tmp_path: Path, busybox: bytes) -> None:
    """
    C{console -f} shows what is written, also after the log is cut short, until the VM ends.
    """
    path = tmp_path / "image"
    init = INIT.replace("dd if", "busybox dd if").replace("| tr", "| busybox tr")
    path.write_bytes(images.tiny(busybox, init))
    vm = daemon.create_vm(daemon.create_stemcell(path))
    seen = tmp_path / "seen"
    command = [str(CTL), "--config", str(daemon.config_file), "vm", "console", "-f", vm.cid]
    with seen.open("wb") as file, subprocess.Popen(command, stdout=file) as follower:
        try:
            eventually(lambda: b"first words" in seen.read_bytes(), "it is shown", 60)
            vm.run("/bin/busybox", "touch", "/go")
            old = vm.directory / "console.log.1"
            eventually(old.exists, "the log is cut short", 60)
            eventually(lambda: b"last words" in seen.read_bytes(), "it goes on", 60)
            vm.run("/bin/busybox", "touch", "/more")
            eventually(lambda: b"more words" in seen.read_bytes(), "and on", 60)
            daemon.cpi.ok("delete_vm", vm.cid)
            assert follower.wait(60) == 0
        finally:
            follower.kill()


def test_a_vm_of_an_earlier_version(daemon: Daemon, tmp_path: Path, busybox: bytes) -> None:
    """
    The next boot of a VM of an earlier version moves its log to a file system in memory.
    """
    path = tmp_path / "image"
    path.write_bytes(images.tiny(busybox, NOISY))
    vm = daemon.create_vm(daemon.create_stemcell(path))
    console = vm.directory / "console.log"
    subprocess.run(["umount", "--lazy", str(vm.directory / "console")], check=True)
    console.unlink()
    console.write_bytes(b"x" * 3 * BOUND)
    old = vm.directory / "console.log.1"
    eventually(old.exists, "it is trimmed where it is", 60)
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert console.is_symlink()
    assert (vm.directory / "console").is_mount()
    assert console.stat().st_mode & 0o777 == 0o600
    vm.run("/bin/busybox", "touch", "/go", "/stop")
    eventually(lambda: "quiet again" in console.read_text(), "it is heard", 60)
