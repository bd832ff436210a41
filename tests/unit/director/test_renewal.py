"""Certificates that bosh has made: what ends soon is made anew, and nobody is cut off."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from cryptography import x509

from runc_cpi.ctl import certificates, doctor
from runc_cpi.ctl.director import authorities, renewal
from runc_cpi.ctl.director.daemon_files import DaemonFiles
from runc_cpi.ctl.director.director import Director
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.director.up import Up
from runc_cpi.ctl.operator import Operator
from tests.harness.certificates import Authority

# Certificates know no parts of a second.
NOW = datetime.now(timezone.utc).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A CA of bosh's."""
    return Authority("default_ca")


@pytest.fixture(scope="module")
def credentials(authority: Authority) -> dict[str, Any]:
    """What bosh has made, and a certificate that the operator has put there."""
    return {
        "admin_password": "1e5",
        "default_ca": authority.pair,
        "director_ssl": authority.issue("a", "10.0.0.4", ends=29 * DAY),
        "nats_server_tls": authority.issue("b", "10.0.0.4", ends=300 * DAY),
        "own": Authority("own").issue("c", "10.0.0.4", ends=3 * DAY),
        "jumpbox_ssh": {"private_key": "a key", "public_key": "ssh-ed25519 …"},
    }


def later(credentials: dict[str, Any], name: str) -> datetime:
    """Return the time at which a certificate is about to end."""
    return dict(authorities.certificates(credentials))[name].not_valid_after_utc - DAY


def test_what_ends_soon(credentials: dict[str, Any]) -> None:
    """Only what ends within 30 days is due, and only what bosh can make anew."""
    assert renewal.due(credentials, NOW) == ["director_ssl"]
    assert renewal.due(credentials, NOW - 2 * DAY) == []
    changed = renewal.renew(credentials, ["director_ssl"], NOW)
    assert changed == {key: credentials[key] for key in credentials if key in changed}
    assert set(credentials) - set(changed) == {"director_ssl"}


def test_a_ca_keeps_its_key(credentials: dict[str, Any], authority: Authority) -> None:
    """What it has signed before is good by the new one, and the other way round."""
    now = later(credentials, "default_ca")
    names = renewal.due(credentials, now)
    assert names == ["default_ca", "director_ssl", "nats_server_tls"]
    ends = now - NOW + 365 * DAY
    lasting = Authority.of(authority.pair).issue("d", "10.0.0.9", ends=ends)
    changed = renewal.renew({**credentials, "lasting": lasting}, names, now)
    before = x509.load_pem_x509_certificate(authority.pem.encode())
    after = x509.load_pem_x509_certificate(changed["default_ca"]["certificate"].encode())
    assert changed["default_ca"]["ca"] == changed["default_ca"]["certificate"]
    assert changed["lasting"]["ca"] == changed["default_ca"]["certificate"]
    assert changed["lasting"]["certificate"] == lasting["certificate"]
    assert after.not_valid_before_utc < now < after.not_valid_after_utc
    assert list(after.extensions) == list(before.extensions)
    signed = Authority.of(changed["default_ca"]).issue("e", "10.0.0.4")
    for pem in (lasting["certificate"], signed["certificate"]):
        for ca in (before, after):
            x509.load_pem_x509_certificate(pem.encode()).verify_directly_issued_by(ca)
    assert set(renewal.due(changed, now)) == set()


def test_a_ca_of_the_operators(
    credentials: dict[str, Any], directory: StateDirectory, tmp_path: Path
) -> None:
    """What bosh has signed by a CA of C{--vars} is due, and that CA is not."""
    made = {name: credentials[name] for name in credentials if name != "default_ca"}
    ca = credentials["default_ca"]
    # bosh writes the certificate anew, so that only it must be the same, and no text.
    given = {"default_ca": {**ca, "certificate": f"A CA:\n{ca['certificate']}\n"}}
    assert renewal.due(made, NOW) == []
    assert renewal.due(made, NOW, given) == ["director_ssl"]
    assert set(made) - set(renewal.renew(made, ["director_ssl"], NOW, given)) == {
        "director_ssl"
    }
    files = (tmp_path / "given.yml", tmp_path / "gone.yml")
    files[0].write_text(yaml.safe_dump(given))
    director = Director(Operator(), directory, Settings(vars=tuple(map(str, files))))
    renewal.write(directory, made)
    step = next(step for step in Up(director).steps() if step.name == "certificates")
    assert step.run().startswith("renewed: director_ssl; ")


def test_a_ca_between(authority: Authority) -> None:
    """It keeps its key as well, and what it has signed is good, also by what it is then."""
    middle = authority.between("middle", ends=20 * DAY)
    under = Authority.of(middle)
    credentials = {
        "under": under.issue("a", "10.0.0.4", ends=300 * DAY),
        "ends": under.issue("b", "10.0.0.4", ends=20 * DAY),
        "middle": middle,
        "default_ca": authority.pair,
    }
    assert renewal.due(credentials, NOW) == ["ends", "middle"]
    without = {name: credentials[name] for name in credentials if name != "default_ca"}
    assert renewal.due(without, NOW) == ["ends"]
    assert renewal.due(without, NOW, {"a_ca": authority.pair}) == ["ends", "middle"]
    now = later(credentials, "default_ca")
    names = renewal.due(credentials, now)
    assert set(names) == set(credentials)
    for names in (["ends", "middle"], ["middle", "default_ca"], ["default_ca", "middle"]):
        changed = renewal.renew(credentials, names, now)
        after = dict(authorities.certificates(changed))
        assert changed["middle"]["private_key"] == middle["private_key"]
        assert changed["middle"]["ca"] == changed["default_ca"]["certificate"]
        assert changed["under"]["ca"] == changed["middle"]["certificate"]
        assert ("ends" in changed) == ("ends" not in names)
        assert after["middle"].not_valid_after_utc > now
        after["middle"].verify_directly_issued_by(after["default_ca"])
        after["under"].verify_directly_issued_by(after["middle"])


@pytest.mark.parametrize("key", [None, "kept elsewhere"])
def test_without_the_key_of_a_ca(credentials: dict[str, Any], key: str | None) -> None:
    """Nothing of that CA can be made anew, so all of it stays."""
    changed = {**credentials, "default_ca": {**credentials["default_ca"]}}
    changed["default_ca"]["private_key"] = key
    assert renewal.due(changed, NOW) == []


def test_what_is_said(credentials: dict[str, Any]) -> None:
    """What ends first is named, with who renews it; so is what is due besides."""
    own = f"own ends first, in 3 days; {renewal.YOURS}"
    up = "runc-cpictl director up renews it"
    assert renewal.told({}, NOW) == "none yet"
    assert renewal.told(credentials, NOW) == f"{own}; director_ssl ends in 29 days; {up}"
    ended = renewal.told(credentials, NOW + 4 * DAY)
    assert ended.startswith("own has ended on ")
    made = {name: credentials[name] for name in credentials if name != "own"}
    assert renewal.told(made, NOW) == f"director_ssl ends first, in 29 days; {up}"
    early = NOW - 2 * DAY
    assert renewal.told(made, early) == "director_ssl ends first, in 31 days"


def test_the_file(directory: StateDirectory, credentials: dict[str, Any]) -> None:
    """All values stay texts; what is no such file is named, and not shown."""
    assert renewal.read(directory) == {}
    renewal.write(directory, credentials)
    assert directory.credentials.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(directory.credentials.read_text()) == credentials
    for text in ("- a secret", "a: [secret"):
        directory.credentials.write_text(text)
        with pytest.raises(click.ClickException) as refused:
            renewal.read(directory)
        assert str(directory.credentials) in refused.value.message
        assert "secret" not in refused.value.message


@pytest.mark.parametrize(("days", "state"), [(40, "ok"), (20, "warning"), (-2, "fault")])
def test_the_doctor(
    days: int,
    state: str,
    directory: StateDirectory,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says what ends first of what bosh has made, and what renews it."""
    monkeypatch.setattr("runc_cpi.ctl.director.directory.DEFAULT", str(directory.path))
    assert doctor.director() == []
    pair = authority.issue("a", "10.0.0.4", ends=days * DAY)
    renewal.write(directory, {"director_ssl": pair, "default_ca": authority.pair})
    (finding,) = doctor.director()
    assert (finding.check, finding.state) == ("director: director_ssl", state)
    assert bool(finding.advice) == (state != "ok")
    for days_of_own, state_of_own in ((40, "ok"), (2, "warning")):
        own = Authority("own").issue("b", "10.0.0.4", ends=days_of_own * DAY)
        kept = {"own": own, "director_ssl": pair, "default_ca": authority.pair}
        renewal.write(directory, kept)
        found = {each.check: each for each in doctor.director()}
        assert found["director: director_ssl"] == finding
        assert found["director: own"].state == state_of_own
        assert found["director: own"].advice == (renewal.YOURS if days_of_own < 30 else "")
    directory.credentials.write_text("[")
    (finding,) = doctor.director()
    assert (finding.check, finding.state) == ("director", "fault")
    monkeypatch.setattr(
        "runc_cpi.ctl.director.directory.DEFAULT", str(directory.credentials)
    )
    (finding,) = doctor.director()
    assert (finding.check, finding.state) == ("director", "fault")
    assert finding.seen == f"{directory.credentials}/creds.yml: Not a directory"


def test_the_daemons_certificates(tmp_path: Path) -> None:
    """They last for ten years; those that end soon are made anew."""
    files = DaemonFiles(tmp_path / "etc" / "config.yml")
    assert files.write(Settings())
    for days, again in ((31, False), (29, True), (0, False)):
        if days:
            shutil.rmtree(files.certificates, ignore_errors=True)
            certificates.write(files.certificates, ["10.0.0.1"], ["director"], days, 9999)
        assert files.make_certificates(Settings()) == again
    assert certificates.end(files.certificates) - NOW > 3000 * DAY
    for text in ("damaged", Authority().issue("a")["certificate"]):
        (files.certificates / "server.crt").write_text(text)
        assert files.make_certificates(Settings())
        assert not files.make_certificates(Settings())
