"""C{director up} where systemd is the first process, as on a server, from a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runc_cpi import __version__
from tests.harness import booted
from tests.harness.booted import KEPT, Booted
from tests.harness.bosh.site import DEPLOYMENT, make_stemcell, stand_in
from tests.harness.images import PROJECT
from tests.harness.waiting import eventually

COPIED = ("LICENSE", "README.md", "docs", "operations", "pyproject.toml", "runc_cpi")
STATE, WORK = "/var/lib/runc-cpi/director", "/var/lib/runc-cpid"
# It takes the environment of the tests, and needs no package index.
SETUP = f"""#!/bin/sh
ln -sfn {sys.prefix} "$(dirname "$(dirname "$(readlink -f "$0")")")/.venv"
"""
# What runs in the director's VM; after a boot, agents start their jobs by themselves.
INSIDE = f"""
import sys, threading
from pathlib import Path
sys.path.insert(0, "{PROJECT}")
from tests.harness.bosh import vm
from tests.harness.bosh.agent import Agent

class Rebooted(Agent):
    def __init__(self):
        super().__init__()
        self.job_state = "running"

if sys.argv[1:] == ["rebooted"]:
    vm.Agent = Rebooted
vm.DirectorVM(Path("{WORK}"), Path("{STATE}/creds.yml"))
threading.Event().wait()
"""


@pytest.fixture
def machine(tmp_path: Path, tiny: Path) -> Iterator[Booted]:
    """A machine with systemd, and a checkout, a stemcell and a bosh CLI on it."""
    assert booted.SYSTEMD.exists(), "operations/setup dev installs systemd"
    made = shutil.ignore_patterns("__pycache__", "src", "*.tgz")
    for name in (*COPIED, "twisted"):
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, tmp_path / name, ignore=made)
        else:
            shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / "operations" / "setup").write_text(SETUP)
    make_stemcell(tmp_path / "stemcell.tgz", tiny, "1.0")
    stand_in(tmp_path)
    machine = Booted(tmp_path)
    try:
        machine.boot()
        yield machine
    finally:
        machine.cut_off()


@contextmanager
def served(machine: Booted, *arguments: str) -> Iterator[None]:
    """Have an agent and a director in the director's VM."""
    argv = machine.entering([sys.executable, "-c", INSIDE, *arguments])
    with subprocess.Popen(argv) as process:
        try:
            yield
        finally:
            process.kill()


def ok(machine: Booted, *argv: str | Path) -> str:
    """Run a program, which must succeed, and return what it says."""
    outcome = machine.run(*argv)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout + outcome.stderr


def is_up(machine: Booted) -> bool:
    """Whether all of the director is up."""
    return machine.run("runc-cpictl", "director", "status").returncode == 0


def test_a_server(machine: Booted, report: Callable[[str], None]) -> None:
    """
    One command makes a director, whose daemon is a service of systemd.

    It is there again after the daemon was killed, and after the power failed.
    """
    options: list[str | Path] = ["--bosh-deployment", DEPLOYMENT, "--disk-size", "1024"]
    options += ["--bosh-cli", KEPT / "stand-in", "--stemcell", KEPT / "stemcell.tgz"]
    with served(machine):
        told = ok(machine, KEPT / "operations" / "director", "up", *options)
        assert f"runc-cpid {__version__} started" in told
        assert ok(machine, "systemctl", "is-enabled", "runc-cpid") == "enabled\n"
        assert is_up(machine)
        ok(machine, "systemctl", "kill", "-s", "KILL", "--kill-whom=main", "runc-cpid")
        eventually(lambda: is_up(machine), "the daemon after it was killed", 120)
        before = ok(machine, "runc-cpictl", "director", "status")
    machine.cut_off()
    machine.boot()
    with served(machine, "rebooted"):
        eventually(lambda: is_up(machine), "the director after a boot", 120)
        assert ok(machine, "runc-cpictl", "director", "status") == before
        report(ok(machine, "systemd-analyze", "time").splitlines()[0])
        logged = ok(machine, "runc-cpictl", "director", "logs", "--daemon")
        assert "brought back vm-" in logged
        ok(machine, "runc-cpictl", "director", "destroy", "--yes")
    outcome = machine.run("systemctl", "is-enabled", "runc-cpid")
    assert outcome.stdout == "disabled\n"
    ok(machine, KEPT / "operations" / "uninstall", "--purge", "--yes")
    for path in ("/opt/runc-cpi", "/etc/runc-cpid", "/var/lib/runc-cpi"):
        assert machine.run("test", "-e", path).returncode == 1


def test_a_boot_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told why, and nothing is left of it."""
    first = tmp_path / "first"
    first.write_text("#!/bin/sh\necho no boot today >&2\nexit 3\n")
    first.chmod(0o755)
    monkeypatch.setattr(booted, "SYSTEMD", KEPT / first.name)
    machine = Booted(tmp_path)
    try:
        with pytest.raises(AssertionError, match="no boot today"):
            machine.boot()
        assert cgroups(machine)
    finally:
        machine.cut_off()
    assert not cgroups(machine)


def test_a_boot_that_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cgroups are gone too, which were made before."""
    machine = Booted(tmp_path)
    try:
        with monkeypatch.context() as without:
            without.setenv("PATH", "")
            with pytest.raises(FileNotFoundError, match="sh"):
                machine.boot()
        assert cgroups(machine)
    finally:
        machine.cut_off()
    assert not cgroups(machine)


def cgroups(machine: Booted) -> list[Path]:
    """Return the cgroups that a machine has, one in each hierarchy."""
    return [top / machine.name for top in booted.tops() if (top / machine.name).exists()]
