"""The port where one can look, with real connections: who may, with TLS and without."""

from __future__ import annotations

import http.client
import shutil
import ssl
import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.config import (
    ConfigError,
    DaemonConfig,
    HTTPConfig,
    TCPAddress,
    TLSConfig,
)
from runc_cpi.daemon.doctor.rounds import Rounds
from runc_cpi.daemon.http_port import HTTPPort
from runc_cpi.daemon.storage.depot import Depot
from tests.fakes.assembly import assemble
from tests.fakes.script import Script
from tests.harness.certificates import Authority, client_context

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server", "127.0.0.1", purpose="server")
CLIENT = AUTHORITY.issue("prometheus", purpose="client")
ANYWHERE = TCPAddress("127.0.0.1", 0)
PATIENCE = 10.0


class HTTPPortTests(TestCase):
    """A port of its own for each test, over parts whose host is a fake."""

    timeout = 30

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="cpi")
        self.addCleanup(shutil.rmtree, self.directory)

        depot = Depot(Path(self.directory) / "work")
        depot.prepare()
        self.addCleanup(depot.release)
        self.parts = assemble(Script(), depot, Script())

    def serve(self, tls: dict[str, Any] | None = None, **config: Any) -> HTTPPort:
        """
        Listen.

        @param tls: keys and values.
        """
        settings: Any = {"address": ANYWHERE, "tls": tls and TLSConfig(**tls), **config}
        whole = DaemonConfig(http=HTTPConfig(**settings))
        port = HTTPPort(reactor, whole, self.parts, lambda: 0, Rounds(reactor, whole))
        port.privilegedStartService()
        port.startService()
        self.addCleanup(port.stopService)
        return port

    async def get(self, port: HTTPPort, path: str, **tls: Any) -> tuple[int, str]:
        """Ask for a path; return the status, and what comes."""
        return await deferToThread(self._get, port._port.getHost().port, path, **tls)

    def _get(
        self,
        port: int,
        path: str,
        *,
        tls: bool = False,
        shown: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        if tls:
            context = client_context(shown, self.directory)
            asking = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=PATIENCE, context=context
            )
        try:
            asking.request("GET", path)
            answer = asking.getresponse()
            return answer.status, answer.read().decode()
        finally:
            asking.close()

    async def test_life(self) -> None:
        """It answers from the start, is ready when the daemon serves, and ends with it."""
        port = self.serve()
        self.assertEqual(await self.get(port, "/healthz"), (200, "ok\n"))
        self.assertEqual(await self.get(port, "/readyz"), (503, "starting\n"))
        port.serve()
        self.assertEqual(await self.get(port, "/readyz"), (200, "ok\n"))
        where = port._port.getHost().port
        kept = http.client.HTTPConnection("127.0.0.1", where, timeout=PATIENCE)
        self.addCleanup(kept.close)

        def ask() -> int:
            kept.request("GET", "/healthz")
            answer = kept.getresponse()
            answer.read()
            return answer.status

        self.assertEqual(await deferToThread(ask), 200)
        await port.stopService()
        with self.assertRaises(ConnectionRefusedError):
            await deferToThread(self._get, where, "/healthz")
        kept.auto_open = 0
        with self.assertRaises((OSError, http.client.HTTPException)):
            await deferToThread(ask)

    async def test_where_from(self) -> None:
        """Loopback addresses are let in, whatever else is; a VM's network must be named."""
        port = self.serve(allow_from=(ip_network("192.0.2.0/24"),))
        self.assertEqual((await self.get(port, "/healthz"))[0], 200)
        built = port._factory.buildProtocol
        for host, is_let_in in (
            ("192.0.2.7", True),
            ("::ffff:192.0.2.7", True),
            ("::1", True),
            ("192.0.3.1", False),
            ("10.0.0.2", False),
        ):
            self.assertEqual(built(_Peer(host)) is not None, is_let_in, host)

    async def test_tls(self) -> None:
        """With TLS, a certificate that the CA signed is needed, and http is told so."""
        port = self.serve(SERVER)
        tls = {"tls": True}
        self.assertEqual(
            await self.get(port, "/healthz", shown=CLIENT, **tls), (200, "ok\n")
        )
        for shown in (None, Authority("another").issue("prometheus", purpose="client")):
            with self.assertRaises((ssl.SSLError, OSError)):
                await self.get(port, "/healthz", shown=shown, **tls)
        status, told = await self.get(port, "/healthz")
        self.assertEqual(status, 400)
        self.assertIn("use https", told)

    def test_bad_certificates(self) -> None:
        """The message about a bad certificate names the keys of this port."""
        for change, message in (
            ({"certificate": "-----BEGIN x"}, "http.tls.certificate: holds no PEM cert"),
            (
                {"private_key": CLIENT["private_key"]},
                "http.tls.private_key: does not belong",
            ),
            ({"ca": "/no/such/file"}, "http.tls.ca: /no/such/file: No such file"),
        ):
            with self.assertRaisesRegex(ConfigError, f"^{message}"):
                self.serve({**SERVER, **change})


class _Peer:
    """Where a connection comes from."""

    type = "TCP"
    port = 40000

    def __init__(self, host: str) -> None:
        self.host = host
