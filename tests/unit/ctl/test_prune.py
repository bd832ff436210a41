"""What C{runc-cpictl prune} takes for unused, and for named."""

from __future__ import annotations

from typing import Any

import pytest

from runc_cpi.ctl.operator import Operator
from runc_cpi.errors import StemcellInUse
from tests.unit.ctl.invoking import Tool

IMAGE = "sha256:" + "0" * 64


def stemcell(cid: str, image: str | None = None) -> dict[str, Any]:
    """Return a stemcell as the daemon tells of it."""
    features = {"init": "runit"}
    return {
        "stemcell_cid": cid,
        "image": image,
        "features": features,
        "cloud_properties": {},
    }


def disk(cid: str, **changes: Any) -> dict[str, Any]:
    """Return a disk as the daemon tells of it."""
    usual: dict[str, Any] = {
        "size": 8,
        "attached_to": None,
        "metadata": {},
        "created_at": "then",
    }
    return {"disk_cid": cid, **usual, **changes}


LISTS: dict[str, list[dict[str, Any]]] = {
    "ListVMs": [{"vm_cid": "vm-1", "stemcell_cid": "stemcell-1", "metadata": {}}],
    "ListStemcells": [
        stemcell("stemcell-1", IMAGE),
        stemcell("stemcell-2", IMAGE),
        stemcell("stemcell-3"),
    ],
    "ListDisks": [disk("disk-1"), disk("disk-2", metadata={"deployment": "cf"})],
    "ListSnapshots": [
        {
            "snapshot_cid": "snapshot-1",
            "disk_cid": "disk-1",
            "metadata": {},
            "created_at": "then",
        }
    ],
    "ListNetworks": [],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have a daemon that notes what it deletes; each thing takes 1 MiB."""
    deleted: list[str] = []

    def ask(_: Operator, command: str, **arguments: str) -> dict[bytes, bytes]:
        deleted.extend(arguments.values())
        if "stemcell-3" in deleted:
            raise StemcellInUse("a VM has come")
        return {}

    monkeypatch.setattr(Operator, "ask_for", lambda _, command, *__: [LISTS[command]])
    monkeypatch.setattr(Operator, "ask", ask)
    for module in ("prune", "stemcells"):
        name = f"runc_cpi.ctl.{module}.taken_by"
        monkeypatch.setattr(name, lambda *_: 1 << 20)
    return deleted


def test_what_is_unused(asked: list[str], tool: Tool) -> None:
    """Unused stemcells go; what a light one shares with one that stays is not freed."""
    outcome = tool("prune")
    assert outcome.status == 1
    lines = outcome.stderr.splitlines()
    assert lines[1:4] == [
        "stemcell stemcell-2: 0 B",
        "stemcell stemcell-3: 1 MiB",
        "That frees 1 MiB.",
    ]
    assert asked == []


def test_a_failure(asked: list[str], tool: Tool) -> None:
    """What cannot be deleted is named, and so is what went before it."""
    outcome = tool("prune", "--yes")
    assert outcome.status == 1
    assert "stemcell-3: a VM has come; deleted before it: stemcell-2" in outcome.stderr


def test_what_is_named(asked: list[str], tool: Tool) -> None:
    """A disk with a snapshot goes with it; what BOSH uses goes by force alone."""
    assert "it has snapshot-1" in tool("prune", "--yes", "disk-1").stderr
    assert "deployment cf" in tool("prune", "--yes", "disk-2").stderr
    assert "no disk and no snapshot disk-3" in tool("prune", "disk-1", "disk-3").stderr
    assert asked == []
    tool("prune", "--yes", "--force", "disk-2", "disk-1", "snapshot-1")
    assert asked[:3] == ["snapshot-1", "disk-1", "disk-2"]


def test_names_are_no_paths(asked: list[str], tool: Tool) -> None:
    """Only what the daemon tells of is deleted."""
    assert "no snapshot ../../etc" in tool("prune", "--yes", "../../etc").stderr
    assert asked == []
