"""What all C{runc-cpictl delete-…} share: they look, ask, and then delete."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from twisted.protocols import amp
from twisted.python import usage

from runc_cpi.ctl.command import Answer, DaemonCommand
from runc_cpi.daemon.rpc import commands
from runc_cpi.errors import CPIError
from runc_cpi.printable import printable

Thing = Mapping[str, Any]
# All that the daemon has, by the keys of its answers.
Inventory = Mapping[str, Sequence[Thing]]

LISTINGS = {
    "vms": commands.ListVMs,
    "disks": commands.ListDisks,
    "stemcells": commands.ListStemcells,
    "snapshots": commands.ListSnapshots,
    "networks": commands.ListNetworks,
}
# What a director, or bosh create-env, notes about what it uses.
NOTED_BY_BOSH = ("director", "deployment", "job", "index")


class DeleteCommand(DaemonCommand):
    """
    A command that deletes what BOSH has forgotten, after a look and a question.

    @cvar noun: what the things are called; they are C{noun + "s"} in the inventory, and
        their ids are C{noun + "_cid"}.
    @cvar deletion: asks the daemon to delete one.
    @cvar forcible: whether one can be deleted while it is used.
    """

    synopsis = "[--yes] [--force] CID..."
    optFlags = [
        ["yes", "y", "do not ask"],
        ["force", "f", "delete also what BOSH still uses, and will miss"],
    ]
    noun: ClassVar[str]
    deletion: ClassVar[type[amp.Command]]
    forcible: ClassVar[bool] = True

    def parseArgs(self, *cids: str) -> None:
        """Take what is to be deleted."""
        if not cids:
            raise usage.UsageError("the id of what is to be deleted is missing")
        self["cids"] = tuple(dict.fromkeys(cids))

    def describe(self, thing: Thing) -> str:
        """Say in a line what an operator knows a thing by."""
        raise NotImplementedError

    def uses(self, thing: Thing, inventory: Inventory) -> list[str]:
        """Say what a thing is used for; nothing if it can go."""
        return noted(thing)

    async def ask(self, peer: amp.AMP) -> Answer:
        """
        Delete what the operator names, if it is not used and the operator means it.

        All is looked at before anything is deleted.

        @return: the ids of what is gone, as C{deleted}.
        @raise CPIError: if something is not there, is used, or cannot be deleted.
        """
        inventory = {
            key: (await peer.callRemote(listing))[key] for key, listing in LISTINGS.items()
        }
        things = [self._find(inventory, cid) for cid in self["cids"]]
        for thing in things:
            self._check(thing, inventory)
        if not self["yes"]:
            _confirm([f"{self.noun} {self.describe(thing)}" for thing in things])
        gone: list[str] = []
        for thing in things:
            cid = self._cid(thing)
            try:
                await self.delete(peer, thing)
            except CPIError as error:
                before = f"; deleted before it: {', '.join(gone)}" if gone else ""
                raise CPIError(f"{cid}: {error}{before}") from None
            gone.append(cid)
        return {"deleted": gone}

    def text(self, answer: Answer) -> str:
        """Name what is gone."""
        return "\n".join(f"deleted {cid}" for cid in answer["deleted"])

    async def delete(self, peer: amp.AMP, thing: Thing) -> None:
        """
        Have the daemon delete one thing.

        @raise CPIError: if it cannot.
        """
        await peer.callRemote(self.deletion, **{f"{self.noun}_cid": self._cid(thing)})

    def _cid(self, thing: Thing) -> str:
        cid: str = thing[f"{self.noun}_cid"]
        return cid

    def _find(self, inventory: Inventory, cid: str) -> Thing:
        for thing in inventory[f"{self.noun}s"]:
            if self._cid(thing) == cid:
                return thing
        raise CPIError(f"there is no {self.noun} {printable(cid)}")

    def _check(self, thing: Thing, inventory: Inventory) -> None:
        uses = self.uses(thing, inventory)
        if not uses:
            return
        text = f"{self._cid(thing)} is in use: {'; '.join(uses)}"
        if not self.forcible:
            # The daemon would refuse it as well: the VMs would lose what they need.
            raise CPIError(f"{text}; delete these first")
        if not self["force"]:
            raise CPIError(f"{text}; --force deletes it all the same")


def noted(thing: Thing) -> list[str]:
    """Say what BOSH has noted about a thing; nothing if it has not."""
    metadata = thing["metadata"]
    notes = [f"{key} {metadata[key]}" for key in NOTED_BY_BOSH if key in metadata]
    return [printable(f"BOSH has it as {', '.join(notes)}")] if notes else []


def _confirm(lines: Sequence[str]) -> None:
    """
    Show what would go, and ask whether it shall.

    @raise CPIError: if it shall not, or nobody is there to say so.
    """
    print("\n".join(["To be deleted for good:", *lines]), file=sys.stderr, flush=True)
    if not sys.stdin.isatty():
        raise CPIError("nothing is deleted: nobody can be asked here; give --yes")
    # The reactor's own handler would have Ctrl-C wait for an answer.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        print("Delete? [y/N] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    finally:
        signal.signal(signal.SIGINT, handler)
    if not answer:
        print(file=sys.stderr)  # the cursor stands after the question
    if answer.strip().lower() not in ("y", "yes"):
        raise CPIError("nothing is deleted")
