"""A blocking AMP client: one connection, one call after the other."""

from __future__ import annotations

from runc_cpi import wire
from runc_cpi.cpi import connecting, sockets
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.errors import (
    BY_CODE,
    CloudError,
    DaemonSilent,
    DaemonUnreachable,
    InternalError,
)
from runc_cpi.json_text import dumps_short, loads_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Dict, List, Mapping, Optional, Tuple

# After so many seconds without a word it is looked whether the daemon still lives.
SILENCE = 60.0
# How many pieces of a stream may be unanswered.
WINDOW = 32
REQUEST_ID_LIMIT = 64  # bytes


class Client:
    """
    A connection to the daemon, made when the first call needs it.

    @param config: where the daemon is.
    @param request_id: sent with each call, for the daemon's log.
    @param confirmed: the commands that make something for which L{confirm} will be
        called, each with the name of the cid in its answer.  Unless it is called, the
        daemon removes what was made when the connection ends.
    @ivar warnings: texts of the daemon about what was asked for and cannot be had.
    @ivar trace: where the daemon's fault is, if it told of one.
    """

    def __init__(
        self,
        config: CPIConfig,
        request_id: str,
        confirmed: Optional[Mapping[str, bytes]] = None,
    ) -> None:
        self._config, self._request_id = config, request_id
        self._confirmed = confirmed or {}
        self._made = b""
        self.warnings: List[str] = []
        self.trace = ""
        self._asks, self._silences = 0, 0
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
            # AMP tells descriptors apart by their order.
            box = self._box(command, {**arguments, name: self._descriptors})
            sockets.send_with_file(self._socket, box, fd, self._on_silence)
            self._descriptors += 1
        except OSError as error:
            raise connecting.lost(self._config, error) from None
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
            sockets.send(self._socket, wire.encode_box(pairs), self._on_silence)
        except (OSError, DaemonUnreachable):
            pass  # the daemon ended, or reads nothing; what it made stays

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()

    def _connect(self) -> None:
        if self._socket is None:
            connection = connecting.connect(self._config)
            connection.settimeout(SILENCE)
            self._socket = connection
            self._answers = sockets.Incoming(connection, self._on_silence)

    def _send(self, command: str, arguments: Dict[str, Any]) -> None:
        self._connect()
        try:
            sockets.send(self._socket, self._box(command, arguments), self._on_silence)
        except OSError:
            # The daemon hung up on what was being sent, and may have said why.
            while True:
                self._receive()

    def _on_silence(self, is_sending: bool) -> None:
        """
        Decide whether to wait on for a daemon that has been silent for L{SILENCE} seconds.

        @param is_sending: whether it takes nothing, or else says nothing.
        @raise DaemonUnreachable: if not.
        """
        from runc_cpi.cpi import silence

        self._silences += 1
        try:
            silence.check(self._config, self._silences * SILENCE)
        except DaemonSilent:
            # In a flood it may go on with the call while no ping gets through.
            if not silence.is_ready(self._socket, is_sending):
                raise

    def _box(self, command: str, arguments: Dict[str, Any]) -> bytes:
        self._asks += 1
        pairs: List[Tuple[bytes, bytes]] = [
            (b"_ask", b"%x" % self._asks),
            (b"_command", command.encode("ascii")),
        ]
        if self._request_id:
            request_id = self._request_id.encode("utf-8", "replace")[:REQUEST_ID_LIMIT]
            pairs.append((b"request_id", request_id))
        if command in self._confirmed:
            pairs.append((b"confirms", b"True"))
        for name, value in arguments.items():
            pairs += wire.split(name.encode("ascii"), _encode(value))
        return wire.encode_box(pairs)

    def _result(self, command: str) -> Dict[bytes, bytes]:
        answer = self._receive()
        if command in self._confirmed:
            self._made = answer.get(self._confirmed[command], b"")
        # A daemon of before has none to tell.
        self.warnings += loads_trusted(wire.join(b"warnings", answer) or b"[]")
        return answer

    def _receive(self) -> Dict[bytes, bytes]:
        try:
            box = wire.read_box(self._answers)
        except (OSError, EOFError, wire.WireError) as error:
            raise connecting.lost(self._config, error) from None
        self._silences = 0
        if b"_error" in box:
            code = box.get(b"_error_code", b"").decode("ascii", "replace")
            text = box.get(b"_error_description", b"").decode("utf-8", "replace")
            if code == InternalError.__name__:
                text, _, self.trace = text.partition("\n")
            if code in BY_CODE:
                raise BY_CODE[code](text)
            raise CloudError(f"runc-cpid answered {code}: {text}")
        return box


def _encode(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, bool):
        return b"True" if value else b"False"
    if isinstance(value, int):
        return b"%d" % value
    # Lone surrogates are let pass.
    return dumps_short(value).encode("utf-8", "surrogatepass")
