"""Answers who opens a sealed session: the backend, or a POS towards a card.

Gives nothing away but its own certificate before the initiator has proven itself, and one
word, refused, for whatever fails.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from trus.clock import Clock, Entropy
from trus.protocol.effects import (
    Delivered,
    Effect,
    Enrolled,
    Established,
    Mode,
    NeedEnrolment,
    NeedStanding,
    NeedVerification,
    Send,
    Terms,
)
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.fields import format_octets, parse_octets
from trus.protocol.keyschedule import NONCE_BYTES, Agreement, HandshakeKeys, same, transcript
from trus.protocol.messages import Kind, Phase, Side
from trus.protocol.proofs import (
    BIRTH_BACKEND,
    Handshake,
    Waiting,
    check_length,
    check_possession,
    check_request,
    credential_digest,
    format_chain,
    parse_chain,
    refused,
    terms_fields,
)
from trus.protocol.records import Direction
from trus.protocol.session import SealedSession
from trus.protocol.table import DEVICE_TABLE, Line
from trus.protocol.tickets import TicketContent, TicketKeys
from trus.protocol.verbs import SUITE, VERSION
from trus.values import DeviceRole, PeerIdentity

#: What message 3 proves with in mode enrol: a request for the device's own key, or the code alone.
_ENROL: Final = frozenset({"role", "name", "csr", "code", "signature"})
_ENROL_AT_BACKEND: Final = frozenset({"role", "name", "code", "birth"})


class Responder(Handshake):
    """The side that answers."""

    side = Side.RESPONDER

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
        INFO OPENED), None where there is none. `unbound_models` lists terminal models that
        are exempt from the binding because their TLS has no exporter.
        """
        super().__init__(None, "", clock, entropy)
        self._name = name
        self._chain = tuple(chain)
        self._staple = staple
        self._peer_role = peer_role
        self._modes = modes
        self._binding = channel_binding
        self._tickets = tickets
        self._unbound_models = unbound_models
        self._bound = False
        self._clear = b""
        self._terms = Terms()
        self._content: TicketContent | None = None
        self._pair_wanted = False

    # ---------------------------------------------------------------- message 1

    def _take(self, found: Line, line: bytes) -> list[Effect]:
        return self._take_opening(found, line) if found.kind is Kind.COMMAND else self._take_proof(found, line)

    def _take_opening(self, found: Line, line: bytes) -> list[Effect]:
        fields, _ = found.parse_clear(line)
        self.label = fields["s"]
        if str(VERSION) not in fields["versions"].split(","):
            raise RemoteProtocolError(ErrorCode.VERSION)
        if str(SUITE) not in fields["suites"].split(","):
            raise RemoteProtocolError(ErrorCode.SUITE)
        if fields["to"] != self._name:
            raise RemoteProtocolError(ErrorCode.UNREACHABLE, "name")
        try:
            self.mode = Mode(fields["mode"])
        except ValueError:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "mode") from None
        if self.mode not in self._modes:
            raise refused("mode")
        if ("ticket" in fields) is not (self.mode is Mode.RESUME):
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "ticket")
        if self.mode is Mode.RESUME:
            self._open_ticket(fields, line)
        agreement = Agreement(self._entropy.draw(32))
        self._keys.agreed(agreement.agree(parse_octets(fields["share"])))
        answer = DEVICE_TABLE.named(Phase.OPENING, self.side, Kind.DATA, "AUTHENTICATE")
        self._clear = answer.format_clear(
            {
                "s": self.label,
                "version": str(VERSION),
                "suite": str(SUITE),
                "share": format_octets(agreement.share),
                "nonce": format_octets(self._entropy.draw(NONCE_BYTES)),
            }
        )
        self._transcript = transcript("th2", transcript("th1", line), self._clear)
        if self._content is not None:
            self._waiting = Waiting.STANDING
            return [NeedStanding(self._content.peer)]
        self._credential = credential_digest(*self._chain, self._staple or b"")
        return self._ask_signature()

    def _open_ticket(self, fields: Mapping[str, str], line: bytes) -> None:
        content = None if self._tickets is None else self._tickets.open(parse_octets(fields["ticket"]))
        if content is None or content.peer.role is not self._peer_role:
            raise RemoteProtocolError(ErrorCode.TICKET, "ticket")
        if self._binding is None and content.peer.model not in self._unbound_models:
            raise refused("binding")
        self._keys = HandshakeKeys(content.secret)
        binder = self._keys.binder(line.rpartition(b" binder=")[0], self._binding or b"")
        if not same(binder, parse_octets(fields["binder"])):
            raise refused("binder")
        self._content = content

    # ---------------------------------------------------------------- message 2

    def provide_signature(self, signature: bytes) -> list[Effect]:
        """Go on with the DER signature that NeedSignature asked for."""
        if not self._expects(Waiting.SIGNATURE):
            return []
        sealed = {"chain": format_chain(self._chain)}
        if self._staple is not None:
            sealed["staple"] = format_octets(self._staple)
        return self._send_proof(sealed, signature)

    def provide_standing(self, terms: Terms) -> list[Effect]:
        """Go on with a resumption: the ticket's holder still stands; tell it `terms`."""
        if not self._expects(Waiting.STANDING):
            return []
        self._terms = terms
        self._credential = credential_digest()
        return self._send_proof({}, b"")

    def _send_proof(self, sealed: dict[str, str], signature: bytes) -> list[Effect]:
        line = self._seal_proof(self._clear, sealed, signature)
        self._transcript = transcript("th3", self._transcript, line, self._credential)
        self._say(Kind.DATA, "AUTHENTICATE")
        self._waiting = Waiting.LINE
        return [Send(line + b"\r\n")]

    # ---------------------------------------------------------------- message 3

    def _before_proof(self, clear: bytes, fields: Mapping[str, str]) -> None:
        """Do nothing: the keys of message 3 were agreed on with message 1."""

    def _take_proof(self, found: Line, line: bytes) -> list[Effect]:
        opened = self._open_proof(found, line)
        sealed = opened.sealed
        names = frozenset(sealed) - {"binding", "mac"}
        wanted = {
            Mode.RESUME: frozenset[str](),
            Mode.ENROL: _ENROL_AT_BACKEND if "birth" in sealed else _ENROL,
        }.get(self.mode or Mode.FULL, frozenset({"chain", "signature"}))
        if names != wanted or ("binding" in sealed and self.mode in (Mode.DEVICE, Mode.RESUME)):
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "proof")
        if self._content is not None:
            self._credential = credential_digest()
            self._check_proof(opened, b"")
            self._move_on(line)
            return self._confirm(self._content.peer, self._terms, self._content.authenticated_at)
        signature = parse_octets(sealed.get("signature", ""))
        binding = parse_octets(sealed.get("binding", ""))
        if self.mode is Mode.ENROL:
            if sealed.get("birth", BIRTH_BACKEND) != BIRTH_BACKEND:
                raise RemoteProtocolError(ErrorCode.BAD_FIELD, "birth")
            csr = parse_octets(sealed.get("csr", ""))
            words = (sealed["role"].encode(), sealed["name"].encode(), csr, sealed["code"].encode())
            self._credential = credential_digest(*words, binding)
            self._check_proof(opened, signature)
            if csr:
                check_request(csr, self._peer_payload(), signature)
            self._check_binding(binding)
            return self._ask_enrolment(sealed, csr, line)
        chain = parse_chain(sealed["chain"])
        self._credential = credential_digest(*chain, binding)
        self._check_proof(opened, signature)
        if chain[0] == self._chain[0]:
            raise refused("mirror")
        check_possession(chain[0], self._peer_payload(), signature)
        if self.mode is Mode.FULL:
            self._check_binding(binding)
        self._move_on(line)
        self._waiting = Waiting.VERIFICATION
        return [NeedVerification(chain, None, self._peer_role, self.mode or Mode.FULL)]

    def _move_on(self, line: bytes) -> None:
        self._transcript = transcript("th4", self._transcript, line, self._credential)

    def _check_binding(self, binding: bytes) -> None:
        """Compare the signed binding with the gateway's report; note when one is missing."""
        if not binding or self._binding is None:
            self._bound = False
        elif same(binding, self._binding):
            self._bound = True
        else:
            raise refused("binding")

    def _ask_enrolment(self, sealed: Mapping[str, str], csr: bytes, line: bytes) -> list[Effect]:
        if not self._bound:
            raise refused("binding")
        try:
            role = DeviceRole(sealed["role"])
        except ValueError:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "role") from None
        if role is not self._peer_role:
            raise refused("role")
        self._move_on(line)
        self._pair_wanted = not csr
        self._waiting = Waiting.ENROLMENT
        return [NeedEnrolment(role, sealed["name"], csr, sealed["code"])]

    # ---------------------------------------------------------------- message 4

    def provide_verification(self, peer: PeerIdentity, terms: Terms) -> list[Effect]:
        """Go on: the initiator's chain is good; tell it `terms`."""
        if not self._expects(Waiting.VERIFICATION):
            return []
        if peer.role is not self._peer_role:
            return self.refuse(ErrorCode.REFUSED, "role")
        if self.mode is Mode.FULL and not self._bound and peer.model not in self._unbound_models:
            return self.refuse(ErrorCode.REFUSED, "binding")
        return self._confirm(peer, terms, self._clock.now().timestamp())

    def provide_enrolment(self, chain: Sequence[bytes], terms: Terms) -> list[Effect]:
        """Hand out the issued chain (DER, leaf first, no root); no session remains."""
        if not self._expects(Waiting.ENROLMENT):
            return []
        if self._pair_wanted:
            raise LocalProtocolError("the device has no pair for that certificate")
        return [self._hand_out({**terms_fields(terms), "chain": format_chain(chain)}), Enrolled(tuple(chain), terms)]

    def provide_pair(self, p12: bytes, passphrase: str, terms: Terms) -> list[Effect]:
        """Hand out a pair that the backend made, with its certificates (PKCS#12); no session remains."""
        if not self._expects(Waiting.ENROLMENT):
            return []
        if not self._pair_wanted:
            raise LocalProtocolError("the device has made its own pair")
        sealed = {**terms_fields(terms), "p12": format_octets(p12), "passphrase": passphrase}
        return [self._hand_out(sealed), Delivered(p12, passphrase, terms)]

    def _hand_out(self, sealed: Mapping[str, str]) -> Send:
        return Send(self._say_authenticated(Direction(self._keys.finish(self._transcript).responder), sealed))

    def _confirm(self, peer: PeerIdentity, terms: Terms, authenticated_at: float) -> list[Effect]:
        secrets = self._keys.finish(self._transcript)
        resumable = self.mode is not Mode.DEVICE
        sealed = terms_fields(terms)
        if self._tickets is not None and resumable:
            content = TicketContent(secrets.resumption, peer, authenticated_at, self._clock.now().timestamp())
            if content.lifetime():
                sealed["ticket"] = format_octets(self._tickets.seal(content))
                sealed["lifetime"] = str(content.lifetime())
        session = SealedSession(
            label=self.label,
            peer=peer,
            side=self.side,
            secrets=secrets,
            sequence=(0, 1),
            clock=self._clock,
            entropy=self._entropy,
            authenticated_at=authenticated_at,
            resumable=resumable,
            hears_gateway=not resumable,
            max_dialogues=terms.max_dialogues,
        )
        line = self._say_authenticated(Direction(secrets.responder), sealed)
        return [Send(line), Established(session, terms)]

    def _say_authenticated(self, direction: Direction, sealed: Mapping[str, str]) -> bytes:
        found = DEVICE_TABLE.named(Phase.OPENING, self.side, Kind.INFO, "AUTHENTICATED")
        line = direction.seal(found.format_clear({"s": self.label}), found.format_sealed(sealed))
        check_length(line)
        self._say(Kind.INFO, "AUTHENTICATED")
        self._finish()
        return line
