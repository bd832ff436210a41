"""C{operations/action}: what it asks of the director, and what later steps get."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.images import PROJECT

VARIABLES = {
    "BOSH_ENVIRONMENT": "https://127.0.0.1:25555",
    "BOSH_CLIENT": "admin",
    "BOSH_CLIENT_SECRET": "it's $(secret)",
    "BOSH_CA_CERT": "-----BEGIN\nEND-----\n",
}
INPUTS = dict.fromkeys(
    ("WITH", "CIDR", "DISK_SIZE", "STEMCELL", "STEMCELL_SHA1", "OPS", "VARS"), ""
)


def values(text: str) -> dict[str, str]:
    """Read what a step has written for GitHub: values of several lines."""
    found = re.findall(r"^(\S+)<<(\S+)\n(.*?)\n\2$", text, re.M | re.S)
    return {name: value for name, _, value in found}


class Job:
    """A job's directories, with a stand-in for C{operations/director}."""

    def __init__(self, home: Path) -> None:
        self.home = home
        shutil.copy(PROJECT / "operations" / "action", home)
        (home / "temp").mkdir()

    def run(self, variables: dict[str, str], **inputs: str) -> str:
        """
        Run the step, and return what it prints.

        @param variables: what C{print-env} prints.
        """
        lines = [f"export {name}={shlex.quote(text)}" for name, text in variables.items()]
        (self.home / "exports").write_text("\n".join(lines))
        director = self.home / "director"
        director.write_text(
            '#!/bin/sh\nhere=$(dirname "$0")\ncase $1 in\n'
            '  up) for word; do echo "$word"; done >"$here/asked" ;;\n'
            '  print-env) cat "$here/exports" ;;\nesac\n'
        )
        director.chmod(0o755)
        # For a user who is not root; root needs none.
        sudo = self.home / "sudo"
        sudo.write_text('#!/bin/sh\nexec "$@"\n')
        sudo.chmod(0o755)
        names = ("OUTPUT", "ENV", "PATH")
        files = {f"GITHUB_{name}": str(self.home / name) for name in names}
        outcome = subprocess.run(
            [self.home / "action"],
            env={
                "PATH": f"{self.home}:{os.environ['PATH']}",
                "RUNNER_TEMP": str(self.home / "temp"),
                **files,
                **INPUTS,
                **inputs,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return outcome.stdout

    def read(self, name: str) -> dict[str, str]:
        """Return what it has told later steps."""
        return values((self.home / name).read_text())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job with nothing in it."""
    return Job(tmp_path)


def test_the_options(job: Job) -> None:
    """Each line of an input is an option of its own, whatever characters it has."""
    job.run(VARIABLES, WITH="uaa,dns", OPS="a b.yml\n\n$(c).yml\n")
    asked = (job.home / "asked").read_text().splitlines()
    assert asked == ["up", "--with", "uaa,dns", "--ops", "a b.yml", "--ops", "$(c).yml"]


def test_what_later_steps_get(job: Job) -> None:
    """The variables, as they are, and as outputs; the log does not show the password."""
    key = job.home / "key"
    key.write_text("private")
    way = "ssh+socks5://jumpbox@127.0.0.1:2222?private-key="
    told = job.run({**VARIABLES, "BOSH_ALL_PROXY": f"{way}{key}"})
    assert told == f"::add-mask::{VARIABLES['BOSH_CLIENT_SECRET']}\n"
    copy = job.home / "temp" / "runc-cpi" / "jumpbox.key"
    assert copy.read_text() == "private"
    assert copy.stat().st_mode & 0o077 == 0
    assert job.read("ENV") == {**VARIABLES, "BOSH_ALL_PROXY": f"{way}{copy}"}
    outputs = job.read("OUTPUT")
    assert outputs["client-secret"] == VARIABLES["BOSH_CLIENT_SECRET"]
    assert outputs["ca-cert"] == VARIABLES["BOSH_CA_CERT"]
    assert outputs["all-proxy"] == f"{way}{copy}"


def test_without_a_jumpbox(job: Job) -> None:
    """Then there is no proxy, and no variable for one."""
    job.run(VARIABLES)
    assert job.read("ENV") == VARIABLES
    assert job.read("OUTPUT")["all-proxy"] == ""
