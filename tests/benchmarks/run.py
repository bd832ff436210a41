"""One run of the benchmark: who is measured, where, and with what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import image_files, machine, timeline
from tests.benchmarks.calls.crowds import Crowds
from tests.benchmarks.calls.disks import Disks
from tests.benchmarks.calls.rounds import Bench, Calls
from tests.benchmarks.calls.starts import Starts
from tests.benchmarks.calls.stemcells import StemcellRemovals, Stemcells
from tests.benchmarks.calls.vms import Reboots, VMs
from tests.benchmarks.contenders import Contender, Ours, docker_cpi
from tests.benchmarks.docker import DockerHost, docker_host
from tests.benchmarks.results import Results
from tests.benchmarks.scale import Crowd, crowd, told
from tests.benchmarks.subjects import BY_NAME, CREATE_VM
from tests.harness import images, netns, trees
from tests.harness.lab import Lab, NewDaemon

KINDS: tuple[type[Calls], ...] = (
    Starts,
    VMs,
    Disks,
    Reboots,
    Crowds,
    Stemcells,
    StemcellRemovals,
)
STEP = 100  # VMs
TIMELINE_ROUNDS = 7


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """
    What is to be measured.

    @ivar rounds: how many.
    @ivar only: the names of calls, or nothing for all.
    @ivar scale: up to how many VMs there are to be beside, or L{None}.
    @ivar stemcell: the file of a stemcell, or L{None} for one that is made up.
    @ivar docker_cpi: the executable of docker-cpi, if it is measured.
    """

    rounds: int
    only: Sequence[str] = field(default_factory=list)
    scale: int | None = None
    stemcell: Path | None = None
    docker_cpi: Path | None = None

    def kinds(self) -> list[type[Calls]]:
        """Return what is measured, with what it is compared with."""
        if not self.only:
            return list(KINDS)
        return [kind for kind in KINDS if any(map(self.has, kind.names))]

    def has(self, name: str) -> bool:
        """Say whether a call is measured, or is taken off one that is."""
        asked = [
            each
            for each in BY_NAME
            if not self.only
            or any(each == o or each.startswith(f"{o},") for o in self.only)
        ]
        return name in asked or any(BY_NAME[each].less == name for each in asked)


def measured(wanted: Wanted, results: Results, keep: Callable[[], None]) -> None:
    """
    Measure what is wanted.

    @param results: get what is measured, and who measures it where.
    @param keep: is called whenever there is more of them.
    @raise Failed: if this project refuses a call, or a bare tool fails.
    @raise Refused: if this project refuses what is made beforehand.
    @raise Unusable: if the stemcell is none.
    @raise NoDocker: if docker-cpi is wanted, and there is no daemon of Docker.
    """
    # Their packages come over the network of the machine.
    made = {kind: images.bootable(kind) for kind in images.KINDS}
    netns.enter()
    lab = Lab()
    try:
        with ExitStack() as stack:
            # What Docker makes of interfaces and settings is none of ours.
            docker = None
            if wanted.docker_cpi is not None:
                docker = stack.enter_context(docker_host(lab.home / "docker"))
            with lab.daemons() as new_daemon:
                _measure_calls(wanted, results, keep, new_daemon, made, lab.home, docker)
        if wanted.scale is not None:
            with lab.daemons() as new_daemon, crowd(lab, new_daemon) as many:
                for figures in beside_many(many, wanted.scale, wanted.rounds):
                    results.scale.append(figures)
                    keep()
    finally:
        lab.close()


def _measure_calls(
    wanted: Wanted,
    results: Results,
    keep: Callable[[], None],
    new_daemon: NewDaemon,
    made: dict[str, Path],
    home: Path,
    docker: DockerHost | None,
) -> None:
    with ExitStack() as stack:
        place = stack.enter_context(work_place(home))
        # Apart: ext4 is slow to make files where others were deleted a short time ago.
        files = stack.enter_context(work_place(home, "stemcells"))
        results.machine = machine.described(place)
        if wanted.stemcell is None:
            booted = made["runit"]
            unpacked = image_files.large_image(made["systemd"], files)
        else:
            booted = image_files.given_image(wanted.stemcell, files)
            unpacked = image_files.another(booted, files)
        ours = Ours(new_daemon().start(), booted)
        others: list[Contender] = []
        if docker is not None and wanted.docker_cpi is not None:
            other = docker_cpi(wanted.docker_cpi, docker, home, booted)
            others.append(stack.enter_context(other))
            results.machine["docker"] = docker.version()["Version"]
        bench = Bench(
            ours=ours,
            others=others,
            new_daemon=new_daemon,
            image=unpacked,
            place=place,
            rounds=wanted.rounds,
        )
        measure(results, bench, wanted.kinds(), keep)
        if wanted.has(CREATE_VM):
            results.timeline = timeline.taken(new_daemon, booted, TIMELINE_ROUNDS)
            keep()


def beside_many(many: Crowd, most: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure calls beside none, L{STEP}, and so on up to so many VMs."""
    first = None
    for number in range(0, most + 1, STEP):
        many.grow(number)
        figures = many.measure(rounds)
        first = first or figures
        print(told(figures, first), flush=True)
        yield asdict(figures)


def measure(
    results: Results,
    bench: Bench,
    kinds: Sequence[type[Calls]],
    keep: Callable[[], None] = lambda: None,
) -> None:
    """Measure some kinds of calls, say which one it is, and keep what each has."""
    for kind in kinds:
        print(f"measuring {', '.join(kind.names)}", flush=True)
        kind(bench).measure(results)
        keep()


@contextmanager
def work_place(home: Path, name: str = "bare") -> Iterator[Path]:
    """Return an empty directory on the file system that the daemons use, for a while."""
    place = home / name
    place.mkdir()
    try:
        yield place
    finally:
        trees.remove(place)
