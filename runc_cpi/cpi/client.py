"""A blocking AMP client: one connection, one call after the other."""

from __future__ import annotations

import json
import os
import socket
import struct
import time

from runc_cpi import wire
from runc_cpi.cpi.config import CPIConfig, split_address
from runc_cpi.errors import BY_CODE, CloudError, DaemonUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Dict, List, Tuple

CONNECT_TIMEOUT = 5.0
# A stemcell can take minutes; only a daemon that is lost takes longer.
ANSWER_TIMEOUT = 3600.0
KEEPALIVE_IDLE = 30
RETRY_PAUSE = 0.05
WINDOW = 32
REQUEST_ID_LIMIT = 64
# The calls that make something, and what its name is called in the answer.
MAKING = {
    "ImportStemcell": b"stemcell_cid",
    "FetchStemcell": b"stemcell_cid",
    "CloseStemcell": b"stemcell_cid",
    "CreateVM": b"vm_cid",
    "CreateDisk": b"disk_cid",
    "SnapshotDisk": b"snapshot_cid",
}
CLOSED = (EOFError, ConnectionResetError, BrokenPipeError)
AGAIN_AND_AGAIN = "; if it does so each time, its log tells why"


class Client:
    """
    A connection to the daemon, made when the first call needs it.

    @param config: where the daemon is.
    @param request_id: sent with each call, for the daemon's log.
    @param confirms: whether L{confirm} will be called for what is made; unless it is,
        the daemon unmakes it when the connection ends.
    """

    def __init__(
        self, config: CPIConfig, request_id: str, *, confirms: bool = False
    ) -> None:
        self._config, self._request_id = config, request_id
        self._confirms = confirms
        self._made = b""
        self._asks = 0
        self._descriptors = 0
        self._socket: Any = None
        self._answers: Any = None

    def call(self, command: str, **arguments: Any) -> Dict[bytes, bytes]:
        """
        Call, and wait for the answer.

        @param arguments: texts, numbers and bytes as AMP has them; lists, objects and
            L{None} travel as JSON.
        @return: the box that came back.
        @raise CPIError: what the daemon says, or that it cannot be reached.
        """
        self._send(command, arguments)
        return self._result(command)

    def call_with_file(
        self, command: str, name: str, fd: int, **arguments: Any
    ) -> Dict[bytes, bytes]:
        """
        Call, passing an open file as the argument C{name} (unix(7), SCM_RIGHTS).

        @raise CPIError: as L{call}.
        """
        self._connect()
        try:
            # AMP tells descriptors apart by their order; one rides on one byte at least.
            box = self._box(command, {**arguments, name: self._descriptors})
            socket.send_fds(self._socket, [box[:1]], [fd])
            self._descriptors += 1
            self._socket.sendall(box[1:])
        except OSError as error:
            raise self._hung_up(error) from None
        return self._result(command)

    def send_stream(self, command: str, source: BinaryIO, **arguments: Any) -> None:
        """
        Call once for each piece of C{source}, as the argument C{data}.

        Some calls are under way at any time, but no more than L{WINDOW}: the daemon
        answers at the pace at which it can take more.

        @raise CPIError: as L{call}.
        """
        unanswered = 0
        while True:
            data = source.read(wire.MAX_VALUE)
            if not data:
                break
            if unanswered == WINDOW:
                # Half of them at once: fewer turns for either side.
                while unanswered > WINDOW // 2:
                    self._receive()
                    unanswered -= 1
            self._send(command, {**arguments, "data": data})
            unanswered += 1
        for _ in range(unanswered):
            self._receive()

    def confirm(self) -> None:
        """
        Give the receipt for what was made, as others were told of it.

        An answer is not waited for: what was sent arrives, though the connection ends.
        """
        if not self._made:
            return
        pairs = [(b"_command", b"Confirm"), (b"cid", self._made)]
        try:  # noqa: SIM105 (contextlib is one more import)
            self._socket.sendall(wire.encode_box(pairs))
        except OSError:
            pass  # the daemon ended; what it made stays

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._answers.close()
            self._socket.close()

    def _connect(self) -> None:
        if self._socket is not None:
            return
        deadline = time.monotonic() + self._config.connect_timeout
        connection = self._reach(deadline)
        if self._config.tls is not None:
            connection = self._encrypted(connection, self._config.tls, deadline)
        connection.settimeout(ANSWER_TIMEOUT)
        self._socket, self._answers = connection, connection.makefile("rb")

    def _encrypted(self, connection: Any, own: Dict[str, str], deadline: float) -> Any:
        """Begin TLS, again for a while: strangers may flood the daemon's door."""
        from runc_cpi.cpi import tls

        host, _ = split_address(self._config.address)
        while True:
            try:
                return tls.wrap(connection, host, own)
            except (OSError, EOFError) as error:
                connection.close()
                # Nothing was asked yet, so to ask again is safe.
                closed = isinstance(error, (EOFError, ConnectionError))
                if not closed or not _pause(deadline):
                    raise self._turned_away(error) from None
            connection = self._reach(deadline)

    def _reach(self, deadline: float) -> Any:
        """Connect, trying again for a while: a daemon may be just about to start."""
        config = self._config
        while True:
            try:
                return _connected(config)
            # A name that cannot be looked up or encoded is a ValueError.
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and _pause(deadline):
                    continue
                raise DaemonUnreachable(
                    f"cannot reach runc-cpid at {config.address} "
                    f"({config.network_type}): {_reason(error)}"
                ) from None

    def _send(self, command: str, arguments: Dict[str, Any]) -> None:
        self._connect()
        try:
            self._socket.sendall(self._box(command, arguments))
        except socket.timeout as error:
            raise self._hung_up(error) from None
        except OSError:
            # The daemon hung up on what was being sent, and may have said why.
            while True:
                self._receive()

    def _box(self, command: str, arguments: Dict[str, Any]) -> bytes:
        self._asks += 1
        pairs: List[Tuple[bytes, bytes]] = [
            (b"_ask", b"%x" % self._asks),
            (b"_command", command.encode("ascii")),
        ]
        if self._request_id:
            request_id = self._request_id.encode("utf-8", "replace")[:REQUEST_ID_LIMIT]
            pairs.append((b"request_id", request_id))
        if self._confirms and command in MAKING:
            pairs.append((b"confirms", b"True"))
        for name, value in arguments.items():
            pairs += wire.split(name.encode("ascii"), _encode(value))
        return wire.encode_box(pairs)

    def _result(self, command: str) -> Dict[bytes, bytes]:
        answer = self._receive()
        if command in MAKING:
            self._made = answer.get(MAKING[command], b"")
        return answer

    def _receive(self) -> Dict[bytes, bytes]:
        try:
            box = wire.read_box(self._answers)
        except (OSError, EOFError, wire.WireError) as error:
            raise self._hung_up(error) from None
        if b"_error" in box:
            code = box.get(b"_error_code", b"").decode("ascii", "replace")
            text = box.get(b"_error_description", b"").decode("utf-8", "replace")
            if code in BY_CODE:
                raise BY_CODE[code](text)
            raise CloudError(f"runc-cpid answered {code}: {text}")
        return box

    def _hung_up(self, error: Exception) -> Exception:
        if self._config.tls is not None:
            import ssl

            if isinstance(error, ssl.SSLEOFError):
                error = EOFError()
            elif isinstance(error, ssl.SSLError):
                # With TLS 1.3 this is when a client learns that it is not accepted.
                from runc_cpi.cpi import tls

                return tls.explain(error)
        reason = _reason(error)
        if self._config.tls is None:
            # A daemon that ends looks like one with too many connections.
            reason += AGAIN_AND_AGAIN if isinstance(error, CLOSED) else ""
        return DaemonUnreachable(
            f"lost runc-cpid at {self._config.address} before it answered: {reason}"
        )

    def _turned_away(self, error: Exception) -> Exception:
        """Say why TLS did not come about: whoever is not let in is not told so before."""
        if not isinstance(error, CLOSED):
            return self._hung_up(error)
        return DaemonUnreachable(
            f"runc-cpid at {self._config.address} closed the connection before TLS began; "
            "it does so to those that its allow_from does not name; its log tells more"
        )


def _pause(deadline: float) -> bool:
    """Wait a little, and say whether there is time to try again."""
    if time.monotonic() + RETRY_PAUSE >= deadline:
        return False
    time.sleep(RETRY_PAUSE)
    return True


def _connected(config: CPIConfig) -> Any:
    if config.network_type == "unix":
        connection = socket.socket(socket.AF_UNIX)
        # With a timeout of Python's it would not wait for a full queue.
        seconds = struct.pack("ll", int(CONNECT_TIMEOUT), 0)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
            connection.connect(config.address)
        except OSError:
            connection.close()
            raise
        return connection
    host, port = split_address(config.address)
    # As bytes it is not encoded by the codec for the names of hosts.
    address = (host.encode("ascii"), port)
    connection = socket.create_connection(address, CONNECT_TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    return connection


def _encode(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, bool):
        return b"True" if value else b"False"
    if isinstance(value, int):
        return b"%d" % value
    # Not escaped, as it would be up to three times as long; lone surrogates are let pass.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _reason(error: Exception) -> str:
    if isinstance(error, wire.WireError):
        return f"is it runc-cpid, and does it expect TLS? {error}"
    if isinstance(error, EOFError):
        return "it closed the connection"
    if isinstance(error, socket.timeout):
        return "timed out"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error)
