"""Device rules of cgroup v1, on directories that only look like cgroups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runc_cpi.daemon.host.cgroups.devices import RulesV1, RulesV2, allowed_by
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.vms.device_rules import ALLOWED, DeviceRule
from runc_cpi.daemon.vms.spec.document import limits

GROUP = "/runc-cpid-1/vm-1"
STANDARD = "c 1:3 rwm\nc 1:5 rwm\nb 8:0 r\nc 7:3 rwm\n"


def group(root: Path, name: str, *minors: int) -> Path:
    """Make a cgroup that allows the standard devices and some loop devices."""
    path = root / name.lstrip("/")
    path.mkdir(parents=True)
    loops = "".join(f"b 7:{minor} rwm\n" for minor in minors)
    (path / "devices.list").write_text(STANDARD + loops)
    for name in ("allow", "deny"):
        (path / f"devices.{name}").touch()
    return path


def written(path: Path) -> dict[str, str]:
    """Return what was written to a cgroup."""
    return {
        name: (path / f"devices.{name}").read_text()
        for name in ("allow", "deny")
        if (path / f"devices.{name}").read_text()
    }


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ([], [], {}),
        ([3], [3], {}),
        ([], [3], {"allow": "b 7:3 rwm"}),
        ([3], [], {"deny": "b 7:3 rwm"}),
        ([3, 4], [4, 5], {"allow": "b 7:5 rwm", "deny": "b 7:3 rwm"}),
        ([31], [3], {"allow": "b 7:3 rwm", "deny": "b 7:31 rwm"}),
    ],
)
def test_the_difference_is_written(
    tmp_path: Path, before: list[int], after: list[int], changes: dict[str, str]
) -> None:
    """A change of the loop devices writes one rule each, and leaves other devices alone."""
    path = group(tmp_path, GROUP, *before)
    RulesV1(tmp_path).allow_loops(GROUP, after)
    assert written(path) == changes


def test_cgroups_of_the_vm_follow(tmp_path: Path) -> None:
    """Cgroups that a VM made get the rules of the VM's, parents first."""
    group(tmp_path, GROUP)
    inner = group(tmp_path, f"{GROUP}/bpm/web")
    group(tmp_path, f"{GROUP}/bpm/web/leaf", 3)
    for name, text in (("list", STANDARD), ("allow", ""), ("deny", "")):
        (tmp_path / GROUP.lstrip("/") / f"bpm/devices.{name}").write_text(text)
    other = group(tmp_path, "/runc-cpid-1/vm-2", 9)
    RulesV1(tmp_path).allow_loops(GROUP, [3])
    assert written(inner) == {"allow": "b 7:3 rwm"}
    assert written(inner / "leaf") == {}
    assert written(other) == {}


def test_a_group_that_is_gone(tmp_path: Path) -> None:
    """Nothing is allowed in a cgroup that is gone."""
    RulesV1(tmp_path).allow_loops(GROUP, [3])
    assert list(tmp_path.iterdir()) == []


def test_what_a_specification_allows() -> None:
    """A specification allows the attached loop devices with v1, and all with v2."""
    rule = {"allow": True, "type": "b", "major": 7, "access": "rwm"}
    assert RulesV1().for_spec([3, 5]) == [{**rule, "minor": 3}, {**rule, "minor": 5}]
    assert RulesV1().for_spec([]) == []
    assert RulesV2().for_spec([3, 5]) == RulesV2().for_spec([]) == [rule]


def test_a_rule_in_each_language() -> None:
    """A rule is written as the kernel and the OCI runtime take it, and read back."""
    for rule, text in (
        (DeviceRule("c", 1, 3), "c 1:3 rwm"),
        (DeviceRule("b", None, None, "m"), "b *:* m"),
        (DeviceRule("c", 136, None), "c 136:* rwm"),
        (DeviceRule("b", 0, 0, "r"), "b 0:0 r"),
    ):
        assert str(rule) == text
        assert DeviceRule.from_spec(rule.to_spec()) == rule


def test_what_a_bundle_allows(tmp_path: Path) -> None:
    """What a specification allows is every rule of it that is no refusal."""
    resources = limits(cpu=None, ram=None, pids=100, swap_accounting=False)
    spec = {"linux": {"resources": resources}}
    (tmp_path / "config.json").write_text(json.dumps(spec))
    assert allowed_by(Bundle(tmp_path)) == list(ALLOWED)
