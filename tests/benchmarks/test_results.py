"""Results: what they say of each call, and which files are taken for results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.results import BARE, OURS, Results, Unusable, table
from tests.benchmarks.run import Wanted
from tests.benchmarks.subjects import CREATE_CROWD, CREATE_VM, INFO, PYTHON, RUN

SAMPLES = {
    OURS: {INFO: [10.0, 12.0, 11.0], CREATE_VM: [71.0, 500.0, 60.0]},
    BARE: {PYTHON: [10.0], RUN: [40.0]},
    "docker-cpi": {INFO: [9.0]},
}
REFUSED = {"docker-cpi": {CREATE_VM: "there is no bash"}}


def test_figures() -> None:
    """A figure is a median, compared with the bare tool's less what is taken off."""
    info, create = Results(samples=SAMPLES, refused=REFUSED).figures()
    assert (info.median, info.ratio, info.is_met) == (11.0, 1.1, True)
    assert dict(info.peers) == {"docker-cpi": 9.0}
    assert (create.median, create.ratio, create.is_met) == (71.0, 1.5, True)


@pytest.mark.parametrize("took", [[81.0], [78.0]])
def test_an_aim_that_is_missed(took: list[float]) -> None:
    """Each part of an aim must be met."""
    samples = {**SAMPLES, OURS: {INFO: [10.0], CREATE_VM: took}}
    *_, create = Results(samples=samples).figures()
    assert create.is_met is False


def test_report() -> None:
    """The table has who else was measured, and what was refused."""
    results = Results(samples=SAMPLES, refused=REFUSED)
    report = table(results, before=Results(samples={OURS: {INFO: [44.0]}}))
    lines = {line.partition("  ")[0]: line for line in report.splitlines()}
    assert "44.0" in lines[INFO]
    assert "9.0" in lines[INFO]
    assert lines[CREATE_VM].endswith("refused")
    assert f"docker-cpi refused {CREATE_VM}: there is no bash" in report


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("{", "no file that --json has written"),
        ("[]", "no file that --json has written"),
        ("{}", "no file that --json has written"),
        (json.dumps({"format": 1, "other": 1}), "no file that --json has written"),
        (json.dumps({"format": 0}), "another version"),
    ],
    ids=["none", "no JSON", "a list", "empty", "other parts", "another format"],
)
def test_unusable_files(text: str | None, why: str, tmp_path: Path) -> None:
    """A file that holds no results is refused, and is named."""
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Unusable, match=f"{path}: .*{why}"):
        Results.read(path)


@pytest.mark.parametrize(
    ("only", "kinds"),
    [
        ([], 7),
        (["create_vm"], 2),  # and that of info, which is taken off
        (["create_vm x 20"], 1),
        (["attach_disk", "delete_disk"], 1),
    ],
)
def test_what_is_measured(only: list[str], kinds: int) -> None:
    """A name selects the calls that it is of, and what they are compared with."""
    wanted = Wanted(rounds=1, only=only)
    assert len(wanted.kinds()) == kinds
    assert wanted.has(CREATE_VM) is (not only or only == ["create_vm"])
    assert wanted.has(CREATE_CROWD) is (not only or only == ["create_vm x 20"])
