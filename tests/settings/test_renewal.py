"""Renewed certificates and revocation lists are put to use while a role runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway.deployment import write_channel
from tests.net.authority import Authority
from trus.net.credentials import ChannelCredentials
from trus.settings.renewal import ChannelRenewal
from trus.values import ChannelRole

DAY = timedelta(days=1)


class FixedClock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0


class Channel:
    """Notes what it is told to use."""

    def __init__(self) -> None:
        self.used: list[int] = []

    def reload(
        self,
        credentials: ChannelCredentials,
        *,
        anchors: Sequence[x509.Certificate] | None = None,
        crls: Sequence[x509.CertificateRevocationList] = (),
    ) -> None:
        self.used.append(credentials.chain[0].serial_number)


class RenewalTests(SynchronousTestCase):
    """One channel's files change, or grow old."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.authority = Authority()
        self.clock, self.reactor, self.channel = FixedClock(), Clock(), Channel()
        self.credentials = self.authority.issue(ChannelRole.GATEWAY, not_after=datetime.now(UTC) + 20 * DAY)
        self.write(self.credentials)
        self.renewal = ChannelRenewal("device port", self.tls, [self.channel], self.reactor, self.clock)
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def write(self, credentials: ChannelCredentials, crl_until: datetime | None = None) -> None:
        crl = self.authority.revocation_list(next_update=crl_until or datetime.now(UTC) + 20 * DAY)
        self.tls = write_channel(self.folder, "gateway", credentials, [self.authority.certificate], [crl])

    def said(self, level: LogLevel) -> list[str]:
        found = [event for event in self.events if event.get("log_level") is level]
        return [str(event["log_format"]).format(**event) for event in found]

    def start(self) -> None:
        self.renewal.startService()
        self.addCleanup(self.renewal.stopService)
        self.reactor.advance(0)

    def test_unchanged(self) -> None:
        """Files that do not change are not read again, and nothing is said."""
        self.start()
        self.reactor.pump([30.0] * 5)
        self.assertEqual((self.channel.used, self.events), ([], []))

    def test_changed(self) -> None:
        """A renewed certificate is in use half a minute later at most."""
        self.start()
        renewed = self.authority.issue(ChannelRole.GATEWAY, not_after=datetime.now(UTC) + 20 * DAY)
        self.write(renewed)
        self.reactor.advance(30)
        self.assertEqual(self.channel.used, [renewed.chain[0].serial_number])
        self.assertEqual(self.said(LogLevel.info), ["device port: certificates and lists were renewed"])

    def test_damaged(self) -> None:
        """Files that cannot be used leave the former in use, and are named as an error."""
        self.start()
        self.tls.crl.write_bytes(b"half a li")
        self.reactor.advance(30)
        self.assertEqual(self.channel.used, [])
        [line] = self.said(LogLevel.error)
        self.assertIn("the former files stay in use", line)
        self.assertIn("gateway.crl.pem", line)
        crl = self.authority.revocation_list()
        self.tls.crl.write_bytes(crl.public_bytes(Encoding.PEM))
        self.reactor.advance(30)
        self.assertEqual(len(self.channel.used), 1)

    def test_missing(self) -> None:
        """A file that has gone leaves the former in use."""
        self.start()
        self.tls.certificate.unlink()
        self.reactor.advance(30)
        self.assertEqual(self.channel.used, [])
        self.assertIn("cannot be read", self.said(LogLevel.error)[0])

    def test_warns_in_time(self) -> None:
        """A certificate is warned of two weeks before its end, once in six hours, and is an error after it."""
        self.clock.moment += 7 * DAY
        self.start()
        self.assertEqual(len(self.said(LogLevel.warn)), 1)
        self.reactor.pump([30.0] * 4)
        self.assertEqual(len(self.said(LogLevel.warn)), 1)
        self.clock.moment += timedelta(hours=7)
        self.reactor.advance(30)
        self.assertEqual(len(self.said(LogLevel.warn)), 2)
        self.clock.moment += 14 * DAY
        self.reactor.advance(30)
        self.assertIn("device port: the certificate ended", " ".join(self.said(LogLevel.error)))

    def test_late_list(self) -> None:
        """A revocation list in the last quarter of its life is warned of."""
        self.clock.moment += timedelta(days=15)
        self.start()
        self.assertIn("device port: the revocation list ends", " ".join(self.said(LogLevel.warn)))

    def test_stopped(self) -> None:
        """A role that stops looks no more."""
        self.start()
        self.renewal.stopService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
