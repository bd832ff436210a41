"""bosh-deployment: the manifest of a director, and what changes it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.downloads import Cache, digest_text
from runc_cpi.ctl.director.running import Runner
from runc_cpi.ctl.director.settings import is_path

MANIFEST = "bosh.yml"
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")
# Nobody answers questions, and nothing of the user's own settings counts.
GIT = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}


def get(
    source: str, directory: StateDirectory, runner: Runner, cache: Cache | None
) -> Path:
    """
    Return a directory with bosh-deployment.

    @param source: a directory, or C{URL@REF}; with a commit for C{REF} nobody can change
        what comes of it.
    @param cache: where to have it from in place of the Internet.
    @raise click.ClickException: if it cannot be had.
    """
    if is_path(source):
        if not (Path(source) / MANIFEST).is_file():
            raise click.ClickException(f"--bosh-deployment: {source} has no {MANIFEST}")
        return Path(source)
    target = directory.path / f"bosh-deployment-{digest_text(source)[:12]}"
    if (target / MANIFEST).is_file():
        return target
    draft = target.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    if cache is None:
        clone(source, draft, runner)
    else:
        archive = cache.find(source)
        if archive is None:
            raise click.ClickException(
                f"--offline: {cache.path} has no {source}; fill it with runc-cpictl "
                "director fetch, or give a directory with --bosh-deployment"
            )
        runner.run("unpack", ["tar", "-xzf", archive, "-C", draft])
    if not (draft / MANIFEST).is_file():
        raise click.ClickException(f"--bosh-deployment: {source} has no {MANIFEST}")
    draft.rename(target)
    return target


def remove_others(directory: StateDirectory, kept: Path | None) -> None:
    """Remove what was fetched for earlier directors."""
    for tree in directory.path.glob("bosh-deployment-*"):
        if tree != kept:
            shutil.rmtree(tree)


def clone(source: str, target: Path, runner: Runner) -> None:
    """
    Fetch one commit of a repository, and nothing of its history.

    @param source: C{URL@REF}.
    @param target: an empty directory.
    """
    url, _, ref = source.rpartition("@")
    if not url or "://" not in url or not REF.fullmatch(ref):
        raise click.ClickException(
            f"--bosh-deployment: {source!r} is neither a directory nor URL@REF"
        )
    git: list[str | Path] = ["git", "-C", target]
    runner.run("git", [*git, "init", "--quiet"], environment=GIT)
    fetch = ["fetch", "--quiet", "--depth", "1", "--end-of-options", url, ref]
    runner.run("git", [*git, *fetch], environment=GIT)
    checkout = ["checkout", "--quiet", "--detach", "FETCH_HEAD"]
    runner.run("git", [*git, *checkout], environment=GIT)


def pack(source: str, cache: Cache, directory: StateDirectory, runner: Runner) -> Path:
    """Put bosh-deployment into a cache, unless it is there; return where it is unpacked."""
    tree = get(source, directory, runner, None)
    if not is_path(source) and cache.whole(source) is None:
        archive = cache.path / f"{tree.name}.tar.gz"
        runner.run("pack", ["tar", "-czf", archive, "--exclude=.git", "-C", tree, "."])
        cache.note(source, archive)
    return tree
