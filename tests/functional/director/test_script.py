"""C{operations/director}: it sets itself up first, and then is the tool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.images import PROJECT

# Only this process sees the tool that stands in for the installed one.
SCRIPT = """
mount -t tmpfs tmpfs /usr/local/bin
printf '#!/bin/sh\\necho "tool $*"\\n' >/usr/local/bin/runc-cpictl
chmod 755 /usr/local/bin/runc-cpictl
exec "$@"
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script, in a checkout that says when it is installed."""
    operations = tmp_path / "operations"
    operations.mkdir()
    (operations / "install").write_text(
        "#!/bin/sh\necho installed, offline: $OFFLINE, with $PROGRAMS\n"
    )
    (operations / "install").chmod(0o755)
    shutil.copy(PROJECT / "operations" / "director", operations)
    return operations / "director"


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program where the tool is installed."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", SCRIPT, "sh", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize("command", ["up", "upgrade", "fetch"])
def test_it_is_installed_first(command: str, script: Path) -> None:
    """What is said of that is not part of what the command prints."""
    outcome = run(script, command, "--with", "a b")
    assert outcome.stdout == f"tool director {command} --with a b\n"
    programs = "git:git python3:python3 ruby:ruby ssh:openssh-client"
    assert f"installed, offline: , with {programs}\n" in outcome.stderr


@pytest.mark.parametrize("option", [["--offline", "/x"], ["--offline=/x"]])
def test_without_a_way_out(option: list[str], script: Path) -> None:
    """What installs it is told that nothing can be downloaded."""
    outcome = run(script, "up", *option)
    assert "installed, offline: yes, with " in outcome.stderr


def test_what_is_evaluated(script: Path) -> None:
    """Other commands only run the tool."""
    outcome = run(script, "print-env")
    assert (outcome.stdout, outcome.stderr) == ("tool director print-env\n", "")
