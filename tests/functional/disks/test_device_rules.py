"""The device rules of cgroup v2, tested on the kernel itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.host.cgroups.devices import RulesV2
from runc_cpi.daemon.vms.device_rules import ALLOWED
from tests.functional.disks.site import run

HIERARCHIES = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
ENTER = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of v2, which a host with v1 may have as well."""
    for hierarchy in HIERARCHIES:
        if (hierarchy / "cgroup.procs").exists():
            path = hierarchy / f"rules-{os.getpid()}"
            path.mkdir()
            try:
                yield path
            finally:
                path.rmdir()
            return
    pytest.skip("no hierarchy of cgroup v2 is mounted")


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[list[Path]]:
    """Two loop devices."""
    made: list[Path] = []
    try:
        for name in ("a", "b"):
            file = tmp_path / name
            file.write_bytes(bytes(1 << 20))
            made.append(Path(run("losetup", "--find", "--show", str(file)).strip()))
        yield made
    finally:
        for device in made:
            run("losetup", "--detach", str(device))


def readable(cgroup: Path, devices: list[Path]) -> list[Path]:
    """Return those of some devices that a process in the cgroup may open."""

    def reads(device: Path) -> bool:
        read = ["dd", f"if={device}", "of=/dev/null", "count=1"]
        argv = ["sh", "-c", ENTER, "sh", str(cgroup), *read]
        outcome = subprocess.run(argv, capture_output=True, check=False)
        assert outcome.returncode == 0 or b"not permitted" in outcome.stderr
        return outcome.returncode == 0

    return [device for device in devices if reads(device)]


def test_what_is_in_it_is_bounded_too(cgroup: Path, devices: list[Path]) -> None:
    """Rules of a cgroup below cannot allow more than the cgroup above."""
    inside = cgroup / "inside"
    inside.mkdir()
    try:
        RulesV2(cgroup.parent).fence(f"/{cgroup.name}", ALLOWED)
        RulesV2(cgroup).allow_loops("/inside", [os.minor(devices[0].stat().st_rdev)])
        assert readable(inside, [*devices, Path("/dev/null")]) == [Path("/dev/null")]
    finally:
        inside.rmdir()


def test_what_is_allowed(cgroup: Path, devices: list[Path]) -> None:
    """
    Each call replaces the loop devices that the last one allowed; the usual devices stay.
    """
    rules = RulesV2(cgroup.parent)
    minors = {device: os.minor(device.stat().st_rdev) for device in devices}
    null = Path("/dev/null")
    assert readable(cgroup, devices) == devices
    for allowed in ([], devices[:1], devices[1:], devices, []):
        rules.allow_loops(f"/{cgroup.name}", [minors[device] for device in allowed])
        assert readable(cgroup, [*devices, null]) == [*allowed, null]
