"""C{operations/install} and C{uninstall}: what they make, and what they leave alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.images import PROJECT
from tests.harness.lab import NewDaemon
from tests.harness.machine import Machine, machine

COPIED = ("LICENSE", "README.md", "docs", "operations", "pyproject.toml", "runc_cpi")
HOME, CONFIG, WORK = "/opt/runc-cpi", "/etc/runc-cpid/config.yml", "/var/lib/runc-cpid"
UNIT = "/usr/local/lib/systemd/system/runc-cpid.service"
# It takes the environment of the tests, and needs no package index.
SETUP = f"""#!/bin/sh
ln -sfn {sys.prefix} "$(dirname "$(dirname "$(readlink -f "$0")")")/.venv"
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    """A machine on which nothing is installed yet."""
    tools = tmp_path / "tools"
    tools.mkdir()
    with machine(tools) as made:
        made.run(
            "rm", "-rf", "/etc/sysctl.d/60-runc-cpi.conf", HOME, "/etc/runc-cpid", WORK
        )
        yield made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose setup takes no time."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    made = shutil.ignore_patterns("__pycache__", "src", "*.tgz")
    for name in (*COPIED, "twisted"):
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, copy / name, ignore=made)
        else:
            shutil.copy(PROJECT / name, copy)
    setup = copy / "operations" / "setup"
    setup.write_text(SETUP)
    return copy


def install(host: Machine, checkout: Path) -> str:
    """Install a checkout, and return the version that is in use then."""
    outcome = host.run(checkout / "operations" / "install")
    assert outcome.returncode == 0, outcome.stderr
    return str(host.path(f"{HOME}/current").readlink())


def refusal(host: Machine, program: Path, *arguments: str) -> str:
    """Run a program that refuses, and return what it says."""
    outcome = host.run(program, *arguments)
    assert outcome.returncode != 0, outcome.stdout
    return outcome.stderr


def answer(host: Machine, text: bytes, program: Path) -> subprocess.CompletedProcess[str]:
    """Have C{uninstall --purge} ask at a terminal, and answer."""
    terminal, end = os.openpty()
    try:
        os.write(terminal, text)
        return host.run(program, "--purge", stdin=end)
    finally:
        os.close(terminal)
        os.close(end)


def versions(host: Machine) -> set[str]:
    """Return the versions that are there."""
    return {path.parent.name for path in host.path(HOME).glob("*/.complete")} - {"current"}


def test_installing_and_upgrading(host: Machine, checkout: Path) -> None:
    """Programs are on the PATH; a version takes the place of another at once, or never."""
    first = install(host, checkout)
    told = host.run("runc-cpictl", "--version")
    assert told.stdout.startswith("runc-cpictl "), told.stderr
    assert host.path(UNIT).read_bytes() == (
        (checkout / "operations/systemd/runc-cpid.service").read_bytes()
    )
    started = [
        line.removeprefix("ExecStart=").split()
        for line in host.path(UNIT).read_text().splitlines()
        if line.startswith("ExecStart=")
    ]
    assert [argv[0] for argv in started] == [f"{HOME}/current/.venv/bin/runc-cpid"]
    assert started[0][1:] == ["--config", CONFIG]
    assert host.path("/etc/runc-cpid").stat().st_mode & 0o777 == 0o700
    assert host.asked_of_systemd() == ["daemon-reload"]
    # The checkout itself is not what runs.
    assert not list(checkout.glob(".venv"))

    # What was made in the checkout makes no other version.
    release = checkout / "operations" / "bosh-release"
    patterns = (release / ".gitignore").read_text().splitlines()
    names = [
        pattern.strip("/").replace("*", "x") for pattern in patterns if "#" not in pattern
    ]
    made = [release / name for name in names]
    made += [checkout / "runc_cpi" / "__pycache__", checkout / ".venv"]
    for path in made:
        path.write_text("made")
    assert install(host, checkout) == first
    assert host.asked_of_systemd() == ["daemon-reload"]

    module = checkout / "runc_cpi" / "printable.py"
    module.write_text(module.read_text() + "\n# changed\n")
    setup = checkout / "operations" / "setup"
    setup.write_text("#!/bin/sh\nexit 9\n")
    assert host.run(checkout / "operations" / "install").returncode == 9
    assert host.path(f"{HOME}/current").readlink() == Path(first)
    assert versions(host) == {first}
    setup.write_text(SETUP)
    second = install(host, checkout)
    assert host.asked_of_systemd() == ["daemon-reload", "try-restart runc-cpid.service"]
    assert versions(host) == {first, second}
    module.write_text(module.read_text() + "# again\n")
    third = install(host, checkout)
    assert versions(host) == {second, third}


def test_a_file_that_changes_meanwhile(
    host: Machine, checkout: Path, tmp_path: Path
) -> None:
    """A Python that compiles in the checkout has tar say so: it is copied once more."""
    tar, again = tmp_path / "tools" / "tar", tmp_path / "again"
    tar.write_text(
        f'#!/bin/sh\n/usr/bin/tar "$@" || exit\n'
        f'[ "$1" != --create ] || [ -e {again} ] || {{ touch {again}; exit 1; }}\n'
    )
    tar.chmod(0o755)
    assert install(host, checkout)
    assert again.exists()
    tar.write_text("#!/bin/sh\nexit 2\n")
    said = refusal(host, checkout / "operations" / "install")
    assert f"{checkout} cannot be copied as a whole; run this again" in said


def test_what_others_have_made(host: Machine, checkout: Path) -> None:
    """A directory and a program that are not ours are left alone, by both."""
    host.path(HOME).mkdir()
    host.path(f"{HOME}/pyvenv.cfg").touch()
    script, remove = checkout / "operations/install", checkout / "operations/uninstall"
    assert f"{HOME}: not made by this; move it away" in refusal(host, script)
    assert f"leaving {HOME}, which" in host.run(remove).stdout
    assert host.path(f"{HOME}/pyvenv.cfg").exists()
    host.path(f"{HOME}/pyvenv.cfg").unlink()
    foreign = host.path("/usr/local/bin/runc-cpid")
    foreign.write_text("another")
    install(host, checkout)
    assert host.run(remove).returncode == 0
    assert foreign.read_text() == "another"


def test_uninstalling(host: Machine, checkout: Path) -> None:
    """What install made is gone; what the operator has stays, until it is to go too."""
    install(host, checkout)
    remove = checkout / "operations/uninstall"
    for name in ("vms", "disks/disk-1", "snapshots"):
        host.path(f"{WORK}/{name}").mkdir(parents=True)
    for name in ("mine", "lock"):
        host.path(f"{WORK}/{name}").touch()
    config = host.path(CONFIG)
    config.write_text("work_dir: 7")
    assert "work_dir" in refusal(host, remove, "--purge", "--yes")
    config.write_text(f"work_dir: {WORK}")
    host.path(f"{WORK}/vms/vm-1").mkdir()
    assert f"{WORK} has VMs: 1." in refusal(host, remove, "--purge", "--yes")
    assert "only a daemon can" in refusal(host, remove, "--purge", "--yes", "--force")
    host.path(f"{WORK}/vms/vm-1").rmdir()
    assert "give --yes" in refusal(host, remove, "--purge")
    assert "nothing is deleted" in answer(host, b"n\n", remove).stderr
    assert "uninstall [--purge]" in refusal(host, remove, "--purged")
    assert host.path(f"{HOME}/current").exists()
    host.asked_of_systemd()

    outcome = host.run(remove)
    assert outcome.returncode == 0, outcome.stderr
    assert f"left: {WORK}\n" in outcome.stdout
    assert host.asked_of_systemd() == [
        "disable --now runc-cpid.service",
        "daemon-reload",
    ]
    assert not host.path(HOME).exists() and not host.path(UNIT).exists()
    assert not host.path("/usr/local/bin/runc-cpictl").is_symlink()
    assert host.path(f"{WORK}/disks/disk-1").exists() and config.exists()

    install(host, checkout)
    outcome = answer(host, b"y\n", Path(HOME, "current/operations/uninstall"))
    assert outcome.returncode == 0, outcome.stderr
    assert "VMs (0), disks (1), snapshots (0), stemcells (0)" in outcome.stdout
    assert f"leaving {WORK}: it has files of others" in outcome.stdout
    assert [path.name for path in host.path(WORK).iterdir()] == ["mine"]
    assert not host.path("/etc/runc-cpid").exists() and not host.path(HOME).exists()


def test_a_directory_that_no_daemon_used(host: Machine, checkout: Path) -> None:
    """A work_dir that was only written into the configuration keeps all it has."""
    install(host, checkout)
    host.path(CONFIG).write_text("work_dir: /opt/shared")
    kept = host.path("/opt/shared/images/mine")
    kept.mkdir(parents=True)
    outcome = host.run(checkout / "operations/uninstall", "--purge", "--yes")
    assert outcome.returncode == 0, outcome.stderr
    assert "leaving /opt/shared: no daemon has used it\n" in outcome.stdout
    assert kept.exists()


def test_a_daemon_with_vms(
    host: Machine, checkout: Path, new_daemon: NewDaemon, tiny: Path
) -> None:
    """With --purge and --force VMs are deleted; what a daemon still uses is not."""
    daemon = new_daemon().start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    install(host, checkout)
    host.path(CONFIG).write_text(daemon.config_file.read_text())
    remove = checkout / "operations/uninstall"
    assert "has VMs: 1." in refusal(host, remove)
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    told = refusal(host, remove, "--purge", "--force", "--yes")
    assert f"a daemon still uses {daemon.work_dir}" in told
    assert daemon.cpi.ok("has_vm", vm.cid) is False
    assert daemon.work_dir.exists() and host.path(f"{HOME}/current").exists()
    daemon.stop()
    outcome = host.run(remove, "--purge", "--yes")
    assert outcome.returncode == 0, outcome.stderr
    assert not daemon.work_dir.exists()
