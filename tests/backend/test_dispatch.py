"""What the front makes of the lines of advices: the stripe comes in one of two forms."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from trus.backend.dispatch import request_of
from trus.core.messages import Advise
from trus.protocol.errors import ErrorCode, RemoteProtocolError
from trus.protocol.messages import Kind, Message
from trus.values import DeviceRole, PeerIdentity

PEER = PeerIdentity(DeviceRole.POS, "T0000001", "0a", "BISTRO")
FIELDS = {"stan": "000042", "amount": "12.50", "currency": "USD", "date": "2026-11-20", "rid": "A" * 22}


class Advices(SynchronousTestCase):
    def asked(self, **more: str) -> Advise:
        request = request_of(Message(Kind.COMMAND, "ADVISE", {**FIELDS, **more}), PEER, b"")
        assert isinstance(request, Advise)
        return request

    def test_forms(self) -> None:
        """A stripe as it is, or sealed."""
        plain, sealed = self.asked(track2="9999990000000017=3012725", read="7"), self.asked(stripe="AAAA")
        assert plain.track2 is not None
        self.assertEqual((plain.track2.text, plain.sealed, plain.read), ("9999990000000017=3012725", b"", 7))
        self.assertEqual((sealed.track2, sealed.sealed, sealed.read), (None, bytes(3), 0))

    def test_one_of_them(self) -> None:
        """Both, or none, is a bad field."""
        for more in ({}, {"track2": "9999990000000017=3012725", "stripe": "AAAA"}):
            with self.assertRaises(RemoteProtocolError) as caught:
                self.asked(**more)
            self.assertEqual(caught.exception.code, ErrorCode.BAD_FIELD)
