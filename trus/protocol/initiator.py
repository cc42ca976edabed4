"""Opens a sealed session: a device towards the backend, a card towards a POS.

Trusts nobody whom its owner's verifier has not named, and never reveals its own certificate
before that: message 3 is sealed to the verified responder.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trus.clock import Clock, Entropy
from trus.protocol import grammar
from trus.protocol.effects import Delivered, Effect, Enrolled, Established, Mode, NeedVerification, Send, Terms
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError, SessionEnded
from trus.protocol.fields import format_octets, parse_octets
from trus.protocol.keyschedule import LABEL_BYTES, NONCE_BYTES, Agreement, HandshakeKeys, SessionSecrets, transcript
from trus.protocol.messages import Kind, Phase, Side
from trus.protocol.proofs import (
    BIRTH_BACKEND,
    Handshake,
    Waiting,
    check_possession,
    credential_digest,
    format_chain,
    parse_chain,
    refused,
    terms_of,
)
from trus.protocol.records import Direction
from trus.protocol.session import SealedSession
from trus.protocol.table import DEVICE_TABLE, Line
from trus.protocol.tickets import CHAIN_LIFETIME_SECONDS, StoredTicket
from trus.protocol.verbs import SUITE, VERSION
from trus.values import DeviceRole, PeerIdentity, Secret


class Expected(Secret, frozen=True):
    """Whom an initiator wants at the other end; an empty name or shop accepts any."""

    role: DeviceRole
    name: str = ""
    shop: str = ""

    def accepts(self, peer: PeerIdentity) -> bool:
        """Say whether `peer` is the one."""
        return (
            peer.role is self.role
            and (not self.name or peer.name == self.name)
            and (not self.shop or peer.shop == self.shop)
        )


class EnrolmentRequest(Secret, frozen=True):
    """What a device without a certificate says: its role and name, PKCS#10 DER, the code.

    With an empty `csr` the backend makes the pair and hands it over.
    """

    role: DeviceRole
    name: str
    csr: bytes
    code: str


#: What message 4 brings in mode enrol: a certificate for the device's own pair, or a pair with its certificate.
_CERTIFIED = frozenset({"chain"})
_DELIVERED = frozenset({"p12", "passphrase"})
#: Placeholder as long as a binder, for the one line that proves itself.
_NO_BINDER = "A" * 43


class Initiator(Handshake):
    """The side that opens."""

    side = Side.INITIATOR
    mode: Mode
    #: Who answers; known from the moment that this side sends its own proof.
    _peer: PeerIdentity

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
        modes enrol and resume. `channel_binding` is the 32-byte RFC 9266 exporter of this
        device's TLS connection; None in mode device and on a model that has none. `ticket`
        is for mode resume, `enrolment` for mode enrol. Raises LocalProtocolError when the
        mode's material is missing or the ticket is not the expected peer's.
        """
        needed = {Mode.FULL: chain, Mode.DEVICE: chain, Mode.RESUME: ticket, Mode.ENROL: enrolment}[mode]
        if not needed:
            raise LocalProtocolError(f"mode {mode} lacks its material")
        if mode is Mode.RESUME and ticket is not None and not expected.accepts(ticket.peer):
            raise LocalProtocolError("the ticket is another peer's")
        super().__init__(mode, format_octets(entropy.draw(LABEL_BYTES)), clock, entropy)
        self._to = to
        self._expected = expected
        self._chain = tuple(chain)
        self._binding = None if mode is Mode.DEVICE else channel_binding
        self._ticket = ticket
        self._enrolment = enrolment
        self._agreement = Agreement(entropy.draw(32))
        self._nonce = entropy.draw(NONCE_BYTES)
        self._waiting = Waiting.START

    # ---------------------------------------------------------------- message 1

    def start(self) -> list[Effect]:
        """Return [Send(message 1)]."""
        if not self._expects(Waiting.START):
            return []
        fields = {
            "s": self.label,
            "to": self._to,
            "versions": str(VERSION),
            "suites": str(SUITE),
            "mode": str(self.mode),
            "share": format_octets(self._agreement.share),
            "nonce": format_octets(self._nonce),
        }
        found = DEVICE_TABLE.named(Phase.OPENING, self.side, Kind.COMMAND, "AUTHENTICATE")
        if self.mode is Mode.RESUME and self._ticket is not None:
            self._keys = HandshakeKeys(self._ticket.secret)
            named = {**fields, "ticket": format_octets(self._ticket.ticket), "binder": _NO_BINDER}
            bound = found.format_clear(named).rpartition(b" binder=")[0]
            binder = self._keys.binder(bound, self._binding or b"")
            line = bound + b" binder=" + grammar.encode_base64url(binder)
        else:
            line = found.format_clear(fields)
        self._transcript = transcript("th1", line)
        self._say(Kind.COMMAND, "AUTHENTICATE")
        self._waiting = Waiting.LINE
        return [Send(line + b"\r\n")]

    # ---------------------------------------------------------------- message 2

    def _take(self, found: Line, line: bytes) -> list[Effect]:
        return self._take_answer(found, line) if found.kind is Kind.DATA else self._take_confirmation(found, line)

    def _before_proof(self, clear: bytes, fields: Mapping[str, str]) -> None:
        if fields["version"] != str(VERSION):
            raise RemoteProtocolError(ErrorCode.VERSION)
        if fields["suite"] != str(SUITE):
            raise RemoteProtocolError(ErrorCode.SUITE)
        self._keys.agreed(self._agreement.agree(parse_octets(fields["share"])))
        self._transcript = transcript("th2", self._transcript, clear)

    def _take_answer(self, found: Line, line: bytes) -> list[Effect]:
        opened = self._open_proof(found, line)
        sealed = opened.sealed
        if self.mode is Mode.RESUME and self._ticket is not None:
            if len(sealed) != 1:
                raise RemoteProtocolError(ErrorCode.BAD_FIELD, "resume")
            self._credential = credential_digest()
            self._check_proof(opened, b"")
            self._transcript = transcript("th3", self._transcript, line, self._credential)
            self._peer = self._ticket.peer
            self._credential = credential_digest()
            return self._send_proof({}, b"")
        if "chain" not in sealed or "signature" not in sealed:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "proof")
        chain = parse_chain(sealed["chain"])
        staple = parse_octets(sealed["staple"]) if "staple" in sealed else None
        signature = parse_octets(sealed["signature"])
        self._credential = credential_digest(*chain, staple or b"")
        self._check_proof(opened, signature)
        if self._chain and chain[0] == self._chain[0]:
            raise refused("mirror")
        check_possession(chain[0], self._peer_payload(), signature)
        self._transcript = transcript("th3", self._transcript, line, self._credential)
        self._waiting = Waiting.VERIFICATION
        return [NeedVerification(chain, staple, self._expected.role, self.mode)]

    def provide_verification(self, peer: PeerIdentity) -> list[Effect]:
        """Go on: the responder's chain is good; it must also be the one expected."""
        if not self._expects(Waiting.VERIFICATION):
            return []
        if not self._expected.accepts(peer):
            return self.refuse(ErrorCode.REFUSED, "name")
        self._peer = peer
        binding = self._binding or b""
        if self._enrolment is not None:
            request = self._enrolment
            words = (request.role.encode(), request.name.encode(), request.csr, request.code.encode())
            self._credential = credential_digest(*words, binding)
            if not request.csr:
                return self._prove_by_code(request)
        else:
            self._credential = credential_digest(*self._chain, binding)
        return self._ask_signature()

    # ---------------------------------------------------------------- message 3

    def _prove_by_code(self, request: EnrolmentRequest) -> list[Effect]:
        """Say message 3 without a signature: there is no key yet, the code is all that this side has."""
        sealed = {"role": str(request.role), "name": request.name, "code": request.code, "birth": BIRTH_BACKEND}
        return self._send_proof(self._bound(sealed), b"")

    def provide_signature(self, signature: bytes) -> list[Effect]:
        """Go on with the DER signature that NeedSignature asked for."""
        if not self._expects(Waiting.SIGNATURE):
            return []
        if self._enrolment is not None:
            request = self._enrolment
            sealed = {
                "role": str(request.role),
                "name": request.name,
                "csr": format_octets(request.csr),
                "code": request.code,
            }
        else:
            sealed = {"chain": format_chain(self._chain)}
        return self._send_proof(self._bound(sealed), signature)

    def _bound(self, sealed: dict[str, str]) -> dict[str, str]:
        if self._binding is not None:
            sealed["binding"] = format_octets(self._binding)
        return sealed

    def _send_proof(self, sealed: dict[str, str], signature: bytes) -> list[Effect]:
        found = DEVICE_TABLE.named(Phase.OPENING, self.side, Kind.DATA, "AUTHENTICATE")
        line = self._seal_proof(found.format_clear({"s": self.label}), sealed, signature)
        self._transcript = transcript("th4", self._transcript, line, self._credential)
        self._say(Kind.DATA, "AUTHENTICATE")
        self._waiting = Waiting.LINE
        return [Send(line + b"\r\n")]

    # ---------------------------------------------------------------- message 4

    def _take_confirmation(self, found: Line, line: bytes) -> list[Effect]:
        clear, mark, text = line.rpartition(grammar.SEAL_MARK)
        if not mark:
            raise RemoteProtocolError(ErrorCode.UNSEALED)
        secrets = self._keys.finish(self._transcript)
        try:
            plaintext = Direction(secrets.responder).open(clear, grammar.decode_base64url(text))
        except SessionEnded as ended:
            raise refused(ended.reason) from None
        fields, unknown = found.parse_clear(clear)
        sealed = found.parse_sealed(plaintext, unknown)
        if fields["s"] != self.label:
            raise RemoteProtocolError(ErrorCode.UNKNOWN_SESSION)
        terms = terms_of(sealed)
        request = self._enrolment
        wanted = frozenset[str]() if request is None else _CERTIFIED if request.csr else _DELIVERED
        if frozenset(sealed) & (_CERTIFIED | _DELIVERED) != wanted:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "chain")
        self._finish()
        if "p12" in sealed:
            return [Delivered(parse_octets(sealed["p12"]), sealed["passphrase"], terms)]
        if "chain" in sealed:
            return [Enrolled(parse_chain(sealed["chain"]), terms)]
        return [self._establish(secrets, sealed, terms)]

    def _establish(self, secrets: SessionSecrets, sealed: Mapping[str, str], terms: Terms) -> Established:
        now = self._clock.now().timestamp()
        began = now if self._ticket is None else self._ticket.ends - CHAIN_LIFETIME_SECONDS
        session = SealedSession(
            label=self.label,
            peer=self._peer,
            side=self.side,
            secrets=secrets,
            sequence=(0, 1),
            clock=self._clock,
            entropy=self._entropy,
            authenticated_at=began,
            resumable=self.mode is not Mode.DEVICE,
            hears_gateway=True,
            max_dialogues=terms.max_dialogues,
        )
        if "ticket" in sealed:
            session.ticket = StoredTicket(
                parse_octets(sealed["ticket"]),
                secrets.resumption,
                now + int(sealed["lifetime"]),
                began + CHAIN_LIFETIME_SECONDS,
                self._peer,
            )
        return Established(session, terms, session.ticket)
