"""The arguments of create_vm are checked before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.properties import VMProperties
from runc_cpi.errors import InvalidArgument

ARGUMENTS: dict[str, Any] = {
    "agent_id": "a",
    "stemcell_cid": "s",
    "cloud_properties": {"ram": 512},
    "networks": {"n": {"type": "dynamic"}},
    "disk_cids": ["d"],
    "env": {},
    "agent": {},
}


ORDER = ("agent_id", "env", "disk_cids", "cloud_properties", "networks")


def test_arguments_that_the_contract_asks_for() -> None:
    """The least that the contract asks for is read, properties and networks as well."""
    new = NewVM.parse(**ARGUMENTS)
    assert new.cloud_properties == {"ram": 512}
    assert new.properties == VMProperties(ram=512)
    assert [network.name for network in new.networks] == ["n"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent_id", ""),
        ("agent_id", None),
        ("env", None),
        ("env", []),
        ("agent", "x"),
        ("disk_cids", None),
        ("disk_cids", {}),
        ("disk_cids", [1]),
    ],
)
def test_a_wrong_argument_is_refused(field: str, value: Any) -> None:
    """The error names the argument that is wrong, and says what it must be."""
    with pytest.raises(InvalidArgument, match=f"^{field}: .*must be "):
        NewVM.parse(**{**ARGUMENTS, field: value})


@pytest.mark.parametrize("number", range(len(ORDER)))
def test_the_first_wrong_argument_is_named(number: int) -> None:
    """Of several wrong arguments the error names the first, in a fixed order."""
    arguments = ARGUMENTS | dict.fromkeys(ORDER[number:])
    with pytest.raises(InvalidArgument, match=f"^{ORDER[number]}: "):
        NewVM.parse(**arguments)
