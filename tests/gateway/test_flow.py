"""Nobody who does not read makes the gateway keep much, or holds up anybody else."""

from __future__ import annotations

from tests.gateway.deployment import SEALED_LINE, GatewayCase, until
from trus.protocol.link import Authenticated, Closed, DeviceLine, Pause, Resume, StreamBytes
from trus.settings import Duration, Size

LONG_LINE = b"INFO RESULT " + b"A" * 8_000


class SlowDevicesTests(GatewayCase):
    """A device that does not read its answers."""

    async def test_backend_is_asked_to_pause(self) -> None:
        """A device that stops reading pauses its backend, and resumes it when it reads again."""
        gateway, backend = await self.start_both()
        device, link, number = await self.authenticated(gateway, backend)
        await until(lambda: device.exported)
        device.transport.pauseProducing()  # type: ignore[union-attr]
        sent = 0
        while not backend.take(Pause):
            link.say(DeviceLine(number, LONG_LINE))
            sent += 1
            await self.pause()
        device.transport.resumeProducing()  # type: ignore[union-attr]
        self.assertEqual(await backend.next(Resume), Resume(number))
        await until(lambda: len(device.heard) == sent * (len(LONG_LINE) + 2))

    async def test_bounded_when_backend_does_not_pause(self) -> None:
        """A device that does not read is cut off when more waits for it than the limit."""
        gateway, backend = await self.start_both(screening_changes={"send_buffer": Size(64 << 10)})
        device, link, number = await self.authenticated(gateway, backend)
        await until(lambda: device.exported)
        device.transport.pauseProducing()  # type: ignore[union-attr]
        while not backend.take(Closed):
            link.say(DeviceLine(number, LONG_LINE))
            await self.pause()
        device.transport.resumeProducing()  # type: ignore[union-attr]
        await device.is_closed()

    async def test_deadline(self) -> None:
        """A device that reads nothing for the stated time is cut off."""
        gateway, backend = await self.start_both(
            screening_changes={"send_deadline": Duration(1), "send_buffer": Size(16 << 20)}
        )
        device, link, number = await self.authenticated(gateway, backend)
        await until(lambda: device.exported)
        device.transport.pauseProducing()  # type: ignore[union-attr]
        sent, over = 0, list[Closed]()
        while not over:
            link.say(DeviceLine(number, LONG_LINE))
            sent += len(LONG_LINE)
            await self.pause()
            over = backend.take(Closed)
        self.assertEqual(over, [Closed(number, "not-reading")])
        self.assertLess(sent, 16 << 20)

    async def test_others_go_on(self) -> None:
        """While one device does not read, another one's answers arrive at once."""
        gateway, backend = await self.start_both()
        slow, link, number = await self.authenticated(gateway, backend)
        await until(lambda: slow.exported)
        slow.transport.pauseProducing()  # type: ignore[union-attr]
        while not backend.take(Pause):
            link.say(DeviceLine(number, LONG_LINE))
            await self.pause()
        quick, _, other = await self.authenticated(gateway, backend)
        link.say(DeviceLine(other, b"INFO RESULT code=00"))
        await quick.hears(b"INFO RESULT code=00\r\n")


class SlowBackendsTests(GatewayCase):
    """A backend that does not read its link."""

    async def test_devices_are_paused(self) -> None:
        """What waits for a slow backend is bounded: devices are no longer read, and lose nothing."""
        gateway, backend = await self.start_both(
            link_changes={"buffer": Size(64 << 10)},
            screening_changes={"lines_per_second": 1_000_000, "line_burst": 1_000_000},
        )
        device, link, number = await self.authenticated(gateway, backend)
        link.say(DeviceLine(number, b"INFO go=on"))
        await device.hears(b"INFO go=on")
        link.transport.pauseProducing()  # type: ignore[union-attr]
        line = SEALED_LINE + b"A" * 4_000
        # More than every buffer between here and there can hold.
        total = 4_000
        for _ in range(total):
            device.say(line + b"\r\n")
        for _ in range(50):
            await self.pause()
        [carried] = gateway.pool.links
        self.assertLess(carried.waiting_bytes, 1 << 20)
        link.transport.resumeProducing()  # type: ignore[union-attr]
        received = 0
        while received < total:
            received += sum(event == DeviceLine(number, line) for event in backend.take(DeviceLine))
            await self.pause()
        self.assertEqual(received, total)

    async def test_backend_pauses_one_device(self) -> None:
        """COMMAND PAUSE stops the reading of one device alone, until COMMAND RESUME."""
        gateway, backend = await self.start_both()
        first, link, one = await self.authenticated(gateway, backend)
        second, _, two = await self.authenticated(gateway, backend)
        for device, number in ((first, one), (second, two)):
            link.say(DeviceLine(number, b"INFO go=on"))
            await device.hears(b"INFO go=on")
        link.say(Pause(one))
        link.say(DeviceLine(one, b"INFO paused=1"))
        await first.hears(b"paused")
        first.say(SEALED_LINE + b"\r\n")
        second.say(SEALED_LINE + b"\r\n")
        self.assertEqual(await backend.next(DeviceLine), DeviceLine(two, SEALED_LINE))
        for _ in range(10):
            await self.pause()
        self.assertEqual(backend.take(DeviceLine), [])
        link.say(Resume(one))
        self.assertEqual(await backend.next(DeviceLine), DeviceLine(one, SEALED_LINE))


class SlowAdminsTests(GatewayCase):
    """Admin streams obey the same rules."""

    async def test_backend_is_asked_to_pause(self) -> None:
        """An admin who stops reading pauses the backend's stream; nothing is lost."""
        gateway, backend = await self.start_both()
        admin = await self.connect(gateway.admin_address)
        link, opened = await backend.opened()
        admin.transport.pauseProducing()  # type: ignore[union-attr]
        chunk, sent = b"B" * 8_192, 0
        while not backend.take(Pause):
            link.say(StreamBytes(opened.connection, chunk))
            sent += len(chunk)
            await self.pause()
        admin.transport.resumeProducing()  # type: ignore[union-attr]
        await backend.next(Resume)
        await until(lambda: len(admin.heard) == sent)

    async def test_bounded(self) -> None:
        """An admin who does not read is cut off when the backend sends on regardless."""
        gateway, backend = await self.start_both()
        admin = await self.connect(gateway.admin_address)
        link, opened = await backend.opened()
        link.say(Authenticated(opened.connection))
        admin.transport.pauseProducing()  # type: ignore[union-attr]
        while not backend.take(Closed):
            for _ in range(20):
                link.say(StreamBytes(opened.connection, b"B" * 8_192))
            await self.pause()

    async def test_backend_pauses_admin(self) -> None:
        """COMMAND PAUSE stops an admin's stream until COMMAND RESUME."""
        gateway, backend = await self.start_both()
        admin = await self.connect(gateway.admin_address)
        link, opened = await backend.opened()
        link.say(Pause(opened.connection))
        link.say(StreamBytes(opened.connection, b"paused"))
        await admin.hears(b"paused")
        admin.say(b"hello")
        for _ in range(10):
            await self.pause()
        self.assertEqual(backend.take(StreamBytes), [])
        link.say(Resume(opened.connection))
        self.assertEqual(await backend.next(StreamBytes), StreamBytes(opened.connection, b"hello"))
