"""What is at which path: the page at the root, and what it asks for below C{api}."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from twisted.web import http
from twisted.web.server import Request

from runc_cpi.daemon.http.answers import Answer, Nothing, Root, Unavailable
from runc_cpi.daemon.status import page
from runc_cpi.daemon.status.documents import Documents
from runc_cpi.errors import CloudError, InvalidArgument


class Page(Answer):
    """The page."""

    content_type = page.CONTENT_TYPE

    async def content(self, request: Request) -> bytes:
        """Return it, with what the browser lets it do."""
        request.setHeader(b"Content-Security-Policy", page.policy().encode("ascii"))
        return page.content()


class Document(Answer):
    """
    A JSON document.

    @param make: makes it.
    """

    content_type = "application/json"

    def __init__(self, reactor: Any, make: Callable[[Request], Awaitable[bytes]]) -> None:
        super().__init__(reactor)
        self._make = make

    async def content(self, request: Request) -> bytes:
        """
        Make it; a question that is wrong is answered by what is accepted.

        @raise Unavailable: if the host cannot be looked at.
        """
        request.setHeader(b"Cross-Origin-Resource-Policy", b"same-origin")
        try:
            return await self._make(request)
        except InvalidArgument as error:
            request.setResponseCode(http.BAD_REQUEST)
            return json.dumps({"error": str(error)}).encode("ascii")
        except (OSError, CloudError) as error:
            raise Unavailable(str(error)) from None


def put(root: Root, reactor: Any, documents: Documents) -> None:
    """Put the page and its documents where they are asked for."""
    api = Nothing()
    api.putChild(b"status", Document(reactor, lambda _: documents.overview()))
    api.putChild(b"history", Document(reactor, lambda _: documents.history()))
    api.putChild(
        b"events", Document(reactor, lambda request: documents.events(_filters(request)))
    )
    root.putChild(b"api", api)
    root.putChild(b"", Page(reactor))


def _filters(request: Request) -> dict[str, Any]:
    """
    Return the filters of a question.

    @raise InvalidArgument: if one comes twice, or is no UTF-8.
    """
    filters: dict[str, Any] = {}
    for name, values in request.args.items():
        shown = name.decode("utf-8", "backslashreplace")
        if len(values) > 1:
            raise InvalidArgument(f"{shown}: is there {len(values)} times; once is enough")
        try:
            filters[shown] = values[0].decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidArgument(f"{shown}: {values[0]!r} must be UTF-8") from None
    if "since" in filters:
        # Whoever reads the filters says what is accepted.
        with suppress(ValueError):
            filters["since"] = float(filters["since"])
    return filters
