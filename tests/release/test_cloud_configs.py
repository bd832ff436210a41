"""The cloud config and the cpi-configs, with the ops-files for them."""

from __future__ import annotations

import pytest

from runc_cpi.daemon.networks import ports
from runc_cpi.daemon.vms.properties import VMProperties
from tests.release import jobs, ops, packages
from tests.release.manifests import (
    BASE,
    LAYOUTS,
    OPERATIONS,
    VALUES,
    by_name,
    cloud_config,
    manifest,
    wanted,
)


def test_cloud_config() -> None:
    """
    The cloud config needs the variables of create-env, and describes the same network.
    """
    document = cloud_config()
    assert wanted(document) <= BASE
    document = ops.interpolate(document, VALUES)
    (subnet,) = by_name(document["networks"], "default")["subnets"]
    assert subnet["range"] == "10.0.0.0/16"
    assert subnet["reserved"] == ["10.0.0.4"]
    assert "dns" not in subnet
    assert set(subnet["azs"]) == {az["name"] for az in document["azs"]}
    by_name(document["vm_types"], document["compilation"]["vm_type"])
    by_name(document["disk_types"], "default")


# What cf-deployment and bosh-deployment's examples for docker and warden ask for.
ASKED_FOR = {
    "vm_types": "default minimal small small-highmem medium",
    "vm_extensions": (
        "5GB_ephemeral_disk 10GB_ephemeral_disk 50GB_ephemeral_disk 100GB_ephemeral_disk "
        "500GB_ephemeral_disk 1TB_ephemeral_disk ssh-proxy-and-router-lb "
        "cf-router-network-properties diego-ssh-proxy-network-properties "
        "cf-tcp-router-network-properties all_ports"
    ),
    "disk_types": "default 1GB 5GB 10GB 100GB",
}


def test_names_of_others() -> None:
    """The cloud config has the names that well-known deployments ask for."""
    document = cloud_config()
    for kind, names in ASKED_FOR.items():
        for name in names.split():
            by_name(document[kind], name)


def test_a_laptop() -> None:
    """No VM type or extension is promised room on the disk, and the daemon takes all."""
    document = cloud_config()
    for item in (*document["vm_types"], *document["vm_extensions"]):
        given = item.get("cloud_properties", {})
        properties = VMProperties.parse(given)
        assert properties.unknown == ()
        assert properties.ephemeral_disk_size is None
        ports.parse(given.get("ports"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_name_server(layout: str) -> None:
    """internal-dns.yml names a name server, for the director and in the cloud config."""
    for document in (
        manifest(layout, "internal-dns.yml"),
        cloud_config("internal-dns.yml"),
    ):
        subnet = ops.interpolate(document, VALUES)["networks"][0]["subnets"][0]
        assert subnet["dns"] == ["192.0.2.2"]


def test_several_hosts() -> None:
    """With several hosts each AZ has an existing CPI, and a subnet of its own."""
    document = ops.interpolate(cloud_config("cloud-config-hosts.yml"), VALUES)
    config = ops.interpolate(ops.load(OPERATIONS / "cpi-config.yml"), VALUES)
    names = [cpi["name"] for cpi in config["cpis"]]
    assert [az["cpi"] for az in document["azs"]] == names
    subnets = document["networks"][0]["subnets"]
    assert [subnet["azs"] for subnet in subnets] == [["z1"], ["z2"]]
    assert not ops.variables([document, config])


def test_cpi_config() -> None:
    """The properties of a cpi-config are those of the job, without the job's name."""
    config = ops.interpolate(ops.load(OPERATIONS / "cpi-config.yml"), VALUES)
    spec = jobs.read_spec(packages.RELEASE / "jobs" / "runc_cpi")["properties"]
    known = {key.split(".")[1] for key in spec if key.startswith("runc_cpi.")}
    second = ops.load(OPERATIONS / "cpi-config-secondary.yml")["cpis"][1]
    for cpi in (*config["cpis"], second):
        assert cpi["type"] == "runc"
        assert set(cpi["properties"]) <= known
        # The director adds these properties of its own.
        assert not set(cpi["properties"]) & {"vm", "director_uuid", "request_id"}
    assert config["cpis"][0]["migrated_from"] == [{"name": ""}]
