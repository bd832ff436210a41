"""What all deletions share: they look, ask, and then delete."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import click

from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.tables import Thing, no_such
from runc_cpi.errors import CPIError
from runc_cpi.printable import printable

# All that the daemon has, by the keys of its answers.
Inventory = Mapping[str, Sequence[Thing]]

LISTINGS = {
    "vms": "ListVMs",
    "disks": "ListDisks",
    "stemcells": "ListStemcells",
    "snapshots": "ListSnapshots",
    "networks": "ListNetworks",
}
# What a director, or bosh create-env, notes about what it uses.
NOTED_BY_BOSH = ("director", "deployment", "job", "index")


class Deletion(ABC):
    """
    Deletes what BOSH has forgotten, after a look and a question.

    @cvar noun: what the things are called; they are C{noun + "s"} in the inventory, and
        their ids are C{noun + "_cid"}.
    @cvar asking: the command of AMP that deletes one.
    @cvar summary: what C{--help} says.
    @cvar forcible: whether one can be deleted while it is used.
    """

    noun: ClassVar[str]
    asking: ClassVar[str]
    summary: ClassVar[str]
    forcible: ClassVar[bool] = True

    @abstractmethod
    def describe(self, thing: Thing) -> str:
        """Say in a line what an operator knows a thing by."""

    def uses(self, thing: Thing, inventory: Inventory) -> list[str]:
        """Say what a thing is used for; nothing if it can go."""
        return noted(thing)

    def command(self) -> click.Command:
        """Return the command C{delete} of the noun."""

        @click.command("delete", help=self.summary)
        @click.argument("cids", metavar="CID...", nargs=-1, required=True)
        @click.option("-y", "--yes", is_flag=True, help="Do not ask.")
        @click.option(
            "-f", "--force", is_flag=True, help="Delete also what BOSH uses, and will miss."
        )
        @output_option
        @click.pass_obj
        def delete(
            operator: Operator, cids: tuple[str, ...], *, yes: bool, force: bool
        ) -> None:
            gone = self.run(operator, list(dict.fromkeys(cids)), yes=yes, force=force)
            lines = "\n".join(f"deleted {cid}" for cid in gone)
            operator.show({"deleted": gone}, lambda: click.echo(lines))

        return delete

    def run(
        self, operator: Operator, cids: Sequence[str], *, yes: bool, force: bool
    ) -> list[str]:
        """
        Delete what the operator names, if it is not used and the operator means it.

        All is looked at before anything is deleted.

        @param yes: whether not to ask.
        @param force: whether to delete also what BOSH uses.
        @return: the ids of what is gone.
        @raise CPIError: if something is not there, is used, or cannot be deleted.
        """
        inventory = inventory_of(operator)
        things = [self._find(inventory, cid) for cid in cids]
        for thing in things:
            self.refuse(thing, self.uses(thing, inventory), force=force)
        if not yes:
            confirm([f"{self.noun} {self.describe(thing)}" for thing in things])
        return delete_all(operator, [(self, thing) for thing in things])

    def delete(self, operator: Operator, thing: Thing) -> None:
        """
        Have the daemon delete one thing.

        @raise CPIError: if it cannot.
        """
        operator.ask(self.asking, **{f"{self.noun}_cid": self.cid(thing)})

    def cid(self, thing: Thing) -> str:
        """Return the id of a thing."""
        cid: str = thing[f"{self.noun}_cid"]
        return cid

    def _find(self, inventory: Inventory, cid: str) -> Thing:
        for thing in inventory[f"{self.noun}s"]:
            if self.cid(thing) == cid:
                return thing
        raise no_such(self.noun, cid)

    def refuse(self, thing: Thing, uses: Sequence[str], *, force: bool) -> None:
        """
        Refuse to delete a thing that is used.

        @param uses: what it is used for.
        @param force: whether what BOSH uses is no reason.
        @raise CPIError: if it cannot go.
        """
        if not uses:
            return
        text = f"{self.cid(thing)} is in use: {'; '.join(uses)}"
        if not self.forcible:
            # The daemon would refuse it as well: the VMs would lose what they need.
            raise CPIError(f"{text}; delete these first")
        if not force:
            raise CPIError(f"{text}; --force deletes it all the same")


def delete_all(operator: Operator, going: Sequence[tuple[Deletion, Thing]]) -> list[str]:
    """
    Have the daemon delete things, one after the other.

    @return: the ids of what is gone.
    @raise CPIError: if one cannot be deleted; it names those that went before it.
    """
    gone: list[str] = []
    for deletion, thing in going:
        cid = deletion.cid(thing)
        try:
            deletion.delete(operator, thing)
        except CPIError as error:
            before = f"; deleted before it: {', '.join(gone)}" if gone else ""
            raise type(error)(f"{cid}: {error}{before}") from None
        gone.append(cid)
    return gone


def inventory_of(operator: Operator) -> dict[str, Sequence[Thing]]:
    """
    Have the daemon tell all that it has.

    @raise CPIError: if it refuses, or cannot be reached.
    """
    inventory: dict[str, Sequence[Thing]] = {}
    for key, asking in LISTINGS.items():
        (inventory[key],) = operator.ask_for(asking, key)
    return inventory


def noted(thing: Thing) -> list[str]:
    """Say what BOSH has noted about a thing; nothing if it has not."""
    metadata = thing["metadata"]
    notes = [f"{key} {metadata[key]}" for key in NOTED_BY_BOSH if key in metadata]
    return [printable(f"BOSH has it as {', '.join(notes)}")] if notes else []


def confirm(lines: Sequence[str]) -> None:
    """
    Show what would go, and ask whether it shall.

    @raise CPIError: if it shall not, or nobody is there to say so.
    """
    click.echo("\n".join(["To be deleted for good:", *lines]), err=True)
    if not sys.stdin.isatty():
        raise CPIError("nothing is deleted: nobody can be asked here; give --yes")
    try:
        print("Delete? [y/N] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer:
        click.echo(err=True)  # the cursor stands after the question
    if answer.strip().lower() not in ("y", "yes"):
        raise CPIError("nothing is deleted")
