"""
Stands in for the bosh CLI: what C{runc-cpictl director} has it do, and no more.

It makes VMs with the real CPI. The tests of C{director} also run with the real bosh CLI
(C{--bosh-cli}), so that this one is known to do the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.release import ops

if TYPE_CHECKING:
    from tests.harness.bosh.client import Client

# Kinds of configs, by the command that updates one.
CONFIGS = {
    "update-cloud-config": "cloud",
    "update-runtime-config": "runtime",
    "update-cpi-config": "cpi",
}


class Refused(RuntimeError):
    """What was asked for cannot be done."""


def main() -> None:
    """Do one command."""
    if sys.argv[1:] == ["--version"]:
        print("version 7.0.0-stand-in\n\nSucceeded")
        return
    options = parse(sys.argv[1:])
    try:
        told = COMMANDS[options.command](options)
    except (RuntimeError, ops.OpsError, OSError, tarfile.TarError) as error:
        sys.exit(f"{error}\n\nExit code 1")
    if options.json:
        print(json.dumps({"Tables": [{"Rows": told}]}))
    elif isinstance(told, str):
        print(told)


def parse(argv: list[str]) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser(prog="bosh")
    parser.add_argument("-n", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-d", dest="deployment")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("path", nargs="?")
    parser.add_argument("-o", dest="ops", action="append", default=[])
    parser.add_argument("-l", dest="files", action="append", default=[])
    parser.add_argument("--vars-store")
    parser.add_argument("--state")
    for option in ("--name", "--sha1", "--version", "--dir", "--tarball"):
        parser.add_argument(option)
    for option in ("--force", "--all"):
        parser.add_argument(option, action="store_true")
    return parser.parse_intermixed_args(argv)


def document(options: argparse.Namespace) -> Any:
    """Return the document of a command, with its ops-files and variables."""
    found = yaml.safe_load(Path(options.path).read_text("utf-8"))
    for path in options.ops:
        found = ops.apply(found, yaml.safe_load(Path(path).read_text("utf-8")) or [])
    values: dict[str, Any] = {}
    for path in options.files:
        values.update(yaml.safe_load(Path(path).read_text("utf-8")) or {})
    found = ops.interpolate(found, values)
    if options.vars_store is None:
        return found
    from tests.harness.bosh.variables import complete

    return ops.interpolate(found, complete(found, Path(options.vars_store)))


def interpolate(options: argparse.Namespace) -> str:
    """C{int}"""
    return str(yaml.safe_dump(document(options)))


def env_command(options: argparse.Namespace) -> str:
    """C{create-env}, C{delete-env}, C{stop-env} and C{start-env}"""
    from tests.harness.bosh import environment

    manifest = document(options)
    missing = ops.variables(manifest)
    if missing:
        raise Refused(f"Expected to find variables:\n{sorted(missing)}")
    site = environment.Environment(manifest, Path(options.state))
    actions = {
        "create-env": site.create,
        "delete-env": site.delete,
        "stop-env": site.stop,
        "start-env": site.start,
    }
    return actions[options.command]()


def create_release(options: argparse.Namespace) -> str:
    """C{create-release}"""
    source = Path(options.dir)
    manifest = source / "release.MF"
    manifest.write_text(f"name: bosh-runc-cpi\nversion: '{options.version}'\n")
    with tarfile.open(options.tarball, "w:gz", compresslevel=1) as archive:
        for name in ("release.MF", "jobs", "packages"):
            archive.add(source / name, name)
    manifest.unlink()
    return "Succeeded"


def director() -> Client:
    """Return the director that the environment names."""
    from tests.harness.bosh.client import Client

    return Client(
        os.environ["BOSH_ENVIRONMENT"],
        os.environ["BOSH_CA_CERT"],
        os.environ["BOSH_CLIENT"],
        os.environ["BOSH_CLIENT_SECRET"],
    )


def env(_: argparse.Namespace) -> list[dict[str, str]]:
    """C{env}"""
    info = director().ask("GET", "/info")
    if not info["user"]:
        raise Refused("Not logged in")
    return [{key: str(info[key]) for key in ("name", "uuid", "version", "user")}]


def deployments(_: argparse.Namespace) -> list[dict[str, str]]:
    """C{deployments}"""
    return [{"name": each["name"]} for each in director().ask("GET", "/deployments")]


def delete_deployment(options: argparse.Namespace) -> str:
    """C{delete-deployment}"""
    director().ask("DELETE", f"/deployments/{options.deployment}?force=true")
    return "Succeeded"


def clean_up(_: argparse.Namespace) -> str:
    """C{clean-up}"""
    director().ask("POST", "/cleanup", {"config": {"remove_all": True}})
    return "Succeeded"


def update_config(options: argparse.Namespace) -> str:
    """C{update-cloud-config} and the like"""
    kind, config = CONFIGS[options.command], document(options)
    for release in config.get("releases") or ():
        tarball = Path(release["url"].removeprefix("file://")).read_bytes()
        director().ask("POST", "/releases", tarball)
    path = f"/{kind}_configs?name={options.name or ''}"
    director().ask("POST", path, yaml.safe_dump(config).encode())
    return "Succeeded"


def show_config(options: argparse.Namespace) -> str:
    """C{cloud-config} and the like"""
    kind = options.command.removesuffix("-config")
    path = f"/{kind}_configs?name={options.name or ''}&limit=1"
    known = director().ask("GET", path)
    if not known:
        raise Refused(f"No {kind} config")
    return str(known[0]["properties"])


def upload_stemcell(options: argparse.Namespace) -> str:
    """C{upload-stemcell}"""
    api = director()
    if "://" not in options.path:
        with tarfile.open(options.path) as archive:
            archive.getmember("stemcell.MF")
    if not api.ask("POST", "/stemcell_uploads", {"stemcell": {}})["needed"]:
        return "Stemcell exists\n\nSucceeded"
    if "://" in options.path:
        api.ask("POST", "/stemcells", {"location": options.path, "sha1": options.sha1})
    else:
        api.ask("POST", "/stemcells", Path(options.path).read_bytes())
    return "Succeeded"


COMMANDS: dict[str, Any] = {
    "int": interpolate,
    "create-release": create_release,
    "env": env,
    "deployments": deployments,
    "delete-deployment": delete_deployment,
    "clean-up": clean_up,
    "upload-stemcell": upload_stemcell,
    **dict.fromkeys(("create-env", "delete-env", "stop-env", "start-env"), env_command),
    **dict.fromkeys(CONFIGS, update_config),
    **dict.fromkeys((f"{kind}-config" for kind in CONFIGS.values()), show_config),
}

if __name__ == "__main__":
    main()
