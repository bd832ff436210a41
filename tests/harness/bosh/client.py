"""Asks an agent or a director over HTTPS."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

TIMEOUT = 30


class Client:
    """
    Asks one server.

    @param url: where it is.
    @param ca: who has signed its certificate, as PEM.
    """

    def __init__(self, url: str, ca: str, user: str, password: str) -> None:
        self._url = url
        self._context = ssl.create_default_context(cadata=ca)
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"}

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        """
        Ask, and return the answer.

        @param content: bytes as they are, or what is sent as JSON.
        @raise OSError: if there is no answer, or it is an error.
        """
        body = content
        if content is not None and not isinstance(content, bytes):
            body = json.dumps(content).encode()
        request = urllib.request.Request(
            self._url + path, body, self._headers, method=method
        )
        try:
            with urllib.request.urlopen(
                request, timeout=TIMEOUT, context=self._context
            ) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise OSError(f"{error}: {error.read().decode()}") from None
