"""Which ids VMs get, and what is known of those of a VM whose record is broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runc_cpi.daemon.base.id_range import SIZE, IdRange
from runc_cpi.daemon.storage import ids
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.errors import CloudError

FIRST, LAST = 10 * SIZE, 14 * SIZE - 1


def new(parent: Path, name: str) -> Path:
    """Make the directory of a VM."""
    path = parent / name
    path.mkdir()
    return path


def test_each_vm_has_its_own(tmp_path: Path) -> None:
    """VMs get different ids of those allowed, until none are left."""
    given = [ids.assign(new(tmp_path, f"vm-{n}"), FIRST, LAST) for n in range(4)]
    assert {own.first for own in given} == set(range(FIRST, LAST, SIZE))
    with pytest.raises(CloudError, match=r"^security\.ids: all 4 ranges of 65536 ids"):
        ids.assign(new(tmp_path, "vm-4"), FIRST, LAST)
    assert Bundle(tmp_path / "vm-4").ids is None


def test_what_is_recorded(tmp_path: Path) -> None:
    """A VM keeps its ids; those of a VM that is gone are given again."""
    path = new(tmp_path, "vm-1")
    own = ids.assign(path, FIRST, FIRST + SIZE - 1)
    assert Bundle(path).ids == own == IdRange(FIRST)
    assert Bundle(path).root_id == FIRST
    (path / "ids.json").unlink()
    path.rmdir()
    assert ids.assign(new(tmp_path, "vm-2"), FIRST, FIRST + SIZE - 1) == own


def test_no_ids_of_its_own(tmp_path: Path) -> None:
    """A VM without a record has the ids of the host."""
    assert Bundle(tmp_path).ids is None
    assert Bundle(tmp_path).root_id == 0


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"first": 0}', '{"first": 65537}', '{"first": "65536"}']
    + [
        '{"first": -65536}',
        '{"first": 65536.0}',
        '{"first": true}',
        '{"first": 4294967296}',
    ],
)
def test_a_broken_record(tmp_path: Path, content: str) -> None:
    """It is an error that names the record; it does not mean the ids of the host."""
    (tmp_path / "ids.json").write_text(content)
    with pytest.raises(CloudError, match=r"ids\.json: "):
        _ = Bundle(tmp_path).ids


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_a_broken_record_beside(tmp_path: Path) -> None:
    """The ids of a VM with a broken record are taken: its files tell which."""
    broken = new(tmp_path, "vm-1")
    (broken / "ids.json").write_text("{")
    new(broken, "work")
    os.chown(broken / "work", FIRST + 33, FIRST + 33)
    with pytest.raises(CloudError, match="all 1 ranges"):
        ids.assign(new(tmp_path, "vm-2"), FIRST, FIRST + SIZE - 1)


def test_ids_in_the_vm() -> None:
    """An id of the VM is one of its range; what cannot be one becomes its root."""
    own = IdRange(FIRST)
    assert [own.of(0), own.of(1000), own.of(SIZE - 1)] == [
        FIRST,
        FIRST + 1000,
        FIRST + SIZE - 1,
    ]
    assert own.of(SIZE) == FIRST
    assert own.mapping == f"0 {FIRST} 65536"
