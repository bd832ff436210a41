"""The executable's configuration: JSON and YAML say the same, defaults make sense."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from runc_cpi.cpi import config
from runc_cpi.errors import InvalidArgument
from tests.contract.bad_configs import NO_TCP_ADDRESSES

WHOLE = {
    "network_type": "tcp",
    "address": "192.0.2.7:9999",
    "tls": {"ca": "/ca.crt", "certificate": "/a.crt", "private_key": "/a.key"},
    "connect_timeout": 7.5,
    "agent": {
        "mbus": "nats://192.0.2.1:4222",
        "ntp": ["192.0.2.2", "time.example"],
        "blobstore": {"provider": "dav", "options": {"endpoint": "http://192.0.2.3"}},
    },
}


@pytest.mark.parametrize("dump", [json.dumps, yaml.safe_dump])
def test_both_languages_say_the_same(tmp_path: Path, dump: Any) -> None:
    """The same keys in JSON and in YAML give the same configuration."""
    path = tmp_path / "cpi"
    path.write_text(dump(WHOLE))
    loaded = config.load(str(path), {})
    assert vars(loaded) == WHOLE


@pytest.mark.parametrize("text", ["", "{}", "---\n", "# nothing\n", "null"])
def test_all_keys_are_optional(tmp_path: Path, text: str) -> None:
    """An empty configuration has the default address and tells agents nothing."""
    path = tmp_path / "cpi"
    path.write_text(text)
    loaded = config.load(str(path), {})
    assert (loaded.network_type, loaded.address) == ("unix", "/run/runc-cpid/cpid.sock")
    assert not any(loaded.agent.values())
    assert (loaded.tls, loaded.connect_timeout) == (None, 3.0)


def test_the_default_address_is_the_daemons() -> None:
    """CPI and daemon have the same default address for each type of network."""
    from runc_cpi.daemon.config import DaemonConfig

    for kind in ("unix", "tcp"):
        cpi = config.parse({"network_type": kind})
        daemon = DaemonConfig.parse({"network_type": kind})
        assert cpi.address == str(daemon.address)


def test_json_does_not_import_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration in JSON does not import PyYAML, which would slow down each call."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "cpi.json"
    path.write_text(json.dumps(WHOLE))
    assert config.load(str(path), {}).address == "192.0.2.7:9999"
    path.write_text("network_type: tcp\n")
    with pytest.raises(InvalidArgument, match="PyYAML is not installed"):
        config.load(str(path), {})


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("host.example:65535", ("host.example", 65535)),
        ("[::1]:9999", ("::1", 9999)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
    ],
)
def test_addresses_of_tcp(address: str, parts: tuple[str, int]) -> None:
    """The host of an address may be a name; an IPv6 address stands in brackets."""
    assert config.split_address(address) == parts


@pytest.mark.parametrize("address", ["", *NO_TCP_ADDRESSES.values()])
def test_what_is_no_address_of_tcp(address: str) -> None:
    """A malformed address is refused with its value and what is accepted."""
    with pytest.raises(InvalidArgument) as caught:
        config.split_address(address)
    assert str(caught.value) == (
        f"address: {address!r} must be HOST:PORT or [IPv6]:PORT, as network_type is tcp"
    )


def test_the_path_is_named(tmp_path: Path) -> None:
    """An error names the path of the configuration, as a director may have several."""
    path = tmp_path / "cpi.yml"
    path.write_text("adress: typo\n")
    with pytest.raises(InvalidArgument) as caught:
        config.load(str(path), {})
    assert str(caught.value).startswith(f"configuration {path}: adress: unknown key")
    assert "network_type, address, tls, connect_timeout, agent" in str(caught.value)


def test_secrets_are_not_repeated() -> None:
    """An error does not repeat what agents are told, as it may be a password."""
    bad: list[dict[str, Any]] = [
        {"mbus": ["nats://u:sesame@192.0.2.1:4222"]},
        {"blobstore": "sesame"},
        {"blobstore": {"options": "sesame"}},
        {"blobstore": {"provider": ["sesame"]}},
    ]
    for agent in bad:
        with pytest.raises(InvalidArgument) as caught:
            config.parse({"agent": agent})
        assert "sesame" not in str(caught.value)
