"""Lines and streams pass the gateway unchanged, in both directions, over real TLS."""

from __future__ import annotations

from tests.gateway.deployment import OPENING_LINE, SEALED_LINE, GatewayCase, until
from trus.protocol.link import (
    Authenticated,
    Close,
    Closed,
    DeviceLine,
    Port,
    StreamBytes,
)


class DevicesTests(GatewayCase):
    """A device's lines reach its backend, and the backend's reach the device."""

    async def test_announces_connection(self) -> None:
        """TR-14: the backend learns role, address, certificate and TLS exporter of each device connection."""
        gateway, backend = await self.start_both()
        device = await self.call(gateway, "pos")
        _, opened = await backend.opened()
        await until(lambda: device.exported)
        self.assertEqual(opened.port, Port.DEVICE)
        self.assertEqual(opened.subject, "pos")
        self.assertEqual(opened.exporter, device.exported)
        self.assertEqual(opened.peer, device.address)
        self.assertRegex(opened.fingerprint, r"\At13[di][0-9]{4}00_[0-9a-f]{12}_[0-9a-f]{12}\Z")

    async def test_forwards_lines_byte_for_byte(self) -> None:
        """A device's line comes out of the link exactly as it went in, and so does the answer."""
        gateway, backend = await self.start_both()
        device, link, number = await self.authenticated(gateway, backend)
        device.say(OPENING_LINE + b"\r\n")
        self.assertEqual(await backend.next(DeviceLine), DeviceLine(number, OPENING_LINE))
        link.say(DeviceLine(number, b"INFO ECHO s=AAAAAAAAAAAAAAAA id=c1 seal=xyz"))
        await device.hears(b"INFO ECHO s=AAAAAAAAAAAAAAAA id=c1 seal=xyz\r\n")

    async def test_keeps_connections_apart(self) -> None:
        """Each device gets its own answers only."""
        gateway, backend = await self.start_both()
        first, link, one = await self.authenticated(gateway, backend)
        second, _, two = await self.authenticated(gateway, backend)
        link.say(DeviceLine(two, b"INFO for=second"))
        link.say(DeviceLine(one, b"INFO for=first"))
        await first.hears(b"\r\n")
        await second.hears(b"\r\n")
        self.assertEqual((first.heard, second.heard), (b"INFO for=first\r\n", b"INFO for=second\r\n"))

    async def test_end_of_device_reaches_backend(self) -> None:
        """A device that hangs up is reported closed to its backend."""
        gateway, backend = await self.start_both()
        device, _, number = await self.authenticated(gateway, backend)
        device.transport.loseConnection()  # type: ignore[union-attr]
        self.assertEqual(await backend.next(Closed), Closed(number, "peer"))

    async def test_backend_closes_device(self) -> None:
        """A backend can end a device's connection, and hears when it is over."""
        gateway, backend = await self.start_both()
        device, link, number = await self.authenticated(gateway, backend)
        link.say(Close(number, "session-ended"))
        await device.is_closed()
        self.assertEqual(await backend.next(Closed), Closed(number, "session-ended"))

    async def test_long_lines_after_authentication(self) -> None:
        """A line of 8,192 bytes passes once the backend has authenticated the device."""
        gateway, backend = await self.start_both()
        device, link, number = await self.authenticated(gateway, backend)
        link.say(DeviceLine(number, b"INFO go=on"))
        await device.hears(b"INFO go=on")
        line = SEALED_LINE + b"A" * (8190 - len(SEALED_LINE))
        device.say(line + b"\r\n")
        self.assertEqual((await backend.next(DeviceLine)).line, line)


class AdminsTests(GatewayCase):
    """An admin's stream passes unopened (TR-12)."""

    async def test_tunnels_bytes_both_ways(self) -> None:
        """Bytes of the admin port reach the backend as they are, however many, and come back."""
        gateway, backend = await self.start_both()
        admin = await self.connect(gateway.admin_address)
        link, opened = await backend.opened()
        self.assertEqual((opened.port, opened.exporter, opened.subject), (Port.ADMIN, b"", ""))
        sent = bytes(range(256)) * 100
        admin.say(sent)
        got = b""
        while len(got) < len(sent):
            event = await backend.next(StreamBytes)
            self.assertEqual(event.connection, opened.connection)
            got += event.data
        self.assertEqual(got, sent)
        link.say(StreamBytes(opened.connection, b"\x16\x03\x00answer\r\n\x00"))
        await admin.hears(b"\x16\x03\x00answer\r\n\x00")

    async def test_end_of_admin_reaches_backend(self) -> None:
        """An admin who hangs up is reported closed, once."""
        gateway, backend = await self.start_both()
        admin = await self.connect(gateway.admin_address)
        link, opened = await backend.opened()
        link.say(Authenticated(opened.connection))
        admin.transport.loseConnection()  # type: ignore[union-attr]
        self.assertEqual(await backend.next(Closed), Closed(opened.connection, "peer"))
