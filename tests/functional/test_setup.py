"""C{operations/setup}: which files and Pythons it refuses, and how the CPI starts then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from tests.harness.cpi import EXECUTABLE
from tests.harness.images import PROJECT

METADATA = "Metadata-Version: 2.1\nName: example\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(path: Path) -> None:
    """Make the wheel of an empty library."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("METADATA", METADATA), ("WHEEL", WHEEL), ("RECORD", "")):
            archive.writestr(f"example-1.0.dist-info/{name}", content)


def run(*argv: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program, and keep what it says."""
    return subprocess.run(
        argv,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an empty lock file, whose setup leaves the kernel's limits alone."""
    copy = tmp_path / "checkout"
    (copy / "operations" / "locks").mkdir(parents=True)
    (copy / "operations" / "locks" / "runtime.txt").touch()
    shutil.copy(PROJECT / "operations" / "setup", copy / "operations")
    shutil.copy(PROJECT / "pyproject.toml", copy)
    raise_limits = copy / "operations" / "raise-limits"
    raise_limits.write_text("#!/bin/sh\n")
    raise_limits.chmod(0o755)
    return copy


def test_another_file_than_the_locked_one(checkout: Path, tmp_path: Path) -> None:
    """A file with another hash is refused, whoever serves it, and nothing is set up."""
    served = tmp_path / "served"
    served.mkdir()
    make_wheel(served / "example-1.0-py3-none-any.whl")
    digest = sha256(b"what was locked").hexdigest()
    lock = checkout / "operations" / "locks" / "runtime.txt"
    lock.write_text(f"example==1.0 --hash=sha256:{digest}\n")
    outcome = run(
        checkout / "operations" / "setup", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(served)
    )
    assert outcome.returncode != 0
    assert "DO NOT MATCH THE HASHES" in outcome.stderr
    assert f"{lock}: these files cannot be installed" in outcome.stderr
    assert not list(checkout.glob(".venv/lib/python*/site-packages/example*"))
    assert not (checkout / ".venv" / ".setup").exists()


def test_without_a_way_out(checkout: Path) -> None:
    """Packages that are missing are named, and nothing is set up."""
    outcome = run(
        checkout / "operations" / "setup",
        OFFLINE="yes",
        PROGRAMS="sh:dash no-such:it no:me",
    )
    assert outcome.returncode == 1
    assert outcome.stderr.endswith(": install these packages first: it me\n")
    assert outcome.stdout == ""
    assert not (checkout / ".venv").exists()


def test_the_executable_is_isolated(tmp_path: Path) -> None:
    """The CPI of a checkout takes no module from where the environment says."""
    for name in ("re", "json", "socket", "_json", "runc_cpi", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('foreign')\n")
    outcome = subprocess.run(
        [EXECUTABLE],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        input=b'{"method": "info"}',
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert b"stemcell_formats" in outcome.stdout


def pretend(path: Path, real: Path, version: str, level: str) -> None:
    """Make a Python that says it is another version; it only evaluates what C{-c} says."""
    numbers = tuple(map(int, version.removesuffix("rc1").split(".")))
    path.write_text(
        f"#!{real}\n"
        "import sys\n"
        f"sys.version = '{version} (main)'\n"
        f"sys.version_info = (*{numbers}, {level!r}, 1)\n"
        "assert sys.argv[1] == '-c'\n"
        "exec(sys.argv[2])\n"
    )
    path.chmod(0o755)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A copy of the Python of this test, whatever then hides the Pythons of this host."""
    copy = tmp_path / "real"
    shutil.copy(Path(sys.executable).resolve(), copy)
    return copy


@pytest.fixture
def pythons(tmp_path: Path, real: Path) -> Path:
    """Pythons of a distribution, none of which fits."""
    directory = tmp_path / "bin"
    directory.mkdir()
    pretend(directory / "python3", real, "3.9.2", "final")
    for minor in range(10, 15):
        pretend(directory / f"python3.{minor}", real, f"3.{minor}.0rc1", "candidate")
    return directory


def setup_with(checkout: Path, pythons: Path) -> subprocess.CompletedProcess[str]:
    """Set up with these Pythons in /usr/bin, as only that process sees it."""
    script = f"""
        set -e
        mount -t overlay overlay -o lowerdir={pythons}:/usr/bin /usr/bin
        exec {checkout}/operations/setup
    """
    return run("unshare", "--mount", "sh", "-c", script, PYTHON="")


def test_a_release_candidate_is_passed_over(
    checkout: Path, pythons: Path, real: Path
) -> None:
    """Of the distribution's Pythons, one that was released is used."""
    pretend(pythons / "python3.10", real, "3.10.12", "final")
    outcome = setup_with(checkout, pythons)
    assert "making a virtual environment of Python 3.10.12\n" in outcome.stdout


def test_no_python_fits(checkout: Path, pythons: Path) -> None:
    """Each is named with what is wrong, and what to do is said."""
    outcome = setup_with(checkout, pythons)
    assert outcome.returncode == 1
    assert "/usr/bin/python3: it is 3.9.2; 3.10 or newer is needed\n" in outcome.stderr
    told = "/usr/bin/python3.11: it is 3.11.0rc1, which is not a release\n"
    assert told in outcome.stderr
    assert f"name it: PYTHON=/path/to/python {checkout}/operations/setup" in outcome.stderr


def test_a_named_release_candidate_is_refused(checkout: Path, pythons: Path) -> None:
    """So is one that C{PYTHON} names."""
    named = pythons / "python3.11"
    outcome = run(checkout / "operations" / "setup", PYTHON=str(named))
    assert outcome.returncode == 1
    assert f"PYTHON: {named}: it is 3.11.0rc1, which is not a release" in outcome.stderr
