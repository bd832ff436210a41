"""What a BOSH director answers to the CLI: as much of its API as C{director} uses."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.harness.bosh.serving import Answer, Request

CONFIGS = ("cloud", "runtime", "cpi")
DONE = {"id": 1, "state": "done", "started_at": 1, "description": "done", "result": ""}


class DirectorAPI:
    """
    A director's API, and what it was told.

    @param password: of the user C{admin}.
    @ivar configs: the last of each type and name.
    @ivar stemcells: what was uploaded: a URL, or how many bytes.
    @ivar deployments: the names of deployments, which a test may put there.
    @ivar calls: what changed something, as method and path.
    @ivar is_broken: whether it answers to no call that changes something.
    """

    def __init__(self, password: str) -> None:
        self._password = password
        self.configs: dict[tuple[str, str], Any] = {}
        self.stemcells: list[str] = []
        self.deployments: list[str] = []
        self.calls: list[str] = []
        self.is_broken = False

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        where = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(where.query).items()}
        if where.path == "/info":
            return Answer(200, self._info(self._knows(request)))
        if not self._knows(request):
            return Answer(401, {"description": "Not authorized"})
        if request.method != "GET":
            if self.is_broken:
                return Answer(500, {"description": "the database is out of order"})
            self.calls.append(f"{request.method} {where.path}")
        parts = where.path.strip("/").split("/")
        return self._answer(request, parts, query)

    def _answer(self, request: Request, parts: list[str], query: dict[str, str]) -> Answer:
        noun = parts[0]
        if noun == "tasks":
            return Answer(200, b"" if "output" in parts else DONE)
        if noun in {f"{kind}_configs" for kind in CONFIGS}:
            return self._config(noun.removesuffix("_configs"), request, parts, query)
        if noun == "stemcells" and request.method == "POST":
            told = request.body
            as_url = len(told) < 4096 and told[:1] == b"{"
            self.stemcells.append(
                json.loads(told)["location"] if as_url else f"{len(told)} bytes"
            )
            return Answer(200, DONE)
        if noun == "stemcell_uploads":
            return Answer(200, {"needed": not self.stemcells})
        if noun == "deployments":
            if request.method == "DELETE":
                self.deployments.remove(parts[1])
                return Answer(200, DONE)
            return Answer(200, [_deployment(name) for name in self.deployments])
        if noun in ("cleanup", "releases") and request.method == "POST":
            return Answer(200, DONE)
        # No package is here already, so all of a release is uploaded.
        empty = request.method == "GET" or noun == "packages"
        return Answer(200, [] if empty else DONE)

    def _config(
        self, kind: str, request: Request, parts: list[str], query: dict[str, str]
    ) -> Answer:
        key = kind, query.get("name", "")
        if request.method == "GET":
            known = self.configs.get(key)
            return Answer(200, [] if known is None else [{"properties": json.dumps(known)}])
        document = yaml.safe_load(request.body)
        if "diff" in parts:
            changed = document != self.configs.get(key)
            return Answer(200, {"diff": [["changed: true", "added"]] if changed else []})
        if b"((" in request.body:
            # There is no config server that would know it when something is deployed.
            return Answer(400, {"description": "a variable in the config is unknown"})
        self.configs[key] = document
        return Answer(201, {})

    def _info(self, known: bool) -> dict[str, Any]:
        return {
            "name": "stand-in",
            "uuid": "11111111-2222-3333-4444-555555555555",
            "version": "283.0.0 (00000000)",
            "user": "admin" if known else None,
            "cpi": "runc_cpi",
            "features": {},
            "user_authentication": {"type": "basic", "options": {}},
        }

    def _knows(self, request: Request) -> bool:
        pair = base64.b64encode(f"admin:{self._password}".encode()).decode()
        return request.authorization == f"Basic {pair}"


def _deployment(name: str) -> dict[str, Any]:
    return {"name": name, "releases": [], "stemcells": [], "cloud_config": "none"}
