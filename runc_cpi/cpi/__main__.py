"""C{runc-cpi CONFIG}: one request on stdin, one response on stdout, exit status 0."""

from __future__ import annotations

import sys
from time import monotonic

from runc_cpi.cpi import request
from runc_cpi.errors import CPIError, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import _exit
    from typing import Any, List, Optional
else:
    # All that os would be imported for; it adds a tenth to the time of info.
    try:
        from posix import _exit
    except ImportError:
        from os import _exit


class Call:
    """One call, with the connection to the daemon that it may need."""

    def __init__(self) -> None:
        self._client: Any = None
        self._asked: Any = None
        self._began = monotonic()

    def respond(self, argv: List[str], raw: bytes) -> str:
        """Return the response to a request: every failure becomes one as well."""
        try:
            result = self._carry_out(argv, raw)
            return request.response(result, None, self._log())
        except CPIError as error:
            told, trace = error, ""
        except KeyboardInterrupt:
            told, trace = CPIError("interrupted"), ""
        except Exception as error:
            # A bug; its text may quote a secret.
            from runc_cpi import faults

            trace = faults.trace(error)
            told = CPIError(f"internal error: {type(error).__name__}; the log tells where")
        return self.fail(told, trace)

    def fail(self, error: CPIError, trace: str = "") -> str:
        """
        Return the response for an error; hang up, so that the daemon undoes its work.

        @param trace: where the fault is, if it is one of ours.
        """
        log = self._log(error, trace)
        if self._client is not None:
            self._client.close()
            self._client = None
        return request.response(None, error, log)

    def _log(self, error: Optional[CPIError] = None, trace: str = "") -> str:
        """
        Return what the Director is to log of a call that it could name.

        It shows that with C{bosh task N --cpi}.
        """
        if self._asked is None:
            return trace
        seconds = monotonic() - self._began
        lines = [request.account(self._asked, seconds, failed=error is not None)]
        if self._client is not None:
            lines += [f"warning: {text}" for text in self._client.warnings]
            trace = trace or self._client.trace
        return "\n".join([*lines, trace] if trace else lines)

    def confirm(self) -> None:
        """Tell the daemon that the response is written: what it made may stay."""
        if self._client is not None:
            self._client.confirm()

    def _carry_out(self, argv: List[str], raw: bytes) -> Any:
        """
        Do what the request says.

        @param argv: the arguments of the command line.
        @param raw: the request.
        @return: the result.
        @raise CPIError: why there is none.
        """
        asked = request.parse(raw)
        if asked.method == "info":
            return request.info()
        # These imports, and the call, make all other methods slower than info.
        from runc_cpi.cpi import client, config, methods

        methods.check(asked.method)
        self._asked = asked
        if len(argv) != 1:
            raise InvalidArgument(
                "usage: runc-cpi CONFIG, the path of a configuration file"
            )
        settings = config.load(argv[0], asked.context)
        self._client = client.Client(settings, asked.request_id, methods.MAKING)
        return methods.call(asked, settings, self._client)


def read_request() -> bytes:
    """Read stdin, which may be closed."""
    if sys.stdin is None:
        return b""
    try:
        return sys.stdin.buffer.read(request.REQUEST_LIMIT + 1)
    except OSError:
        return b""


def run() -> int:
    """
    Answer the request on stdin.

    @return: the exit status.  It is 0 with every response: the bosh CLI ignores stdout
        otherwise.
    """
    call = Call()
    try:
        response = call.respond(sys.argv[1:], read_request())
    except KeyboardInterrupt:
        response = call.fail(CPIError("interrupted"))
    try:
        sys.stdout.write(response + "\n")
        sys.stdout.flush()
    except (OSError, AttributeError) as error:
        # Only stderr is left.
        sys.stderr.write(f"runc-cpi: cannot write the response: {error}\n")
        # The daemon finds the connection closed, and undoes what nobody was told of.
        return 1
    call.confirm()
    return 0


def main() -> None:
    """
    Run the executable.

    All is written by then, so the process ends at once: to take an interpreter down takes
    a fifth of the time of C{info}, and would flush stdout once more, which may be full.
    """
    _exit(run())


if __name__ == "__main__":
    main()
