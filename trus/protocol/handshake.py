"""Makes a sealed session between two holders of individual certificates (SIGMA-I).

Opens no sockets, reads no clock of its own, signs and verifies nothing by itself: each call
returns effects (trus.protocol.effects) for the owner to carry out, in order.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from collections.abc import Sequence

from trus.clock import Clock, Entropy
from trus.protocol.effects import Effect, Mode, PeerVerifier, Signer, Terms
from trus.protocol.errors import ErrorCode
from trus.protocol.tickets import StoredTicket, TicketKeys
from trus.values import DeviceRole, PeerIdentity, Secret


class Expected(Secret, frozen=True):
    """Whom an initiator wants at the other end; an empty name or shop accepts any."""

    role: DeviceRole
    name: str = ""
    shop: str = ""


class EnrolmentRequest(Secret, frozen=True):
    """What a device without a certificate says: its role and name, PKCS#10 DER, the code."""

    role: DeviceRole
    name: str
    csr: bytes
    code: str


class Initiator:
    """The side that opens: a device towards the backend, a card towards a POS."""

    def __init__(
        self,
        *,
        to: str,
        mode: Mode,
        expected: Expected,
        clock: Clock,
        entropy: Entropy,
        chain: Sequence[bytes] = (),
        channel_binding: bytes | None = None,
        ticket: StoredTicket | None = None,
        enrolment: EnrolmentRequest | None = None,
    ) -> None:
        """Prepare to reach `to` ("backend", or a terminal's name in mode device).

        `chain` is this side's own certificate chain (DER, leaf first, no root), unused in
        mode enrol and resume. `channel_binding` is the 32-byte RFC 9266 exporter of this
        device's TLS connection. `ticket` is for mode resume, `enrolment` for mode enrol.
        """
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The session's label (field s), 16 base64url characters drawn at construction."""
        raise NotImplementedError

    def start(self) -> list[Effect]:
        """Return [Send(message 1)]."""
        raise NotImplementedError

    def receive(self, line: bytes) -> list[Effect]:
        """Take a line (without CR LF) of this session's label. Never raises for bad bytes."""
        raise NotImplementedError

    def provide_verification(self, peer: PeerIdentity) -> list[Effect]:
        """Go on: the responder's chain is good."""
        raise NotImplementedError

    def provide_signature(self, signature: bytes) -> list[Effect]:
        """Go on with the DER signature that NeedSignature asked for."""
        raise NotImplementedError

    def refuse(self, code: ErrorCode, reason: str) -> list[Effect]:
        """End it: the verification failed, the key did not answer, the time is over."""
        raise NotImplementedError


class Responder:
    """The side that answers: the backend, or a POS towards a card."""

    def __init__(
        self,
        *,
        name: str,
        chain: Sequence[bytes],
        staple: bytes | None,
        peer_role: DeviceRole,
        clock: Clock,
        entropy: Entropy,
        modes: frozenset[Mode],
        channel_binding: bytes | None = None,
        tickets: TicketKeys | None = None,
        unbound_models: frozenset[str] = frozenset(),
    ) -> None:
        """Prepare to answer one handshake.

        `name` is what the field `to` must say ("backend", or the terminal's own name).
        `chain` (DER, leaf first, no root) and `staple` (DER OCSP response) are this side's.
        `channel_binding` is what the gateway reported for the connection (field exporter of
        INFO OPENED), None on a device-to-device session. `unbound_models` lists terminal
        models exempt from the binding.
        """
        raise NotImplementedError

    def receive(self, line: bytes) -> list[Effect]:
        """Take a line (without CR LF) of this session's label. Never raises for bad bytes."""
        raise NotImplementedError

    def provide_signature(self, signature: bytes) -> list[Effect]:
        """Go on with the DER signature that NeedSignature asked for."""
        raise NotImplementedError

    def provide_verification(self, peer: PeerIdentity, terms: Terms) -> list[Effect]:
        """Go on: the initiator's chain is good; tell it `terms`."""
        raise NotImplementedError

    def provide_standing(self, terms: Terms) -> list[Effect]:
        """Go on with a resumption: the ticket's holder still stands."""
        raise NotImplementedError

    def provide_enrolment(self, chain: Sequence[bytes], terms: Terms) -> list[Effect]:
        """Hand out the issued chain (DER, leaf first, no root)."""
        raise NotImplementedError

    def refuse(self, code: ErrorCode, reason: str) -> list[Effect]:
        """End it: [Send(INFO ERROR), Refused]."""
        raise NotImplementedError


def run(
    handshake: Initiator | Responder,
    effects: list[Effect],
    signer: Signer,
    verifier: PeerVerifier,
    terms: Terms | None = None,
) -> list[Effect]:
    """Answer every NeedSignature and NeedVerification at once; return the other effects."""
    raise NotImplementedError
