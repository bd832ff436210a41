"""The templates of the CPI's job, rendered with properties of manifests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.release import jobs, packages

TEMPLATE = packages.RELEASE / "jobs" / "runc_cpi" / "templates" / "cpi.json.erb"
TLS = {"ca": "CA\n", "certificate": 'a "certificate"\n', "private_key": "a key\n"}
DAV = {"provider": "dav", "options": {"endpoint": "https://10.0.0.4:25250"}}
MBUS = "nats://10.0.0.4:4222"


def render(properties: dict[str, Any]) -> Any:
    """Return the rendered configuration of the executable."""
    return json.loads(jobs.render(TEMPLATE, properties))


def agent(**properties: Any) -> Any:
    """Return the agent's part of the rendered configuration."""
    return render(properties).get("agent", {})


def test_nothing_given() -> None:
    """What is not given is left out, so the executable's defaults count."""
    assert render({}) == {"network_type": "tcp"}


def test_address() -> None:
    """The address of the daemon is passed on unchanged."""
    given = {"network_type": "unix", "address": "/run/runc-cpid/cpid.sock"}
    assert render({"runc_cpi": given}) == given


def test_tls() -> None:
    """The three properties of tls are passed on, whatever characters they have."""
    assert render({"runc_cpi": {"tls": TLS}})["tls"] == TLS


@pytest.mark.parametrize("missing", sorted(TLS))
def test_part_of_tls(missing: str) -> None:
    """If one of the three properties of tls is missing, the error names it."""
    tls = {key: value for key, value in TLS.items() if key != missing}
    with pytest.raises(jobs.RenderingFailed, match=f"runc_cpi.tls: {missing} missing"):
        render({"runc_cpi": {"tls": tls}})


@pytest.mark.parametrize("tls", [None, {}, dict.fromkeys(TLS)])
def test_no_tls(tls: Any) -> None:
    """Without properties of tls the configuration has no tls."""
    assert "tls" not in render({"runc_cpi": {"tls": tls}})


def test_agent_as_the_reference_has_it() -> None:
    """Properties of the job come before those of the deployment, as in the reference."""
    own = {"mbus": MBUS, "ntp": ["a"], "blobstore": DAV}
    other = {
        "mbus": "other",
        "ntp": ["b"],
        "blobstore": {"provider": "local", "options": {}},
    }
    assert agent(runc_cpi={"agent": own}, agent=other, ntp=["c"]) == own


def test_director_of_today() -> None:
    """
    With today's director the properties have the URL; blobstores and ntp come with env.
    """
    env = {"bosh": {"blobstores": [DAV], "ntp": ["a"]}}
    blobstore = {"provider": "dav", "address": "10.0.0.4", "port": 25250}
    told = agent(agent={"mbus": MBUS, "env": env}, blobstore=blobstore)
    assert told == {"mbus": MBUS}


def test_create_env_of_today() -> None:
    """With today's create-env the properties have only the URL to listen at."""
    mbus = "https://mbus:secret@0.0.0.0:6868"
    assert agent(agent={"mbus": mbus}) == {"mbus": mbus}


def test_create_env_of_2018() -> None:
    """
    With create-env of 2018 blobstore and NTP servers are properties of the cloud provider.
    """
    told = agent(
        agent={"mbus": "m"},
        blobstore={"provider": "local", "path": "/var/vcap/micro_bosh/data/cache"},
        ntp=["time"],
    )
    assert told == {
        "mbus": "m",
        "ntp": ["time"],
        "blobstore": {
            "provider": "local",
            "options": {"blobstore_path": "/var/vcap/micro_bosh/data/cache"},
        },
    }


def test_agent_properties_of_the_deployment() -> None:
    """The agent's properties of the deployment come before the older places."""
    told = agent(
        agent={"ntp": ["a"], "blobstore": DAV},
        ntp=["b"],
        blobstore={"provider": "local", "path": "/p"},
    )
    assert told == {"ntp": ["a"], "blobstore": DAV}


def test_null_blobstore() -> None:
    """A blobstore may be null, as ops-files of other CPIs set it."""
    assert agent(runc_cpi={"agent": {"mbus": MBUS, "blobstore": None}}) == {"mbus": MBUS}


def test_no_options() -> None:
    """A blobstore may have no options."""
    told = agent(runc_cpi={"agent": {"blobstore": {"provider": "dummy"}}})
    assert told == {"blobstore": {"provider": "dummy", "options": {}}}


def test_renderer(tmp_path: Path) -> None:
    """The renderer offers templates what BOSH offers, and no more properties."""
    template = tmp_path / "job" / "templates" / "t"
    template.parent.mkdir(parents=True)
    (tmp_path / "job" / "spec").write_text("properties: {a.b: {default: 1}, c: {}}\n")
    template.write_text(
        "<%= p('a.b') %> <%= properties.a.b %> <%= p(%w[c d], 'none') %> "
        "<%= spec.networks.default.ip %> <%= name %>/<%= index %>"
        "<% if_p('c') { %> c<% }.else_if_p('a.b') { |b| %> b<%= b %><% }.else { %> e<% } %>"
        "<% if_link('l') { %> link<% }.else { %> none<% } %>"
    )
    told = jobs.render(template, {"d": "unseen"})
    assert told == "1 1 none 10.0.0.4 bosh/0 b1 none"
    template.write_text("<%= p('d') %>")
    with pytest.raises(jobs.RenderingFailed, match="no property d"):
        jobs.render(template, {"d": "unseen"})
