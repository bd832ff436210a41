"""The variables of a manifest, made and kept as the bosh CLI does it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.harness.certificates import Authority
from tests.release import ops


def complete(manifest: Any, store: Path) -> Mapping[str, Any]:
    """
    Make the variables that a manifest declares, unless they are in the store.

    @return: all that is in the store then.
    """
    text = store.read_text("utf-8") if store.exists() else ""
    values: dict[str, Any] = yaml.safe_load(text) or {}
    for variable in manifest.get("variables") or ():
        name = variable["name"]
        if name not in values:
            options = ops.interpolate(variable.get("options") or {}, values)
            values[name] = _make(variable["type"], options, values)
            store.touch(0o600)
            store.write_text(yaml.safe_dump(values))
    return values


def _make(kind: str, options: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    if kind == "password":
        return secrets.token_hex(10)
    if kind == "ssh":
        key = ed25519.Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        return {"private_key": private.decode(), "public_key": public.decode()}
    if options.get("is_ca"):
        return Authority(options["common_name"]).pair
    authority = Authority.of(values[options["ca"]])
    return authority.issue(options["common_name"], *options["alternative_names"])
