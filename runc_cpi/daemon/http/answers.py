"""What there is to look at: paths, and for each an answer that is made when asked for."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

ANSWER_SECONDS = 30.0
PLAIN = "text/plain; charset=utf-8"


class Unavailable(Exception):
    """There is no answer now; the message says why."""


class Place(Resource):
    """A path.  What is below it was put there by name; the root's own is the empty name."""

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Return what is at a path where nobody has put anything."""
        return Nothing()


class Nothing(Place):
    """The answer at all paths that are not known."""

    def render_GET(self, request: Request) -> bytes:
        """Say so."""
        request.setResponseCode(http.NOT_FOUND)
        request.setHeader(b"Content-Type", PLAIN.encode("ascii"))
        return b"there is nothing at this path\n"


class Root(Nothing):
    """The path of all others; at itself there is something if it was put at no name."""


class Answer(Place):
    """
    The answer at a path: a subclass makes its content.

    @param reactor: provides C{IReactorTime}.
    @cvar content_type: of the answer.
    """

    content_type = PLAIN
    log = Logger()

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor

    async def content(self, request: Request) -> bytes:
        """
        Make what is answered.

        @raise Unavailable: if there is nothing now.
        """
        raise NotImplementedError

    def render_GET(self, request: Request) -> int:
        """Begin to answer; whoever hangs up is not waited for."""
        answering = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda reason: answering.cancel())
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        content_type = PLAIN
        try:
            making = Deferred.fromCoroutine(self.content(request))
            content = await making.addTimeout(ANSWER_SECONDS, self._reactor)
            content_type = self.content_type
        except CancelledError:
            return  # nobody is there any more
        except (Unavailable, TimeoutError) as error:
            request.setResponseCode(http.SERVICE_UNAVAILABLE)
            reason = str(error) if isinstance(error, Unavailable) else "it takes too long"
            content = f"{reason}\n".encode()
        except Exception:
            self.log.failure("bug: there is no answer at {path}", path=request.path)
            request.setResponseCode(http.INTERNAL_SERVER_ERROR)
            content = b"the daemon's log says what is wrong\n"
        request.setHeader(b"Content-Type", content_type.encode("ascii"))
        request.setHeader(b"Content-Length", b"%d" % len(content))
        request.write(content)
        request.finish()
