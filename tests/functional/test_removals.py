"""What was deleted is removed after the answer; the same image is not unpacked again."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from runc_cpi.daemon.storage.scratch import SCANTY
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.removals import HeldRemovals, disk_classes, nice_values, removing
from tests.harness.waiting import eventually


def test_after_the_answer(new_daemon: NewDaemon, tiny: Path, tmp_path: Path) -> None:
    """
    Each deletion has happened, and is answered, before anything is removed.  A stop waits
    for that for a moment, however long it waits for calls, and the next start does it.
    """
    held = HeldRemovals(tmp_path / "bin")
    daemon = new_daemon(path=held.path).start()
    cpi, stemcell = daemon.cpi, daemon.create_stemcell(tiny)
    vm, disk = daemon.create_vm(stemcell), cpi.ok("create_disk", 8, {}, None)
    snapshot = cpi.ok("snapshot_disk", disk, {})
    made = {"vm": vm.cid, "stemcell": stemcell, "disk": disk, "snapshot": snapshot}
    for kind, cid in made.items():
        cpi.ok(f"delete_{kind}", cid)
        assert not list((daemon.work_dir / f"{kind}s").iterdir())
    # The stemcell has a record, and the root file system that was its image's.
    assert removing(daemon) == len(made) + 1
    # All else goes first, unless room is wanted.
    niceness = 0 if shutil.disk_usage(daemon.work_dir).free < SCANTY else 19
    eventually(lambda: nice_values(daemon) == [niceness] * 2, "two are removed at once")
    assert niceness == 0 or disk_classes(daemon) == ["idle"] * 2
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 15
    assert "left to the next start: removing what was deleted" in daemon.log
    held.go_on()
    daemon.start()
    daemon.wait_for_removals()
    eventually(lambda: removing(daemon) == 0, "nothing is left to be done")


def test_the_same_image_again(daemon: Daemon, tiny: Path, tmp_path: Path) -> None:
    """It is not unpacked again, and its files stay while a stemcell is made of it."""
    first = daemon.create_stemcell(tiny)
    root = daemon.rootfs_of(first)
    before = root.stat()
    second = daemon.create_stemcell(Path(shutil.copy(tiny, tmp_path / "copy")))
    assert first != second
    assert daemon.rootfs_of(second) == root
    assert os.path.samestat(before, root.stat())
    daemon.cpi.ok("delete_stemcell", first)
    daemon.wait_for_removals()
    assert daemon.create_vm(second).is_alive()
