"""The ops-files for a director on another infrastructure."""

from __future__ import annotations

import json
import os

import yaml

from tests.release import jobs, ops, packages
from tests.release.manifests import (
    OPERATIONS,
    VALUES,
    assert_contained,
    by_name,
    elsewhere,
    wanted,
)


def test_beside_another_infrastructure() -> None:
    """cpi-secondary.yml adds the CPI, and leaves the director's own as it is."""
    document = elsewhere("cpi-secondary.yml")
    assert_contained(elsewhere(), document, "")
    (group,) = document["instance_groups"]
    assert by_name(group["jobs"], "runc_cpi")["release"] == "bosh-runc-cpi"
    assert by_name(document["releases"], "bosh-runc-cpi")["url"]
    document = elsewhere("cpi-secondary.yml", "dev-release.yml")
    assert wanted(document) == {
        "director_name", "internal_ip", "internal_gw", "internal_cidr", "runc_cpi_release",
    }  # fmt: skip


def test_both_infrastructures() -> None:
    """
    cpi-config-secondary.yml names both CPIs by their jobs, and each AZ one of them.

    What was there before belongs to the other infrastructure.
    """
    config = ops.interpolate(ops.load(OPERATIONS / "cpi-config-secondary.yml"), VALUES)
    other, runc = config["cpis"]
    (group,) = elsewhere("cpi-secondary.yml")["instance_groups"]
    for cpi in (other, runc):
        assert by_name(group["jobs"], f"{cpi['type']}_cpi")
    assert other["properties"] == VALUES["other_properties"]
    assert other["migrated_from"] == [{"name": ""}]
    assert "migrated_from" not in runc
    assert runc["properties"]["address"] == VALUES["cpid_address"]
    before = {"azs": [{"name": "z1"}], "networks": [{"name": "default"}]}
    after = ops.apply(before, ops.load(OPERATIONS / "cloud-config-secondary.yml"))
    assert not ops.variables([ops.interpolate(after, VALUES), config])
    assert {az["name"]: az["cpi"] for az in after["azs"]} == {
        "z1": other["name"],
        "runc": runc["name"],
    }
    assert by_name(after["networks"], "default") == {"name": "default"}
    (subnet,) = by_name(after["networks"], "runc")["subnets"]
    assert subnet["az"] == "runc"


def test_the_daemon_beside_the_director() -> None:
    """unix-socket.yml has the daemon where the director's CPI calls it."""
    document = elsewhere("cpi-secondary.yml", "unix-socket.yml")
    group = ops.interpolate(document, VALUES)["instance_groups"][0]
    assert by_name(group["jobs"], "runc_cpid")["release"] == "bosh-runc-cpi"
    properties = group["properties"]
    assert properties["director"]["cpi_job"] == "runc_cpi"
    templates = packages.RELEASE / "jobs"
    daemon = yaml.safe_load(
        jobs.render(templates / "runc_cpid" / "templates" / "config.yml.erb", properties)
    )
    cpi = json.loads(
        jobs.render(templates / "runc_cpi" / "templates" / "cpi.json.erb", properties)
    )
    for key in ("network_type", "address"):
        assert cpi[key] == daemon[key] == properties["runc_cpid"][key]
    assert daemon["socket_group"] == "vcap"
    assert daemon["cidr"] == "10.244.0.0/20"
    (volume,) = properties["director"]["cpi_additional_volumes"]
    assert volume == {"path": os.path.dirname(cpi["address"]), "writable": True}
    assert document["cloud_provider"] == elsewhere()["cloud_provider"]
