"""Jobs of the release, rendered by the real ERB."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

RENDERER = Path(__file__).with_name("erb.rb")
# What BOSH tells every template about its instance.
INSTANCE = {
    "name": "bosh",
    "index": 0,
    "id": "5e1d8a7c",
    "az": "z1",
    "bootstrap": True,
    "deployment": "bosh",
    "address": "10.0.0.4",
    "networks": {"default": {"ip": "10.0.0.4"}},
}


class RenderingFailed(Exception):
    """A template raised an error; the message is Ruby's."""


def render(template: Path, properties: Mapping[str, Any]) -> str:
    """
    Render a template of a job.

    @param properties: as the manifest has them.
    @raise RenderingFailed: if the template does not accept them.
    """
    spec = read_spec(template.parents[1])
    context = {
        "definitions": spec.get("properties", {}),
        "properties": properties,
        "spec": INSTANCE,
    }
    outcome = subprocess.run(
        ["ruby", RENDERER, template],
        input=json.dumps(context),
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode != 0:
        raise RenderingFailed(outcome.stderr)
    return outcome.stdout


def read_spec(job: Path) -> Any:
    """Read the spec of a job."""
    return yaml.safe_load((job / "spec").read_text("utf-8"))


def install(job: Path, properties: Mapping[str, Any], target: Path) -> Path:
    """
    Render all templates of a job to where its spec says, with BOSH's file modes.

    @param target: the directory of all jobs.
    @return: the directory of this one.
    """
    place = target / job.name
    for source, destination in read_spec(job)["templates"].items():
        path = place / destination
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(job / "templates" / source, properties))
        path.chmod(0o755 if path.parent.name == "bin" else 0o644)
    return place
