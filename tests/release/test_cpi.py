"""The rendered bin/cpi, installed as the CLI and the director have it."""

from __future__ import annotations

import json
import os
import runpy
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.release import jobs, packages
from tests.release.callers import CLI, Director
from tests.release.sites import properties
from tests.release.vcap import sandboxed, seen

Install = Callable[[Mapping[str, Any]], Path]
BIN = "/var/vcap/jobs/runc_cpi/bin/cpi"
NETWORK = {"default": {"type": "dynamic", "cloud_properties": {}}}


@pytest.fixture
def cli(install: Install, compiled: Path, daemon: Daemon) -> CLI:
    """The CLI, with a daemon to call."""
    return CLI(install(properties(daemon)), compiled)


@pytest.fixture
def director(install: Install, compiled: Path, daemon: Daemon) -> Director:
    """A director with bpm, and the same daemon."""
    return Director([*sandboxed(compiled, install(properties(daemon))), BIN])


def test_bytecode_is_there(compiled: Path) -> None:
    """
    All modules of the package are compiled, since a read-only file system cannot keep
    bytecode.
    """
    lib = compiled / "runc-cpi" / "lib"
    sources = list((lib / "runc_cpi").rglob("*.py"))
    assert sources
    for source in sources:
        (cached,) = source.parent.glob(f"__pycache__/{source.stem}.cpython-*.pyc")
        # PEP 552: based on a hash, which is not to be checked.
        assert cached.read_bytes()[4:8] == b"\x01\0\0\0"


def test_info_asks_nobody(install: Install, compiled: Path) -> None:
    """info is answered without a daemon, for both callers."""
    jobs_directory = install({"runc_cpi": {"address": "127.0.0.1:1"}})
    answers = [
        CLI(jobs_directory, compiled).info(),
        Director([*sandboxed(compiled, jobs_directory), BIN]).info(),
    ]
    for answer in answers:
        assert answer["result"]["api_version"] >= 2


def test_life_of_a_vm_by_the_cli(cli: CLI, image: Path) -> None:
    """The calls of create-env and delete-env work."""
    stemcell_cid = cli.ok("create_stemcell", str(image), {})
    vm_cid, _ = cli.ok("create_vm", "a", stemcell_cid, {}, NETWORK, [], {})
    assert cli.ok("has_vm", vm_cid) is True
    cli.ok("delete_vm", vm_cid)
    assert cli.ok("has_vm", vm_cid) is False
    cli.ok("delete_stemcell", stemcell_cid)


def test_life_of_a_vm_by_the_director(director: Director, image: Path, lab: Any) -> None:
    """The calls of a director work with the part of the file system that bpm leaves."""
    stemcell_cid = director.ok("create_stemcell", str(seen(image)), {}, {"tags": {}})
    vm_cid, _ = director.ok("create_vm", "a", stemcell_cid, {}, NETWORK, [], {})
    assert director.ok("has_vm", vm_cid) is True
    director.ok("delete_vm", vm_cid)
    director.ok("delete_stemcell", stemcell_cid)


def test_unix_socket(
    new_daemon: NewDaemon, install: Install, compiled: Path, tmp_path: Path
) -> None:
    """The daemon can be at a unix socket that the caller may write to."""
    daemon = new_daemon().start()
    cli = CLI(install(properties(daemon)), compiled)
    assert cli.ok("has_vm", "vm-none") is False


def test_errors_are_responses(install: Install, compiled: Path) -> None:
    """The exit status is always 0, since the CLI drops the response otherwise."""
    cli = CLI(install({"runc_cpi": {"address": "127.0.0.1:1"}}), compiled)
    error = cli.error("has_vm", "vm-1")
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert "127.0.0.1:1" in error["message"]


def test_hostile_environment(install: Install, compiled: Path, tmp_path: Path) -> None:
    """No module is imported from where the environment or the working directory says."""
    for name in ("json", "runc_cpi", "sitecustomize", "usercustomize", "socket"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from elsewhere')\n")
    cli = CLI(install({}), compiled)
    cli._environment |= {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": "/nonexistent",
        "PYTHONSTARTUP": str(tmp_path / "json.py"),
        "PYTHONUSERBASE": str(tmp_path),
    }
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        assert cli.info()["error"] is None
    finally:
        os.chdir(before)


def test_nothing_is_written(install: Install, compiled: Path) -> None:
    """A call leaves the installation unchanged, even if it could write to it."""
    jobs_directory = install({})

    def listing() -> list[tuple[str, int]]:
        paths = [*compiled.rglob("*"), *jobs_directory.rglob("*")]
        return sorted((str(path), path.stat().st_mtime_ns) for path in paths)

    before = listing()
    CLI(jobs_directory, compiled).error("configure_networks", "vm-1", {})
    assert listing() == before


def test_directories_with_spaces(release: Path, compiled: Path, tmp_path: Path) -> None:
    """Paths of the installation may have spaces, as home directories on macOS have."""
    place = tmp_path / "a b" / "$HOME"
    place.mkdir(parents=True)
    (place / "packages").symlink_to(compiled)
    jobs.install(release / "jobs" / "runc_cpi", {}, place / "jobs")
    assert CLI(place / "jobs", place / "packages").info()["error"] is None


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"], ["busybox", "sh"]])
def test_shells(
    install: Install, compiled: Path, shell: list[str], image: Path, tmp_path: Path
) -> None:
    """bin/cpi runs with any POSIX shell."""
    if shell[0] == "busybox":
        shell = [str(tmp_path / "busybox"), "sh"]
        Path(shell[0]).write_bytes(images.take_out(image, "./usr/bin/busybox"))
        Path(shell[0]).chmod(0o755)
    script = install({}) / "runc_cpi" / "bin" / "cpi"
    cli = CLI(script.parents[2], compiled)
    cli._argv = [*shell, str(script)]
    assert cli.info()["error"] is None


def test_no_python(install: Install, compiled: Path, tmp_path: Path) -> None:
    """Without Python the response says so, and a large request is read to its end."""
    (tmp_path / "cat").symlink_to("/bin/cat")
    cli = CLI(install({}), compiled)
    cli._environment["PATH"] = str(tmp_path)
    answer = cli.finish(cli.process(json.dumps({"method": "x" * 1000000})))
    assert "no python3 on the PATH; version 3.9 or newer" in answer["error"]["message"]
    assert answer["error"]["type"] == "Bosh::Clouds::CpiError"


def test_old_python(
    release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If Python became too old after the installation, the response says so."""
    monkeypatch.setattr(sys, "version_info", (3, 8, 10))
    with open(os.devnull) as stdin, pytest.raises(SystemExit) as ended:
        monkeypatch.setattr(sys, "stdin", stdin)
        runpy.run_path(str(release / "src" / "runc-cpi" / "launcher.py"))
    assert ended.value.code == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"result", "error", "log"}
    assert "python3 is version 3.8; 3.9 or newer" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("", "there is no python3 on the PATH; version 3.9 or newer"),
        ("echo 'install me' >&2; exit 1", "does not run; version 3.9 or newer"),
        (
            "case $* in *print*) echo 3.8.10 ;; *) exit 1 ;; esac",
            "is version 3.8.10; version 3.9 or newer",
        ),
    ],
)
def test_packaging_refuses(
    release: Path, tmp_path: Path, script: str, complaint: str
) -> None:
    """The packaging script refuses an unfit Python, and says what to do."""
    programs = tmp_path / "bin"
    programs.mkdir()
    if script:
        fake = programs / "python3"
        fake.write_text(f"#!/bin/sh\n{script}\n")
        fake.chmod(0o755)
    package = release / "packages" / "runc-cpi"
    outcome = packages.compile_package(
        package, tmp_path / "scratch", tmp_path / "out", str(programs)
    )
    assert outcome.returncode == 1
    assert complaint in outcome.stderr
    assert "brew install python3" in outcome.stderr
    assert "apt-get install python3" in outcome.stderr


def test_modes(install: Install) -> None:
    """Only the files in bin are executable, as the CLI and the agent make them."""
    place = install({}) / "runc_cpi"
    assert stat.S_IMODE((place / "bin" / "cpi").stat().st_mode) == 0o755
    assert stat.S_IMODE((place / "config" / "cpi.json").stat().st_mode) == 0o644


def test_start_up_is_short(install: Install, compiled: Path) -> None:
    """No module is imported that a call can do without; each step runs two processes."""
    cli = CLI(install({}), compiled)
    launcher = compiled / "runc-cpi" / "lib" / "launcher.py"
    argv = ["/usr/bin/python3", "-I", "-S", "-B", "-X", "importtime", str(launcher), "x"]
    outcome = subprocess.run(
        argv,
        input=cli.request("info", [], 1),
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {line.rpartition("|")[2].strip() for line in outcome.stderr.splitlines()}
    assert "runc_cpi.cpi.request" in modules
    assert not modules & {"site", "os", "re", "json", "socket", "runc_cpi.cpi.methods"}
