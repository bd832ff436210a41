"""The template for Lima has the keys and types that Lima reads; an unknown key stops it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.harness.images import PROJECT

TEMPLATE = PROJECT / "operations" / "lima" / "runc-cpi.yaml"
# What may follow a key: a type, a pattern of a text, the keys of a mapping, or a list of
# one of these.
SIZE = re.compile(r"\d+[KMG]iB")
PORT = range(1, 65536)
KEYS: Mapping[str, Any] = {
    "minimumLimaVersion": re.compile(r"\d+\.\d+\.\d+"),
    "base": [re.compile(r"template:[a-z0-9_/-]+")],
    "cpus": int,
    "memory": SIZE,
    "disk": SIZE,
    "vmOpts": {"vz": {"rosetta": {"enabled": bool, "binfmt": bool}}},
    "containerd": {"system": bool, "user": bool},
    "portForwards": [
        {
            "guestPort": PORT,
            "hostPort": PORT,
            "hostIP": re.compile(r"127\.0\.0\.1"),
            "static": bool,
        }
    ],
    "message": str,
}


def check(value: Any, wanted: Any, where: str = "") -> None:
    """Fail if a value is not such as C{KEYS} says; C{where} it is."""
    if isinstance(wanted, dict):
        assert isinstance(value, dict), where
        for key, inner in value.items():
            assert key in wanted, f"{where}.{key}"
            check(inner, wanted[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(value, list) and value, where
        for number, inner in enumerate(value):
            check(inner, wanted[0], f"{where}[{number}]")
    elif isinstance(wanted, range):
        assert type(value) is int and value in wanted, where
    elif isinstance(wanted, re.Pattern):
        assert isinstance(value, str) and wanted.fullmatch(value), where
    else:
        assert type(value) is wanted, where


def test_keys_and_types() -> None:
    """Each key is known, and has a value of its type."""
    check(yaml.safe_load(TEMPLATE.read_text("utf-8")), KEYS)


def test_ports() -> None:
    """Those of the director are forwarded that C{ports.yml} publishes."""
    template = yaml.safe_load(TEMPLATE.read_text("utf-8"))
    forwarded = {rule["guestPort"] for rule in template["portForwards"]}
    operations = yaml.safe_load((PROJECT / "operations" / "ports.yml").read_text("utf-8"))
    (ports,) = (step["value"] for step in operations if step["path"].endswith("/ports?"))
    # As address:port:port.
    published = {int(port.split(":")[1]) for port in ports}
    assert forwarded == published
    for rule in template["portForwards"]:
        assert rule["guestPort"] == rule["hostPort"]
        # Without it Lima waits for a program that listens.
        assert rule["static"] is True


@pytest.mark.parametrize(
    "wrong", [{"cpu": 4}, {"cpus": "4"}, {"portForwards": [{"guestPort": 0}]}], ids=str
)
def test_what_is_wrong(wrong: Mapping[str, Any]) -> None:
    """What Lima would refuse is found."""
    with pytest.raises(AssertionError):
        check(wrong, KEYS)
