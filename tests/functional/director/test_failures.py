"""Failures of C{director up}: of each step, what it says, and that the next run goes on."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.functional.director.steps import STEPS, taken
from tests.harness.bosh.site import CIDR, Site

Breaking = Callable[[Site], AbstractContextManager[list[str | Path]]]


def test_each_step(site: Site) -> None:
    """
    One step after the other fails, for a reason that a host can have.

    What the steps before have made is used again, and there is one VM in the end.
    """
    options: list[str | Path] = [*site.usual, "--cpi-config", cpi_config(site)]
    vms = set()
    for step, breaks, why, advice in FAILURES:
        with breaks(site) as more:
            told = fails_at(site, step, *options, *more)
        assert why in told, told
        assert advice in told, told
        vms |= {path.name for path in site.work_dir.glob("vms/vm-*")}
    assert taken(site.ok("up", *options)) == list(STEPS)
    (vm_cid,) = vms
    assert site.status()["vm"] == vm_cid
    site.ok("destroy", "--yes")
    assert not site.state_dir.exists()


def fails_at(site: Site, step: str, *arguments: str | Path) -> str:
    """See that C{up} fails at a step, and says how to go on; return what it says."""
    outcome = site.run("up", *arguments)
    assert outcome.returncode == 1, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert taken(outcome.stderr) == list(STEPS[: STEPS.index(step) + 1]), outcome.stderr
    assert f"runc-cpictl: {step}: " in outcome.stderr
    assert "What to do: " in outcome.stderr
    assert outcome.stderr.endswith("runc-cpictl director up goes on from here.\n")
    return outcome.stderr


def cpi_config(site: Site) -> Path:
    """Write a CPI config without hosts."""
    path = site.home / "cpi.yml"
    path.write_text("cpis: []\n")
    return path


@contextmanager
def port_taken(site: Site) -> Iterator[list[str | Path]]:
    """Another program listens where the director would."""
    with socket.create_server(("127.0.0.1", 25555)):
        yield []


@contextmanager
def certificates_of_others(site: Site) -> Iterator[list[str | Path]]:
    """There are certificates, and nothing that tells whose they are."""
    kept = site.config.read_bytes()
    site.config.unlink()
    others = site.config.parent / "certs" / "server.crt"
    others.parent.mkdir()
    others.touch()
    yield []
    others.unlink()
    others.parent.rmdir()
    site.config.write_bytes(kept)


@contextmanager
def network_taken(site: Site) -> Iterator[list[str | Path]]:
    """The host has a part of the director's network already."""
    run("ip", "link", "add", "other0", "type", "bridge")
    try:
        run("ip", "address", "add", "10.93.7.9/24", "dev", "other0")
        run("ip", "link", "set", "other0", "up")
        yield []
    finally:
        run("ip", "link", "delete", "other0")


@contextmanager
def no_program(site: Site) -> Iterator[list[str | Path]]:
    """What is named as the CLI is none."""
    yield ["--bosh-cli", site.stemcell]


@contextmanager
def no_bosh_deployment(site: Site) -> Iterator[list[str | Path]]:
    """What is named as bosh-deployment is something else."""
    empty = site.home / "empty"
    empty.mkdir()
    yield ["--bosh-deployment", empty]
    empty.rmdir()


@contextmanager
def wrong_ops_file(site: Site) -> Iterator[list[str | Path]]:
    """An ops-file changes what is not there; the mended one is taken the next time."""
    wrong = site.home / "wrong.yml"
    wrong.write_text("- {type: remove, path: /nothing}\n")
    yield ["--ops", wrong]
    wrong.write_text("[]")


@contextmanager
def broken_credentials(site: Site) -> Iterator[list[str | Path]]:
    """Something has damaged the file with the credentials."""
    path = site.state_dir / "creds.yml"
    path.write_text("secret: [")
    yield []
    path.unlink()


@contextmanager
def no_tarball(site: Site) -> Iterator[list[str | Path]]:
    """The stemcell is damaged."""
    whole = site.stemcell.read_bytes()
    site.stemcell.write_bytes(b"no tarball")
    yield []
    site.stemcell.write_bytes(whole)


def broken(command: str) -> Breaking:
    """Return what has a command of the CLI fail."""

    @contextmanager
    def breaks(site: Site) -> Iterator[list[str | Path]]:
        with site.broken(command):
            yield []

    return breaks


# The step, what it meets, and what it says of that and of what to do.
FAILURES: tuple[tuple[str, Breaking, str, str], ...] = (
    ("host", port_taken, "port 25555 of 127.0.0.1", "ss -tlnp names who has it"),
    ("files", certificates_of_others, "certificates that are not ours", "move them away"),
    ("daemon", network_taken, f"{CIDR} of the network", "give --cidr"),
    ("bosh-cli", no_program, "cannot be executed", "give --bosh-cli"),
    ("bosh-deployment", no_bosh_deployment, "has no bosh.yml", "--bosh-deployment"),
    ("release", broken("create-release"), "create-release is out of order", "see above"),
    ("manifest", wrong_ops_file, "/nothing", "see above"),
    ("certificates", broken_credentials, "creds.yml: it is no YAML", "backups"),
    ("create-env", no_tarball, "create-env.log has all that it printed", "logs --daemon"),
    *(
        (step, broken(command), f"    line 150\n    {command} is out of order", "see above")
        for step, command in (
            ("cloud-config", "update-cloud-config"),
            ("dns", "update-runtime-config"),
            ("cpi-config", "update-cpi-config"),
            ("stemcell", "upload-stemcell"),
        )
    ),
)


def run(*argv: str) -> None:
    """Run a program, which must succeed."""
    subprocess.run(argv, check=True, capture_output=True)
