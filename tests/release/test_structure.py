"""The release is complete: what its specs name exists, and nothing else does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path

import pytest
import yaml

import runc_cpi
from tests.release import jobs, packages

JOBS = ("runc_cpi", "runc_cpid")
PACKAGES = ("runc-cpi", "runc-cpid")


def test_name() -> None:
    """The release has the name that jobs in manifests give it."""
    final = yaml.safe_load((packages.RELEASE / "config" / "final.yml").read_text())
    assert final["name"] == "bosh-runc-cpi"
    # The place is below the release's directory, and not in the repository.
    path = final["blobstore"]["options"]["blobstore_path"]
    ignored = (packages.RELEASE / ".gitignore").read_text().splitlines()
    assert final["blobstore"]["provider"] == "local"
    assert f"/{path}/" in ignored
    assert not yaml.safe_load((packages.RELEASE / "config" / "blobs.yml").read_text())


def test_all_there_is() -> None:
    """Each job and package has a test."""
    assert sorted(os.listdir(packages.RELEASE / "jobs")) == list(JOBS)
    assert sorted(os.listdir(packages.RELEASE / "packages")) == list(PACKAGES)


@pytest.mark.parametrize("name", JOBS)
def test_job(name: str) -> None:
    """A job's templates are those in its spec, and its packages exist."""
    job = packages.RELEASE / "jobs" / name
    spec = jobs.read_spec(job)
    assert spec["name"] == name
    assert sorted(spec["templates"]) == sorted(os.listdir(job / "templates"))
    assert set(spec["packages"]) <= set(PACKAGES)
    assert (job / "monit").is_file()


@pytest.mark.parametrize("name", JOBS)
def test_properties(name: str) -> None:
    """Each property of a job is described, and used in a template."""
    job = packages.RELEASE / "jobs" / name
    templates = "".join(path.read_text() for path in (job / "templates").iterdir())
    for key, definition in jobs.read_spec(job)["properties"].items():
        assert definition["description"].strip(), key
        assert set(definition) <= {"description", "default", "example"}, key
        # Some names are composed in the template.
        assert re.search(rf"\b{key.split('.')[-1]}\b", templates), key


def test_template_of_the_cpi() -> None:
    """The job of the CPI has bin/cpi, which the CLI and the director start."""
    templates = jobs.read_spec(packages.RELEASE / "jobs" / "runc_cpi")["templates"]
    assert "bin/cpi" in templates.values()
    assert "config/cpi.json" in templates.values()


def test_monit_of_the_cpi() -> None:
    """The monit file of the CPI is empty, since there is no process to watch."""
    lines = (packages.RELEASE / "jobs" / "runc_cpi" / "monit").read_text().splitlines()
    assert all(line.startswith("#") for line in lines if line)


def test_monit_of_the_daemon() -> None:
    """The monit file of the daemon names files that the job has."""
    job = packages.RELEASE / "jobs" / "runc_cpid"
    monit = (job / "monit").read_text()
    script = "/var/vcap/jobs/runc_cpid/bin/runc_cpid_ctl"
    assert f'start program "{script} start"' in monit
    assert f'stop program "{script} stop"' in monit
    assert "bin/runc_cpid_ctl" in jobs.read_spec(job)["templates"].values()
    (pid_file,) = re.findall(r"with pidfile (\S+)", monit)
    control = (job / "templates" / "runc_cpid_ctl").read_text()
    assert f"run_dir={os.path.dirname(pid_file)}\n" in control
    assert f"pid_file=$run_dir/{os.path.basename(pid_file)}\n" in control
    assert "group vcap" in monit


@pytest.mark.parametrize("name", PACKAGES)
def test_package(release: Path, name: str) -> None:
    """Each pattern of a package finds files, and all prepared files are in a package."""
    package = release / "packages" / name
    assert yaml.safe_load((package / "spec").read_text())["name"] == name
    found = packages.files(package)
    for pattern, matches in found.items():
        assert matches, pattern
    prepared = {path for path in (release / "src" / name).rglob("*") if path.is_file()}
    assert prepared == {path for matches in found.values() for path in matches}


def test_modules_of_the_cpi(release: Path) -> None:
    """The modules of the CPI's package are those of this checkout."""
    prepared = release / "src" / "runc-cpi" / "runc_cpi"
    source = packages.PROJECT / "runc_cpi"
    names = {path.relative_to(prepared) for path in prepared.rglob("*.py")}
    wanted = {path.relative_to(source) for path in (source / "cpi").glob("*.py")}
    shared = ("__init__", "errors", "faults", "json_text", "wire")
    assert names == wanted | {Path(f"{name}.py") for name in shared}
    for name in names:
        assert (prepared / name).read_bytes() == (source / name).read_bytes()


def test_preparing_again(build: Callable[..., str], release: Path, tmp_path: Path) -> None:
    """build-release can prepare the checkout again, but a copy only in a new directory."""
    with pytest.raises(subprocess.CalledProcessError):
        build("--into", release, "--no-tarball")


def test_no_bosh(build: Callable[..., str], tmp_path: Path) -> None:
    """Without a bosh CLI build-release prints the next command."""
    if shutil.which("bosh", path=packages.SEARCH_PATH):
        pytest.skip("there is a bosh CLI where the tests look for programs")
    said = build("--into", tmp_path / "r", "--version", "1.2.3")
    assert f"bosh create-release --force --dir {tmp_path}/r --version 1.2.3 " in said


@pytest.fixture
def search_path(tmp_path: Path) -> str:
    """Where programs are, with a stand-in for the bosh CLI."""
    bosh = tmp_path / "bin" / "bosh"
    bosh.parent.mkdir()
    # The tarball comes last.
    script = '#!/bin/sh\necho "called: $*"\nfor word; do :; done\necho release >"$word"\n'
    bosh.write_text(script)
    bosh.chmod(0o755)
    return f"{bosh.parent}:{packages.SEARCH_PATH}"


def test_bosh(build: Callable[..., str], search_path: str, tmp_path: Path) -> None:
    """With a bosh CLI build-release calls it, and prints how to go on with create-env."""
    target = tmp_path / "r"
    said = build("--into", target, search_path=search_path)
    (called,) = re.findall(r"^called: (.*)", said, re.M)
    assert re.fullmatch(
        rf"create-release --force --dir {target} --version [0-9.]+\+dev\.\d+ "
        rf"--tarball {target}/bosh-runc-cpi.tgz",
        called,
    )
    assert f"-v runc_cpi_release={target}/bosh-runc-cpi.tgz" in said


def test_final(build: Callable[..., str], search_path: str, tmp_path: Path) -> None:
    """A release for others has the project's version, and its sha1 beside it."""
    target = tmp_path / "r"
    said = build("--into", target, "--final", search_path=search_path)
    version = runc_cpi.__version__
    tarball = target / f"bosh-runc-cpi-{version}.tgz"
    assert re.findall(r"^called: (.*)", said, re.M) == [
        f"create-release --final --dir {target} --version {version} --tarball {tarball}"
    ]
    digest = sha1(b"release\n").hexdigest()
    assert f"-v runc_cpi_release_sha1={digest}\n" in said
    told = (target / f"{tarball.name}.sha1").read_text()
    assert told == f"{digest}  {tarball.name}\n"


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--python"], ["more"]])
def test_usage(arguments: list[str]) -> None:
    """A wrong command line ends build-release with a hint."""
    outcome = subprocess.run(
        [packages.BUILD, *arguments], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 64
    assert "build-release [--version VERSION]" in outcome.stderr


def test_the_cpi_alone(tmp_path: Path) -> None:
    """Without the daemon's job nothing comes from an index, and the rest is whole."""
    packages.build(
        *("--into", tmp_path / "r", "--no-tarball", "--cpi-only"), PIP_NO_INDEX="1"
    )
    assert os.listdir(tmp_path / "r" / "jobs") == ["runc_cpi"]
    assert os.listdir(tmp_path / "r" / "packages") == ["runc-cpi"]
    assert packages.files(tmp_path / "r" / "packages" / "runc-cpi")
    with pytest.raises(subprocess.CalledProcessError):
        packages.build("--cpi-only", "--no-tarball")
