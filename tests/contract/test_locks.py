"""The lock files name all that is needed, for every Python, and exactly which files."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.harness.images import PROJECT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LOCKS = PROJECT / "operations" / "locks"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
RELEASE = re.compile(
    r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+]+)(?: ; ([a-z0-9_.=' ]+))?"
    r"((?: --hash=sha256:[0-9a-f]{64})+)"
)


def releases(use: str, environment: dict[str, str]) -> dict[str, str]:
    """
    Return the versions in a lock file by name; each line must be one, with hashes.

    @param environment: what tells which of several versions is installed.
    """
    lines = (LOCKS / f"{use}.txt").read_text("ascii").replace(" \\\n   ", "").splitlines()
    found = [RELEASE.fullmatch(line) for line in lines if not line.startswith("#")]
    assert all(found), lines
    chosen = [
        (canonicalize_name(match[1]), match[2])
        for match in found
        if match and (match[3] is None or Marker(match[3]).evaluate(environment))
    ]
    assert len(chosen) == len(dict(chosen)), chosen
    return dict(chosen)


def environment_of(python: str, machine: str) -> dict[str, str]:
    """Return what markers of requirements look at (PEP 508)."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
    }


def wanted(use: str) -> list[str]:
    """Return what pyproject.toml asks for."""
    document: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    runtime = document["project"]["dependencies"]
    build = document["build-system"]["requires"]
    dev = document["project"]["optional-dependencies"]["dev"]
    all_of = {"runtime": runtime, "build": build, "dev": [*runtime, *build, *dev]}
    return list(all_of[use])


def needed(lines: list[str], environment: dict[str, str]) -> Iterator[Requirement]:
    """Return requirements, and all that these require."""
    waiting, seen = [Requirement(line) for line in lines], set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        yield requirement
        try:
            lines = requires(requirement.name) or []
        except PackageNotFoundError:
            continue  # another Python than this one needs it
        for line in lines:
            found = Requirement(line)
            extras = [*requirement.extras, ""]
            if found.marker is None or any(
                found.marker.evaluate({**environment, "extra": extra}) for extra in extras
            ):
                waiting.append(found)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("use", ["runtime", "build", "dev"])
def test_all_that_is_needed_is_locked(use: str, python: str, machine: str) -> None:
    """
    Each required library is locked at an accepted version; if not, run operations/lock.
    """
    environment = environment_of(python, machine)
    locked = releases(use, environment)
    for requirement in needed(wanted(use), environment):
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_locks_agree(python: str) -> None:
    """
    A library has the same version in all lock files, so that the tested one is installed.
    """
    environment = environment_of(python, MACHINES[0])
    tested = releases("dev", environment)
    for use in ("runtime", "build"):
        assert releases(use, environment).items() <= tested.items()
    assert set(releases("installer", environment)) == {"pip"}


@pytest.mark.parametrize("path", sorted(LOCKS.iterdir()), ids=lambda path: path.name)
def test_locks_name_no_place(path: Path) -> None:
    """Lock files do not say where files come from."""
    text = path.read_text("ascii")
    assert "/" not in text.replace("operations/lock;", "")


def test_machines_that_differ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two releases of a library for one Python cannot be locked: it is said which."""
    script = run_path(str(PROJECT / "operations" / "lock"))

    def resolved(*asked: Any) -> dict[tuple[str, str], str]:
        return {("numpy", "2.1" if asked[-1] == "x86_64" else "2.0"): "hash"}

    monkeypatch.setitem(script["lock"].__globals__, "resolve", resolved)
    constraints = tmp_path / "constraints"
    constraints.touch()
    with pytest.raises(SystemExit, match=r"^numpy: aarch64 gets 2\.0 for Python 3\.10"):
        script["lock"](["numpy"], constraints)
