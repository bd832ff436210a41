"""C{destroy}: what C{up} has made goes, with all that the director has made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from runc_cpi.ctl.director.director import Director, existing
from runc_cpi.ctl.director.directory import DEFAULT, StateDirectory
from runc_cpi.ctl.director.making import COMMAND, confirm
from runc_cpi.ctl.director.steps import Step, perform
from runc_cpi.ctl.director.work_dir import remove_work_dir
from runc_cpi.ctl.operator import Operator
from runc_cpi.errors import CPIError, DaemonUnreachable

# What a daemon has, in the order in which it can be deleted: the command that lists, the
# key of the answer, the command that deletes, and its argument.
THINGS = (
    ("ListVMs", "vms", "DeleteVM", "vm_cid"),
    ("ListSnapshots", "snapshots", "DeleteSnapshot", "snapshot_cid"),
    ("ListDisks", "disks", "DeleteDisk", "disk_cid"),
    ("ListStemcells", "stemcells", "DeleteStemcell", "stemcell_cid"),
    ("ListNetworks", "networks", "DeleteNetwork", "network_cid"),
)
ADVICE = (
    "put right what is named, or give --force, which goes on without it.  If the director "
    "is stopped, runc-cpictl director start starts it"
)


def destroy(
    operator: Operator, directory: StateDirectory, *, yes: bool, force: bool
) -> None:
    """
    Show what would go, ask, and delete it.

    @param yes: whether not to ask.
    @param force: whether to go on where the director, bosh or the daemon fails.
    @raise click.ClickException: if nobody agrees, or a step fails.
    """
    director = existing(operator, directory)
    with directory.locked():
        removal = Removal(director, force=force)
        removal.describe()
        if not yes:
            confirm("Delete all of this?", "nothing is deleted")
        perform(removal.steps(), director.runner, f"{COMMAND} destroy")
    left = directory.remove()
    if left:
        click.echo(f"{directory.path} stays, with files of others: {', '.join(left)}")
    if str(directory.path) == DEFAULT:
        with suppress(OSError):
            directory.path.parent.rmdir()  # unless others have something there
    is_whole = removal.is_empty and not left
    click.echo("nothing is left of it" if is_whole else "nothing else is left of it")


class Removal:
    """
    Removes a director.

    @ivar is_empty: whether nothing stays in the daemon's directory.

    @param director: which.
    @param force: whether to go on where the director, bosh or the daemon fails.
    """

    def __init__(self, director: Director, *, force: bool) -> None:
        self._director, self._force = director, force
        # Of a daemon that others use, only what bosh deletes goes.
        self._is_ours = director.files.are_ours
        self._deployments: list[str] = []
        self.is_empty = True

    def describe(self) -> None:
        """Say what would go."""
        director = self._director
        click.echo("To be deleted for good:", err=True)
        try:
            self._deployments = self._names()
        except (click.ClickException, ValueError):
            click.echo("  deployments: the director does not answer", err=True)
        for name in self._deployments:
            click.echo(f"  the deployment {name}", err=True)
        click.echo(f"  the director {director.settings.name}", err=True)
        if self._is_ours:
            work_dir = director.config.work_dir
            counts = ", ".join(f"{_count(work_dir / n)} {n}" for n in ("vms", "disks"))
            click.echo(f"  the daemon and {work_dir}: {counts}", err=True)
        click.echo(f"  {director.directory.path}, with all credentials", err=True)

    def steps(self) -> list[Step]:
        """Return the steps, each of which does only what is not done yet."""
        steps = [
            Step("daemon", "start the daemon", self._daemon, ADVICE),
            Step("deployments", "delete the deployments", self._delete_all, ADVICE),
            Step("delete-env", "delete the director", self._delete_env, ADVICE),
        ]
        if self._is_ours:
            steps += [
                Step("leftovers", "delete what nobody knows", self._leftovers, ADVICE),
                Step("service", "stop the daemon for good", self._service, ADVICE),
                Step("work_dir", "remove the daemon's data", self._data, ADVICE),
                Step("configuration", "remove the configuration", self._files, ADVICE),
            ]
        return steps

    def _names(self) -> list[str]:
        director = self._director
        if director.environment.vm_cid() is None:
            return []
        login = director.environment.login()
        rows = director.bosh.rows("deployments", "deployments", environment=login)
        return [str(row["name"]) for row in rows]

    def _daemon(self) -> str:
        director = self._director
        if director.daemon_version() is None and director.files.config.exists():
            director.service.start()
            director.wait_for_daemon()
        return "it runs"

    def _delete_all(self) -> str:
        director = self._director
        if director.environment.vm_cid() is None:
            return "there is no director"
        return self._bravely(self._delete_deployments)

    def _delete_deployments(self) -> str:
        names = self._names()
        for name in names:
            self._director.tell("delete", "-d", name, "delete-deployment", "--force")
        self._director.tell("clean-up", "clean-up", "--all")
        return f"{len(names)} deleted"

    def _delete_env(self) -> str:
        if not self._director.directory.state.exists():
            return "there is none"
        return self._bravely(self._bosh_deletes)

    def _bosh_deletes(self) -> str:
        director = self._director
        director.directory.back_up()
        director.run_applied("delete-env")
        return "deleted"

    def _bravely(self, action: Callable[[], str]) -> str:
        try:
            return action()
        except click.ClickException as error:
            if not self._force:
                raise
            return f"left out: {error.message}"

    def _leftovers(self) -> str:
        """
        Delete all that can be deleted, whatever else cannot.

        @raise CPIError: the first refusal of the daemon, unless told to go on.
        """
        operator = self._director.operator()
        gone, refused = 0, list[CPIError]()
        for listing, key, deleting, argument in THINGS:
            (things,) = operator.ask_for(listing, key)
            for thing in things:
                if not thing.get(argument):
                    continue
                try:
                    _delete(operator, deleting, argument, thing)
                    gone += 1
                except DaemonUnreachable:
                    raise
                except CPIError as error:
                    refused.append(error)
        if refused and not self._force:
            raise refused[0]
        left = [f"left out: {error}" for error in refused]
        return "; ".join([f"{gone} deleted", *left] if gone or left else ["there are none"])

    def _service(self) -> str:
        self._director.service.remove()
        return "stopped"

    def _data(self) -> str:
        config = self._director.config
        told = self._bravely(lambda: remove_work_dir(config))
        self.is_empty = not _count(config.work_dir)
        return told

    def _files(self) -> str:
        return "removed" if self._director.files.remove() else "not ours"


def _count(path: Path) -> int:
    return sum(1 for _ in path.iterdir()) if path.is_dir() else 0


def _delete(operator: Operator, deleting: str, argument: str, thing: Any) -> None:
    try:
        operator.ask(deleting, **{argument: thing[argument]})
    except CPIError as error:
        if thing[argument] in str(error):
            raise
        raise type(error)(f"{thing[argument]}: {error}") from None
