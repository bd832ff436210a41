"""How a director is reached: its address, credentials, and the way to its VMs."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import yaml

from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.settings import API, PUBLISHED, SSH, Settings

CLIENT = "admin"
JUMPBOX = "jumpbox"


@dataclass(frozen=True)
class Environment:
    """
    How a director is reached.

    @ivar directory: the director's. @ivar settings: what it is like.
    """

    directory: StateDirectory
    settings: Settings

    @property
    def url(self) -> str:
        """The director's address."""
        return f"https://{PUBLISHED}:{API}"

    def credentials(self) -> Mapping[str, Any]:
        """
        Return what bosh has made for the director.

        @raise click.ClickException: if it has not yet.
        """
        try:
            text = self.directory.credentials.read_text("utf-8")
        except FileNotFoundError:
            text = ""
        found = yaml.safe_load(text) or {}
        for name in ("admin_password", "director_ssl"):
            if name not in found:
                raise click.ClickException(
                    f"{self.directory.credentials} has no {name}: there is no director "
                    "yet; runc-cpictl director up makes one"
                )
        credentials: Mapping[str, Any] = found
        return credentials

    def login(self) -> dict[str, str]:
        """Return what has bosh log in to the director, by the published ports alone."""
        credentials = self.credentials()
        return {
            "BOSH_ENVIRONMENT": self.url,
            "BOSH_CLIENT": CLIENT,
            "BOSH_CLIENT_SECRET": str(credentials["admin_password"]),
            "BOSH_CA_CERT": str(credentials["director_ssl"]["ca"]),
        }

    def variables(self, *, proxy: bool = True, key: str | None = None) -> dict[str, str]:
        """
        Return what has bosh reach the director, and all its VMs if it has a jumpbox.

        @param proxy: whether the way to its VMs is wanted.
        @param key: where the jumpbox's key is, on another machine than this.
        """
        variables = self.login()
        if self.has_jumpbox:
            self.write_key()  # to be copied, also where it is not used now
        if proxy and self.has_jumpbox:
            key = key or str(self.directory.jumpbox_key)
            way = f"ssh+socks5://{JUMPBOX}@{PUBLISHED}:{SSH}?private-key={key}"
            variables["BOSH_ALL_PROXY"] = way
        return variables

    @property
    def has_jumpbox(self) -> bool:
        """Whether one can log in to its VM."""
        return "jumpbox_ssh" in self.credentials()

    def write_key(self) -> None:
        """Write the key for the jumpbox to a file of its own, as ssh takes it."""
        key = str(self.credentials()["jumpbox_ssh"]["private_key"])
        path = self.directory.jumpbox_key
        if not path.exists() or path.read_text("utf-8") != key:
            self.directory.write(path, key)

    def exports(self, *, proxy: bool = True, key: str | None = None) -> str:
        """
        Return what a shell evaluates to have bosh reach the director.

        @param proxy: as for L{variables}, and so is C{key}.
        """
        lines = [
            f"export {name}={shlex.quote(value)}"
            for name, value in self.variables(proxy=proxy, key=key).items()
        ]
        if shutil.which("bosh") is None and (self.directory.bin / "bosh").exists():
            lines.append(f'export PATH="$PATH":{shlex.quote(str(self.directory.bin))}')
        return "\n".join(lines)

    def vm_cid(self) -> str | None:
        """Return the id of the director's VM, as bosh noted it, or L{None} without one."""
        try:
            state = json.loads(self.directory.state.read_text("utf-8"))
        except FileNotFoundError:
            return None
        cid: str | None = state.get("current_vm_cid") or None
        return cid
