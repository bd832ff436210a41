"""C{runc-cpictl events} and C{calls}: what happened here, and what goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from runc_cpi.ctl.moments import Moment
from runc_cpi.ctl.operator import Function, Operator, output_option
from runc_cpi.ctl.tables import Thing, print_table
from runc_cpi.printable import printable

PAGE = 200  # events, the most that the daemon tells at once
SHOWN, SHOWN_BEFORE_FOLLOWING = 50, 10
# For how long the daemon is to wait with an answer, in seconds.
PATIENCE = 30
HEADINGS = ("TIME", "EVENT", "OUTCOME", "TOOK", "INSTANCE", "ABOUT", "REQUEST", "TEXT")
# As wide as most values are: what comes later is not known yet.
FOLLOWED = "{:24}  {:16}  {:7}  {:>9}  {:20}  {}  {}  {}"

FILTERS = (
    click.option("--method", help="Of these alone, such as create_vm or vm_ended."),
    click.option("--outcome", type=click.Choice(["ok", "failed"]), help="Of these alone."),
    click.option("--deployment", help="Of this deployment alone."),
    click.option("--instance", help="Of this instance alone, such as db/0."),
    click.option("--cid", help="About this VM, disk or other thing alone."),
    click.option("--request-id", help="Of this request alone; BOSH shows it with errors."),
    click.option(
        "--since", type=Moment(), help="From then on: 90s, 10m, 2h, 1d, or a date and time."
    ),
)


def _filtered(function: Function) -> Function:
    for option in reversed(FILTERS):
        function = option(function)
    return function


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    help=f"How many at most.  [default: all with --since; else {SHOWN}, and with --follow "
    f"{SHOWN_BEFORE_FOLLOWING}]",
)
@_filtered
@output_option
@click.pass_obj
def events(
    operator: Operator, /, *, follow: bool, lines: int | None, **filters: str | float | None
) -> None:
    """
    Say what happened: calls, and what the daemon did by itself.

    Of the events that are asked for, the last ones are shown.
    """
    wanted = {name: value for name, value in filters.items() if value is not None}
    if lines is None and "since" not in wanted:
        lines = SHOWN_BEFORE_FOLLOWING if follow else SHOWN
    found, last = _past(operator, wanted, lines)
    if not follow:
        rows = [_row(event) for event in found]
        operator.show({"events": found}, lambda: print_table(HEADINGS, rows))
        return
    show = _followed(operator)
    try:
        for event in found:
            show(event)
        _follow(operator, wanted, last, show)
    except KeyboardInterrupt:
        return


def _past(
    operator: Operator, filters: dict[str, Any], limit: int | None
) -> tuple[list[Thing], int]:
    """
    Return what happened, the oldest first, and the number of the last event of all.

    @param limit: how many events to return at most, or L{None} for all.
    """
    found: list[Thing] = []
    last: int | None = None
    before: dict[str, int] = {}
    while True:
        size = PAGE if limit is None else min(PAGE, limit - len(found))
        page, end = operator.ask_for(
            "ListEvents", "events", "last", filters=filters, limit=max(size, 1), **before
        )
        last = end if last is None else last
        found[:0] = page[len(page) - min(len(page), size) :]
        if len(page) < PAGE or len(found) == limit:
            return found, last
        before["before"] = page[0]["number"]


def _follow(
    operator: Operator, filters: dict[str, Any], last: int, show: Callable[[Thing], None]
) -> None:
    # An answer comes when something happens.
    operator.patience = 2 * PATIENCE
    while True:
        page, last, missed = operator.ask_for(
            *("FollowEvents", "events", "last", "missed"),
            filters=filters,
            limit=PAGE,
            after=last,
            seconds=PATIENCE,
        )
        if missed:
            click.echo(f"{missed} events went by too fast to be shown", err=True)
        for event in page:
            show(event)


def _followed(operator: Operator) -> Callable[[Thing], None]:
    """Return what prints one event, so that a program can read each as it comes."""
    if operator.output == "json":
        return lambda event: click.echo(json.dumps(event))
    if operator.output == "yaml":
        import yaml

        return lambda event: click.echo(
            yaml.safe_dump(event, sort_keys=False, explicit_start=True), nl=False
        )
    return lambda event: click.echo(
        FOLLOWED.format(*(printable(cell, "") for cell in _row(event))).rstrip()
    )


def _row(event: Thing) -> Sequence[str]:
    text = event["text"]
    if event["error"]:
        text = f"{event['error']}: {text}"
    return (
        event["time"],
        event["method"],
        event["outcome"],
        "" if event["seconds"] is None else f"{event['seconds']:.3f} s",
        _place(event),
        ",".join(event["cids"]),
        event["request_id"],
        " ".join(text.split()),
    )


def _place(thing: Thing) -> str:
    return " ".join(filter(None, (thing["deployment"], thing["instance"])))


@click.command()
@output_option
@click.pass_obj
def calls(operator: Operator) -> None:
    """Say which calls are under way now, and for how long."""
    found, total = operator.ask_for("ListCalls", "calls", "total")
    headings = ("CALL", "STATE", "AGE", "INSTANCE", "ABOUT", "REQUEST")
    rows = [
        (
            call["method"],
            call["state"],
            f"{call['seconds']:.1f} s",
            _place(call),
            ",".join(call["cids"]),
            call["request_id"],
        )
        for call in found
    ]
    answer = {"calls": found, "total": total}
    operator.show(answer, lambda: print_table(headings, rows))
