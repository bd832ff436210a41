"""The executable's configuration: where the daemon is, and what its agents are told."""

from __future__ import annotations

from runc_cpi.errors import InvalidArgument
from runc_cpi.json_text import loads_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping, Optional

KEYS = ("network_type", "address", "tls", "connect_timeout", "agent")
TLS_KEYS = ("ca", "certificate", "private_key")
DEFAULT_CONNECT_TIMEOUT = 3.0  # seconds
AGENT_KEYS = ("mbus", "ntp", "blobstore")
BLOBSTORE_KEYS = ("provider", "options")
DEFAULT_ADDRESSES = {"unix": "/run/runc-cpid/cpid.sock", "tcp": "127.0.0.1:9999"}


class CPIConfig:
    """
    What the executable is told.

    @ivar network_type: C{unix} or C{tcp}.
    @ivar address: of the daemon: a socket's path, or C{HOST:PORT}.
    @ivar tls: C{ca}, C{certificate} and C{private_key}, or L{None}.
    @ivar connect_timeout: for how many seconds to try to reach the daemon.
    @ivar agent: C{mbus}, C{ntp} and C{blobstore} for the agents' settings.
    """

    def __init__(
        self,
        *,
        network_type: str,
        address: str,
        tls: Optional[Dict[str, Any]],
        connect_timeout: float,
        agent: Dict[str, Any],
    ) -> None:
        self.network_type, self.address = network_type, address
        self.tls, self.connect_timeout, self.agent = tls, connect_timeout, agent


def load(path: str, context: Mapping[str, Any]) -> CPIConfig:
    """
    Read the configuration at C{path}, JSON or YAML.

    @param context: of the request.  The Director puts the properties of a C{cpi-config}
        entry there, for this call only: so one Director has the CPIs of many hosts.
    @raise InvalidArgument: naming what is wrong with it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise InvalidArgument(f"configuration {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidArgument(f"configuration {path}: not UTF-8 text") from None
    try:
        return parse(_overridden(_deserialize(text), context))
    except InvalidArgument as error:
        raise InvalidArgument(f"configuration {path}: {error}") from None


def _overridden(raw: Any, context: Mapping[str, Any]) -> Any:
    given = {key: context[key] for key in KEYS if context.get(key) is not None}
    if not given or not isinstance(raw, (dict, type(None))):
        return raw
    configured: Dict[str, Any] = raw or {}
    merged = {**configured, **given}
    agents = (configured.get("agent"), given.get("agent"))
    if isinstance(agents[0], dict) and isinstance(agents[1], dict):
        merged["agent"] = {**agents[0], **agents[1]}
    return merged


def _deserialize(text: str) -> Any:
    try:
        return loads_trusted(text)
    except (ValueError, RecursionError):
        # JSON needs no further import, which is felt at each of the many calls.
        pass
    try:
        import yaml
    except ImportError:
        raise InvalidArgument("not JSON, and PyYAML is not installed") from None
    try:
        return yaml.safe_load(text)
    # Its constructors also raise what int(), date() and the like do.
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
        LookupError,
        AttributeError,
    ) as error:
        # Its words would quote the file, which may hold passwords and keys.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidArgument(f"neither JSON nor YAML{where}") from None


def parse(raw: Any) -> CPIConfig:
    """
    Check a configuration.

    @raise InvalidArgument: naming the key, the value and what is accepted.
    """
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise InvalidArgument("must hold keys and values")
    _check_keys("", raw, KEYS)
    network_type = raw.get("network_type", "unix")
    if not isinstance(network_type, str) or network_type not in DEFAULT_ADDRESSES:
        raise InvalidArgument(f"network_type: {network_type!r} must be tcp or unix")
    address = raw.get("address", DEFAULT_ADDRESSES[network_type])
    if not isinstance(address, str) or not address:
        raise InvalidArgument(f"address: {address!r} must be a string")
    if network_type == "unix" and not address.startswith("/"):
        raise InvalidArgument(
            f"address: {address!r} must be the absolute path of a socket, as "
            "network_type is unix"
        )
    if network_type == "tcp":
        split_address(address)
    tls = _tls(raw.get("tls"))
    if tls is not None and network_type != "tcp":
        raise InvalidArgument("tls: goes with network_type tcp alone")
    timeout = raw.get("connect_timeout", DEFAULT_CONNECT_TIMEOUT)
    if (
        isinstance(timeout, bool)
        or not isinstance(timeout, (int, float))
        or not timeout >= 0
    ):
        raise InvalidArgument(f"connect_timeout: {timeout!r} must be a number of seconds")
    return CPIConfig(
        network_type=network_type,
        address=address,
        tls=tls,
        connect_timeout=float(timeout),
        agent=_agent(raw.get("agent")),
    )


def split_address(address: str) -> Any:
    """
    Split C{HOST:PORT}.

    @return: the host, without brackets, and the port.
    @raise InvalidArgument: if it is something else.
    """
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    numeric = port.isascii() and port.isdigit() and len(port) < 6
    if not name or not numeric or not 0 < int(port) < 65536 or (":" in name) != bracketed:
        raise InvalidArgument(
            f"address: {address!r} must be HOST:PORT or [IPv6]:PORT, as network_type is tcp"
        )
    return name, int(port)


def _tls(raw: Any) -> Optional[Dict[str, Any]]:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise InvalidArgument("tls: must hold ca, certificate and private_key")
    _check_keys("tls.", raw, TLS_KEYS)
    for key in TLS_KEYS:
        value = raw.get(key)
        if not isinstance(value, str) or not value:
            raise InvalidArgument(f"tls.{key}: must be PEM, or the path of a file of it")
    return {key: raw[key].lstrip() for key in TLS_KEYS}


def _agent(raw: Any) -> Dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise InvalidArgument("agent: must hold keys and values")
    _check_keys("agent.", raw, AGENT_KEYS)
    mbus = raw.get("mbus")
    if mbus is not None and not isinstance(mbus, str):
        raise InvalidArgument("agent.mbus: must be a URL")
    ntp = raw.get("ntp")
    if ntp is not None and not (
        isinstance(ntp, list) and all(isinstance(server, str) for server in ntp)
    ):
        raise InvalidArgument("agent.ntp: must be a list of servers")
    blobstore = raw.get("blobstore")
    if blobstore is not None:
        if not isinstance(blobstore, dict):
            raise InvalidArgument("agent.blobstore: must hold provider and options")
        _check_keys("agent.blobstore.", blobstore, BLOBSTORE_KEYS)
        if not isinstance(blobstore.get("provider", ""), (str, type(None))):
            raise InvalidArgument("agent.blobstore.provider: must be a string")
        if not isinstance(blobstore.get("options", {}), (dict, type(None))):
            raise InvalidArgument("agent.blobstore.options: must hold keys and values")
    return {"mbus": mbus, "ntp": ntp, "blobstore": blobstore}


def _check_keys(prefix: str, raw: Mapping[Any, Any], known: Any) -> None:
    for key in raw:
        if key not in known:
            raise InvalidArgument(
                f"{prefix}{key}: unknown key; the known ones are {', '.join(known)}"
            )
