"""The ops-files, applied to manifests with the layouts of bosh-deployment."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runc_cpi.daemon.networks import ports
from runc_cpi.daemon.vms.properties import VMProperties
from tests.release import jobs, ops, packages

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


def wanted(document: Any) -> set[str]:
    """Return the variables that an operator must give: bosh generates some itself."""
    made = {variable["name"] for variable in document.get("variables", ())}
    return ops.variables(document) - made


def by_name(items: Any, name: str) -> Any:
    """Return the item of a list that has a name."""
    (found,) = [item for item in items if item["name"] == name]
    return found


def test_all_files() -> None:
    """Each ops-file has a test."""
    names = {path.name for path in OPERATIONS.glob("*.yml")}
    assert names == {"runc-cpi.yml", *LAYERS, *ELSEWHERE, *CONFIGS}


@pytest.mark.parametrize("path", sorted(OPERATIONS.glob("*.yml")), ids=lambda p: p.name)
def test_comments(path: Path) -> None:
    """Each ops-file begins with its purpose, and a command that uses it."""
    comment = re.match(r"(#.*\n)+", path.read_text())
    assert comment
    assert "#   bosh " in comment[0]
    assert f"runc-cpi/operations/{path.name}" in comment[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_release(layout: str) -> None:
    """
    runc-cpi.yml adds the release, the CPI in both places, and the director's use of it.
    """
    document = ops.interpolate(manifest(layout), VALUES)
    assert by_name(document["releases"], "bosh-runc-cpi") == {
        "name": "bosh-runc-cpi",
        "url": "https://example.com/runc-cpi.tgz",
        "sha1": "c",
    }
    job = {"name": "runc_cpi", "release": "bosh-runc-cpi"}
    (group,) = document["instance_groups"]
    assert by_name(group["jobs"], "runc_cpi") == job
    assert document["cloud_provider"]["template"] == job
    assert group["properties"]["director"]["cpi_job"] == "runc_cpi"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_additions(layout: str) -> None:
    """
    runc-cpi.yml changes nothing of bosh-deployment but the name server, which is the
    daemon's if there is none.
    """
    before, after = ops.load(SKELETONS / f"{layout}.yml"), manifest(layout)
    del before["networks"][0]["subnets"][0]["dns"]
    assert_contained(before, after, "")
    assert "dns" not in after["networks"][0]["subnets"][0]


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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_variables(layout: str) -> None:
    """runc-cpi.yml needs only the documented variables."""
    assert wanted(manifest(layout)) == BASE
    assert not wanted(ops.interpolate(manifest(layout), VALUES)) - {"mbus_bootstrap_ssl"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_variables_of_layers(layout: str, name: str) -> None:
    """
    Each further ops-file needs only the documented variables, and applies to both layouts.
    """
    more, fewer = LAYERS[name]
    assert wanted(manifest(layout, name)) == (BASE - set(fewer.split())) | more


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layers(layout: str) -> None:
    """All ops-files apply together; of the stemcells the last one counts."""
    document = manifest(layout, *sorted(LAYERS))
    rest = ops.variables(ops.interpolate(document, VALUES))
    assert rest == {"mbus_bootstrap_ssl"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_the_cpi_is_told(layout: str) -> None:
    """The rendered job is right for the operator and for the director."""
    document = ops.interpolate(manifest(layout, "tls.yml"), VALUES)
    template = packages.RELEASE / "jobs" / "runc_cpi" / "templates" / "cpi.json.erb"
    provider = document["cloud_provider"]["properties"]
    external = json.loads(jobs.render(template, provider))
    assert external["address"] == "127.0.0.1:9999"
    assert external["tls"] == VALUES["runc_cpi_tls"]
    assert external["agent"]["mbus"] == "https://mbus:secret@0.0.0.0:6868"
    group = document["instance_groups"][0]["properties"]
    internal = json.loads(jobs.render(template, group))
    assert internal["address"] == "10.0.0.1:9999"
    assert internal["tls"] == VALUES["runc_cpi_tls"]
    url = {"today": "nats://10.0.0.4:4222", "old": "nats://nats:nats-secret@10.0.0.4:4222"}
    assert internal["agent"]["mbus"] == url[layout]
    if layout == "old":
        assert external["agent"]["ntp"] == internal["agent"]["ntp"] == ["time.example.com"]
        blobstore = {"provider": "local", "options": {"blobstore_path": "/cache"}}
        assert external["agent"]["blobstore"] == blobstore
    else:
        assert set(external["agent"]) == set(internal["agent"]) == {"mbus"}
    assert "blobstore" not in internal["agent"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_local_files(layout: str) -> None:
    """A local file needs no digest, which BOSH would compare."""
    names = ("dev-release.yml", "local-stemcell.yml")
    document = ops.interpolate(manifest(layout, *names), VALUES)
    assert by_name(document["releases"], "bosh-runc-cpi") == {
        "name": "bosh-runc-cpi",
        "url": "file:///tmp/bosh-runc-cpi.tgz",
    }
    stemcell = document["resource_pools"][0]["stemcell"]
    assert stemcell == {"url": "file:///tmp/stemcell.tgz"}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (None, "noble"),
        ("use-jammy.yml", "jammy"),
        ("use-resolute.yml", "resolute"),
    ],
)
def test_stemcells(name: str | None, line: str) -> None:
    """Each choice of a stemcell is one for containers, with its digest."""
    document = manifest("today", *([name] if name else []))
    stemcell = document["resource_pools"][0]["stemcell"]
    assert "warden-boshlite" in stemcell["url"]
    assert f"ubuntu-{line}" in stemcell["url"]
    assert re.fullmatch("[0-9a-f]{40}", stemcell["sha1"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nats(layout: str) -> None:
    """NATS is told of new agents at once, and they keep their certificates if asked to."""
    (group,) = manifest(layout)["instance_groups"]
    assert group["properties"]["nats-sync"] == {"intervals": {"poll_user_sync": 1}}
    director = group["properties"]["director"]
    assert "enable_short_lived_nats_bootstrap_credentials" not in director
    (group,) = manifest(layout, "fast-nats.yml")["instance_groups"]
    director = group["properties"]["director"]
    assert director["enable_short_lived_nats_bootstrap_credentials"] is False


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ports(layout: str) -> None:
    """The director's ports are the host's, and its certificates are for both addresses."""
    document = ops.interpolate(manifest(layout, "ports.yml"), VALUES)
    (pool,) = document["resource_pools"]
    published = ports.parse(pool["cloud_properties"]["ports"])
    assert list(map(str, published)) == [
        f"127.0.0.1:{port}/tcp" for port in (25555, 6868, 2222)
    ]
    assert [port.container for port in published] == [25555, 6868, 22]
    assert pool["cloud_properties"]["cpi_access"] is True
    assert document["cloud_provider"]["mbus"] == "https://mbus:secret@127.0.0.1:6868"
    for name in ("mbus_bootstrap_ssl", "director_ssl"):
        options = by_name(document["variables"], name)["options"]
        assert options["alternative_names"] == ["10.0.0.4", "127.0.0.1"]


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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_capabilities(layout: str) -> None:
    """
    The director's VM has all capabilities and may call; other VMs can get the capabilities.
    """
    (pool,) = manifest(layout)["resource_pools"]
    wanted = {"capabilities": "all"}
    assert pool["cloud_properties"] == {**wanted, "cpi_access": True}
    extension = by_name(cloud_config()["vm_extensions"], "all-capabilities")
    assert extension["cloud_properties"] == wanted


def test_disk_size() -> None:
    """A disk size stays a number."""
    document = ops.interpolate(manifest("today", "director-disk.yml"), VALUES)
    assert document["disk_pools"][0]["disk_size"] == 16384


def cloud_config(*names: str) -> Any:
    """Return the cloud config after ops-files, with values."""
    document = ops.load(OPERATIONS / "cloud-config.yml")
    for name in names:
        document = ops.apply(document, ops.load(OPERATIONS / name))
    return document


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


def test_no_anchors() -> None:
    """No file uses YAML anchors, so each part can be read alone."""
    for path in OPERATIONS.glob("*.yml"):
        tokens = yaml.scan(path.read_text())
        assert not [t for t in tokens if isinstance(t, (yaml.AnchorToken, yaml.AliasToken))]
