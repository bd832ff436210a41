"""The checks of arguments: numbers of them, kinds of them, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from runc_cpi.cpi import arguments
from runc_cpi.errors import InvalidArgument

EXPECTED = (("vm_cid", arguments.text), ("env", arguments.mapping_or_none))


def test_arguments_come_back_in_order() -> None:
    """Each argument is checked by the kind at its place."""
    assert arguments.take("m", ["vm-1", {"a": 1}], *EXPECTED) == ["vm-1", {"a": 1}]


def test_optional_arguments_may_be_left_out() -> None:
    """Optional arguments may be left out from the end, and no others."""
    assert arguments.take("m", ["vm-1"], *EXPECTED, optional=1) == ["vm-1", {}]
    with pytest.raises(InvalidArgument, match="wrong number"):
        arguments.take("m", [], *EXPECTED, optional=1)


@pytest.mark.parametrize("given", [[], ["a"], ["a", {}, None]])
def test_a_wrong_number_names_the_method_and_the_arguments(given: list[Any]) -> None:
    """The error for a wrong number of arguments says how many are given and taken."""
    pattern = rf"^reboot: wrong number of arguments: {len(given)} given.*vm_cid, env$"
    with pytest.raises(InvalidArgument, match=pattern):
        arguments.take("reboot", given, *EXPECTED)


def test_a_method_without_arguments_says_so() -> None:
    """The error of a method without arguments says that it takes none."""
    with pytest.raises(InvalidArgument, match="1 given, it takes none"):
        arguments.take("ping", ["x"])


@pytest.mark.parametrize("value", ["", None, 5, True, [], {}, 1.5])
def test_a_text_is_a_string_with_something_in_it(value: Any) -> None:
    """An empty or other value for a text is refused by the name of the argument."""
    with pytest.raises(
        InvalidArgument, match=r"^cid: .*must be a string that is not empty"
    ):
        arguments.text("cid", value)


@pytest.mark.parametrize("value", ["a\0b", "\0"])
def test_a_text_holds_no_nul(value: str) -> None:
    """A NUL character is refused, as no path and no AMP text can hold one."""
    with pytest.raises(InvalidArgument, match="^cid: must not hold a NUL"):
        arguments.text("cid", value)


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_a_text_can_be_sent(value: str) -> None:
    """A lone surrogate, which JSON can spell, is refused as a text."""
    with pytest.raises(InvalidArgument, match="^cid: not a text that UTF-8 can hold"):
        arguments.text("cid", value)


@pytest.mark.parametrize("value", [None, [], "x", 1, False])
def test_a_mapping_is_an_object(value: Any) -> None:
    """An argument that must be an object is refused if it is anything else."""
    with pytest.raises(InvalidArgument, match="^networks: .*must be an object"):
        arguments.mapping("networks", value)


def test_null_stands_for_what_is_empty() -> None:
    """Null stands for an empty object or list, as old CLIs send it."""
    assert arguments.mapping_or_none("env", None) == {}
    assert arguments.texts_or_none("disk_cids", None) == []
    assert arguments.texts_or_none("disk_cids", ["disk-1"]) == ["disk-1"]


@pytest.mark.parametrize("value", ["disk-1", {}, 5, [5], [None], [["disk-1"]]])
def test_a_list_of_texts_holds_texts(value: Any) -> None:
    """A single text is not taken for a list of its letters."""
    with pytest.raises(InvalidArgument, match="^disk_cids: .*must be a"):
        arguments.texts_or_none("disk_cids", value)


@pytest.mark.parametrize("value", [None, 0, -1, True, 1.0, "1", [1]])
def test_an_amount_is_a_whole_number_above_zero(value: Any) -> None:
    """An amount that is no whole number above 0 is refused with its value."""
    with pytest.raises(InvalidArgument) as caught:
        arguments.amount("cpu", value)
    assert str(caught.value) == f"cpu: {value!r} must be a whole number above 0"


def test_an_amount_of_any_size_is_taken() -> None:
    """An amount has no upper bound in the executable."""
    assert arguments.amount("ram", 10**12) == 10**12
