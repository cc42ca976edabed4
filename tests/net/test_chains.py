"""Channels whose certificates come from an authority below the trusted one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase

from tests.net.authority import Authority
from tests.net.meeting import Meeting, meet
from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.credentials import ChannelCredentials
from trus.net.peers import Refusal
from trus.values import ChannelRole

ROOT = Authority("root")
ISSUING = Authority("issuing", above=ROOT)
GATEWAY = ISSUING.issue(ChannelRole.GATEWAY, hosts=["gateway.test"])
POS = ISSUING.issue(ChannelRole.POS)

Meet = Generator[Deferred[Meeting], Meeting, None]


def port(**options: Any) -> ServerChannel:
    """The device port."""
    return ServerChannel(GATEWAY, {ChannelRole.POS}, **options)


def terminal(credentials: ChannelCredentials = POS) -> ClientChannel:
    """A terminal."""
    return ClientChannel(credentials, ChannelRole.GATEWAY, "gateway.test", anchors=[ROOT.certificate])


class ChainTests(TestCase):
    @inlineCallbacks
    def test_whole_chain(self) -> Meet:
        """TR-14: both ends carry their whole chain and trust the root alone."""
        meeting = yield meet(port(), terminal())
        self.assertEqual(meeting.server.received, b"hello from the client")

    @inlineCallbacks
    def test_broken_chain(self) -> Meet:
        """A peer that leaves its issuer out is refused."""
        alone = ChannelCredentials(POS.key, POS.chain[:1])
        meeting = yield meet(port(), terminal(alone))
        # The gateway's own chain is sent, but what a peer does not bring is not believed.
        self.assertEqual(meeting.server.refusal, Refusal.FOREIGN)

    @inlineCallbacks
    def test_a_list_from_every_authority(self) -> Meet:
        """With revocation lists, each authority of the chain must have one in force."""
        both = [ROOT.revocation_list(), ISSUING.revocation_list()]
        meeting = yield meet(port(crls=both), terminal())
        self.assertIsNone(meeting.server.refusal)
        for some in both:
            meeting = yield meet(port(crls=[some]), terminal())
            self.assertEqual(meeting.server.refusal, Refusal.NO_REVOCATION_LIST)

    @inlineCallbacks
    def test_revoked_authority(self) -> Meet:
        """A revoked authority takes everything that it issued with it."""
        issuing = ChannelCredentials(ISSUING.key, (ISSUING.certificate,))
        lists = [ROOT.revocation_list(issuing), ISSUING.revocation_list()]
        meeting = yield meet(port(crls=lists), terminal())
        self.assertEqual(meeting.server.refusal, Refusal.REVOKED)
