"""Parts of C{director}: names of stemcells, versions, the daemon's files, environments."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from runc_cpi.ctl.director import deployment, project
from runc_cpi.ctl.director.bosh_cli import BoshCLI
from runc_cpi.ctl.director.daemon_files import MARK, DaemonFiles
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.environment import Environment
from runc_cpi.ctl.director.manifest import (
    Manifest,
    difference,
    release_urls,
    stemcell_of,
)
from runc_cpi.ctl.director.running import Runner
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.director.told import arguments, name_and_version, names, sources
from tests.release import ops

NOBLE = "bosh-warden-boshlite-ubuntu-noble"


class Interpolating(BoshCLI):
    """A bosh CLI that puts variables into one document, and has no ops-files."""

    def interpolate(self, arguments: Sequence[str | Path]) -> str:
        """Return the document with the variables of the files."""
        values: dict[str, Any] = {}
        for option, path in zip(arguments, arguments[1:], strict=False):
            if option == "-l":
                values.update(yaml.safe_load(Path(path).read_text("utf-8")))
        document = yaml.safe_load(self.path.read_text("utf-8"))
        return str(yaml.safe_dump(ops.interpolate(document, values)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bosh-stemcell-1.484-warden-boshlite-ubuntu-noble.tgz", (NOBLE, "1.484")),
        (
            "bosh-stemcell-1.1364-warden-boshlite-ubuntu-jammy-go_agent.tgz",
            ("bosh-warden-boshlite-ubuntu-jammy-go_agent", "1.1364"),
        ),
        ("stemcell.tgz", None),
    ],
)
def test_names_of_stemcells(name: str, expected: tuple[str, str] | None) -> None:
    """The director is asked for a stemcell by name before it downloads it."""
    assert name_and_version(f"https://example.com/1/{name}") == expected


def test_what_a_director_is_told() -> None:
    """DNS and other hosts are told only if they are wanted."""
    assert names(Settings()) == ["cloud-config", "dns", "stemcell"]
    settings = Settings(features=(), cpi_config="x")
    assert names(settings) == ["cloud-config", "cpi-config", "stemcell"]


def test_the_release_changes_with_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files give the same version, others another one."""
    before = project.release_version()
    assert project.release_version() == before
    copy = tmp_path / "copy"
    for name in ("runc_cpi", "operations"):
        (copy / name).parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", project.root() / name, copy / name], check=True)
    monkeypatch.setattr(project, "root", lambda: copy)
    assert project.release_version() == before
    with (copy / "runc_cpi" / "cpi" / "methods.py").open("a") as file:
        file.write("\n")
    assert project.release_version() != before


def test_the_daemons_files(tmp_path: Path) -> None:
    """They are made once, for the network; what the operator adds stays."""
    files = DaemonFiles(tmp_path / "etc" / "config.yml")
    settings = Settings(cidr="10.9.0.0/24")
    assert files.write(settings)
    assert files.make_certificates(settings)
    assert not files.write(settings)
    assert not files.make_certificates(settings)
    config = files.parse(settings)
    assert str(config.address) == "10.9.0.1:9999"
    tls = files.tls_variables(config)
    assert tls is not None
    key = tls.read_bytes()
    with files.config.open("a") as file:
        file.write("nat: false\nwork_dir: /somewhere\n")
    other = Settings(cidr="10.9.1.0/24")
    assert files.write(other)
    assert files.make_certificates(other)
    assert tls.read_bytes() != key
    values = yaml.safe_load(files.config.read_text())
    assert (values["nat"], values["work_dir"]) == (False, "/somewhere")
    assert values["cidr"] == "10.9.1.0/24"
    assert files.config.stat().st_mode & 0o777 == 0o600
    assert files.remove()
    assert not files.config.parent.exists()


def test_certificates_that_are_broken_off(tmp_path: Path) -> None:
    """What is not complete is made anew; what an operator has put beside it stays."""
    files = DaemonFiles(tmp_path / "etc" / "config.yml")
    assert files.write(Settings())
    assert files.make_certificates(Settings())
    variables = files.certificates / "vars.yml"
    variables.write_text("")
    mine = files.certificates / "mine.crt"
    mine.touch()
    assert files.make_certificates(Settings())
    assert variables.read_text()
    assert files.remove()
    assert list(files.certificates.iterdir()) == [mine]


def test_certificates_of_the_operator(tmp_path: Path) -> None:
    """Without a configuration nothing says that they are ours: they are not touched."""
    files = DaemonFiles(tmp_path / "config.yml")
    files.certificates.mkdir()
    key = files.certificates / "ca.key"
    key.write_text("mine")
    with pytest.raises(click.ClickException) as refused:
        files.write(Settings())
    assert f"{files.certificates} has certificates that are not ours" in (
        refused.value.message
    )
    assert not files.make_certificates(Settings())
    assert key.read_text() == "mine"
    assert not files.config.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network_type: unix\n", "address is /run/runc-cpid/cpid.sock; the director's VM"),
        ("network_type: tcp\naddress: 0.0.0.0:9998\n", "address is 0.0.0.0:9998"),
        (
            "network_type: tcp\naddress: 0.0.0.0:9999\ncidr: 10.8.0.0/16\n",
            "--cidr: 10.0.0.0/16 is no network of the daemon, which has 10.8.0.0/16",
        ),
        ("nothing: 1\n", "nothing"),
    ],
)
def test_a_configuration_of_the_operator(text: str, said: str, tmp_path: Path) -> None:
    """It is used as it is, or it is said why no director can use it."""
    files = DaemonFiles(tmp_path / "config.yml")
    files.config.write_text(text)
    with pytest.raises(click.ClickException) as refused:
        files.parse(Settings())
    assert said in refused.value.message
    assert not files.make_certificates(Settings())
    assert not files.write(Settings())
    assert not files.remove()
    assert files.config.read_text() == text


def test_a_mark_is_what_makes_it_ours(tmp_path: Path) -> None:
    """A file with our mark may be changed."""
    files = DaemonFiles(tmp_path / "config.yml")
    files.config.write_text(MARK)
    assert files.are_ours
    assert files.write(Settings())


def test_exports(directory: StateDirectory) -> None:
    """A shell gets the values as they are, whatever is in them."""
    password = "it's $HOME `x`\n"
    credentials = {"admin_password": password, "director_ssl": {"ca": "CA\nCA\n"}}
    directory.write(directory.credentials, yaml.safe_dump(credentials))
    environment = Environment(directory, Settings())
    printed = 'printf "%s|%s" "$BOSH_CLIENT_SECRET" "$BOSH_CA_CERT"'
    script = f"{environment.exports()}\n{printed}"
    argv = ["sh", "-c", script]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert told == f"{password}|CA\nCA\n"
    assert "BOSH_ALL_PROXY" not in environment.exports()
    credentials["jumpbox_ssh"] = {"private_key": "KEY"}
    directory.write(directory.credentials, yaml.safe_dump(credentials))
    assert "BOSH_ALL_PROXY" not in environment.exports(proxy=False)
    assert directory.jumpbox_key.exists()
    way = f"ssh+socks5://jumpbox@127.0.0.1:2222?private-key={directory.jumpbox_key}"
    assert f"export BOSH_ALL_PROXY={shlex.quote(way)}" in environment.exports()
    assert "private-key=/mac/key" in environment.exports(key="/mac/key")
    assert directory.jumpbox_key.read_text() == "KEY"
    assert directory.jumpbox_key.stat().st_mode & 0o777 == 0o600


def test_without_a_director(directory: StateDirectory) -> None:
    """It is said what makes one."""
    environment = Environment(directory, Settings())
    with pytest.raises(click.ClickException, match="runc-cpictl director up makes one"):
        environment.exports()
    assert environment.vm_cid() is None


def test_differences() -> None:
    """Only what differs is shown, with the lines around it."""
    before = "".join(f"line{number}: 1\n" for number in range(20))
    lines = difference(before, before.replace("line9: 1", "line9: 2"))
    assert lines[:2] == ["--- now", "+++ then"]
    assert [line for line in lines[3:] if line[0] in "+-"] == ["-line9: 1", "+line9: 2"]
    assert difference(before, before) == []


def test_what_a_manifest_names() -> None:
    """Releases on the Internet and the stemcell are found."""
    releases = [{"name": "a", "url": "https://x/a"}, {"name": "b", "url": "file:///b"}]
    pools = [{"name": "vms", "stemcell": {"url": "https://x/s"}}]
    manifest = {"releases": releases, "resource_pools": pools}
    assert release_urls(manifest) == {"a": "https://x/a"}
    assert stemcell_of(manifest) == {"url": "https://x/s"}
    assert (release_urls({}), stemcell_of({})) == ({}, {})


@pytest.mark.parametrize(
    "source", ["https://example.com/x", "https://x@-f", "https://x@a b", "https://x@"]
)
def test_bad_sources(source: str, directory: StateDirectory, runner: Runner) -> None:
    """What is neither a directory nor URL@REF is refused, and git is not started."""
    with pytest.raises(click.ClickException, match="neither a directory nor URL@REF"):
        deployment.get(source, directory, runner, None)
    assert not (directory.logs / "git.log").exists()


def test_a_cpi_config(directory: StateDirectory, tmp_path: Path) -> None:
    """It is told with the variables, and with what TLS takes."""
    settings = Settings(cpi_config="/c.yml", vars=("/v.yml",))
    manifest = Manifest(
        settings=settings,
        deployment=None,
        release=tmp_path / "r.tgz",
        tls=tmp_path / "tls.yml",
        directory=directory,
        cache=None,
    )
    told = list(map(str, arguments("cpi-config", manifest, "")))
    assert told == [
        *("update-cpi-config", "/c.yml", "-l", str(directory.variables)),
        *("-l", "/v.yml", "-l", f"{tmp_path}/tls.yml"),
    ]


@pytest.mark.parametrize(
    "features", [("dns",), ("dns", "credhub")], ids=["alone", "credhub"]
)
def test_the_certificates_of_dns(
    features: tuple[str, ...], directory: StateDirectory, tmp_path: Path
) -> None:
    """bosh makes them, unless the director has CredHub, which does."""
    manifest = Manifest(
        settings=Settings(features=features),
        deployment=tmp_path,
        release=tmp_path / "r.tgz",
        tls=None,
        directory=directory,
        cache=None,
    )
    told = arguments("dns", manifest, "")
    config = tmp_path / "runtime-configs" / "dns.yml"
    made = [] if "credhub" in features else ["--vars-store", directory.credentials]
    assert told == ["update-runtime-config", "--name", "dns", config, *made]
    assert sources(told) == [config, *made]


def test_variables_of_the_operator_are_not_shown(
    directory: StateDirectory, runner: Runner, tmp_path: Path
) -> None:
    """Their names are, also where one is ours, and a digest that tells changes."""
    document, variables = tmp_path / "m.yml", tmp_path / "v.yml"
    document.write_text("{a: ((token)), b: ((director_name)), c: ((internal_ip))}")
    manifest = Manifest(
        settings=Settings(features=(), manifest=str(document), vars=(str(variables),)),
        deployment=None,
        release=tmp_path / "r.tgz",
        tls=None,
        directory=directory,
        cache=None,
    )
    manifest.write_variables()
    bosh = Interpolating(document, directory, runner)
    shown = []
    for token in ("s3cret", "other"):
        variables.write_text(f"{{token: {token}, director_name: mine}}")
        shown.append(manifest.shown(bosh))
        told = yaml.safe_load(shown[-1])
        assert told == {"a": "((token))", "b": "((director_name))", "c": "10.0.0.4"}
    assert shown[0] != shown[1]
    for content, why in (
        ("[a]", "names with their values"),
        ("{", "no YAML"),
        (None, "No such"),
    ):
        if content is None:
            variables.unlink()
        else:
            variables.write_text(content)
        with pytest.raises(
            click.ClickException, match=f"--vars: {variables}: (?s:.*){why}"
        ):
            manifest.shown(bosh)
    variables.write_text("{token: other, director_name: mine}")
    complete = yaml.safe_load(manifest.complete(bosh))
    assert complete == {"a": "other", "b": "mine", "c": "10.0.0.4"}


def test_what_a_manifest_is_made_of(
    directory: StateDirectory, runner: Runner, tmp_path: Path
) -> None:
    """Ops-files come in an order that works; the operator's come last."""
    settings = Settings(
        features=("dns", "jumpbox", "credhub"),
        stemcell="https://example.com/s.tgz",
        stemcell_sha1="0" * 40,
        ops=("/mine.yml",),
        vars=("/v.yml",),
    )
    manifest = Manifest(
        settings=settings,
        deployment=Path("/bd"),
        release=tmp_path / "r.tgz",
        tls=tmp_path / "tls-vars.yml",
        directory=directory,
        cache=None,
    )
    bosh = BoshCLI(Path("/nonexistent"), directory, runner)
    told = list(map(str, manifest.arguments(bosh)))
    ops = [Path(told[i + 1]) for i, each in enumerate(told) if each == "-o"]
    assert told[0] == "/bd/bosh.yml"
    assert [path.name for path in ops] == [
        *("uaa.yml", "credhub.yml", "jumpbox-user.yml", "runc-cpi.yml"),
        *("dev-release.yml", "director-disk.yml", "ports.yml", "fast-nats.yml"),
        *("tls.yml", "stemcell.yml", "mine.yml"),
    ]
    assert told[-4:] == ["-l", str(directory.variables), "-l", "/v.yml"]
    (operation,) = yaml.safe_load(ops[-2].read_text())
    assert operation["value"] == {"url": settings.stemcell, "sha1": "0" * 40}

    alone = replace(manifest, settings=Settings(features=(), manifest="/m.yml"))
    told = list(map(str, replace(alone, deployment=None, tls=None).arguments(bosh)))
    assert told[0] == "/m.yml"
    assert not any("/bd/" in each or "tls" in each for each in told)
