"""Handshakes to be refused or not, for tests."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.network import (
    Network,
    converse,
    lines_in,
    refusals_in,
    session_in,
)
from trus.protocol.effects import (
    Effect,
    Enrolled,
    Established,
    Refused,
)
from trus.protocol.errors import ErrorCode
from trus.protocol.handshake import Initiator, Responder
from trus.protocol.messages import Phase, Side, parse_line
from trus.protocol.tickets import StoredTicket

OTHER_BINDING = bytes(32)
CODE = "K7QM2-XW4TR-9BNHC-6JDPF"


def certificate_request(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, name: str = "POS00001") -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    algorithm = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.DER)


class HandshakeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network("handshake")

    def refused(self, effects: list[Effect], code: ErrorCode, reason: str | None = None) -> None:
        """Check that a handshake ended, and said nothing but one code on the wire."""
        (refusal,) = refusals_in(effects)
        self.assertEqual(refusal.code, code)
        if reason is not None:
            self.assertEqual(refusal.reason, reason)
        self.assertFalse([effect for effect in effects if isinstance(effect, Established | Enrolled)])
        last = lines_in(effects)[-1:]
        if last and last[0].startswith(b"INFO ERROR"):
            message = parse_line(last[0][:-2], phase=Phase.OPENING, sender=Side.RESPONDER)
            self.assertEqual(message.fields, {"code": code.value})

    def fail_between(self, initiator: Initiator, responder: Responder, code: ErrorCode, reason: str) -> None:
        """Check that the responder refuses and that the initiator hears only the code."""
        left, right = converse(initiator, responder)
        self.refused(right, code, reason)
        self.assertEqual(refusals_in(left), [Refused(code, "peer")])

    def first_line(self, initiator: Initiator) -> bytes:
        return lines_in(initiator.start())[0][:-2]

    def ticket(self) -> StoredTicket:
        left, _ = converse(self.network.initiator(), self.network.responder())
        ticket = session_in(left).ticket
        assert ticket is not None
        return ticket
