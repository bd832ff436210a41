"""The ops-files, applied to manifests with the layouts of bosh-deployment."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from runc_cpi.daemon.networks import ports
from tests.release import jobs, ops, packages
from tests.release.manifests import (
    BASE,
    CONFIGS,
    ELSEWHERE,
    LAYERS,
    LAYOUTS,
    OPERATIONS,
    SKELETONS,
    VALUES,
    assert_contained,
    by_name,
    cloud_config,
    manifest,
    wanted,
)


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


def test_no_anchors() -> None:
    """No file uses YAML anchors, so each part can be read alone."""
    for path in OPERATIONS.glob("*.yml"):
        tokens = yaml.scan(path.read_text())
        assert not [t for t in tokens if isinstance(t, (yaml.AnchorToken, yaml.AliasToken))]
