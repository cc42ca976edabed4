"""What is no line of the protocol goes no further than the gateway, and is never repeated."""

from __future__ import annotations

from twisted.logger import LogEvent, formatEventAsClassicLogText, globalLogPublisher

from tests.gateway.deployment import OPENING_LINE, SEALED_LINE, GatewayCase
from trus.protocol.link import Closed, DeviceLine

#: bytes -> the code that answers them before authentication.
BEFORE = {
    b"\r\n": "malformed",
    b"GET / HTTP/1.1\r\n": "malformed",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n": "malformed",
    b"COMMAND authenticate s=AAAAAAAAAAAAAAAA\r\n": "malformed",
    b"COMMAND AUTHENTICATE s=AAAAAAAAAAAAAAAA\r\n": "bad-field",
    OPENING_LINE + b" colour=red\r\n": "bad-field",
    OPENING_LINE.replace(b"mode=full", b"mode=full mode=full") + b"\r\n": "bad-field",
    OPENING_LINE + b"\n": "line-end",
    b"COMMAND LAUNCH s=AAAAAAAAAAAAAAAA\r\n": "unknown-verb",
    b"INFO NOTICE code=backend-lost\r\n": "unknown-verb",
    SEALED_LINE + b"\r\n": "out-of-order",
    b"A" * 4096: "too-long",
    OPENING_LINE + b"A" * (4095 - len(OPENING_LINE)) + b"\r\n": "too-long",
}
#: The same after authentication: here the backend judges what begins like a line.
AFTER = {
    b"garbage\r\n": "malformed",
    SEALED_LINE + b"\n": "line-end",
    SEALED_LINE + b"A" * (8191 - len(SEALED_LINE)) + b"\r\n": "too-long",
    b"\xff" * 8192: "too-long",
}
SECRET = b"4000340000000506=2511111123400001230"


class BeforeAuthenticationTests(GatewayCase):
    """A device that has not proven itself gets a fixed code for anything but the protocol."""

    async def test_answers_by_code_and_closes(self) -> None:
        """Malformed, oversized, unknown and untimely lines are answered by INFO ERROR, closed, never forwarded."""
        gateway, backend = await self.start_both()
        for sent, code in BEFORE.items():
            device = await self.call(gateway)
            _, opened = await backend.opened()
            device.say(sent)
            await device.is_closed()
            self.assertEqual(device.heard, b"INFO ERROR code=%b\r\n" % code.encode(), sent[:60])
            self.assertEqual(await backend.next(Closed), Closed(opened.connection, code))
            self.assertEqual(backend.events, [])

    async def test_good_lines_before_bad_one(self) -> None:
        """Lines before a broken one are forwarded, lines after it are not."""
        gateway, backend = await self.start_both()
        device = await self.call(gateway)
        device.say(OPENING_LINE + b"\r\ngarbage\r\n" + OPENING_LINE + b"\r\n")
        await device.is_closed()
        self.assertEqual((await backend.next(DeviceLine)).line, OPENING_LINE)
        await backend.next(Closed)
        self.assertEqual(backend.take(DeviceLine), [])

    async def test_half_a_line(self) -> None:
        """Half a line is waited for, and forwarded once whole."""
        gateway, backend = await self.start_both()
        device = await self.call(gateway)
        await backend.opened()
        for start in range(0, len(OPENING_LINE), 50):
            device.say(OPENING_LINE[start : start + 50])
            await self.pause()
        self.assertEqual(backend.events, [])
        device.say(b"\r\n")
        self.assertEqual((await backend.next(DeviceLine)).line, OPENING_LINE)


class AfterAuthenticationTests(GatewayCase):
    """An authenticated device may send longer lines, still no garbage."""

    async def test_answers_by_code_and_closes(self) -> None:
        """What does not begin like a line, or is longer than 8,192 bytes, ends the connection with a code."""
        gateway, backend = await self.start_both()
        for sent, code in AFTER.items():
            device, link, number = await self.authenticated(gateway, backend)
            link.say(DeviceLine(number, b"INFO go=on"))
            await device.hears(b"INFO go=on\r\n")
            device.say(sent)
            await device.is_closed()
            self.assertEqual(device.heard, b"INFO go=on\r\nINFO ERROR code=%b\r\n" % code.encode(), sent[:60])
            self.assertEqual(await backend.next(Closed), Closed(number, code))
            self.assertEqual(backend.events, [])


class SilenceOfTheLogTests(GatewayCase):
    """A log of the gateway tells when and how much, never what."""

    async def test_logs_length_and_digest_only(self) -> None:
        """Neither a refused line nor a forwarded one appears in the log; its length and digest do."""
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        gateway, backend = await self.start_both()
        device = await self.call(gateway)
        await backend.opened()
        device.say(b"DATA TRACK track2=" + SECRET + b"\r\n")
        await device.is_closed()
        other, link, number = await self.authenticated(gateway, backend)
        link.say(DeviceLine(number, b"INFO SECRET track2=" + SECRET))
        await other.hears(b"\r\n")
        other.say(b"COMMAND SECRET track2=" + SECRET + b"\r\n")
        await backend.next(DeviceLine)
        await self.stop(gateway)
        log = "\n".join((formatEventAsClassicLogText(event) or "") + repr(event) for event in events)
        self.assertNotIn(SECRET.decode(), log)
        self.assertNotIn("track2", log)
        self.assertIn("54 bytes, digest ", log)

    async def test_digests_cannot_be_tried_out(self) -> None:
        """Two gateways give the same line different digests: they are keyed by a secret of the process."""
        digests = []
        for _ in range(2):
            events: list[LogEvent] = []
            globalLogPublisher.addObserver(events.append)
            gateway, _ = await self.start_both()
            device = await self.call(gateway)
            device.say(b"garbage\r\n")
            await device.is_closed()
            globalLogPublisher.removeObserver(events.append)
            lines = [formatEventAsClassicLogText(event) or "" for event in events]
            digests += [line.rpartition("digest ")[2] for line in lines if "digest" in line]
        self.assertEqual(len(set(digests)), 2)
