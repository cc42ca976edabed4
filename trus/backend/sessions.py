"""Speaks with one device: its handshakes, its sealed sessions, the dialogues inside them.

Opens no socket and decides nothing: lines come from the link and go back to it, requests go
to the core through `ask`. A session that breaks its seal ends without a word; a session
whose connection is gone forgets its keys, and answers that come later are dropped, since the
terminal asks again by request identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from twisted.logger import Logger

from trus.backend.batchlists import LISTING_SECONDS, MAX_LISTINGS, Listing, differences_of, listing_of, with_items
from trus.backend.certificates import QUESTIONS, finding_of, question_of
from trus.backend.dispatch import MONEY, Reply, declined, reply_to, request_of, with_pin
from trus.backend.pinwaits import Waits
from trus.backend.surroundings import Outlet, Surroundings
from trus.core import messages as core
from trus.core.messages import Answer, MoneyRequest, Request
from trus.protocol.effects import (
    Delivered,
    Effect,
    Enrolled,
    Established,
    Mode,
    NeedEnrolment,
    NeedSignature,
    NeedStanding,
    NeedVerification,
    Refused,
    Send,
    Terms,
)
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError, SessionEnded
from trus.protocol.handshake import PIN_TIMEOUT_SECONDS, Responder
from trus.protocol.link import Opened
from trus.protocol.messages import Kind, Message, Phase, Side, format_line, peek
from trus.protocol.session import SealedSession
from trus.protocol.states import MAX_SESSIONS, DialogueState
from trus.values import BusinessDate, DeviceRole, PeerIdentity, ResponseCode

#: A line's kind, verb and the beginning of its first field, with room to spare.
_HEAD_BYTES: Final = 48
#: 96 bits in base64url.
LABEL_CHARACTERS: Final = 16
#: What a device says in the field `to` when it wants the backend, whichever it is.
ADDRESS: Final = "backend"
#: The reason in INFO BYE for whoever was revoked, suspended or blocked.
STANDING: Final = "standing"


class _Open(NamedTuple):
    """A sealed session and the requests of its dialogues that wait for a PIN."""

    session: SealedSession
    waiting_for_pin: Waits[MoneyRequest]
    listings: Waits[Listing]


#: To look a kind up by its word is cheaper than to ask the enumeration.
_KINDS: Final = {kind.value: kind for kind in Kind}
#: The individual role that each channel role may authenticate as.
_ROLES: Final = {"pos": DeviceRole.POS, "card": DeviceRole.CARD}


class DeviceConnection:
    """One device behind one gateway connection."""

    _log = Logger()

    def __init__(self, opened: Opened, around: Surroundings, outlet: Outlet) -> None:
        self._opened = opened
        self._around = around
        self._outlet = outlet
        self._role = _ROLES.get(opened.subject)
        self._handshakes: dict[str, Responder] = {}
        self._sessions: dict[str, _Open] = {}
        #: Whose tickets the handshakes under way present: judged before their sessions stand.
        self._claimed: dict[str, PeerIdentity] = {}
        #: Sessions whose terminals have signed off.
        self._signed_off: set[str] = set()
        self._over = False

    @property
    def sessions(self) -> int:
        """Authenticated sessions of this connection."""
        return len(self._sessions)

    def line_received(self, line: bytes) -> None:
        """Take one device line (without CR LF) that the gateway forwarded."""
        if self._sessions:
            # Nearly every line belongs to a session that stands; the session itself checks the
            # whole of it, its label included, so that where to look is all that is guessed here.
            place = line.find(b" s=", 4, _HEAD_BYTES)
            label = line[place + 3 : place + 3 + LABEL_CHARACTERS].decode("latin-1")
            standing = self._sessions.get(label)
            if standing is not None:
                self._sealed_line(label, standing, line)
                return
        try:
            head = peek(line)
        except RemoteProtocolError as error:
            self._fault(error.code)
            return
        if head.session is None:
            self._fault(ErrorCode.UNKNOWN_SESSION)
            return
        label = head.session
        handshake = self._handshakes.get(label)
        if handshake is None:
            if head.kind is not Kind.COMMAND or head.verb != "AUTHENTICATE":
                self._fault(ErrorCode.UNKNOWN_SESSION, label)
                return
            handshake = self._new_handshake(label)
            if handshake is None:
                return
        self._carry_out(label, handshake, handshake.receive(line))

    def announce_day(self, date: BusinessDate) -> None:
        """Tell every session that another business date is open."""
        for label, opened in list(self._sessions.items()):
            self._say(label, opened, Reply("INFO", "DAY", {}, {"date": date}), None)

    def peers(self) -> list[PeerIdentity]:
        """Return the holders of the sessions, and of handshakes that may yet become sessions."""
        return [opened.session.peer for opened in self._sessions.values()] + list(self._claimed.values())

    def expel(self, peer: PeerIdentity, reason: str) -> None:
        """End every session and handshake of a holder that does not stand any more.

        The device is told that its standing changed and no more; `reason` is for the log.
        """
        for label in [label for label, claimed in self._claimed.items() if claimed == peer]:
            handshake = self._handshakes.get(label)
            if handshake is not None:
                self._carry_out(label, handshake, handshake.refuse(ErrorCode.REFUSED, reason))
        for label, opened in list(self._sessions.items()):
            if opened.session.peer == peer:
                self._say(label, opened, Reply("INFO", "BYE", {"reason": STANDING}, {}), None)
                self._drop(label, opened, reason)

    def end_waits(self) -> None:
        """Answer every request that has waited too long for its PIN: 88, nothing stored, no try taken."""
        now = self._around.clock.monotonic()
        for label, opened in list(self._sessions.items()):
            for dialogue in opened.waiting_for_pin.overdue(now):
                self._say(label, opened, declined(ResponseCode.CRYPTOGRAPHIC_FAILURE), dialogue)
            for dialogue in opened.listings.overdue(now):
                self._say(label, opened, declined(ResponseCode.FORMAT_ERROR), dialogue)

    def closed(self) -> None:
        """The connection is over: forget keys and dialogues."""
        self._over = True
        for opened in self._sessions.values():
            opened.session.end("connection closed")
        self._sessions.clear()
        self._handshakes.clear()
        self._claimed.clear()

    # ------------------------------------------------------------------------- handshakes

    def _new_handshake(self, label: str) -> Responder | None:
        identity = self._around.identity()
        if identity is None or self._role is None:
            self._fault(ErrorCode.BUSY if identity is None else ErrorCode.REFUSED, label)
            return None
        if len(self._handshakes) + len(self._sessions) >= MAX_SESSIONS:
            self._fault(ErrorCode.TOO_MANY, label)
            return None
        handshake = Responder(
            name=ADDRESS,
            chain=identity.chain,
            staple=identity.staple or None,
            peer_role=self._role,
            clock=self._around.clock,
            entropy=self._around.entropy,
            modes=frozenset({Mode.FULL, Mode.RESUME, Mode.ENROL}),
            channel_binding=self._opened.exporter or None,
            tickets=self._around.tickets,
        )
        self._handshakes[label] = handshake
        return handshake

    def _carry_out(self, label: str, handshake: Responder, effects: list[Effect]) -> None:
        if any(isinstance(effect, Established) for effect in effects):
            # Before message 4: the device's next line is sealed, and the gateway must let it pass.
            self._outlet.authenticated()
        for effect in effects:
            match effect:
                case Send():
                    self._outlet.line(effect.line)
                case NeedSignature():
                    self._ask(label, handshake, core.SignHandshake(effect.payload), self._signed)
                case NeedVerification():
                    chain = list(effect.chain)
                    self._ask(label, handshake, core.VerifyPeer(chain, effect.role.value), self._verified)
                case NeedStanding():
                    self._claimed[label] = effect.peer
                    self._ask(label, handshake, core.CheckStanding(effect.peer), self._standing)
                case NeedEnrolment():
                    request = core.Enrol(effect.role.value, effect.name, effect.code, effect.csr, self._opened.peer)
                    self._ask(label, handshake, request, self._enrolled)
                case Established():
                    del self._handshakes[label]
                    self._claimed.pop(label, None)
                    self._sessions[label] = _Open(effect.session, Waits(PIN_TIMEOUT_SECONDS), Waits(LISTING_SECONDS))
                case Enrolled() | Delivered():
                    del self._handshakes[label]
                case Refused():
                    self._handshakes.pop(label, None)
                    self._claimed.pop(label, None)
                    self._log.info(
                        "handshake refused: {reason} ({code}) from {peer}",
                        reason=effect.reason,
                        code=effect.code.value,
                        peer=self._opened.peer,
                    )

    def _ask(
        self,
        label: str,
        handshake: Responder,
        request: Request,
        take: Callable[[Responder, Answer], list[Effect]],
    ) -> None:
        def answered(answer: Answer) -> None:
            if self._over or self._handshakes.get(label) is not handshake:
                return
            if isinstance(answer, core.Failed):
                busy = answer.code == ResponseCode.ISSUER_UNAVAILABLE
                code = ErrorCode.BUSY if busy else ErrorCode.SYSTEM
                effects = handshake.refuse(code, answer.reason)
            else:
                effects = take(handshake, answer)
            self._carry_out(label, handshake, effects)

        self._around.ask(request, answered)

    def _signed(self, handshake: Responder, answer: Answer) -> list[Effect]:
        if isinstance(answer, core.Signature):
            return handshake.provide_signature(answer.value)
        return handshake.refuse(ErrorCode.SYSTEM, "no signature")

    def _verified(self, handshake: Responder, answer: Answer) -> list[Effect]:
        if isinstance(answer, core.PeerVerified):
            return handshake.provide_verification(answer.peer, self._terms(answer))
        return handshake.refuse(ErrorCode.REFUSED, _reason(answer))

    def _standing(self, handshake: Responder, answer: Answer) -> list[Effect]:
        if isinstance(answer, core.PeerVerified):
            return handshake.provide_standing(self._terms(answer))
        return handshake.refuse(ErrorCode.REFUSED, _reason(answer))

    def _enrolled(self, handshake: Responder, answer: Answer) -> list[Effect]:
        if isinstance(answer, core.Enrolled):
            terms = Terms(business_date=answer.business_date, currency=self._around.currency)
            return handshake.provide_enrolment(answer.chain, terms)
        if isinstance(answer, core.PairMade):
            terms = Terms(business_date=answer.business_date, currency=self._around.currency)
            return handshake.provide_pair(answer.p12, answer.passphrase, terms)
        return handshake.refuse(ErrorCode.ENROLMENT, _reason(answer))

    def _terms(self, verified: core.PeerVerified) -> Terms:
        return Terms(
            business_date=verified.business_date,
            currency=verified.currency or self._around.currency,
            pin_always=verified.pin_always,
            max_dialogues=self._around.max_dialogues,
            idle_seconds=self._around.idle_seconds,
            epoch=verified.epoch,
            advice_key=verified.advice_key,
        )

    # --------------------------------------------------------------------- sealed sessions

    def _sealed_line(self, label: str, opened: _Open, line: bytes) -> None:
        try:
            message = opened.session.open(line)
        except SessionEnded as ended:
            self._drop(label, opened, ended.reason)
            return
        except RemoteProtocolError as error:
            self._say(label, opened, Reply("INFO", "ERROR", {"code": error.code.value}, {}), error.dialogue)
            return
        try:
            self._take(label, opened, message)
        except RemoteProtocolError as error:
            self._refuse(label, opened, message, error)

    def _take(self, label: str, opened: _Open, message: Message) -> None:
        dialogue = message.dialogue
        verb = message.verb
        if verb in MONEY and dialogue is not None:
            if label in self._signed_off and verb != "REVERSE":
                self._say(label, opened, declined(ResponseCode.NOT_PERMITTED_TO_TERMINAL), dialogue)
                return
            request = request_of(message, opened.session.peer, opened.session.pin_key)
            self._decide(label, opened, dialogue, request)
        elif verb == "PIN-BLOCK" and dialogue is not None:
            waiting = opened.waiting_for_pin.take(dialogue)
            if waiting is not None:
                block = message.fields["block"]
                self._decide(label, opened, dialogue, with_pin(waiting, block, opened.session.pin_key))
            elif opened.session.dialogue_state(dialogue) is not DialogueState.ANSWERED:
                raise RemoteProtocolError(ErrorCode.OUT_OF_ORDER, "pin-block")
        elif verb in ("COMPLETE", "ERROR"):
            if dialogue is not None:
                opened.waiting_for_pin.take(dialogue)
                opened.listings.take(dialogue)
        elif verb == "ECHO" and message.kind is Kind.COMMAND:
            self._say(label, opened, Reply("INFO", "ECHO", {}, {}), dialogue)
        elif verb == "SIGN-ON" and dialogue is not None:
            self._sign_on(label, opened, dialogue)
        elif verb == "SIGN-OFF":
            self._signed_off.add(label)
            self._say(label, opened, Reply("INFO", "SIGNED-OFF", {}, {}), dialogue)
        elif verb == "BYE":
            self._drop(label, opened, "bye")
        elif verb == "REKEY":
            self._rekey(label, opened)
        elif verb in QUESTIONS and dialogue is not None:
            self._look_up(label, opened, dialogue, message)
        elif verb == "RECONCILE" and dialogue is not None:
            if label in self._signed_off:
                self._say(label, opened, declined(ResponseCode.NOT_PERMITTED_TO_TERMINAL), dialogue)
            else:
                self._list(label, opened, dialogue, listing_of(message.fields, opened.session.peer))
        elif verb == "ITEMS" and dialogue is not None:
            listing = opened.listings.take(dialogue)
            if listing is not None:
                self._list(label, opened, dialogue, with_items(listing, message.fields["items"]))

    def _list(self, label: str, opened: _Open, dialogue: str, listing: Listing) -> None:
        """Decide once every item has come; wait for the rest of them otherwise."""
        if listing.complete:
            self._decide(label, opened, dialogue, listing.request)
        elif opened.listings.hold(dialogue, listing, self._around.clock.monotonic()) > MAX_LISTINGS:
            opened.listings.take(dialogue)
            raise RemoteProtocolError(ErrorCode.TOO_MANY, "reconcile")

    def _decide(self, label: str, opened: _Open, dialogue: str, request: MoneyRequest) -> None:
        def answered(answer: Answer) -> None:
            if self._over or self._sessions.get(label) is not opened:
                return  # the connection is gone: the terminal will ask by identity, or reverse
            if not opened.session.ended and opened.session.dialogue_state(dialogue) is None:
                return  # the terminal gave this dialogue up: the answer is stored, and it reverses
            if isinstance(answer, core.PinWanted):
                opened.waiting_for_pin.hold(dialogue, request, self._around.clock.monotonic())
            try:
                for listed in differences_of(answer):
                    self._say(label, opened, listed, dialogue)
                self._say(label, opened, reply_to(answer), dialogue)
            except LocalProtocolError as fault:
                # Stored, but no line can hold it: silence would have the terminal ask for ever, and nobody know.
                self._log.error("an answer cannot be said to {peer}: {fault}", peer=self._opened.peer, fault=str(fault))
                self._say(label, opened, declined(ResponseCode.SYSTEM_ERROR), dialogue)

        self._around.ask(request, answered)

    def _sign_on(self, label: str, opened: _Open, dialogue: str) -> None:
        """Let the terminal send requests once the core has said that it still stands."""

        def answered(answer: Answer) -> None:
            if self._over or self._sessions.get(label) is not opened:
                return
            if isinstance(answer, core.Failed):
                self._say(label, opened, Reply("INFO", "ERROR", {"code": ErrorCode.BUSY.value}, {}), dialogue)
            elif not isinstance(answer, core.PeerVerified):
                self._drop(label, opened, "standing")
            else:
                self._signed_off.discard(label)
                terms = self._terms(answer)
                told = {"date": terms.business_date, "pin": "always" if terms.pin_always else "policy"}
                if terms.currency:
                    told["currency"] = terms.currency
                self._say(label, opened, Reply("INFO", "SIGNED-ON", {}, told), dialogue)

        self._around.ask(core.CheckStanding(opened.session.peer), answered)

    def _look_up(self, label: str, opened: _Open, dialogue: str, message: Message) -> None:
        """Ask the core about certificates; no money moves, so an answer that comes too late is dropped."""
        question = question_of(message, opened.session.peer, self._opened.peer)

        def answered(answer: Answer) -> None:
            if self._over or self._sessions.get(label) is not opened or opened.session.ended:
                return
            if opened.session.dialogue_state(dialogue) is not None:
                self._say(label, opened, finding_of(message, answer), dialogue)

        self._around.ask(question, answered)

    def _rekey(self, label: str, opened: _Open) -> None:
        """Renew the session's keys once the core has said that its holder still stands."""

        def answered(answer: Answer) -> None:
            if self._over or self._sessions.get(label) is not opened:
                return
            if not isinstance(answer, core.PeerVerified):
                self._drop(label, opened, "standing")
                return
            try:
                line = opened.session.answer_rekey(self._around.tickets)
            except SessionEnded as ended:
                self._drop(label, opened, ended.reason)
                return
            self._outlet.line(line)

        self._around.ask(core.CheckStanding(opened.session.peer), answered)

    def _refuse(self, label: str, opened: _Open, message: Message, error: RemoteProtocolError) -> None:
        """Answer a genuine request whose values make no sense: 30, so that its dialogue ends."""
        if message.kind is Kind.COMMAND and message.dialogue is not None:
            self._say(label, opened, declined(ResponseCode.FORMAT_ERROR), message.dialogue)
        else:
            self._say(label, opened, Reply("INFO", "ERROR", {"code": error.code.value}, {}), message.dialogue)

    def _say(self, label: str, opened: _Open, reply: Reply, dialogue: str | None) -> None:
        try:
            line = opened.session.seal(_KINDS[reply.kind], reply.verb, reply.clear, reply.sealed, dialogue=dialogue)
        except SessionEnded as ended:
            self._drop(label, opened, ended.reason)
            return
        self._outlet.line(line)

    def _drop(self, label: str, opened: _Open, reason: str) -> None:
        """End a session without a word; the last one takes the connection with it."""
        opened.session.end(reason)
        self._sessions.pop(label, None)
        self._signed_off.discard(label)
        self._log.info("session ended: {reason} from {peer}", reason=reason, peer=self._opened.peer)
        if not self._sessions and not self._handshakes:
            self._outlet.close("session ended")

    def _fault(self, code: ErrorCode, label: str | None = None) -> None:
        """Tell the device of a line that belongs to no session; only before authentication."""
        if self._sessions:
            self._outlet.close("unsealed line")
            return
        self._outlet.line(
            format_line(
                Kind.INFO, "ERROR", {"code": code.value}, phase=Phase.OPENING, sender=Side.RESPONDER, session=label
            )
        )


def _reason(answer: Answer) -> str:
    return answer.reason if isinstance(answer, core.Refused) else "unexpected answer"
