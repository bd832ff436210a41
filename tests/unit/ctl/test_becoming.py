"""The command that C{runc-cpictl vm} becomes, to look into a VM."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.unit.ctl.invoking import Tool

VM_CID = "vm-01234567-89ab-cdef-0123-456789abcdef"
RUNS = """#!/bin/sh
echo '{"status": "running", "pid": 1}'
"""


class Became(Exception):
    """What this process would be now."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a host with a runtime for which each VM runs."""

    def become(program: str, argv: list[str]) -> None:
        raise Became(argv)

    monkeypatch.setattr(os, "execvp", become)
    runtime = tmp_path / "runtime"
    runtime.write_text(RUNS)
    runtime.chmod(0o755)
    path = tmp_path / "config.yml"
    path.write_text(json.dumps({"work_dir": str(tmp_path), "runtime": str(runtime)}))
    return path


@pytest.mark.parametrize(
    ("arguments", "inside"),
    [
        (["exec", VM_CID, "ls", "-l"], ["ls", "-l"]),
        (["exec", VM_CID, "--", "ls", "-l"], ["ls", "-l"]),
        (["exec", "--", VM_CID, "ls"], ["ls"]),
        (["exec", VM_CID, "grep", "--", "-x"], ["grep", "--", "-x"]),
        (["exec", VM_CID, "--", "--", "x"], ["--", "x"]),
        (["shell", VM_CID], ["/bin/sh"]),
        (["shell", "--", VM_CID], ["/bin/sh"]),
        (["shell", VM_CID, "--"], ["/bin/sh"]),
    ],
    ids=lambda words: " ".join(words).replace(VM_CID, "VM"),
)
def test_what_is_run(
    tool: Tool, config: Path, arguments: list[str], inside: list[str]
) -> None:
    """One C{--} ends the options of the tool, and is no program of the VM."""
    with pytest.raises(Became) as became:
        tool("--config", config, "vm", *arguments)
    (argv,) = became.value.args
    assert argv[argv.index(VM_CID) :] == [VM_CID, *inside]
