"""The benchmarks run; people judge their results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.benchmarks import timeline
from tests.benchmarks.calls.disks import Disks
from tests.benchmarks.calls.rounds import Bench
from tests.benchmarks.calls.starts import Starts
from tests.benchmarks.calls.stemcells import StemcellRemovals, Stemcells
from tests.benchmarks.calls.vms import Reboots, VMs
from tests.benchmarks.contenders import Contender, Ours
from tests.benchmarks.docker import CGROUPS
from tests.benchmarks.encryption import encrypted, encryption
from tests.benchmarks.events import filled, seen
from tests.benchmarks.image_files import small_image
from tests.benchmarks.machine import described
from tests.benchmarks.networks import networks
from tests.benchmarks.plots import draw
from tests.benchmarks.raw_runc import raw_runc
from tests.benchmarks.results import Results, table
from tests.benchmarks.run import KINDS, measure, work_place
from tests.benchmarks.scale import Figures
from tests.benchmarks.subjects import BY_NAME, HAS_VM, INFO
from tests.benchmarks.timeline import AFTER, BEFORE, WITHIN
from tests.harness import images
from tests.harness.daemon import vm_arguments
from tests.harness.lab import Lab, NewDaemon

# Twenty VMs at once take as long as all else.
MEASURED = (Starts, VMs, Disks, Reboots, Stemcells, StemcellRemovals)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab for one test."""
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture
def new_daemon(lab: Lab) -> Iterator[NewDaemon]:
    """Makes daemons."""
    with lab.daemons() as new_daemon:
        yield new_daemon


def test_every_call_is_measured(lab: Lab, new_daemon: NewDaemon, tmp_path: Path) -> None:
    """The table has every call; the results are read back, compared and drawn."""
    results = Results()
    with work_place(lab.home) as place:
        results.machine = described(place)
        image = small_image(place)
        bench = Bench(
            ours=Ours(new_daemon().start(), image),
            others=[],
            new_daemon=new_daemon,
            image=images.another(image, place / "another"),
            place=place,
            rounds=1,
        )
        measure(results, bench, MEASURED)
        results.timeline = timeline.taken(new_daemon, image, 1)
    calls = {"create_vm": 90.0, "delete_vm": 40.0, "attach_disk": 9.0, "detach_disk": 9.5}
    many = Figures(0, calls, calls, memory=60.0, idle=0.5, answering=1.5, settled=2.0)
    results.scale = [asdict(many), asdict(replace(many, vms=100))]
    figures = {figure.subject.name: figure for figure in results.figures()}
    assert set(figures) == {name for kind in MEASURED for name in kind.names}
    assert all(each.median > 0 and each.bare and each.ratio for each in figures.values())
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results
    report = table(results, before=results)
    print(report)
    assert all(name in report for name in figures)
    names = [span["name"] for span in results.timeline["spans"]]
    assert {BEFORE, WITHIN, "runc create", AFTER} <= set(names)
    drawn = list(draw(results, tmp_path / "plots"))
    assert [path.name for path in drawn] == ["calls.svg", "scale.svg", "timeline.svg"]
    for path in drawn:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


def cgroups(name: str) -> list[Path]:
    """Return the cgroups with a name, at the top of each hierarchy."""
    return [path for path in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")) if path.exists()]


class Refusing(Contender):
    """Another daemon, which is asked for VMs that it cannot make."""

    def vm(self) -> list[Any]:
        """Return arguments that are no good."""
        return vm_arguments(self.stemcell, {"default": {"type": "none"}})


def test_others_are_measured(lab: Lab, new_daemon: NewDaemon) -> None:
    """Others take turns with this project, and what they refuse is told."""
    results = Results()
    with work_place(lab.home) as place:
        image = small_image(place)
        other = new_daemon().start().cpi
        bench = Bench(
            ours=Ours(new_daemon().start(), image),
            others=[Contender("another", other, image), Refusing("refusing", other, image)],
            new_daemon=new_daemon,
            image=image,
            place=place,
            rounds=2,
        )
        measure(results, bench, [Starts])
    info, has_vm = results.figures()
    assert (set(info.peers), set(has_vm.peers)) == ({"another"}, {"another"})
    assert len(results.samples["another"][HAS_VM]) == 2
    assert "'none'" in results.refused["refusing"][INFO]


def test_bare_containers_are_removed(lab: Lab, new_daemon: NewDaemon) -> None:
    """Of containers that nobody has ended nothing is left."""
    with work_place(lab.home) as place:
        ours = Ours(new_daemon().start(), small_image(place))
        before = set(place.iterdir())
        with pytest.raises(KeyboardInterrupt), raw_runc(ours, place, 2) as runc:
            runc.make(2)
            names = [bundle.name for bundle in place.glob("raw-*")]
            assert len(names) == 2
            assert [name for name in names if cgroups(name)] == names
            raise KeyboardInterrupt
        assert set(place.iterdir()) - before == {place / "runc"}
        assert list((place / "runc").iterdir()) == []
    assert [name for name in names if cgroups(name)] == []


def test_every_subject_is_of_a_kind() -> None:
    """What the table can have is measured by one kind of calls."""
    names = [name for kind in KINDS for name in kind.names]
    assert sorted(names) == sorted(BY_NAME)


def test_encryption_is_measured(lab: Lab, new_daemon: NewDaemon) -> None:
    """Calls and images go over TLS and without it."""
    with work_place(lab.home) as place:
        image, plain = small_image(place), new_daemon(network_type="tcp").start()
        rows = encryption(plain, encrypted(new_daemon), image, 2, place, size=1)
    assert all(row.milliseconds != 0 for row in rows)


def test_events_are_measured(new_daemon: NewDaemon) -> None:
    """A follower sees each call, and the daemon's memory is read as events come."""
    daemon = new_daemon().start()
    rows = seen(daemon, 2)
    parts = list(filled(daemon, 100))
    assert all(row.milliseconds > 0 for row in rows)
    assert [events for events, _ in parts] == list(range(10, 101, 10))
    assert all(mebibytes > 0 for _, mebibytes in parts)


def test_networks_are_measured() -> None:
    """The network's part of create_vm is measured, with ports, with blocks and without."""
    rows = networks(1, crowds=[2])
    beside = [row.what for row in rows if row.what.startswith("beside")]
    more = ("", ", a port each", ", a block each")
    assert beside == [f"beside 2 VMs{each}" for each in more]
    assert all(row.milliseconds > 0 for row in rows)
