"""Who may enter where: every channel role at every port, over real sockets and real TLS (TR-14)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from tests.gateway.deployment import (
    BACKEND_NAME,
    DeviceClient,
    GatewayCase,
    HandingFactory,
    TestBackend,
    write_channel,
)
from tests.net.authority import Authority
from trus.backend.adminstream import AdminStream, TunnelTransport
from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.credentials import ChannelCredentials
from trus.protocol.link import Close, Closed, Pause, Resume, StreamBytes
from trus.values import ChannelRole

#: role -> may enter by the device port, the link port, the admin port.
ADMITTED: Final = {
    ChannelRole.POS: (True, False, False),
    ChannelRole.CARD: (True, False, False),
    ChannelRole.GATEWAY: (False, True, False),
    ChannelRole.BACKEND: (False, False, False),
    ChannelRole.WEBSITE: (False, False, False),
    ChannelRole.ADMIN: (False, False, True),
}
DAY: Final = timedelta(days=1)


class DevicePortTests(GatewayCase):
    """The device port admits POS and virtual cards, and nobody else."""

    async def enters(self, credentials: ChannelCredentials) -> bool:
        """Say whether a holder of `credentials` gets as far as the backend."""
        gateway, backend = await self.start_both()
        device = await self.call(gateway, credentials=credentials)
        # Whoever is refused is refused before the backend hears of anything: its next connection
        # is then the one that follows.
        probe = await self.call(gateway)
        _, first = await backend.opened()
        entered = first.peer == device.address
        if not entered:
            await device.is_closed()
            self.assertEqual(device.heard, b"")
        self.assertIsNone(probe.lost)
        await self.stop(gateway)
        return entered

    async def test_role_matrix(self) -> None:
        """TR-14: exactly the roles of the table enter by the device port."""
        for role, (admitted, _, _) in ADMITTED.items():
            self.assertEqual(await self.enters(self.authority.issue(role)), admitted, role)

    async def test_no_role(self) -> None:
        """A certificate without a role, or with an unknown one, is refused."""
        self.assertFalse(await self.enters(self.authority.issue(None)))
        unknown = self.authority.issue(ChannelRole.POS, uris=["urn:trus:channel:cashier"])
        self.assertFalse(await self.enters(unknown))

    async def test_foreign_authority(self) -> None:
        """A POS certificate of another authority is refused."""
        self.assertFalse(await self.enters(Authority().issue(ChannelRole.POS)))

    async def test_expired(self) -> None:
        """A POS certificate whose time is over, or has not come, is refused."""
        now = datetime.now(UTC)
        old = self.authority.issue(ChannelRole.POS, not_before=now - 3 * DAY, not_after=now - DAY)
        self.assertFalse(await self.enters(old))
        early = self.authority.issue(ChannelRole.POS, not_before=now + DAY, not_after=now + 3 * DAY)
        self.assertFalse(await self.enters(early))

    async def test_no_certificate(self) -> None:
        """A device without a certificate is refused."""
        gateway, backend = await self.start_both()
        options = CertificateOptions()
        device = await self.connect(
            gateway.device_address,
            lambda factory: TLSMemoryBIOFactory(_Anonymous(options), True, factory, reactor),  # type: ignore[arg-type]
        )
        await device.is_closed()
        self.assertEqual((device.heard, backend.events), (b"", []))

    async def test_clear_text(self) -> None:
        """A caller that does not speak TLS is closed without reaching the backend."""
        gateway, backend = await self.start_both()
        device = await self.connect(gateway.device_address)
        device.say(b"COMMAND AUTHENTICATE s=AAAAAAAAAAAAAAAA to=backend\r\n")
        await device.is_closed()
        self.assertEqual(backend.events, [])

    async def test_revoked(self) -> None:
        """A revoked certificate is refused as soon as the new list lies in its place."""
        gateway, backend = await self.start_both()
        stolen = self.authority.issue(ChannelRole.POS)
        tls = self.settings.devices.tls
        write_channel(
            self.folder,
            "gateway",
            self.credentials["gateway"],
            [self.authority.certificate],
            [self.authority.revocation_list(stolen)],
        )
        self.assertTrue(tls.crl.exists())
        gateway.look_for_renewals()
        device = await self.call(gateway, credentials=stolen)
        await device.is_closed()
        self.assertEqual(backend.events, [])
        await self.call(gateway)
        await backend.opened()


@implementer(IOpenSSLClientConnectionCreator)
class _Anonymous:
    """A TLS client that has no certificate."""

    def __init__(self, options: CertificateOptions) -> None:
        self._options = options

    def clientConnectionForTLS(self, protocol: object) -> object:
        return SSL.Connection(self._options.getContext(), None)


class LinkPortTests(GatewayCase):
    """The link is between a gateway and a backend, and refuses every other pair."""

    async def links(self, ours: ChannelCredentials, theirs: ChannelCredentials) -> bool:
        """Say whether a gateway that shows `ours` gets a link to a backend that shows `theirs`."""
        backend = TestBackend(theirs, self.authority)
        port = await backend.open()
        settings = self.gateway_settings([port], link_tls=ours)
        gateway = await self.start_gateway(settings, ready=False)
        while not backend.endings and not gateway.pool.links:
            await self.pause()
        linked = bool(gateway.pool.links)
        await self.stop(gateway)
        await backend.close()
        return linked

    async def test_role_matrix_of_gateways(self) -> None:
        """TR-14: a backend takes links from gateways alone."""
        for role, (_, admitted, _) in ADMITTED.items():
            linked = await self.links(self.authority.issue(role), self.credentials["backend"])
            self.assertEqual(linked, admitted, role)

    async def test_role_matrix_of_backends(self) -> None:
        """TR-14: a gateway links to backends alone, and only to one that bears the configured name."""
        for role in ADMITTED:
            theirs = self.authority.issue(role, hosts=[BACKEND_NAME])
            linked = await self.links(self.credentials["link"], theirs)
            self.assertEqual(linked, role is ChannelRole.BACKEND, role)
        nameless = self.authority.issue(ChannelRole.BACKEND, hosts=["elsewhere.trus.internal"])
        self.assertFalse(await self.links(self.credentials["link"], nameless))

    async def test_foreign_and_expired(self) -> None:
        """Neither end accepts another authority's certificate, nor one whose time is over."""
        now = datetime.now(UTC)
        foreign = Authority()
        spans = {"not_before": now - 3 * DAY, "not_after": now - DAY}
        for ours, theirs in (
            (foreign.issue(ChannelRole.GATEWAY), self.credentials["backend"]),
            (self.credentials["link"], foreign.issue(ChannelRole.BACKEND, hosts=[BACKEND_NAME])),
            (self.authority.issue(ChannelRole.GATEWAY, **spans), self.credentials["backend"]),
            (self.credentials["link"], self.authority.issue(ChannelRole.BACKEND, hosts=[BACKEND_NAME], **spans)),
        ):
            self.assertFalse(await self.links(ours, theirs))


class AdminPortTests(GatewayCase):
    """The admin port passes TLS on to the backend, which trusts the admins' own authority alone."""

    async def console(self, credentials: ChannelCredentials | None, admins: Authority) -> bytes:
        """Return what a caller with `credentials` hears from a console behind the gateway."""
        gateway, backend = await self.start_both()
        channel = ServerChannel(
            admins.issue(ChannelRole.BACKEND, hosts=["admin.trus.internal"]),
            [ChannelRole.ADMIN],
            anchors=[admins.certificate],
            crls=[admins.revocation_list()],
        )
        if credentials is None:
            options = _Anonymous(CertificateOptions())
            admin = await self.connect(
                gateway.admin_address,
                lambda factory: TLSMemoryBIOFactory(options, True, factory, reactor),  # type: ignore[arg-type]
            )
        else:
            client = ClientChannel(
                credentials, ChannelRole.BACKEND, "admin.trus.internal", anchors=[admins.certificate]
            )
            admin = await self.connect(gateway.admin_address, lambda factory: client.wrap(factory, reactor))  # type: ignore[arg-type]
        link, opened = await backend.opened()
        greeter = _Greeter()
        transport = TunnelTransport(
            opened.peer,
            lambda data: link.say(StreamBytes(opened.connection, data)),
            lambda reason: link.say(Close(opened.connection, reason)),
            lambda go: link.say(Resume(opened.connection) if go else Pause(opened.connection)),
        )
        console = channel.wrap(HandingFactory(greeter), reactor).buildProtocol(IPv4Address("TCP", "127.0.0.1", 0))  # type: ignore[arg-type]
        assert console is not None
        stream = AdminStream(console, transport)
        over = False
        while not over:
            for event in backend.take(StreamBytes):
                stream.received(event.data)
            over = bool(backend.take(Closed))
            if b"\r\n" in admin.heard and admin.lost is None:
                admin.transport.abortConnection()  # type: ignore[union-attr]
            await self.pause()
        heard = admin.heard
        stream.closed()
        await self.stop(gateway)
        return heard

    async def test_role_matrix(self) -> None:
        """TR-14: only an admin's certificate of the admins' authority reaches the console."""
        admins = Authority("admins")
        for role, (_, _, admitted) in ADMITTED.items():
            heard = await self.console(admins.issue(role), admins)
            self.assertEqual(heard, b"INFO CONSOLE welcome\r\n" if admitted else b"", role)

    async def test_channel_authority_is_foreign(self) -> None:
        """An admin certificate of the channel authority is refused: the two never mix."""
        self.assertEqual(await self.console(self.authority.issue(ChannelRole.ADMIN), Authority("admins")), b"")

    async def test_expired_and_missing(self) -> None:
        """An admin whose certificate has ended, or who has none, is refused."""
        admins = Authority("admins")
        now = datetime.now(UTC)
        old = admins.issue(ChannelRole.ADMIN, not_before=now - 3 * DAY, not_after=now - DAY)
        self.assertEqual(await self.console(old, admins), b"")
        self.assertEqual(await self.console(None, admins), b"")


class _Greeter(DeviceClient):
    """A console that greets whoever is let in."""

    def handshakeCompleted(self) -> None:
        if self.transport is not None:
            self.transport.write(b"INFO CONSOLE welcome\r\n")
