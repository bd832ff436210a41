"""C{operations/setup}: which files it refuses, and how the CPI starts that it installs."""

from __future__ import annotations

import os
import shutil
import subprocess
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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an empty lock file, whose setup leaves the kernel's limits alone."""
    copy = tmp_path / "checkout"
    (copy / "operations" / "locks").mkdir(parents=True)
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
    outcome = subprocess.run(
        [checkout / "operations" / "setup"],
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(served)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert outcome.returncode != 0
    assert "DO NOT MATCH THE HASHES" in outcome.stderr
    assert f"{lock}: these files cannot be installed" in outcome.stderr
    assert not list(checkout.glob(".venv/lib/python*/site-packages/example*"))
    assert not (checkout / ".venv" / ".setup").exists()


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
