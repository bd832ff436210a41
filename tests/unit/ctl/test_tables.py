"""What C{runc-cpictl} prints of VMs, disks and the rest, for people."""

from __future__ import annotations

import io
import os
import pty
import re
from typing import Any

import pytest
from rich.console import Console

from runc_cpi.ctl import disks, networks, stemcells, vms
from runc_cpi.ctl.daemon import repaired
from runc_cpi.ctl.tables import Listing, plain_table, print_table, table

VM = {
    "vm_cid": "vm-1",
    "running": True,
    "addresses": ["10.0.0.2", "10.0.0.3"],
    "agent_id": "agent-1",
    "metadata": {},
}
DISK = {
    "disk_cid": "disk-1",
    "size": 1024,
    "driver": "image",
    "filesystem": "xfs",
    "attached_to": None,
    "metadata": {"job": "db", "index": 0},
}
NETWORK = {
    "network_cid": None,
    "name": "default",
    "cidr": "10.0.0.0/16",
    "gateway": "10.0.0.1",
    "bridge": "runc0",
    "addresses": {"10.0.0.2": "vm-1", "10.0.0.3": "vm-1"},
}
STEMCELL = {"stemcell_cid": "s-1", "features": {"init": None}, "cloud_properties": {}}
HOSTILE = "\x1b]52;c;eA==\x07\n\u202e\r\ud800"
SHOWN = r"\x1b]52;c;eA==\x07\n\u202e\r\ud800"


def test_columns() -> None:
    """Columns are as wide as their cells, and lines have no blanks at their end."""
    table = plain_table(("A", "LONG"), [("wide", "x"), ("", "")])
    assert table == "A     LONG\nwide  x\n"
    assert plain_table(("A", "B"), []) == "A  B"
    assert plain_table(("", ""), [("name:", "value")]) == "name:  value"


@pytest.mark.parametrize(
    ("listing", "thing", "line"),
    [
        (vms.LISTING, VM, "vm-1 running - agent-1 10.0.0.2,10.0.0.3 - - - - -"),
        (
            vms.LISTING,
            {**VM, "running": False, "metadata": {"name": "db/0"}},
            "vm-1 stopped - db/0 10.0.0.2,10.0.0.3 - - - - -",
        ),
        (disks.LISTING, DISK, "disk-1 1024 MiB xfs - job=db index=0"),
        (
            disks.LISTING,
            {**DISK, "driver": "directory", "attached_to": "vm-1", "metadata": {}},
            "disk-1 1024 MiB directory vm-1",
        ),
        (stemcells.LISTING, STEMCELL, "s-1 unknown"),
        (
            stemcells.LISTING,
            {
                **STEMCELL,
                "features": {"init": "runit"},
                "cloud_properties": {"name": "jammy", "version": 1.5},
            },
            "s-1 runit jammy 1.5",
        ),
        (networks.LISTING, NETWORK, "- default 10.0.0.0/16 10.0.0.1 runc0 2"),
        (
            networks.LISTING,
            {**NETWORK, "network_cid": "n-1", "name": None, "addresses": {}},
            "n-1 - 10.0.0.0/16 10.0.0.1 runc0 0",
        ),
    ],
)
def test_rows(
    capsys: pytest.CaptureFixture[str], listing: Listing, thing: dict[str, Any], line: str
) -> None:
    """VMs, disks, stemcells and networks are shown in one line each."""
    listing.print([thing])
    heading, shown = capsys.readouterr().out.splitlines()
    assert shown.split() == line.split()
    assert heading == heading.upper()


@pytest.mark.parametrize(
    ("listing", "thing"),
    [
        (vms.LISTING, {**VM, "metadata": {"name": HOSTILE}}),
        (vms.LISTING, {**VM, "agent_id": HOSTILE}),
        (disks.LISTING, {**DISK, "metadata": {HOSTILE: HOSTILE}}),
        (stemcells.LISTING, {**STEMCELL, "cloud_properties": {"name": HOSTILE}}),
        (networks.LISTING, {**NETWORK, "name": HOSTILE}),
    ],
    ids=["name", "agent_id", "metadata", "stemcell", "network"],
)
def test_rows_that_are_not_to_be_trusted(
    capsys: pytest.CaptureFixture[str], listing: Listing, thing: dict[str, Any]
) -> None:
    """Control characters in a cell are spelled out; none makes a row of its own."""
    listing.print([thing])
    heading, shown = capsys.readouterr().out.splitlines()
    assert SHOWN in shown
    assert shown.isprintable()


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a cell is folded to fit, and is text whatever is in it."""
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as seen, open(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setenv("TERM", "xterm")
        print_table(("A", "B"), [("[red]x[/red]", "y" * 50), (HOSTILE, "")])
        terminal.flush()
        text = os.read(seen.fileno(), 1 << 16).decode()
    assert "[red]x[/red]" in text
    assert text.count("y") == 50
    assert "\x1b]52" not in text
    assert max(len(line) for line in text.splitlines() if "y" in line) <= 40


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    """A state to look at has a colour, unless NO_COLOR is set; nothing else has one."""
    monkeypatch.setenv("NO_COLOR", no_color)
    rows = [("fault", "fault"), ("ok", "stopped"), ("stopped, 1", "")]
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, color_system="standard")
    console.print(table(("STATE", "SEEN"), rows, 80))
    text = output.getvalue()
    coloured = re.findall(r"\x1b\[[\d;]*3\dm(\w+)", text)
    assert coloured == ([] if no_color else ["fault", "stopped"])


def test_repairs_that_are_not_to_be_trusted() -> None:
    """Control characters in the names that a repair reports are spelled out."""
    lines = repaired([HOSTILE], [HOSTILE]).split("\n")
    assert lines[:2] == [SHOWN, f"problem: {SHOWN}"]
