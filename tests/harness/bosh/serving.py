"""A small HTTPS server, which may listen in the network of a VM."""

from __future__ import annotations

import json
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside


@dataclass(frozen=True)
class Request:
    """What was asked: how, at which path, and with what."""

    method: str
    path: str
    body: bytes
    authorization: str


@dataclass(frozen=True)
class Answer:
    """What is answered: JSON, or bytes as they are."""

    status: int
    content: Any


class Server:
    """
    Serves requests until it is closed.

    @param pid: in whose network it listens.
    @param port: at all addresses there.
    @param pair: its certificate and private key, as PEM.
    @param respond: answers each request.
    """

    def __init__(
        self,
        pid: int,
        port: int,
        pair: Mapping[str, str],
        respond: Callable[[Request], Answer],
    ) -> None:
        with inside(pid, CLONE_NEWNET):
            listener = socket.create_server(("0.0.0.0", port))
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), handler(respond), bind_and_activate=False
        )
        self._server.socket.close()
        self._server.socket = context(pair).wrap_socket(
            listener, server_side=True, do_handshake_on_connect=False
        )
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def context(pair: Mapping[str, str]) -> ssl.SSLContext:
    """Return what serves TLS with a certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pair.pem"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{pair['certificate']}\n{pair['private_key']}\n")
        made.load_cert_chain(path)
    return made


def handler(respond: Callable[[Request], Answer]) -> type[BaseHTTPRequestHandler]:
    """Return what handles connections by a function."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def handle_one_request(self) -> None:
            with suppress(ConnectionError, ssl.SSLError, TimeoutError):
                super().handle_one_request()
                return
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            authorization = self.headers.get("Authorization", "")
            body = self.rfile.read(length)
            answer = respond(Request(self.command, self.path, body, authorization))
            content = answer.content
            if not isinstance(content, bytes):
                content = json.dumps(content).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = respond

    return Handler
