"""Seals lines to one authenticated peer and opens that peer's lines.

Opens no sockets and never answers a forgery: a wrong tag or sequence number raises
SessionEnded and the session is over without a word. Keys are replaced in place (rekey) by
three lines of the session itself; each direction changes exactly after the line that says so.
Specification: docs/protocol.md, "The seal", "Resumption in place".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from trus.clock import Clock, Entropy
from trus.protocol import grammar
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError, SessionEnded
from trus.protocol.fields import format_octets, parse_octets
from trus.protocol.grammar import DIALOGUE, KIND, LABEL, VERB
from trus.protocol.keyschedule import NONCE_BYTES, Agreement, SessionSecrets
from trus.protocol.messages import Kind, Message, Phase, Side, parse_line
from trus.protocol.records import MAX_RECORDS, Direction
from trus.protocol.states import MAX_DIALOGUES, Dialogues, DialogueState, OutOfOrder, SessionOrder, SessionState
from trus.protocol.table import DEVICE_TABLE, Line, head_of
from trus.protocol.tickets import CHAIN_LIFETIME_SECONDS, StoredTicket, TicketContent, TicketKeys
from trus.values import PeerIdentity

#: Age of the keys in seconds before the session resumes in place.
MAX_KEY_AGE_SECONDS: Final = 3600
#: Age past which a responder takes nothing but the request for new keys: a rekey is when the
#: peer's standing is looked at again, so whoever avoids it must not stay.
OVERDUE_SECONDS: Final = MAX_KEY_AGE_SECONDS + 600

#: Where a line names its dialogue: right after the session's label.
_DIALOGUE_FIELD: Final = re.compile(rb"%b %b s=%b id=(%b)(?: |\Z)" % (KIND, VERB, LABEL, DIALOGUE))
_REKEY_HEADS: Final = frozenset({"COMMAND REKEY", "DATA REKEY", "INFO REKEYED"})
#: Lines without a dialogue that move the session.
_SESSION_HEADS: Final = _REKEY_HEADS | {"INFO BYE"}


class SealedSession:
    """One sealed session, seen from one side.

    `label` is the session's name on the connection (field s). `peer` is the verified holder
    of the other end's certificate. `side` is this end. `pin_key` is the AES-256 key of the
    ISO 9564-1 format 4 PIN blocks of this session; it stays the same when the session
    resumes in place. `ticket` is the newest ticket that an initiator received.
    """

    def __init__(
        self,
        *,
        label: str,
        peer: PeerIdentity,
        side: Side,
        secrets: SessionSecrets,
        sequence: tuple[int, int],
        clock: Clock,
        entropy: Entropy,
        authenticated_at: float,
        resumable: bool,
        hears_gateway: bool,
        max_dialogues: int = MAX_DIALOGUES,
    ) -> None:
        """Begin after the handshake; its owner makes it, no one else.

        `sequence` counts the records already sealed by initiator and responder.
        `authenticated_at` is the moment of the full handshake (seconds since the epoch).
        `resumable` is false between devices. `hears_gateway` is true on a device, which
        accepts the gateway's INFO NOTICE.
        """
        self.label = label
        self.peer = peer
        self.side = side
        self._other = side.other
        self._answers = side is Side.RESPONDER
        self.pin_key = secrets.pin
        self.ticket: StoredTicket | None = None
        self.authenticated_at = authenticated_at
        self.resumable = resumable
        self._secrets: SessionSecrets | None = secrets
        self._clock = clock
        self._entropy = entropy
        self._hears_gateway = hears_gateway
        mine, theirs = Direction(secrets.initiator, sequence[0]), Direction(secrets.responder, sequence[1])
        self._send, self._receive = (mine, theirs) if side is Side.INITIATOR else (theirs, mine)
        self._incoming: Mapping[bytes, Line] = DEVICE_TABLE.lines(Phase.SEALED, self._other)
        self._outgoing = DEVICE_TABLE.spoken(Phase.SEALED, side)
        self._order = SessionOrder(SessionState.SEALED)
        self._dialogues = Dialogues(max_dialogues)
        self._keys_since = clock.now().timestamp()
        self._old_at = self._grows_old_at()
        self._agreement: Agreement | None = None
        self._offer: tuple[bytes, ...] = ()
        self._ended = ""

    def __repr__(self) -> str:
        """Show the label, the peer's name and the state; no key."""
        return f"<SealedSession {self.label} with {self.peer.name} {self._order.state}>"

    # ------------------------------------------------------------------ lines

    def seal(
        self,
        kind: Kind,
        verb: str,
        clear: Mapping[str, str],
        sealed: Mapping[str, str],
        *,
        dialogue: str | None = None,
    ) -> bytes:
        """Return the sealed line with its CR LF; the lines must be sent in this order.

        Fields that the table seals go into `sealed`, the others into `clear`; `dialogue` is
        the field id. Raises LocalProtocolError for what table or state forbid, SessionEnded
        after the end.
        """
        line = self._outgoing.get((kind._value_, verb))
        if line is None or line.head in _REKEY_HEADS:
            raise LocalProtocolError(f"the {self.side} does not say {kind} {verb} in a session")
        octets = self._seal(line, clear, sealed, dialogue)
        if line.head == "INFO BYE":
            self.end("bye")
        return octets

    def open(self, line: bytes) -> Message:
        """Return what a line (without CR LF) of the peer says, clear and sealed fields merged.

        Raises SessionEnded for a wrong tag, sequence or unsealed line (close, say nothing),
        RemoteProtocolError for a genuine line that breaks grammar, table or order (answer
        INFO ERROR with its code and dialogue, sealed; the session goes on). After INFO BYE the session
        has ended.
        """
        if self._ended:
            raise SessionEnded(self._ended)
        clear, mark, text = line.rpartition(grammar.SEAL_MARK)
        if not mark:
            return self._open_notice(line, "unsealed")
        try:
            sealed = grammar.decode_base64url(text)
        except RemoteProtocolError:
            return self._open_notice(line, "seal")
        try:
            plaintext = self._receive.open(clear, sealed)
        except SessionEnded as ended:
            self.end(ended.reason)
            raise
        try:
            return self._read(clear, plaintext)
        except RemoteProtocolError as error:
            named = _DIALOGUE_FIELD.match(clear)
            error.dialogue = named[1].decode("ascii") if named else None
            raise

    def _read(self, clear: bytes, plaintext: bytes) -> Message:
        """Return what a genuine line says, its form and order checked."""
        found = self._incoming.get(head_of(clear))
        if found is None:
            found = DEVICE_TABLE.find(Phase.SEALED, self._other, clear)
        fields, unknown = found.parse_clear(clear)
        fields.update(found.parse_sealed(plaintext, unknown))
        session = fields.pop("s", None)
        if session != self.label:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "s")
        dialogue = fields.pop("id", None)
        head = found.head
        if self._answers and head != "COMMAND REKEY" and self._clock.now() >= self._old_at:
            self._demand_young()
        if head == "COMMAND REKEY" and not self.resumable:
            raise RemoteProtocolError(ErrorCode.OUT_OF_ORDER, head)
        try:
            if dialogue is not None:
                self._dialogues.said(self._other, head, dialogue)
            elif head in _SESSION_HEADS:
                self._order.said(self._other, head)
        except OutOfOrder as refused:
            raise RemoteProtocolError(refused.code, head) from None
        message = Message(found.kind, found.verb, fields, session, dialogue)
        if head in _SESSION_HEADS:
            self._heard(head, message)
        return message

    def _seal(self, line: Line, clear: Mapping[str, str], sealed: Mapping[str, str], dialogue: str | None) -> bytes:
        """Return the line, its form and order checked."""
        if self._ended:
            raise SessionEnded(self._ended)
        named = {"s": self.label, **clear}
        if dialogue is not None:
            named["id"] = dialogue
        octets = line.format_clear(named)
        plaintext = line.format_sealed(sealed)
        try:
            if dialogue is not None:
                self._dialogues.said(self.side, line.head, dialogue)
            elif line.head in _SESSION_HEADS:
                self._order.said(self.side, line.head)
        except OutOfOrder as refused:
            raise LocalProtocolError(f"{line.head}: {refused}") from None
        return self._send.seal(octets, plaintext)

    def _open_notice(self, line: bytes, reason: str) -> Message:
        """Return the gateway's INFO NOTICE; any other line without a seal ends the session."""
        if self._hears_gateway:
            try:
                return parse_line(line, phase=Phase.SEALED, sender=Side.GATEWAY)
            except RemoteProtocolError:
                reason = "notice"
        raise self._over(reason)

    def directions(self) -> tuple[Direction, Direction]:
        """Return the record layer, what seals this side's lines first: for measuring instruments alone.

        Whoever takes it keeps the lines' form and order itself, and uses this session no more.
        """
        return self._send, self._receive

    # -------------------------------------------------------------- dialogues

    def open_dialogue(self) -> str:
        """Return the id for the next dialogue of this side, such as "c7".

        The id counts as used once a line that opens the dialogue has been sealed.
        """
        return self._dialogues.fresh(self.side)

    def dialogue_state(self, dialogue: str) -> DialogueState | None:
        """Return the state of an open dialogue, None of one that is closed or never was."""
        return self._dialogues.state(dialogue)

    @property
    def open_dialogues(self) -> int:
        """How many dialogues are open, of both sides."""
        return len(self._dialogues)

    # ------------------------------------------------------------ age and end

    @property
    def records(self) -> int:
        """Lines protected by the present keys in the busier direction."""
        return max(self._send.sequence, self._receive.sequence)

    @property
    def ends_at(self) -> datetime:
        """The moment past which no resumption, also in place, is possible."""
        return datetime.fromtimestamp(self.authenticated_at + CHAIN_LIFETIME_SECONDS, UTC)

    def needs_rekey(self, now: datetime) -> bool:
        """Say whether key age or record count asks for a resumption in place.

        A session between devices cannot resume: its owner ends it then.
        """
        return self.records >= MAX_RECORDS or now.timestamp() - self._keys_since >= MAX_KEY_AGE_SECONDS

    def end(self, reason: str) -> None:
        """Forget the keys; every later use raises SessionEnded."""
        if not self._ended:
            self._ended = reason
            self._order.state = SessionState.ENDED
            self._secrets = None
            self._agreement = None
            self.pin_key = b""

    @property
    def ended(self) -> str:
        """Why the session ended, empty while it lives."""
        return self._ended

    # ------------------------------------------------------------------ rekey

    def start_rekey(self) -> bytes:
        """Return COMMAND REKEY; initiator only.

        Raises LocalProtocolError when one is under way or the session has none, SessionEnded.
        """
        line = self._outgoing.get(("COMMAND", "REKEY"))
        if line is None or not self.resumable:
            raise LocalProtocolError("this side of this session asks for no keys")
        agreement, nonce = Agreement(self._entropy.draw(32)), self._entropy.draw(NONCE_BYTES)
        sealed = {"share": format_octets(agreement.share), "nonce": format_octets(nonce)}
        octets = self._seal(line, {}, sealed, None)
        self._agreement, self._offer = agreement, (agreement.share, nonce)
        return octets

    def answer_rekey(self, tickets: TicketKeys | None = None) -> bytes:
        """Return DATA REKEY, under the old keys; what the responder seals next is under the new.

        To be called once the peer's standing has been checked again. Raises SessionEnded when
        the chain of resumptions is over or the share was bad, LocalProtocolError when nothing
        was asked.
        """
        line = self._outgoing.get(("DATA", "REKEY"))
        if line is None or self._secrets is None or self._order.state is not SessionState.REKEYING:
            raise LocalProtocolError("no rekey was asked for")
        now = self._clock.now()
        if now >= self.ends_at:
            raise self._over("chain")
        agreement, nonce = Agreement(self._entropy.draw(32)), self._entropy.draw(NONCE_BYTES)
        fresh = self._renew(self._secrets, agreement, (*self._offer, agreement.share, nonce))
        sealed = {"share": format_octets(agreement.share), "nonce": format_octets(nonce)}
        if tickets is not None:
            content = TicketContent(fresh.resumption, self.peer, self.authenticated_at, now.timestamp())
            sealed["ticket"] = format_octets(tickets.seal(content))
            sealed["lifetime"] = str(content.lifetime())
        octets = self._seal(line, {}, sealed, None)
        self._send = Direction(fresh.responder)
        return octets

    def finish_rekey(self) -> bytes:
        """Return INFO REKEYED, the initiator's last line under the old keys.

        Raises LocalProtocolError when no DATA REKEY has been opened.
        """
        line = self._outgoing.get(("INFO", "REKEYED"))
        if line is None or self._secrets is None:
            raise LocalProtocolError("this side of this session finishes no rekey")
        octets = self._seal(line, {}, {}, None)
        self._send = Direction(self._secrets.initiator)
        return octets

    def _heard(self, head: str, message: Message) -> None:
        """Act on a line of the peer that changes the session itself."""
        if head == "COMMAND REKEY":
            self._offer = (parse_octets(message.fields["share"]), parse_octets(message.fields["nonce"]))
        elif self._secrets is not None and self._agreement is not None and head == "DATA REKEY":
            self._take_rekey(self._secrets, self._agreement, message.fields)
        elif self._secrets is not None and head == "INFO REKEYED":
            self._receive = Direction(self._secrets.initiator)
        else:
            self.end("bye")

    def _take_rekey(self, secrets: SessionSecrets, agreement: Agreement, fields: Mapping[str, str]) -> None:
        offers = (*self._offer, parse_octets(fields["share"]), parse_octets(fields["nonce"]))
        fresh = self._renew(secrets, agreement, offers)
        self._receive = Direction(fresh.responder)
        if "ticket" in fields:
            now = self._clock.now().timestamp()
            self.ticket = StoredTicket(
                parse_octets(fields["ticket"]),
                fresh.resumption,
                now + int(fields["lifetime"]),
                self.authenticated_at + CHAIN_LIFETIME_SECONDS,
                self.peer,
            )

    def _renew(self, secrets: SessionSecrets, agreement: Agreement, offers: tuple[bytes, ...]) -> SessionSecrets:
        """Replace the secrets; `offers` are share and nonce of initiator, then of responder."""
        theirs = offers[0] if self.side is Side.RESPONDER else offers[2]
        try:
            agreed = agreement.agree(theirs)
        except RemoteProtocolError:
            raise self._over("share") from None
        self._secrets = fresh = secrets.rekeyed(agreed, offers)
        self._keys_since = self._clock.now().timestamp()
        self._old_at = self._grows_old_at()
        self._agreement = None
        return fresh

    def _grows_old_at(self) -> datetime:
        """Return the moment before which nothing of _demand_young can apply."""
        first = min(self.authenticated_at + CHAIN_LIFETIME_SECONDS, self._keys_since + OVERDUE_SECONDS)
        return datetime.fromtimestamp(int(first), UTC)

    def _demand_young(self) -> None:
        """End the session of an initiator that outlived its keys or its day. Raises SessionEnded.

        Only while this side owes it the answer to COMMAND REKEY may an initiator be late; one
        that never says INFO REKEYED is not excused.
        """
        now = self._clock.now().timestamp()
        if now >= self.authenticated_at + CHAIN_LIFETIME_SECONDS:
            raise self._over("chain")
        if now - self._keys_since >= OVERDUE_SECONDS and self._order.state is not SessionState.REKEYING:
            raise self._over("age")

    def _over(self, reason: str) -> SessionEnded:
        self.end(reason)
        return SessionEnded(reason)
