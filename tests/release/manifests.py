"""Manifests and configs with the layouts of bosh-deployment, after our ops-files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.release import ops, packages

OPERATIONS = packages.PROJECT / "operations"
SKELETONS = Path(__file__).with_name("skeletons")
LAYOUTS = ("today", "old")
VALUES = {
    "director_name": "runc",
    "external_cpid_ip": "127.0.0.1",
    "internal_cpid_ip": "10.0.0.1",
    "internal_ip": "10.0.0.4",
    "internal_gw": "10.0.0.1",
    "internal_cidr": "10.0.0.0/16",
    "mbus_bootstrap_password": "secret",
    "nats_password": "nats-secret",
    "runc_cpi_release_url": "https://example.com/runc-cpi.tgz",
    "runc_cpi_release_sha1": "c",
    # Each other variable is asked for by one file only.
    "runc_cpi_release": "/tmp/bosh-runc-cpi.tgz",
    "runc_cpi_tls": {"ca": "CA", "certificate": "C", "private_key": "K"},
    "internal_dns": "192.0.2.2",
    "director_disk_size": 16384,
    "published_ip": "127.0.0.1",
    "vms_cidr": "10.244.0.0/20",
    "vms_gw": "10.244.0.1",
    "local_stemcell": "/tmp/stemcell.tgz",
    "second_cpid_ip": "192.0.2.12",
    "second_cidr": "10.1.0.0/16",
    "second_gw": "10.1.0.1",
    "other_type": "other",
    "other_properties": {"region": "here"},
    "cpid_address": "192.0.2.11:9999",
    "runc_cidr": "10.2.0.0/16",
    "runc_gw": "10.2.0.1",
}
# The files on top of runc-cpi.yml: which variables each needs, and which it replaces.
LAYERS = {
    "dev-release.yml": ({"runc_cpi_release"}, "runc_cpi_release_url runc_cpi_release_sha1"),
    "tls.yml": ({"runc_cpi_tls"}, ""),
    "internal-dns.yml": ({"internal_dns"}, ""),
    "director-disk.yml": ({"director_disk_size"}, ""),
    "local-stemcell.yml": ({"local_stemcell"}, ""),
    "use-jammy.yml": (set(), ""),
    "use-resolute.yml": (set(), ""),
    "fast-nats.yml": (set(), ""),
    "ports.yml": ({"published_ip"}, ""),
}
# The files on top of another CPI's: for a director on another infrastructure.
ELSEWHERE = {"cpi-secondary.yml", "unix-socket.yml"}
CONFIGS = {
    "cloud-config.yml", "cloud-config-hosts.yml", "cloud-config-secondary.yml",
    "cpi-config.yml", "cpi-config-secondary.yml",
}  # fmt: skip
BASE = {
    "director_name", "external_cpid_ip", "internal_cpid_ip",
    "internal_ip", "internal_gw", "internal_cidr",
    "runc_cpi_release_url", "runc_cpi_release_sha1",
}  # fmt: skip


def manifest(layout: str, *names: str) -> Any:
    """Return a manifest after runc-cpi.yml and other ops-files."""
    document = ops.load(SKELETONS / f"{layout}.yml")
    for name in ("runc-cpi.yml", *names):
        document = ops.apply(document, ops.load(OPERATIONS / name))
    return document


def elsewhere(*names: str) -> Any:
    """Return the manifest of a director on another infrastructure, after ops-files."""
    document = ops.load(SKELETONS / "today.yml")
    (group,) = document["instance_groups"]
    group["jobs"].append({"name": "other_cpi", "release": "other"})
    group["properties"]["director"]["cpi_job"] = "other_cpi"
    document["cloud_provider"]["template"] = {"name": "other_cpi", "release": "other"}
    for name in names:
        document = ops.apply(document, ops.load(OPERATIONS / name))
    return document


def cloud_config(*names: str) -> Any:
    """Return the cloud config after ops-files, with values."""
    document = ops.load(OPERATIONS / "cloud-config.yml")
    for name in names:
        document = ops.apply(document, ops.load(OPERATIONS / name))
    return document


def wanted(document: Any) -> set[str]:
    """Return the variables that an operator must give: bosh generates some itself."""
    made = {variable["name"] for variable in document.get("variables", ())}
    return ops.variables(document) - made


def by_name(items: Any, name: str) -> Any:
    """Return the item of a list that has a name."""
    (found,) = [item for item in items if item["name"] == name]
    return found


def assert_contained(part: Any, whole: Any, where: str) -> None:
    """Check that all of C{part} is in C{whole}, at the same place."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert key in whole, where
            assert_contained(value, whole[key], f"{where}/{key}")
    elif isinstance(part, list):
        for position, value in enumerate(part):
            assert_contained(value, whole[position], f"{where}/{position}")
    else:
        assert part == whole, where
