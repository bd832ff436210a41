"""What is said when a VM cannot be looked into."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import pytest

from runc_cpi.ctl import inside
from runc_cpi.ctl.inside import files_of
from runc_cpi.ctl.operator import Operator
from runc_cpi.errors import CPIError

VM_CID = "vm-01234567-89ab-cdef-0123-456789abcdef"


def operator(tmp_path: Path, script: str) -> Operator:
    """Return an operator of a host with a runtime that is no more than a script."""
    program = tmp_path / "runtime"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    config = tmp_path / "config.yml"
    config.write_text(json.dumps({"work_dir": str(tmp_path), "runtime": str(program)}))
    (tmp_path / "vms" / VM_CID).mkdir(parents=True, exist_ok=True)
    found = Operator()
    found.config_file = str(config)
    return found


def refusal(tmp_path: Path, script: str) -> str:
    """Return why there is no way into a VM."""
    with (
        pytest.raises(click.ClickException) as caught,
        files_of(operator(tmp_path, script), VM_CID),
    ):
        pass
    return caught.value.message


def test_a_vm_that_is_down(tmp_path: Path) -> None:
    """Of a VM that is down it is said how to boot it."""
    remedy = f"runc-cpictl vm start {VM_CID}"
    for script in ("echo 'container does not exist' >&2; exit 1", "echo '{\"pid\": 0}'"):
        message = refusal(tmp_path, script)
        assert "does not run on this host" in message
        assert remedy in message


def test_no_such_vm(tmp_path: Path) -> None:
    """A VM that is not there cannot be booted either."""
    asked = operator(tmp_path, "echo 'container does not exist' >&2; exit 1")
    (tmp_path / "vms" / VM_CID).rmdir()
    told = "there is no vm" if os.geteuid() == 0 else "run this as root"
    with (
        pytest.raises((CPIError, click.ClickException), match=told),
        files_of(asked, VM_CID),
    ):
        pass


def test_a_runtime_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of what it says is shown, and who is not root is told to be."""
    script = "echo one >&2; printf 'permission \\033denied\\n' >&2; exit 1"
    message = refusal(tmp_path, script)
    assert message.endswith(f"does not tell of {VM_CID}: permission \\x1bdenied")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal(tmp_path, script).endswith("; run this as root")


def test_errors_of_who_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only to open the VM's root takes root: an error of what is done there stays."""
    state = json.dumps({"status": "running", "pid": os.getpid()})
    asked: Any = operator(tmp_path, f"echo '{state}'")
    with pytest.raises(PermissionError), files_of(asked, VM_CID):
        raise PermissionError(13, "Permission denied", "/the/target")

    def refuse(pid: int) -> int:
        raise PermissionError(13, "Permission denied", f"/proc/{pid}/uid_map")

    monkeypatch.setattr(inside, "root_of_namespace", refuse)
    with (
        pytest.raises(click.ClickException, match="run this as root"),
        files_of(asked, VM_CID),
    ):
        pass
