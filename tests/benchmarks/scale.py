"""
C{python -m tests.benchmarks.scale [--vms NUMBER]}: calls, memory, a start beside many VMs.

The VMs have a busybox and one process each.  It begins with none of them, and goes on to
a quarter, half, and all.
"""

from __future__ import annotations

import os
import re
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from runc_cpi.errors import CPIError
from tests.benchmarks.image_files import small_image
from tests.benchmarks.measuring import command, timed
from tests.harness import images, netns
from tests.harness.daemon import REPAIRED, START_TIMEOUT, vm_arguments
from tests.harness.lab import Lab, NewDaemon
from tests.harness.waiting import eventually

VMS = 1000
PARTS = (0, 0.25, 0.5, 1)
ROUNDS = 15
IDLE_SECONDS = 20.0
CALLERS = 4
CIDR = "10.77.0.0/16"
TICKS = os.sysconf("SC_CLK_TCK")
# Of what proc_pid_stat(5) has behind the name: of a process, and of its children.
OWN, WITH_CHILDREN = slice(11, 13), slice(11, 15)


@dataclass(frozen=True)
class Figures:
    """
    What was measured beside so many VMs.

    @ivar vms: how many. @ivar calls: milliseconds of whole processes, by the call.
    @ivar processor: milliseconds of processor time of the daemon and its children, by the
    call. @ivar memory: MiB of the daemon. @ivar idle: percents of a processor.
    @ivar answering: seconds from a start until a call is answered. @ivar settled: until all
    VMs were looked at.
    """

    vms: int
    calls: dict[str, float]
    processor: dict[str, float]
    memory: float
    idle: float
    answering: float
    settled: float


def busy_seconds(pid: int, fields: slice = WITH_CHILDREN) -> float:
    """Return the processor time that a process has taken, and its children that ended."""
    told = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return sum(map(int, told[fields])) / TICKS


def memory(pid: int) -> float:
    """Return how many MiB a process takes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8"))
    assert found is not None
    return int(found[1]) / 1024


class Crowd:
    """
    A daemon and many VMs.

    @ivar daemon: the daemon.
    """

    def __init__(self, new_daemon: NewDaemon, image: Path) -> None:
        config = {"cidr": CIDR}
        self.daemon = new_daemon(config=config).start()
        self._stemcell = self.daemon.create_stemcell(image)

    @property
    def _pid(self) -> int:
        process = self.daemon.process
        assert process is not None
        return process.pid

    def grow(self, number: int) -> None:
        """Make VMs until there are so many."""
        self._side_by_side(
            number - len(self.daemon.vm_cids()),
            lambda: self.daemon.cpi.ok("create_vm", *vm_arguments(self._stemcell)),
        )

    def shrink(self, number: int) -> None:
        """Delete VMs until there are so many."""
        spare = iter(self.daemon.vm_cids()[number:])
        self._side_by_side(
            len(self.daemon.vm_cids()) - number,
            lambda: self.daemon.cpi.ok("delete_vm", next(spare)),
        )
        self.daemon.wait_for_removals(timeout=120)

    @staticmethod
    def _side_by_side(number: int, work: Callable[[], object]) -> None:
        with ThreadPoolExecutor(CALLERS) as pool:
            for done in [pool.submit(work) for _ in range(number)]:
                done.result()

    def measure(self, rounds: int = ROUNDS, seconds: float = IDLE_SECONDS) -> Figures:
        """Measure calls, the daemon while nobody calls, and a start."""
        number = len(self.daemon.vm_cids())
        # Nobody is to wait for what the VMs that were made have written.
        command(["sync", "--file-system", str(self.daemon.work_dir)])
        took, processor = self._calls(rounds)
        self.daemon.wait_for_removals()
        idle = self._idle(seconds)
        taken = memory(self._pid)
        answering, settled = self._start_again()
        return Figures(number, took, processor, taken, idle, answering, settled)

    def _calls(self, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
        disk = self.daemon.cpi.ok("create_disk", 64, {}, None)
        clock: dict[str, list[float]] = {}
        processor: dict[str, list[float]] = {}

        def call(method: str, *arguments: object) -> object:
            results = []
            before = busy_seconds(self._pid)
            took = timed(lambda: results.append(self.daemon.cpi.ok(method, *arguments)))
            clock.setdefault(method, []).append(took)
            busy = (busy_seconds(self._pid) - before) * 1000
            processor.setdefault(method, []).append(busy)
            return results[0]

        for _ in range(rounds):
            vm = self.daemon.vm(call("create_vm", *vm_arguments(self._stemcell)))
            call("has_vm", vm.cid)
            call("attach_disk", vm.cid, disk)
            call("detach_disk", vm.cid, disk)
            call("delete_vm", vm.cid)
            self.daemon.wait_for_removals()
        self.daemon.cpi.ok("delete_disk", disk)
        means = {method: sum(times) / rounds for method, times in processor.items()}
        return {method: median(times) for method, times in clock.items()}, means

    def _idle(self, seconds: float) -> float:
        before = busy_seconds(self._pid)
        time.sleep(seconds)
        return (busy_seconds(self._pid) - before) / seconds * 100

    def _start_again(self) -> tuple[float, float]:
        """Stop the daemon and start it; the VMs run meanwhile."""
        self.daemon.stop()
        before = self.daemon.log.count(REPAIRED)
        begin = time.monotonic()
        # A process of its own, as on a host.
        self.daemon.launch(prefix=["env"])
        eventually(self._answers, "the daemon answers", START_TIMEOUT)
        answering = time.monotonic() - begin
        self.daemon.wait_until(lambda: self.daemon.log.count(REPAIRED) > before)
        return answering, time.monotonic() - begin

    def _answers(self) -> bool:
        with suppress(CPIError), self.daemon.connection() as client:
            client.call("HasVM", vm_cid="vm-first")
            return True
        return False


@contextmanager
def crowd(lab: Lab, new_daemon: NewDaemon) -> Iterator[Crowd]:
    """Lend a daemon for many VMs; they are deleted at the end."""
    made = Crowd(new_daemon, small_image(lab.home))
    try:
        yield made
    finally:
        made.shrink(0)


def told(figures: Figures, first: Figures) -> str:
    """Return figures as a line, with what calls take as ratios to the first ones."""
    calls = "  ".join(
        f"{method} {took:.0f} ({took / first.calls[method]:.2f}; "
        f"{figures.processor[method]:.0f})"
        for method, took in figures.calls.items()
    )
    return (
        f"{figures.vms:5} VMs: {figures.memory:.0f} MiB, idle {figures.idle:.2f} %, "
        f"answers after {figures.answering:.1f} s, settled after {figures.settled:.1f} s; "
        f"ms (ratio; processor): {calls}"
    )


def main() -> None:
    """Measure and print."""
    parser = ArgumentParser()
    parser.add_argument("--vms", type=int, default=VMS)
    number = parser.parse_args().vms
    # Its packages come over the network of the machine.
    images.bootable("runit")
    netns.enter()
    lab = Lab()
    try:
        with lab.daemons() as new_daemon, crowd(lab, new_daemon) as many:
            first = None
            for part in PARTS:
                many.grow(round(number * part))
                figures = many.measure()
                first = first or figures
                print(told(figures, first), flush=True)
    finally:
        lab.close()


if __name__ == "__main__":
    main()
