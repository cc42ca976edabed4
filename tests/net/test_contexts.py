"""Who may open a channel, and who is refused in the handshake."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any, cast

from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from tests.net.authority import DAY, Authority
from tests.net.meeting import Meeting, meet
from trus.certificates.oids import CHANNEL_USAGE, channel_urn
from trus.errors import ConfigurationError
from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.credentials import ChannelCredentials
from trus.net.peers import ChannelNotVerified, Refusal, channel_peer, exporter
from trus.values import ChannelRole

AUTHORITY = Authority()
GATEWAY = AUTHORITY.issue(ChannelRole.GATEWAY, name="gateway", hosts=["gateway.test", "127.0.0.1"])
POS = AUTHORITY.issue(ChannelRole.POS, name="all terminals")

Meet = Generator[Deferred[Meeting], Meeting, None]


def device_port(**options: Any) -> ServerChannel:
    """The port that terminals and cards may open."""
    return ServerChannel(GATEWAY, {ChannelRole.POS, ChannelRole.CARD}, **options)


def terminal(credentials: ChannelCredentials = POS, name: str = "gateway.test", **options: Any) -> ClientChannel:
    """A terminal that looks for the gateway."""
    options.setdefault("anchors", [AUTHORITY.certificate])
    return ClientChannel(credentials, ChannelRole.GATEWAY, name, **options)


@implementer(IOpenSSLClientConnectionCreator)
class RawClient:
    """A client that keeps none of our rules: whatever its context allows."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context
        self.sessions: list[SSL.Session | None] = []
        self.session: SSL.Session | None = None
        self.connections: list[SSL.Connection] = []

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        connection = SSL.Connection(self.context, None)
        if self.session is not None:
            connection.set_session(self.session)
        self.connections.append(connection)
        return connection

    def wrap(self, factory: Any, clock: Any) -> TLSMemoryBIOFactory:
        return TLSMemoryBIOFactory(self, True, cast(IProtocolFactory, _Deaf(factory)), clock)


class _Deaf:
    """Builds ends that greet without knowing their peer, which these contexts do not verify."""

    def __init__(self, factory: Any) -> None:
        self.factory = factory

    def buildProtocol(self, addr: Any) -> Any:
        end = self.factory.buildProtocol(addr)
        end.handshakeCompleted = lambda: end.transport.write(end.greeting)
        return end

    def __getattr__(self, name: str) -> Any:
        return getattr(self.factory, name)


class AcceptedTests(TestCase):
    @inlineCallbacks
    def test_right_role(self) -> Meet:
        """TR-14: a terminal with the POS certificate opens the device port; both ends know each other."""
        meeting = yield meet(device_port(), terminal())
        assert meeting.server.peer is not None
        assert meeting.client.peer is not None
        self.assertEqual(
            (meeting.server.peer.role, meeting.server.peer.name, meeting.server.peer.serial),
            (ChannelRole.POS, "all terminals", f"{POS.chain[0].serial_number:x}"),
        )
        self.assertEqual(meeting.server.peer.not_after, POS.chain[0].not_valid_after_utc)
        self.assertEqual(meeting.client.peer.role, ChannelRole.GATEWAY)
        self.assertEqual(meeting.server.received, b"hello from the client")
        self.assertEqual(meeting.client.received, b"hello from the server")
        self.assertEqual((meeting.server.refusal, meeting.client.refusal), (None, None))

    @inlineCallbacks
    def test_exporter(self) -> Meet:
        """RFC 9266: both ends of a connection derive the same 32 bytes, and no two connections share them."""
        first = yield meet(device_port(), terminal())
        second = yield meet(device_port(), terminal())
        self.assertEqual(first.server.exported, first.client.exported)
        self.assertEqual(len(first.server.exported), 32)
        self.assertNotEqual(first.server.exported, second.server.exported)

    @inlineCallbacks
    def test_server_by_address(self) -> Meet:
        """A terminal that was told an address finds it in the gateway's certificate."""
        meeting = yield meet(device_port(), terminal(name="127.0.0.1"))
        self.assertEqual(meeting.client.received, b"hello from the server")

    @inlineCallbacks
    def test_lists_in_force(self) -> Meet:
        """With revocation lists in force on both sides, whoever is not on them is admitted."""
        other = AUTHORITY.issue(ChannelRole.POS)
        lists = [AUTHORITY.revocation_list(other)]
        meeting = yield meet(device_port(crls=lists), terminal(crls=lists))
        self.assertEqual(meeting.server.received, b"hello from the client")

    @inlineCallbacks
    def test_own_anchors(self) -> Meet:
        """An admin port trusts the admins' authority although its own certificate comes from another."""
        admins = Authority("admin authority")
        port = ServerChannel(GATEWAY, {ChannelRole.ADMIN}, anchors=[admins.certificate])
        meeting = yield meet(port, terminal(admins.issue(ChannelRole.ADMIN, name="grace")))
        assert meeting.server.peer is not None
        self.assertEqual(meeting.server.peer.name, "grace")


class RefusedTests(TestCase):
    @inlineCallbacks
    def refused(self, server: Any, client: Any, refusal: Refusal) -> Generator[Deferred[Any], Any, None]:
        """The server refuses for that reason, and neither side gets a byte from the other."""
        meeting = yield meet(server, client)
        self.assertEqual(meeting.server.refusal, refusal)
        self.assertIsNone(meeting.server.peer)
        self.assertEqual(meeting.server.received, b"")
        self.assertEqual(meeting.client.received, b"")

    def test_no_certificate(self) -> Deferred[None]:
        """TR-14: a client without a certificate is refused."""
        context = SSL.Context(SSL.TLS_METHOD)
        return self.refused(device_port(), RawClient(context), Refusal.NO_CERTIFICATE)

    def test_foreign(self) -> Deferred[None]:
        """TR-14: a certificate of another authority is refused, whatever role it claims."""
        stranger = Authority("stranger").issue(ChannelRole.POS)
        return self.refused(device_port(), terminal(stranger), Refusal.FOREIGN)

    def test_foreign_of_the_same_name(self) -> Deferred[None]:
        """An authority that merely carries our authority's name is a stranger."""
        impostor = Authority("channel authority").issue(ChannelRole.POS)
        return self.refused(device_port(), terminal(impostor), Refusal.FOREIGN)

    def test_expired(self) -> Deferred[None]:
        """TR-14: an expired certificate is refused."""
        past = AUTHORITY.issue(
            ChannelRole.POS, not_before=datetime.now(UTC) - 2 * DAY, not_after=datetime.now(UTC) - DAY
        )
        return self.refused(device_port(), terminal(past), Refusal.EXPIRED)

    def test_not_yet_valid(self) -> Deferred[None]:
        """A certificate of tomorrow is refused today."""
        future = AUTHORITY.issue(
            ChannelRole.POS, not_before=datetime.now(UTC) + DAY, not_after=datetime.now(UTC) + 2 * DAY
        )
        return self.refused(device_port(), terminal(future), Refusal.NOT_YET_VALID)

    @inlineCallbacks
    def test_every_other_role(self) -> Generator[Deferred[Any], Any, None]:
        """TR-14: only POS and card open the device port; gateway, backend, website and admin do not."""
        for role in (ChannelRole.GATEWAY, ChannelRole.BACKEND, ChannelRole.WEBSITE, ChannelRole.ADMIN):
            yield self.refused(device_port(), terminal(AUTHORITY.issue(role)), Refusal.WRONG_ROLE)

    @inlineCallbacks
    def test_a_terminal_opens_nothing_else(self) -> Generator[Deferred[Any], Any, None]:
        """TR-14: the POS certificate opens neither the link nor the admin port."""
        for role in (ChannelRole.GATEWAY, ChannelRole.ADMIN, ChannelRole.WEBSITE):
            yield self.refused(ServerChannel(GATEWAY, {role}), terminal(), Refusal.WRONG_ROLE)

    @inlineCallbacks
    def test_unclear_role(self) -> Generator[Deferred[Any], Any, None]:
        """A certificate with no role, two roles, an unknown role or an unconfirmed role is refused."""
        usual = [ExtendedKeyUsageOID.CLIENT_AUTH, CHANNEL_USAGE[ChannelRole.POS]]
        pos, card = channel_urn(ChannelRole.POS), channel_urn(ChannelRole.CARD)
        for unclear in (
            AUTHORITY.issue(None),
            AUTHORITY.issue(None, uris=[pos, card], purposes=usual),
            AUTHORITY.issue(None, uris=["urn:trus:channel:emperor"], purposes=usual),
            AUTHORITY.issue(None, uris=[pos.upper()], purposes=usual),
            AUTHORITY.issue(None, uris=["urn:trus:pos:T1"], purposes=usual),
            AUTHORITY.issue(None, uris=[pos], purposes=[ExtendedKeyUsageOID.CLIENT_AUTH]),
            AUTHORITY.issue(None, uris=[card], purposes=usual),
        ):
            yield self.refused(device_port(), terminal(unclear), Refusal.WRONG_ROLE)

    @inlineCallbacks
    def test_wrong_purpose(self) -> Generator[Deferred[Any], Any, None]:
        """A certificate without the client purpose cannot be a client."""
        serving = [ExtendedKeyUsageOID.SERVER_AUTH, CHANNEL_USAGE[ChannelRole.POS]]
        for purposes in (serving, [CHANNEL_USAGE[ChannelRole.POS]], []):
            odd = AUTHORITY.issue(ChannelRole.POS, purposes=purposes)
            yield self.refused(device_port(), terminal(odd), Refusal.WRONG_PURPOSE)

    def test_revoked(self) -> Deferred[None]:
        """A certificate on the revocation list is refused."""
        lists = [AUTHORITY.revocation_list(POS)]
        return self.refused(device_port(crls=lists), terminal(), Refusal.REVOKED)

    def test_list_out_of_force(self) -> Deferred[None]:
        """With a revocation list that has run out, nobody is admitted."""
        lists = [AUTHORITY.revocation_list(next_update=datetime.now(UTC) - DAY)]
        return self.refused(device_port(crls=lists), terminal(), Refusal.NO_REVOCATION_LIST)

    def test_list_of_somebody_else(self) -> Deferred[None]:
        """With only another authority's revocation list, nobody is admitted."""
        lists = [Authority("stranger").revocation_list()]
        return self.refused(device_port(crls=lists), terminal(), Refusal.NO_REVOCATION_LIST)

    def test_authority_used_as_client(self) -> Deferred[None]:
        """The authority's own certificate opens nothing."""
        authority = ChannelCredentials(AUTHORITY.key, (AUTHORITY.certificate,), (AUTHORITY.certificate,))
        return self.refused(device_port(), terminal(authority), Refusal.WRONG_PURPOSE)

    def test_old_tls(self) -> Deferred[None]:
        """TLS 1.2 is refused."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.use_privatekey(POS.key)
        context.use_certificate(POS.chain[0])
        return self.refused(device_port(), RawClient(context), Refusal.HANDSHAKE)


class RefusedByTheClientTests(TestCase):
    @inlineCallbacks
    def refused(self, server: Any, client: Any, refusal: Refusal) -> Generator[Deferred[Any], Any, None]:
        """The client refuses for that reason and says nothing to the server."""
        meeting = yield meet(server, client)
        self.assertEqual(meeting.client.refusal, refusal)
        self.assertIsNone(meeting.server.refusal)
        self.assertIsNone(meeting.server.peer)
        self.assertEqual(meeting.server.received, b"")
        self.assertEqual(meeting.client.received, b"")

    @inlineCallbacks
    def test_wrong_name(self) -> Generator[Deferred[Any], Any, None]:
        """A terminal refuses a gateway whose certificate names other hosts than the one it looked for."""
        for name in ("other.test", "127.0.0.2", "test", "gateway.test.other"):
            yield self.refused(device_port(), terminal(name=name), Refusal.WRONG_NAME)

    def test_common_name_is_not_a_host(self) -> Deferred[None]:
        """A common name never stands in for a subject alternative name."""
        nameless = AUTHORITY.issue(ChannelRole.GATEWAY, name="gateway.test")
        port = ServerChannel(nameless, {ChannelRole.POS})
        return self.refused(port, terminal(), Refusal.WRONG_NAME)

    def test_wrong_role(self) -> Deferred[None]:
        """TR-14: a terminal refuses a server that answers with a POS certificate, right name or not."""
        fake = AUTHORITY.issue(ChannelRole.POS, hosts=["gateway.test"])
        return self.refused(ServerChannel(fake, {ChannelRole.POS}), terminal(), Refusal.WRONG_ROLE)

    def test_foreign(self) -> Deferred[None]:
        """A terminal refuses a gateway of another authority."""
        fake = Authority("stranger").issue(ChannelRole.GATEWAY, hosts=["gateway.test"])
        port = ServerChannel(fake, {ChannelRole.POS}, anchors=[AUTHORITY.certificate])
        return self.refused(port, terminal(), Refusal.FOREIGN)

    def test_expired(self) -> Deferred[None]:
        """A terminal refuses a gateway whose certificate has expired."""
        past = AUTHORITY.issue(
            ChannelRole.GATEWAY,
            hosts=["gateway.test"],
            not_before=datetime.now(UTC) - 2 * DAY,
            not_after=datetime.now(UTC) - DAY,
        )
        return self.refused(ServerChannel(past, {ChannelRole.POS}), terminal(), Refusal.EXPIRED)

    def test_revoked(self) -> Deferred[None]:
        """A terminal that has a revocation list refuses a gateway that is on it."""
        lists = [AUTHORITY.revocation_list(GATEWAY)]
        return self.refused(device_port(), terminal(crls=lists), Refusal.REVOKED)

    def test_wrong_purpose(self) -> Deferred[None]:
        """A certificate without the server purpose cannot be a server."""
        odd = AUTHORITY.issue(
            ChannelRole.GATEWAY,
            hosts=["gateway.test"],
            purposes=[ExtendedKeyUsageOID.CLIENT_AUTH, CHANNEL_USAGE[ChannelRole.GATEWAY]],
        )
        return self.refused(ServerChannel(odd, {ChannelRole.POS}), terminal(), Refusal.WRONG_PURPOSE)


class ReloadTests(TestCase):
    @inlineCallbacks
    def test_new_list_counts_at_once(self) -> Meet:
        """A reloaded revocation list refuses from the next connection on, without a restart."""
        port = device_port()
        before = yield meet(port, terminal())
        port.reload(GATEWAY, crls=[AUTHORITY.revocation_list(POS)])
        after = yield meet(port, terminal())
        self.assertIsNone(before.server.refusal)
        self.assertEqual(after.server.refusal, Refusal.REVOKED)

    @inlineCallbacks
    def test_renewed_client_certificate(self) -> Meet:
        """A renewed certificate is used from the next connection on."""
        renewed = AUTHORITY.issue(ChannelRole.POS, name="renewed")
        client = terminal()
        client.reload(renewed)
        meeting = yield meet(device_port(), client)
        assert meeting.server.peer is not None
        self.assertEqual(meeting.server.peer.name, "renewed")

    @inlineCallbacks
    def test_bad_reload_changes_nothing(self) -> Meet:
        """A reload that cannot be used is refused, and what was in use stays in use."""
        port = device_port()
        self.assertRaises(ConfigurationError, port.reload, GATEWAY, anchors=[])
        meeting = yield meet(port, terminal())
        self.assertEqual(meeting.server.received, b"hello from the client")


class PreparationTests(SynchronousTestCase):
    def test_expiry_of_lists(self) -> None:
        """The moment from which everybody would be refused is known beforehand, for an alarm."""
        soon, later = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
        lists = [AUTHORITY.revocation_list(next_update=moment) for moment in (later, soon)]
        self.assertEqual(device_port(crls=lists).crls_expire, soon)
        self.assertIsNone(device_port().crls_expire)

    def test_key_of_another_certificate(self) -> None:
        """A key that does not belong to its certificate is refused when the channel is made."""
        mixed = ChannelCredentials(POS.key, GATEWAY.chain, GATEWAY.authorities)
        self.assertRaises(ConfigurationError, ServerChannel, mixed, {ChannelRole.POS})

    def test_nobody_to_trust(self) -> None:
        """A channel that trusts no authority is refused when it is made."""
        self.assertRaises(ConfigurationError, device_port, anchors=[])

    def test_no_channel(self) -> None:
        """Anything that is not a verified channel has neither peer nor exporter."""
        for transport in (None, object()):
            self.assertRaises(ChannelNotVerified, channel_peer, transport)
            self.assertRaises(ChannelNotVerified, exporter, transport)

    def test_foreign_connection(self) -> None:
        """A connection that this module did not make is never believed."""
        port = device_port()
        connection = SSL.Connection(port._context, None)
        certificate = crypto.X509.from_cryptography(POS.chain[0])
        self.assertFalse(port._verify(connection, certificate, 0, 0, 1))
