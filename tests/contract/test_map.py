"""docs/architecture.md and its drawing show the code as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import runc_cpi

ROOT = Path(runc_cpi.__file__).parents[1]
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def check(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the program that writes the map in a checkout, only to check."""
    argv = [sys.executable, "-B", str(root / "docs" / "map.py"), "--check"]
    return subprocess.run(argv, capture_output=True, text=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy docs and code to where they may be changed."""
    for name in ("docs", "runc_cpi"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    return tmp_path


def test_the_map_is_up_to_date() -> None:
    """The map has a line for each module, and the drawing has the imports in the code."""
    done = check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_module_that_is_missing_is_noticed(checkout: Path) -> None:
    """The check fails for a new module, and says which command adds it to the map."""
    (checkout / "runc_cpi" / "daemon" / "vms" / "novel.py").write_text('"""Novel."""\n')
    done = check(checkout)
    assert done.returncode == 1
    assert "docs/architecture.md is not up to date: run python docs/map.py" in done.stdout


def test_a_package_without_a_place_is_noticed(checkout: Path) -> None:
    """The drawing names a package that has no place in it."""
    package = checkout / "runc_cpi" / "daemon" / "novel"
    package.mkdir()
    (package / "__init__.py").write_text('"""Novel."""\n')
    done = check(checkout)
    assert done.returncode != 0
    assert "runc_cpi.daemon.novel" in done.stderr


def test_the_drawing_says_what_it_shows() -> None:
    """The drawing is well-formed, and has a title and a description for screen readers."""
    drawing = ElementTree.parse(ROOT / "docs" / "images" / "architecture.svg").getroot()
    labels = str(drawing.get("aria-labelledby")).split()
    texts = [element.text for element in drawing if element.get("id") in labels]
    assert len(texts) == 2
    assert all(texts)


def test_paths_exist() -> None:
    """Each path that the page names in code font is in the repository."""
    written = ARCHITECTURE.read_text("utf-8").partition("## The map")[0]
    quoted = re.findall(r"`([a-z0-9_]+(?:/[a-z0-9_]+)*(?:/|\.py|\.md))`", written)
    assert quoted
    for name in set(quoted):
        is_there = (ROOT / name).exists() or any((ROOT / "runc_cpi").rglob(name))
        assert is_there, name
