"""The CPI contract's envelope: which requests there are, and what a response holds."""

from __future__ import annotations

from runc_cpi import json_text
from runc_cpi.cpi.arguments import shown
from runc_cpi.errors import CPIError, InvalidArgument, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

API_VERSIONS = (1, 2, 3)
# The last three are the same: cloud_properties name an image in a registry.
STEMCELL_FORMATS = (
    "warden-tar",
    "general-tar",
    "oci-light",
    "docker-light",
    "warden-light",
)
REQUEST_LIMIT = 16 << 20


class Request:
    """
    One call.

    @ivar method: the contract's name of it.
    @ivar arguments: as they came.
    @ivar context: what else the caller says, with the properties of a C{cpi-config}.
    @ivar api_version: the version of the contract to answer in.
    @ivar cids: what the call is about or has made, by the contract's names.
    """

    def __init__(
        self, method: str, arguments: List[Any], context: Dict[str, Any], version: int
    ) -> None:
        self.method, self.arguments = method, arguments
        self.context, self.api_version = context, version
        self.cids: Dict[str, str] = {}

    @property
    def request_id(self) -> str:
        """The Director's id of the call, or nothing; the CLI sends none."""
        value = self.context.get("request_id")
        return value if isinstance(value, str) else ""

    @property
    def agent_is_told(self) -> bool:
        """
        Whether the Director tells the agent of disks itself.

        It does since version 2 of the contract, to agents of stemcells that are of
        version 2 as well; others find disks in their settings file.
        """
        vm = self.context.get("vm")
        stemcell = vm.get("stemcell") if isinstance(vm, dict) else None
        version = stemcell.get("api_version") if isinstance(stemcell, dict) else None
        return self.api_version > 1 and (not isinstance(version, int) or version > 1)


def info() -> Any:
    """Answer C{info} without the daemon, as the Director sends it before every call."""
    return {"api_version": max(API_VERSIONS), "stemcell_formats": list(STEMCELL_FORMATS)}


def parse(raw: bytes) -> Request:
    """
    Read a request.

    @raise InvalidArgument: saying what is wrong with it.
    @raise NotSupported: if it is of an unknown version of the contract.
    """
    if not raw.strip():
        raise InvalidArgument("no request: stdin must hold one JSON object")
    if len(raw) > REQUEST_LIMIT:
        raise InvalidArgument(f"the request has more than {REQUEST_LIMIT} bytes")
    try:
        request = json_text.loads(raw)
    except ValueError as error:
        raise InvalidArgument(f"the request is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise InvalidArgument("the request must be a JSON object")
    method = request.get("method")
    if not isinstance(method, str) or not method:
        raise InvalidArgument(f"method: {shown(method)} must be a string that is not empty")
    arguments = _field(request, "arguments", list, [])
    context = _field(request, "context", dict, {})
    # Before versions there was no such field, and the first call of all has none.
    version = request.get("api_version", 1)
    if isinstance(version, bool) or not isinstance(version, int):
        raise InvalidArgument(f"api_version: {version!r} is no whole number")
    # The answer to info says which versions there are, so it asks for none.
    if version not in API_VERSIONS and method != "info":
        known = ", ".join(map(str, API_VERSIONS))
        raise NotSupported(f"api_version: {version} is none of {known}")
    return Request(method, arguments, context, version)


def _field(request: Dict[str, Any], name: str, kind: Any, missing: Any) -> Any:
    value = request.get(name)
    if value is None:
        return missing
    if not isinstance(value, kind):
        noun = "a list" if kind is list else "an object"
        raise InvalidArgument(f"{name}: {shown(value)} must be {noun}")
    return value


def account(asked: Request, seconds: float, *, failed: bool) -> str:
    """
    Return what C{log} says of a call, in one line.

    @param seconds: how long it took.
    """
    ending = "failed after" if failed else "took"
    line = f"{asked.method} {ending} {seconds * 1000:.0f} ms"
    cids = [
        f"{name} {cid if cid.isprintable() else shown(cid)}"
        for name, cid in asked.cids.items()
    ]
    return f"{line}: {', '.join(cids)}" if cids else line


def response(result: Any, error: Optional[CPIError], log: str = "") -> str:
    """Return the response as JSON: always all three keys, C{log} always a string."""
    told = None
    if error is not None:
        told = {
            "type": error.bosh_type,
            "message": str(error),
            "ok_to_retry": error.ok_to_retry,
        }
    return json_text.dumps({"result": result, "error": told, "log": log})
