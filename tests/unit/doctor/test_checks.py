"""What the doctor's checks make of a host."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor import (
    certificates,
    cgroups,
    kernel,
    network,
    privileges,
    programs,
    room,
)
from runc_cpi.daemon.doctor.examination import QUICK, THOROUGH, examine
from runc_cpi.daemon.doctor.finding import FAULT, OK, WARNING, Finding, Patient, fine
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.storage.records import write_record


def patient(work_dir: Path, **config: Any) -> Patient:
    """Return a host that is looked at."""
    parsed = DaemonConfig.parse({"work_dir": str(work_dir), **config})
    return Patient(config=parsed, is_served=False)


def one(found: Iterable[Finding]) -> Finding:
    """Return the finding, of which there is one."""
    (finding,) = found
    return finding


def hierarchies(root: Path, *controllers: str) -> Path:
    """Make directories as those of cgroup v1."""
    for name in controllers:
        (root / name).mkdir(parents=True)
    return root


def unified(root: Path, controllers: str) -> Path:
    """Make a directory as that of cgroup v2."""
    root.mkdir()
    (root / "cgroup.controllers").write_text(controllers + "\n")
    return root


def test_layouts(tmp_path: Path) -> None:
    """A layout of cgroups is named, and so is a controller that it is without."""
    asked = patient(tmp_path)
    v1 = hierarchies(tmp_path / "1", "cpu", "memory", "pids")
    assert one(cgroups.layout(asked, v1)) == fine("cgroups", "v1, with cpu, memory, pids")
    hybrid = hierarchies(tmp_path / "2", "cpu", "pids", "unified")
    found = one(cgroups.layout(asked, hybrid))
    assert found.state == WARNING
    assert "side by side, without memory" in found.seen
    v2 = unified(tmp_path / "3", "cpuset cpu io memory pids")
    assert one(cgroups.layout(asked, v2)).state == OK
    assert "pids" in one(cgroups.layout(asked, unified(tmp_path / "4", "cpu memory"))).seen


@pytest.mark.parametrize(
    ("features", "state"),
    [
        ({"init": "systemd", "systemd": 259}, FAULT),
        ({"init": "systemd", "systemd": 257}, OK),
        ({"init": "runit", "systemd": 259}, OK),
        ({"init": "systemd", "systemd": None}, OK),
        ({"init": "systemd"}, FAULT),
        ({}, OK),
    ],
    ids=["new", "old", "runit", "unknown", "looked for", "broken"],
)
def test_stemcells(tmp_path: Path, features: dict[str, Any], state: str) -> None:
    """A systemd that does not boot with cgroup v1 is a fault where there is v1."""
    directory = tmp_path / "w" / "stemcells" / "stemcell-1"
    libraries = directory / "rootfs" / "usr" / "lib" / "systemd"
    libraries.mkdir(parents=True)
    for program in ("usr/lib/systemd/systemd", "bin/sh"):
        file = directory / "rootfs" / program
        file.parent.mkdir(exist_ok=True)
        file.touch(mode=0o755)
    (libraries / "libsystemd-shared-258.so").touch()
    write_record(directory / "stemcell.json", {"features": features})
    asked = patient(tmp_path / "w")
    found = one(cgroups.stemcells_and_cgroups(asked, hierarchies(tmp_path / "v1", "cpu")))
    assert found.state == state
    assert ("stemcell-1 has systemd 25" in found.seen) is (state == FAULT)
    v2 = unified(tmp_path / "v2", "cpu")
    assert one(cgroups.stemcells_and_cgroups(asked, v2)).state == OK


def test_modules(tmp_path: Path) -> None:
    """A module is there, or can be loaded, or is missing, which is not always a fault."""
    release = tmp_path / "lib" / "modules" / os.uname().release
    release.mkdir(parents=True)
    (release / "modules.dep").write_text("kernel/drivers/net/tun.ko.zst: x.ko\n")
    (release / "modules.builtin").write_text("kernel/fs/fuse/fuse.ko\n")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "fuse").touch()
    found = {
        each.check.rpartition(" ")[2]: each
        for each in kernel.modules(patient(tmp_path), tmp_path)
    }
    assert {name: each.state for name, each in found.items()} == {
        "overlay": FAULT,
        "loop": FAULT,
        "br_netfilter": OK,
        "tun": OK,
        "fuse": OK,
    }
    assert found["loop"].advice == "modprobe loop"
    assert "modprobe tun" in found["tun"].seen
    assert found["fuse"].seen == "is there"
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "filesystems").write_text("nodev\toverlay\n")
    directory = patient(tmp_path, disks={"driver": "directory"})
    assert {each.state for each in kernel.modules(directory, tmp_path)} == {OK}


SIX = {"networks": [{"name": "six", "cidr": "fd00::/64", "bridge": "br6"}]}


@pytest.mark.parametrize(
    ("off", "config", "state", "seen"),
    [
        ((), SIX, OK, "is on"),
        (("all", "lo"), SIX, WARNING, "is off by net.ipv6.conf.all.disable_ipv6: VMs"),
        (("lo",), SIX, WARNING, "is off by net.ipv6.conf.lo.disable_ipv6: VMs"),
        (("all",), {}, OK, "is off by net.ipv6.conf.all.disable_ipv6"),
        (None, SIX, FAULT, "is not in this kernel"),
        (None, {}, OK, "is not in this kernel"),
    ],
    ids=["on", "off", "off for the host itself", "off but not needed", "none", "no need"],
)
def test_ipv6(
    tmp_path: Path,
    off: tuple[str, ...] | None,
    config: dict[str, Any],
    state: str,
    seen: str,
) -> None:
    """IPv6 that is off matters where a network of the configuration is of it."""
    conf = tmp_path / "conf"
    for name in ("all", "lo") if off is not None else ():
        (conf / name).mkdir(parents=True)
        (conf / name / "disable_ipv6").write_text(f"{int(name in (off or ()))}\n")
    found = one(network.ipv6(patient(tmp_path, **config), conf))
    assert found.state == state
    assert found.seen.startswith(seen)
    if state == WARNING:
        assert f"sysctl -w net.ipv6.conf.{(off or ())[0]}.disable_ipv6=0" in found.advice


def test_capabilities(tmp_path: Path) -> None:
    """What root is without is named, with what it is for."""
    status = tmp_path / "status"

    def found(mask: int) -> Finding:
        status.write_text(f"CapPrm:\t{mask:016x}\nCapBnd:\t{mask:016x}\n")
        return one(privileges.capabilities(patient(tmp_path), status))

    every = (1 << 41) - 1
    assert found(every).state == OK
    assert found(every & ~(1 << 24)).state == WARNING
    lost = found(every & ~(1 << 21))
    assert (lost.state, "CAP_SYS_ADMIN (mount" in lost.seen) == (FAULT, True)


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("runc version 1.1.5+ds1\ncommit: 1.1.5", WARNING),
        ("runc version 1.2.7\n", WARNING),
        ("runc version 1.2.8\n", OK),
        ("runc version 1.3.2\n", WARNING),
        ("runc version 1.3.3\n", OK),
        ("runc version 1.3.3-rc.9\n", WARNING),
        ("runc version 1.3.4-rc.1\n", OK),
        ("runc version 1.4.0-rc.1\n", WARNING),
        ("runc version 1.4.0~rc2+ds1\n", WARNING),
        ("runc version 1.4.0-rc.3\n", OK),
        ("runc version 1.4.0\n", OK),
        ("runc version 2.0\n", OK),
        ("crun version 1.8.1\n", OK),
        ("who knows\n", WARNING),
    ],
)
def test_runtimes(told: str, state: str) -> None:
    """A version of runc that lets containers out is warned of."""
    assert programs.judge("OCI runtime", "/usr/bin/runc", told).state == state


def test_a_runtime_that_is_missing(tmp_path: Path) -> None:
    """A runtime that is not there is a fault."""
    found = one(programs.runtime(patient(tmp_path, runtime="no-such-runtime")))
    assert found.state == FAULT


@pytest.mark.parametrize(
    ("days", "state"), [(-1, FAULT), (3, WARNING), (29, WARNING), (31, OK)]
)
def test_certificates(days: int, state: str) -> None:
    """A certificate that ends soon is warned of, and one that has ended is a fault."""
    now = datetime.now(timezone.utc)
    ends = now + timedelta(days=days, hours=1)
    assert certificates.judge("tls.ca", ends, now).state == state


def test_certificates_that_are_missing(tmp_path: Path) -> None:
    """Files that are not there are faults; without TLS there is nothing to look at."""
    tls = {"network_type": "tcp", "tls": str(tmp_path)}
    found = list(certificates.certificates(patient(tmp_path, **tls)))
    assert [each.state for each in found] == [FAULT, FAULT]
    assert list(certificates.certificates(patient(tmp_path))) == []


def test_the_file_system_of_a_path() -> None:
    """The last mount on the longest way to a path is the one that counts."""
    mounts = [
        Mount(number, "8:1", "/", point, kind, "rw")
        for number, point, kind in [
            (1, "/", "ext4"),
            (2, "/var", "xfs"),
            (3, "/var/lib", "btrfs"),
            (4, "/var/lib", "zfs"),
        ]
    ]
    for path, kind in (("/var/lib/x", "zfs"), ("/var/library", "xfs"), ("/etc", "ext4")):
        found = room.mount_of(Path(path), mounts)
        assert found is not None
        assert found.filesystem == kind
    assert room.mount_of(Path("/x"), []) is None


def test_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    """The room is that of the file system where the directory will be."""
    asked = patient(tmp_path / "not" / "yet")
    assert f"where {tmp_path} is" in one(room.room(asked)).seen
    assert "copies" in one(room.file_system(asked)).seen
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to do about a full disk; all is tried where a start clears away."""
    (tmp_path / "scratch").mkdir()

    def full(directory: Path) -> bool:
        assert directory == tmp_path / "scratch"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(room, "_clones", full)
    found = one(room.file_system(patient(tmp_path)))
    assert (found.state, "No space left" in found.seen) == (WARNING, True)
    assert "prune" in found.advice


def test_a_check_that_cannot_be_made(tmp_path: Path) -> None:
    """A check that cannot be made is a warning, and the next one is made."""

    def broken(_: Patient) -> Iterable[Finding]:
        raise PermissionError(13, "Permission denied", "/x")

    def next_one(_: Patient) -> Iterable[Finding]:
        return [fine("next one", "is well")]

    def faulty(_: Patient) -> Iterable[Finding]:
        raise KeyError("x")

    first, second, third = examine(patient(tmp_path), [broken, faulty, next_one])
    assert (first.check, first.state) == ("broken", WARNING)
    assert "Permission denied" in first.seen
    assert (second.check, second.state) == ("faulty", WARNING)
    assert "KeyError" in second.seen
    assert third.state == OK


def test_each_check_is_made_once() -> None:
    """No check is among both kinds."""
    assert not set(QUICK) & set(THOROUGH)
