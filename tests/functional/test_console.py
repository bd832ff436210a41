"""What a VM prints: kept, up to a bound, and never in its way."""

from __future__ import annotations

from pathlib import Path

from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.waiting import eventually

BOUND = 1 << 20
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
    """Output and complaints of the VM are in its console log, which is kept short."""
    path = tmp_path / "image"
    init = INIT.replace("dd if", "busybox dd if").replace("| tr", "| busybox tr")
    path.write_bytes(images.tiny(busybox, init))
    vm = daemon.create_vm(daemon.create_stemcell(path))
    console, old = vm.directory / "console.log", vm.directory / "console.log.1"
    eventually(lambda: "complaint" in console.read_text(), "the VM has spoken")
    assert "first words" in console.read_text()
    assert console.stat().st_mode & 0o777 == 0o600
    # It goes on while there is no daemon, in the same file.
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
    # Cut short, not filled up with a hole.
    assert "\0" not in console.read_text()
    assert vm.is_alive()
