"""TLS from end to end: the executable's client, the daemon's identity, real handshakes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import ServerFactory
from twisted.protocols import amp

from runc_cpi.cpi.client import Client
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.daemon.config import LimitsConfig, TLSConfig
from runc_cpi.daemon.entrance.complaints import Complaints
from runc_cpi.daemon.entrance.encryption import EncryptedFactory
from runc_cpi.daemon.entrance.identity import Identity
from runc_cpi.daemon.entrance.lobby import Lobby
from runc_cpi.daemon.rpc.bounded import BoundedAMP
from runc_cpi.errors import CPIError, DaemonUnreachable, TLSRejected
from tests.contract.peers import Recorder, ServedTestCase
from tests.harness.certificates import Authority

AUTHORITY, STRANGER, NAMESAKE = Authority(), Authority("another CA"), Authority()
SERVER = AUTHORITY.issue("server", "127.0.0.1", purpose="server")
CLIENT = AUTHORITY.issue("director", purpose="client")


def hang_up(protocol: Any) -> None:
    """Close a connection without a word."""
    protocol.setTimeout(None)
    protocol.transport.abortConnection()


class TLSTests(ServedTestCase):
    """Each side looks at the other's certificate before a word is said."""

    def setUp(self) -> None:
        super().setUp()
        self.received: list[Any] = []
        self.port: Any = None
        self.complaints = Complaints(reactor.seconds)

    def protocol(self) -> amp.AMP:
        """Record what comes."""
        protocol = BoundedAMP(LimitsConfig(), reactor, self.complaints)
        protocol.locator = Recorder(self.received, {"HasVM": {"exists": True}})
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
            Lobby(
                EncryptedFactory(
                    Identity(config, self.complaints),
                    isClient=False,
                    wrappedFactory=factory,
                ),
                LimitsConfig(),
                self.complaints,
                reactor,
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
        config = CPIConfig(
            network_type="tcp",
            address=f"{host}:{(port or self.port).getHost().port}",
            tls=tls,
            connect_timeout=0,
            agent={},
        )
        client = Client(config, "cpi-1")
        self.clients.append(client)
        return await self.beside(client.call, "HasVM", vm_cid="vm-\u2603" * 1000)

    async def refusal(self, **arguments: Any) -> CPIError:
        """Return the error that a call ends with; nothing was asked of the daemon."""
        with self.assertRaises(CPIError) as caught:
            await self.ask(**arguments)
        self.assertEqual(self.received, [])
        return caught.exception

    async def test_both_are_accepted(self) -> None:
        """A call is answered as without TLS."""
        await self.serve()
        self.assertEqual((await self.ask())[b"exists"], b"True")

    async def test_names_that_are_allowed(self) -> None:
        """By common name or by alternative name."""
        await self.serve(allowed=("director", "ops.example"))
        self.assertEqual((await self.ask())[b"exists"], b"True")
        other = AUTHORITY.issue("x", "ops.example")
        self.assertEqual((await self.ask(pair=other))[b"exists"], b"True")

    async def test_a_name_that_is_not_allowed(self) -> None:
        """The CA alone is not enough then."""
        await self.serve(allowed=("director",))
        for pair in (AUTHORITY.issue("other"), AUTHORITY.issue("Director")):
            error = await self.refusal(pair=pair)
            self.assertIs(type(error), TLSRejected)
            self.assertIn("tls.allowed_clients", str(error))

    async def test_a_client_of_another_ca(self) -> None:
        """Whatever name it has."""
        await self.serve()
        error = await self.refusal(pair=STRANGER.issue("director"))
        self.assertIs(type(error), TLSRejected)
        self.assertIn("does not accept the client certificate", str(error))

    async def test_a_client_of_a_ca_of_the_same_name(self) -> None:
        """As they are when each was made by the same tool."""
        await self.serve()
        error = await self.refusal(pair=NAMESAKE.issue("director"))
        self.assertIs(type(error), TLSRejected)
        self.assertIn("does not accept the client certificate", str(error))

    async def test_a_client_that_expired(self) -> None:
        """It is told why."""
        await self.serve()
        error = await self.refusal(
            pair=AUTHORITY.issue("director", ends=timedelta(days=-5))
        )
        self.assertIs(type(error), TLSRejected)
        self.assertIn("expired", str(error))

    async def test_a_servers_certificate_as_a_clients(self) -> None:
        """Nobody who breaks into one host gets into the others."""
        await self.serve()
        self.assertIs(type(await self.refusal(pair=SERVER)), TLSRejected)

    async def test_a_clients_certificate_as_a_servers(self) -> None:
        """The other way round."""
        await self.serve(pair=AUTHORITY.issue("director", "127.0.0.1", purpose="client"))
        error = await self.refusal()
        self.assertIn("certificate of runc-cpid is not accepted", str(error))

    async def test_a_daemon_of_another_ca(self) -> None:
        """Nothing is said to it."""
        await self.serve()
        error = await self.refusal(ca=STRANGER.pem)
        self.assertIs(type(error), TLSRejected)
        self.assertIn("certificate of runc-cpid is not accepted", str(error))

    async def test_a_daemon_of_another_name(self) -> None:
        """Its certificate must be for the address that is configured."""
        await self.serve()
        error = await self.refusal(host="localhost")
        self.assertIs(type(error), TLSRejected)
        self.assertIn("localhost", str(error))

    async def test_a_daemon_without_tls(self) -> None:
        """It is told as such, and cannot be told for a daemon that is down."""
        error = await self.refusal(port=self.ports[1])
        self.assertIs(type(error), TLSRejected)
        self.assertIn("is tls set in runc-cpid's configuration?", str(error))

    async def test_a_client_without_tls(self) -> None:
        """It is told so in its own words."""
        await self.serve()
        error = await self.refusal(pair=None)
        self.assertIs(type(error), TLSRejected)
        self.assertIn("is tls missing in the CPI's configuration?", str(error))

    async def test_a_daemon_that_hangs_up(self) -> None:
        """Nothing was refused, and it may be there again soon."""
        self.patch(BoundedAMP, "connectionMade", hang_up)
        error = await self.refusal(port=self.ports[1])
        self.assertIs(type(error), DaemonUnreachable)
        self.assertTrue(error.ok_to_retry)
