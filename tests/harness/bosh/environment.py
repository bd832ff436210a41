"""What create-env and the like do, with the real CPI and an agent."""

from __future__ import annotations

import json
import tarfile
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.harness.bosh.client import Client
from tests.harness.cpi import CPI

TIMEOUT = 60


class Failed(RuntimeError):
    """The environment cannot be made as it should be."""


class Environment:
    """
    The one VM of a manifest for create-env.

    @param manifest: without variables.
    @param path: of the file with what there is; its keys are those of the CLI.
    """

    def __init__(self, manifest: Mapping[str, Any], path: Path) -> None:
        self._manifest, self._path = manifest, path
        self._state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        provider = manifest["cloud_provider"]
        where = urlsplit(provider["mbus"])
        url = f"https://{where.hostname}:{where.port}"
        ca = provider["cert"]["ca"]
        self._agent = Client(url, ca, where.username or "", where.password or "")

    def create(self) -> str:
        """Make the VM, or make it anew if anything has changed."""
        pool = self._manifest["resource_pools"][0]
        stemcell = _path(pool["stemcell"]["url"])
        releases = [_path(release["url"]) for release in self._manifest["releases"]]
        for path in (stemcell, *releases):
            if not path.exists():
                raise Failed(f"Opening file '{path}': no such file")
        sha = sha256(json.dumps(self._manifest, sort_keys=True).encode()).hexdigest()
        if self._state.get("current_manifest_sha") == sha:
            return "No deployment, stemcell or release changes. Skipping deploy."
        with self._cpi() as cpi:
            self._forget_vm(cpi)
            self._note(stemcell=_create_stemcell(cpi, stemcell))
            self._note(vm=self._create_vm(cpi, pool))
            self._wait()
            disk_cid = self._state.get("current_disk_id")
            if disk_cid is None:
                size = self._manifest["disk_pools"][0]["disk_size"]
                disk_cid = cpi.ok("create_disk", size, {}, self._state["current_vm_cid"])
                self._note(disk=disk_cid)
            cpi.ok("attach_disk", self._state["current_vm_cid"], disk_cid)
            for method in ("apply", "start"):
                self._tell(method, {})
        self._state["current_manifest_sha"] = sha
        self._save()
        return "Succeeded"

    def delete(self) -> str:
        """Delete all that there is."""
        with self._cpi() as cpi:
            self._forget_vm(cpi)
            if "current_disk_id" in self._state:
                cpi.ok("delete_disk", self._state["current_disk_id"])
        self._path.unlink(missing_ok=True)
        return "Succeeded"

    def stop(self) -> str:
        """Stop the jobs."""
        self._wait()
        self._tell("stop")
        return "Succeeded"

    def start(self) -> str:
        """Start the jobs."""
        self._wait()
        self._tell("start")
        return "Succeeded"

    def _cpi(self) -> _Calls:
        properties = self._manifest["cloud_provider"]["properties"]
        return _Calls({**properties["runc_cpi"], "agent": properties["agent"]})

    def _forget_vm(self, cpi: CPI) -> None:
        vm_cid = self._state.pop("current_vm_cid", None)
        if vm_cid is not None:
            cpi.ok("delete_vm", vm_cid)
        stemcell_cid = self._state.pop("current_stemcell_id", None)
        if stemcell_cid is not None:
            cpi.ok("delete_stemcell", stemcell_cid)
        self._state.pop("current_manifest_sha", None)
        if self._state:
            self._save()

    def _create_vm(self, cpi: CPI, pool: Mapping[str, Any]) -> str:
        subnet = self._manifest["networks"][0]["subnets"][0]
        group = self._manifest["instance_groups"][0]
        network = {
            "type": "manual",
            "ip": group["networks"][0]["static_ips"][0],
            "netmask": _netmask(subnet["range"]),
            "gateway": subnet["gateway"],
            "default": ["dns", "gateway"],
            "cloud_properties": {},
        }
        properties = pool.get("cloud_properties") or {}
        agent_id = f"agent-{time.time_ns()}"
        stemcell_cid = self._state["current_stemcell_id"]
        networks, env = {"default": network}, pool.get("env") or {}
        cid, _ = cpi.ok("create_vm", agent_id, stemcell_cid, properties, networks, [], env)
        metadata = {"director": "bosh-init", "deployment": "bosh", "job": "bosh"}
        cpi.ok("set_vm_metadata", cid, metadata)
        return str(cid)

    def _wait(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                self._tell("ping")
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failed(f"Agent unreachable: {error}") from None
                time.sleep(0.1)

    def _tell(self, method: str, *arguments: Any) -> None:
        call = {"method": method, "arguments": arguments, "reply_to": "d"}
        answer = self._agent.ask("POST", "/agent", call)
        if "exception" in answer:
            raise Failed(answer["exception"]["message"])

    def _note(self, **made: str) -> None:
        keys = {"vm": "current_vm_cid", "disk": "current_disk_id"}
        for kind, cid in made.items():
            self._state[keys.get(kind, "current_stemcell_id")] = cid
        self._save()

    def _save(self) -> None:
        self._path.write_text(json.dumps(self._state))


class _Calls:
    """Lends the CPI with a configuration."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._directory = tempfile.TemporaryDirectory()

    def __enter__(self) -> CPI:
        path = Path(self._directory.name) / "cpi.json"
        path.write_text(json.dumps(self._config))
        return CPI(path)

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()


def _create_stemcell(cpi: CPI, tarball: Path) -> str:
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(tarball) as archive:
            archive.extract("image", directory)
        image = Path(directory) / "image"
        return str(cpi.ok("create_stemcell", str(image), {"infrastructure": "warden"}))


def _path(url: str) -> Path:
    if not url.startswith("file://"):
        raise Failed(f"{url}: this bosh cannot download")
    return Path(url.removeprefix("file://"))


def _netmask(cidr: str) -> str:
    from ipaddress import IPv4Network

    return str(IPv4Network(cidr).netmask)
