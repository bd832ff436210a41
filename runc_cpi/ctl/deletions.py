"""C{runc-cpictl delete-…}: remove what BOSH has forgotten, after a look and a question."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.protocols import amp
from twisted.python import usage

from runc_cpi.daemon.rpc import commands
from runc_cpi.errors import CPIError, StemcellInUse
from runc_cpi.printable import printable

Thing = Mapping[str, Any]
Inventory = Mapping[str, Sequence[Thing]]

LISTINGS = {
    "vms": commands.ListVMs,
    "disks": commands.ListDisks,
    "stemcells": commands.ListStemcells,
    "snapshots": commands.ListSnapshots,
}
# What a director, or bosh create-env, notes about what it uses.
NOTED_BY_BOSH = ("director", "deployment", "job", "index")


class DeletionOptions(usage.Options):
    """The options of each of these commands."""

    synopsis = "[--yes] [--force] CID..."
    optFlags = [
        ["yes", "y", "do not ask"],
        ["force", "f", "delete also what BOSH still uses, and will miss"],
    ]

    def parseArgs(self, *cids: str) -> None:
        """Take what is to be deleted."""
        if not cids:
            raise usage.UsageError("the id of what is to be deleted is missing")
        self["cids"] = tuple(dict.fromkeys(cids))


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """
    What one of these commands deletes.

    @ivar noun: what it is called.
    @ivar listing: where it is in the inventory.
    @ivar cid: what its id is called.
    @ivar command: deletes it.
    @ivar describe: says in a line what an operator knows it by.
    @ivar uses: says what it is used for.
    @ivar forcible: whether it can be deleted while it is used.
    """

    noun: str
    listing: str
    cid: str
    command: type[amp.Command]
    describe: Callable[[Thing], str]
    uses: Callable[[Thing, Inventory], list[str]]
    forcible: bool = True

    def find(self, inventory: Inventory, cid: str) -> Thing:
        """
        @raise CPIError: if there is no such thing.
        """
        for thing in inventory[self.listing]:
            if thing[self.cid] == cid:
                return thing
        raise CPIError(f"there is no {self.noun} {printable(cid)}")


async def delete(peer: amp.AMP, command: str, options: DeletionOptions) -> list[str]:
    """
    Delete what an operator names, if it is not used and the operator means it.

    All is looked at before anything is deleted.

    @param command: C{delete-vm} or another one of L{KINDS}.
    @return: the ids of what is gone.
    @raise CPIError: if something is not there, is used, or cannot be deleted.
    """
    kind = KINDS[command]
    inventory = {
        name: (await peer.callRemote(listing))[name] for name, listing in LISTINGS.items()
    }
    things = [kind.find(inventory, cid) for cid in options["cids"]]
    for thing in things:
        _check(kind, thing, inventory, force=bool(options["force"]))
    if not options["yes"]:
        _ask([f"{kind.noun} {kind.describe(thing)}" for thing in things])
    gone: list[str] = []
    for thing in things:
        try:
            await _delete_one(peer, kind, thing)
        except CPIError as error:
            before = f"; deleted before it: {', '.join(gone)}" if gone else ""
            raise CPIError(f"{thing[kind.cid]}: {error}{before}") from None
        gone.append(thing[kind.cid])
    return gone


def _check(kind: _Kind, thing: Thing, inventory: Inventory, *, force: bool) -> None:
    uses = kind.uses(thing, inventory)
    if not uses:
        return
    text = f"{thing[kind.cid]} is in use: {'; '.join(uses)}"
    if not kind.forcible:
        # The daemon would refuse it as well: the VMs would lose their files.
        raise StemcellInUse(f"{text}; delete these first")
    if not force:
        raise CPIError(f"{text}; --force deletes it all the same")


async def _delete_one(peer: amp.AMP, kind: _Kind, thing: Thing) -> None:
    cid = thing[kind.cid]
    if thing.get("attached_to"):
        vm_cid = thing["attached_to"]
        await peer.callRemote(commands.DetachDisk, vm_cid=vm_cid, disk_cid=cid)
    await peer.callRemote(kind.command, **{kind.cid: cid})


def _ask(lines: Sequence[str]) -> None:
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


def _noted(thing: Thing) -> list[str]:
    metadata = thing["metadata"]
    notes = [f"{key} {metadata[key]}" for key in NOTED_BY_BOSH if key in metadata]
    return [printable(f"BOSH has it as {', '.join(notes)}")] if notes else []


def _describe_vm(vm: Thing) -> str:
    state = "running" if vm["running"] else "stopped"
    name = vm["metadata"].get("name") or vm["agent_id"]
    return f"{vm['vm_cid']}, {state}, {','.join(vm['addresses'])}, {printable(str(name))}"


def _describe_disk(disk: Thing) -> str:
    return f"{disk['disk_cid']}, {disk['size']} MiB, made {disk['created_at']}"


def _disk_uses(disk: Thing, inventory: Inventory) -> list[str]:
    cid, vm_cid = disk["disk_cid"], disk["attached_to"]
    snapshots = [one for one in inventory["snapshots"] if one["disk_cid"] == cid]
    return [
        *([f"it is attached to {vm_cid}"] if vm_cid else []),
        *(f"it has {snapshot['snapshot_cid']}" for snapshot in snapshots),
        *_noted(disk),
    ]


def _describe_stemcell(stemcell: Thing) -> str:
    properties = stemcell["cloud_properties"]
    name = f"{properties.get('name', '')} {properties.get('version', '')}"
    return f"{stemcell['stemcell_cid']}, {printable(str(name))}".rstrip(", ")


def _stemcell_uses(stemcell: Thing, inventory: Inventory) -> list[str]:
    cid = stemcell["stemcell_cid"]
    vms = [vm["vm_cid"] for vm in inventory["vms"] if vm["stemcell_cid"] == cid]
    return [f"by {vm_cid}" for vm_cid in vms]


def _describe_snapshot(snapshot: Thing) -> str:
    made = f"of {snapshot['disk_cid']}, made {snapshot['created_at']}"
    return f"{snapshot['snapshot_cid']} {made}"


KINDS = {
    f"delete-{kind.noun}": kind
    for kind in (
        _Kind(
            noun="vm",
            listing="vms",
            cid="vm_cid",
            command=commands.DeleteVM,
            describe=_describe_vm,
            uses=lambda vm, _: _noted(vm),
        ),
        _Kind(
            noun="disk",
            listing="disks",
            cid="disk_cid",
            command=commands.DeleteDisk,
            describe=_describe_disk,
            uses=_disk_uses,
        ),
        _Kind(
            noun="stemcell",
            listing="stemcells",
            cid="stemcell_cid",
            command=commands.DeleteStemcell,
            describe=_describe_stemcell,
            uses=_stemcell_uses,
            forcible=False,
        ),
        _Kind(
            noun="snapshot",
            listing="snapshots",
            cid="snapshot_cid",
            command=commands.DeleteSnapshot,
            describe=_describe_snapshot,
            uses=lambda snapshot, _: _noted(snapshot),
        ),
    )
}
SUBCOMMANDS = [
    [f"delete-{noun}", None, DeletionOptions, f"delete {what} that BOSH has forgotten"]
    for noun, what in (
        ("vm", "VMs"),
        ("disk", "disks, with what is on them,"),
        ("stemcell", "stemcells"),
        ("snapshot", "snapshots"),
    )
]
