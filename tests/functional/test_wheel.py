"""The project installed from a wheel, into an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.harness.cpi import CPI
from tests.harness.images import PROJECT
from tests.harness.lab import NewDaemon


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    An environment with the wheel; its dependencies come from the environment of the tests.
    """
    home = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--wheel-dir", str(home), str(PROJECT)]
    subprocess.run([*wheel, "--no-build-isolation"], check=True)
    (path,) = home.glob("*.whl")
    place = home / "venv"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    target = [*pip, "--python", str(python), "install", "--no-deps", str(path)]
    subprocess.run(target, check=True)
    ours = [entry for entry in sys.path if entry.endswith("site-packages")]
    (packages,) = place.glob("lib/python*/site-packages")
    # Not the project itself, which is a link to this checkout.
    (packages / "dependencies.pth").write_text("\n".join(ours))
    return place


def run(installed: Path, *argv: str, cwd: Path) -> str:
    """Run a program of the environment, in any directory."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    outcome = subprocess.run(
        [installed / "bin" / "python", *argv],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_the_plugin_is_found(installed: Path, tmp_path: Path) -> None:
    """twistd lists the daemon, in any working directory."""
    told = run(installed, "-m", "twisted", "runc-cpid", "--help", cwd=tmp_path)
    assert "--config" in told
    script = "from runc_cpi.daemon import tap; print(tap.__file__)"
    assert str(installed) in run(installed, "-c", script, cwd=tmp_path)
    twistd = "from twisted.scripts.twistd import run; run()"
    assert "runc-cpid" in run(installed, "-c", twistd, "--help", cwd=tmp_path)


def test_the_status_page_is_there(installed: Path, tmp_path: Path) -> None:
    """What is no module comes with the wheel as well."""
    script = "from runc_cpi.daemon.status import page; print(len(page.content()))"
    size = (PROJECT / "runc_cpi" / "daemon" / "status" / "page.html").stat().st_size
    assert run(installed, "-c", script, cwd=tmp_path) == f"{size}\n"


@pytest.mark.parametrize("program", ["runc-cpi", "runc-cpictl", "runc-cpid"])
def test_programs_are_there(installed: Path, program: str) -> None:
    """All programs are on the PATH of the environment."""
    assert os.access(installed / "bin" / program, os.X_OK)


def test_the_daemon_works(installed: Path, new_daemon: NewDaemon) -> None:
    """C{runc-cpid} serves as C{twistd -n runc-cpid} does, and takes its options."""
    program = str(installed / "bin" / "runc-cpid")
    daemon = new_daemon()
    with daemon.out.open("ab") as out, daemon.err.open("ab") as err:
        daemon.process = subprocess.Popen(
            [program, "--config", str(daemon.config_file)],
            cwd=daemon.home,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    daemon.wait_until(lambda: "serving at" in daemon.log)
    assert daemon.cpi.ok("ping") == "pong"
    assert not (daemon.home / "twistd.pid").exists()
    daemon.stop()
    told = subprocess.run([program, "--nonsense"], capture_output=True, check=False)
    assert told.returncode == 1
    assert b"--nonsense" in told.stdout + told.stderr


def test_the_executable_works(installed: Path, tmp_path: Path) -> None:
    """The installed executable answers."""
    config, program = tmp_path / "cpi.json", installed / "bin" / "runc-cpi"
    config.write_text("{}")
    assert CPI(config, program).ok("info")["api_version"] == 3
    # Pip names the Python, and adds no import to ours.
    python, *rest = program.read_text().splitlines()
    assert python == f"#!{installed}/bin/python"
    launcher = PROJECT / "operations" / "launchers" / "runc-cpi"
    assert rest == launcher.read_text().splitlines()[1:]


def test_control_works(installed: Path, tmp_path: Path) -> None:
    """The installed C{runc-cpictl} shows its help."""
    outcome = subprocess.run(
        [installed / "bin" / "runc-cpictl", "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "Options" in outcome.stdout
