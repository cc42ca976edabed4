"""What is said of a peer in logs, and how hosts are matched."""

from __future__ import annotations

from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.net.authority import Authority
from trus.net.peers import ChannelPeer, Refusal, channel_refusal, channel_role, examine, peer_address
from trus.values import ChannelRole

AUTHORITY = Authority()


class AddressTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """A peer's address reads the same everywhere: address and port, IPv6 in brackets, or "local"."""
        for address, text in (
            (IPv4Address("TCP", "192.0.2.7", 4711), "192.0.2.7:4711"),
            (IPv6Address("TCP", "2001:db8::7", 4711), "[2001:db8::7]:4711"),
            (UNIXAddress("/run/trus"), "local"),
        ):
            self.assertEqual(peer_address(StringTransport(peerAddress=address)), text)
        self.assertEqual(peer_address(None), "local")


class ExamineTests(SynchronousTestCase):
    def judge(self, hosts: list[str], wanted: str) -> ChannelPeer | Refusal:
        """Judge a gateway's certificate for these hosts."""
        leaf = AUTHORITY.issue(ChannelRole.GATEWAY, hosts=hosts).chain[0]
        return examine(leaf, {ChannelRole.GATEWAY}, ExtendedKeyUsageOID.SERVER_AUTH, wanted)

    def test_hosts(self) -> None:
        """RFC 9525: names match whatever their case and with a wildcard as the whole first label; addresses exactly."""
        for hosts, wanted in (
            (["gateway.test"], "GATEWAY.test"),
            (["*.gateway.test"], "west.gateway.test"),
            (["a.test", "b.test"], "b.test"),
            (["192.0.2.1"], "192.0.2.1"),
        ):
            self.assertIsInstance(self.judge(hosts, wanted), ChannelPeer, wanted)
        for hosts, wanted in (
            (["*.gateway.test"], "gateway.test"),
            (["*.gateway.test"], "a.b.gateway.test"),
            (["192.0.2.1"], "192.0.2.2"),
            (["192.0.2.1"], "gateway.test"),
            (["gateway.test"], "192.0.2.1"),
            ([], "gateway.test"),
            ([], "192.0.2.1"),
        ):
            self.assertIs(self.judge(hosts, wanted), Refusal.WRONG_NAME, wanted)

    def test_roles(self) -> None:
        """TR-14: the role of a certificate is the one that it was issued for, and none without one."""
        for role in ChannelRole:
            self.assertIs(channel_role(AUTHORITY.issue(role).chain[0]), role)
        self.assertIsNone(channel_role(AUTHORITY.issue(None).chain[0]))


class RefusalTests(SynchronousTestCase):
    def test_words(self) -> None:
        """Only a refusal of this side is called one: a peer that refuses us or leaves is not."""
        refused = SSL.Error([("SSL routines", "", "peer did not return a certificate")])
        strange = SSL.Error([("SSL routines", "", "wrong version number")])
        their_alert = SSL.Error([("SSL routines", "", "tlsv13 alert certificate required")])
        self.assertIs(channel_refusal(None, refused), Refusal.NO_CERTIFICATE)
        self.assertIs(channel_refusal(None, strange), Refusal.HANDSHAKE)
        for other in (their_alert, SSL.Error(), ConnectionLost(), None):
            self.assertIsNone(channel_refusal(None, other))
