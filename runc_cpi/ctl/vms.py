"""C{runc-cpictl vms}: what runs here, and what it uses."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from runc_cpi.ctl import units
from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.tables import Listing, Thing, table

if TYPE_CHECKING:
    from rich.table import Table

UUID = re.compile(r"\b([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
# How a VM is, for people.
STATES = {
    "restarting": "ended, is booted again",
    "unbootable": "cannot be booted",
    "interrupted": "reboot was cut off",
    "changing": "at work on it",
    "set_aside": "set aside, its record cannot be read",
}
# Processors are watched for so long before it is said how busy they are.
MOMENT = 0.2  # seconds
LEAST_INTERVAL, INTERVAL = 1, 2  # seconds


def instance_of(vm: Thing) -> str:
    """Return what BOSH calls a VM, such as C{db/0}; at first the id of its agent."""
    told = vm["metadata"]
    if "name" not in told and "job" in told and "index" in told:
        return f"{told['job']}/{told['index']}"
    return str(told.get("name") or vm["agent_id"])


def short(instance: str) -> str:
    """Return a name with no more of an UUID than tells it from others."""
    return UUID.sub(r"\1", instance)


def state_of(vm: Thing) -> str:
    """Say whether a VM runs, or why not, and whether it has too little memory."""
    state = vm.get("state") or ("running" if vm["running"] else "stopped")
    state = STATES.get(state, state)
    if state == "ended":
        # With a daemon of an earlier version, that one is booted again.
        end = vm.get("end")
        state = STATES["restarting"] if end is None else how_it_ended(end)
    if vm.get("oom_kills"):
        state += f", {vm['oom_kills']} OOM kills"
    return state


def how_it_ended(end: Thing) -> str:
    """Say in short how a VM ended by itself."""
    if end["signal"] is not None:
        return f"ended, by signal {end['signal']}"
    return "ended" if end["status"] is None else f"ended, status {end['status']}"


def port_of(port: Thing) -> str:
    """Return a port of the host, or several in a row, and where it leads to."""
    first, last, inside = port["first"], port["last"], port["container"]
    place = f"{first}" if first == last else f"{first}-{last}"
    address = f"{port['address']}:" if port["address"] else ""
    return f"{address}{place}->{inside}/{port['protocol']}"


def _row(vm: Thing) -> Sequence[str]:
    usage = vm.get("usage") or {}
    return (
        vm["vm_cid"],
        state_of(vm),
        str(vm["metadata"].get("deployment", units.NOTHING)),
        short(instance_of(vm)),
        ",".join(vm["addresses"]),
        units.percent(usage.get("cpu")),
        units.of(usage.get("memory"), usage.get("memory_limit")),
        units.size(usage.get("disk")),
        units.age(vm.get("created_at", "")),
        " ".join(map(port_of, vm.get("ports", ()))) or units.NOTHING,
    )


LISTING = Listing(
    asking="ListVMs",
    key="vms",
    headings=(
        *("VM", "STATE", "DEPLOYMENT", "INSTANCE", "ADDRESS"),
        *("CPU", "MEMORY", "DISK", "AGE", "PORTS"),
    ),
    row=_row,
)

SORTS: Mapping[str, Callable[[Thing], Any]] = {
    "name": lambda vm: (str(vm["metadata"].get("deployment", "")), instance_of(vm)),
    "age": lambda vm: vm.get("created_at", ""),
    "cpu": lambda vm: -_used(vm, "cpu"),
    "memory": lambda vm: -_used(vm, "memory"),
    "disk": lambda vm: -_used(vm, "disk"),
}


def _used(vm: Thing, key: str) -> float:
    return float((vm.get("usage") or {}).get(key) or 0)


class Measuring:
    """
    Asks for VMs with what they use, again and again.

    @ivar vms: as they were when they were last asked for.
    """

    def __init__(self, operator: Operator, sort: str | None) -> None:
        self._operator, self._sort = operator, sort
        self._usages, self._at = self._measure(), time.monotonic()
        self.vms: list[Thing] = []

    def _measure(self) -> Mapping[str, Thing]:
        (usages,) = self._operator.ask_for("MeasureVMs", "usages")
        found: Mapping[str, Thing] = usages
        return found

    def ask(self) -> list[Thing]:
        """
        Have the daemon tell what there is by now.

        @raise CPIError: if it refuses, or cannot be reached.
        """
        before, began = self._usages, self._at
        listed = LISTING.ask(self._operator)
        self._usages, self._at = self._measure(), time.monotonic()
        passed = self._at - began
        self.vms = [
            {**vm, "usage": _with_cpu(self._usages.get(cid), before.get(cid), passed)}
            for vm in listed
            for cid in (vm["vm_cid"],)
        ]
        if self._sort is not None:
            self.vms.sort(key=SORTS[self._sort])
        return self.vms


def _with_cpu(usage: Thing | None, before: Thing | None, passed: float) -> Thing | None:
    """Add how many processors a VM kept busy meanwhile; L{None} if it was just booted."""
    if usage is None:
        return None
    now, then = usage["cpu_seconds"], (before or {}).get("cpu_seconds")
    is_known = None not in (now, then) and now >= then and passed > 0
    return {**usage, "cpu": (now - then) / passed if is_known else None}


@click.command()
@click.option(
    "-s", "--sort", type=click.Choice(list(SORTS)), help="By what; the most comes first."
)
@click.option(
    "-w",
    "--watch",
    type=click.FloatRange(min=LEAST_INTERVAL),
    is_flag=False,
    flag_value=INTERVAL,
    metavar="SECONDS",
    help=f"Show it again after so many seconds, {INTERVAL} if not said, until Ctrl-C.",
)
@output_option
@click.pass_obj
def vms(operator: Operator, sort: str | None, watch: float | None) -> None:
    """List the VMs, and what they use."""
    if watch is not None:
        _watch(operator, sort, watch)
        return
    measuring = Measuring(operator, sort)
    time.sleep(MOMENT)
    found = measuring.ask()
    operator.show({LISTING.key: found}, lambda: LISTING.print(found))


def _watch(operator: Operator, sort: str | None, interval: float) -> None:
    """Show the table again and again, in the same place."""
    if not sys.stdout.isatty() or operator.output != "table":
        raise click.UsageError("--watch: shows a table at a terminal, and nowhere else")
    from rich.console import Console
    from rich.live import Live

    measuring = Measuring(operator, sort)
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        try:
            time.sleep(MOMENT)
            while True:
                live.update(_table(measuring.ask(), console.width), refresh=True)
                time.sleep(interval)
        except KeyboardInterrupt:
            pass
    # What was on the screen last is gone with it.
    LISTING.print(measuring.vms)


def _table(found: Sequence[Thing], width: int) -> Table:
    return table(LISTING.headings, [LISTING.row(vm) for vm in found], width)
