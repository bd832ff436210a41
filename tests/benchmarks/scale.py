"""What calls take beside many VMs."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.contenders import Ours
from tests.benchmarks.events import memory
from tests.benchmarks.measuring import Samples, sampled, timed
from tests.benchmarks.subjects import CREATE_VM, DELETE_VM
from tests.harness import images
from tests.harness.lab import NewDaemon

STEP = 100
AT_ONCE = 10
CONFIG = {"cidr": "10.78.0.0/16"}


def small_image(home: Path) -> Path:
    """Make the image of a VM that sleeps, so that many fit into the memory."""
    busybox = images.take_out(images.bootable("runit"), "./usr/bin/busybox")
    path = home / "small"
    path.write_bytes(gzip.compress(images.tiny(busybox), 1))
    return path


def beside_many(
    new_daemon: NewDaemon, home: Path, most: int, rounds: int, step: int = STEP
) -> Iterator[dict[str, Any]]:
    """
    Measure create_vm and delete_vm beside none, C{step}, and so on up to C{most} VMs.

    @return: C{vms}, C{memory} of the daemon in MiB, and the samples of each call.
    """
    ours = Ours(new_daemon(config=CONFIG).start(), small_image(home))
    vms = 0
    for wanted in range(0, most + 1, step):
        while vms < wanted:
            more = min(AT_ONCE, wanted - vms)
            begun = [ours.start("create_vm", *ours.vm()) for _ in range(more)]
            for process in begun:
                ours.finish(process)
            vms += more
        samples: Samples = {}
        made: list[str] = []

        def create(made: list[str] = made) -> float:
            vm = ours.vm()
            return timed(lambda: made.append(ours.call("create_vm", *vm)[0]))

        def delete(made: list[str] = made) -> float:
            vm_cid = made.pop()
            return timed(lambda: ours.call("delete_vm", vm_cid))

        sampled(rounds, [(CREATE_VM, create), (DELETE_VM, delete)], samples)
        yield {"vms": vms, "memory": round(memory(ours.daemon), 1), "samples": samples}
