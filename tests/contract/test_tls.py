"""TLS between the executable's client and the daemon's identity, with real handshakes."""

from __future__ import annotations

import select
import socket
from datetime import timedelta
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import ServerFactory
from twisted.protocols import amp

from runc_cpi.cpi import client as client_module
from runc_cpi.cpi import connecting, encrypted, silence
from runc_cpi.cpi.client import Client
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.daemon.config import LimitsConfig, TLSConfig
from runc_cpi.daemon.entrance.encryption import EncryptedFactory
from runc_cpi.daemon.entrance.handshakes import HandshakeQueue
from runc_cpi.daemon.entrance.identity import Identity
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.rpc.bounded import BoundedAMP
from runc_cpi.errors import (
    CPIError,
    DaemonSilent,
    DaemonSilentForNow,
    DaemonUnreachable,
    TLSRejected,
)
from tests.contract.peers import PATIENCE, Recorder, ServedTestCase
from tests.harness.certificates import Authority

AUTHORITY, STRANGER, NAMESAKE = Authority(), Authority("another CA"), Authority()
SERVER = AUTHORITY.issue("server", "127.0.0.1", purpose="server")
CLIENT = AUTHORITY.issue("director", purpose="client")


def config_of(address: str, tls: dict[str, str] | None) -> CPIConfig:
    """Return a configuration that makes no second try."""
    return CPIConfig(
        network_type="tcp", address=address, tls=tls, connect_timeout=0, agent={}
    )


def hang_up(protocol: Any) -> None:
    """Close a connection without a word."""
    protocol.transport.abortConnection()


class TLSTests(ServedTestCase):
    """Each side checks the other's certificate before anything is sent."""

    def setUp(self) -> None:
        super().setUp()
        self.received: list[Any] = []
        self.port: Any = None
        self.answers: dict[str, Any] = {"HasVM": {"exists": True}}
        self.peer_log = PeerLog(reactor.seconds)

    def protocol(self) -> amp.AMP:
        """Record what comes."""
        protocol = BoundedAMP(LimitsConfig(), reactor, self.peer_log)
        protocol.locator = Recorder(self.received, self.answers)
        return protocol

    async def serve(
        self, pair: dict[str, str] = SERVER, allowed: tuple[str, ...] = ()
    ) -> None:
        """Listen with TLS."""
        config = TLSConfig(
            certificate=pair["certificate"],
            private_key=pair["private_key"],
            ca=AUTHORITY.pem,
            allowed_clients=allowed,
        )
        factory: Any = ServerFactory()
        factory.noisy, factory.buildProtocol = False, self._build
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.port = await endpoint.listen(
            HandshakeQueue(
                EncryptedFactory(
                    Identity(config, self.peer_log),
                    isClient=False,
                    wrappedFactory=factory,
                ),
                LimitsConfig(),
                self.peer_log,
                reactor,
                lambda address: None,
            )
        )
        self.addCleanup(maybeDeferred, self.port.stopListening)

    async def ask(
        self,
        pair: dict[str, str] | None = CLIENT,
        ca: str = AUTHORITY.pem,
        host: str = "127.0.0.1",
        port: Any = None,
    ) -> Any:
        """Call the daemon as the executable does."""
        tls = None
        if pair is not None:
            tls = {**pair, "ca": ca}
        config = config_of(f"{host}:{(port or self.port).getHost().port}", tls)
        client = Client(config, "cpi-1")
        self.clients.append(client)
        return await self.beside(client.call, "HasVM", vm_cid="vm-\u2603" * 1000)

    async def refusal(self, **arguments: Any) -> CPIError:
        """Return the error that a call ends with; the daemon must have got no call."""
        with self.assertRaises(CPIError) as caught:
            await self.ask(**arguments)
        self.assertEqual(self.received, [])
        return caught.exception

    async def test_both_are_accepted(self) -> None:
        """With two good certificates a call is answered as without TLS."""
        await self.serve()
        self.assertEqual((await self.ask())[b"exists"], b"True")

    async def test_names_that_are_allowed(self) -> None:
        """A client is allowed by its common name or by an alternative name."""
        await self.serve(allowed=("director", "ops.example"))
        self.assertEqual((await self.ask())[b"exists"], b"True")
        other = AUTHORITY.issue("x", "ops.example")
        self.assertEqual((await self.ask(pair=other))[b"exists"], b"True")

    async def test_a_name_that_is_not_allowed(self) -> None:
        """A client whose name is not allowed is refused, although the CA signed it."""
        await self.serve(allowed=("director",))
        for pair in (AUTHORITY.issue("other"), AUTHORITY.issue("Director")):
            error = await self.refusal(pair=pair)
            self.assertIs(type(error), TLSRejected)
            self.assertIn("tls.allowed_clients", str(error))

    async def test_a_client_of_another_ca(self) -> None:
        """A client of another CA is refused, whatever name it has."""
        await self.serve()
        error = await self.refusal(pair=STRANGER.issue("director"))
        self.assertIs(type(error), TLSRejected)
        self.assertIn("does not accept the client certificate", str(error))

    async def test_a_client_of_a_ca_of_the_same_name(self) -> None:
        """A client of another CA with the same name is refused."""
        await self.serve()
        error = await self.refusal(pair=NAMESAKE.issue("director"))
        self.assertIs(type(error), TLSRejected)
        self.assertIn("does not accept the client certificate", str(error))

    async def test_a_client_that_expired(self) -> None:
        """A client with an expired certificate is told so."""
        await self.serve()
        error = await self.refusal(
            pair=AUTHORITY.issue("director", ends=timedelta(days=-5))
        )
        self.assertIs(type(error), TLSRejected)
        self.assertIn("expired", str(error))

    async def test_a_servers_certificate_as_a_clients(self) -> None:
        """A server's certificate is refused from a client."""
        await self.serve()
        self.assertIs(type(await self.refusal(pair=SERVER)), TLSRejected)

    async def test_a_clients_certificate_as_a_servers(self) -> None:
        """The other way round."""
        await self.serve(pair=AUTHORITY.issue("director", "127.0.0.1", purpose="client"))
        error = await self.refusal()
        self.assertIn("certificate of runc-cpid is not accepted", str(error))

    async def test_a_daemon_of_another_ca(self) -> None:
        """Nothing is sent to a daemon of another CA."""
        await self.serve()
        error = await self.refusal(ca=STRANGER.pem)
        self.assertIs(type(error), TLSRejected)
        self.assertIn("certificate of runc-cpid is not accepted", str(error))

    async def test_a_daemon_of_another_name(self) -> None:
        """The daemon's certificate must be for the configured address."""
        await self.serve()
        error = await self.refusal(host="localhost")
        self.assertIs(type(error), TLSRejected)
        self.assertIn("localhost", str(error))

    async def test_a_daemon_without_tls(self) -> None:
        """The error for a daemon without TLS is not that of a daemon that is down."""
        error = await self.refusal(port=self.ports[1])
        self.assertIs(type(error), TLSRejected)
        self.assertIn("is tls set in runc-cpid's configuration?", str(error))

    async def test_a_client_without_tls(self) -> None:
        """A client without TLS is told so in AMP."""
        await self.serve()
        error = await self.refusal(pair=None)
        self.assertIs(type(error), TLSRejected)
        self.assertIn("is tls missing in the CPI's configuration?", str(error))

    async def test_a_daemon_that_hangs_up(self) -> None:
        """If the daemon hangs up, the error may be retried and names no refusal."""
        self.patch(BoundedAMP, "connectionMade", hang_up)
        error = await self.refusal(port=self.ports[1])
        self.assertIs(type(error), DaemonUnreachable)
        self.assertTrue(error.ok_to_retry)

    async def test_a_call_that_takes_long(self) -> None:
        """A daemon that answers pings is waited for, and what comes then is whole."""
        answer: Deferred[dict[str, bool]] = Deferred()

        def answer_after_two() -> dict[str, str]:
            if not answer.called and len(self.received) > 2:
                answer.callback({"exists": True})
            return {"version": "1"}

        self.patch(client_module, "SILENCE", 0.05)
        self.answers = {"HasVM": lambda vm_cid: answer, "Ping": answer_after_two}
        await self.serve()
        self.assertEqual((await self.ask())[b"exists"], b"True")

    async def test_a_peer_that_never_begins(self) -> None:
        """It is given up once no start takes that long; nothing was asked of it yet."""
        self.patch(connecting, "START_TIMEOUT", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            client = Client(config_of(address, {**CLIENT, "ca": AUTHORITY.pem}), "cpi-1")
            with self.assertRaises(DaemonSilentForNow) as caught:
                client.call("Ping")
        self.assertTrue(
            str(caught.exception).startswith(
                f"gave up runc-cpid at {address}: TLS did not begin within 0.1 s; "
            )
        )
        self.assertTrue(caught.exception.ok_to_retry)

    async def test_an_answer_while_no_ping_gets_through(self) -> None:
        """It is seen that the call's own connection has it, though it is inside TLS."""
        answer: Deferred[dict[str, bool]] = Deferred()

        def answer_once() -> None:
            if not answer.called:
                answer.callback({"exists": True})

        def lives(config: CPIConfig) -> bool:
            reactor.callFromThread(answer_once)  # type: ignore[attr-defined]
            own = self.clients[0]._socket
            return not select.select([own.fileno()], [], [], PATIENCE)[0]

        self.patch(client_module, "SILENCE", 0.05)
        self.patch(silence, "_lives", lives)
        self.answers = {"HasVM": lambda vm_cid: answer}
        await self.serve()
        self.assertEqual((await self.ask())[b"exists"], b"True")

    async def test_a_daemon_that_is_silent(self) -> None:
        """A daemon that is stopped does not begin TLS, and is given up."""
        self.patch(client_module, "SILENCE", 0.05)
        self.patch(silence, "PING_TIMEOUT", 0.3)
        self.answers = {"HasVM": lambda vm_cid: Deferred(), "Ping": lambda: Deferred()}
        await self.serve()
        with self.assertRaises(DaemonSilent):
            await self.ask()
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            with self.assertRaises(DaemonSilent):
                silence.check(config_of(address, {**CLIENT, "ca": AUTHORITY.pem}), 1)


class PublicTLSTests(TLSTests):
    """The same by the ssl module, as where its C half differs."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(encrypted, "_plain_context", lambda: None)
