"""Decides what a terminal says, repeats and takes back; the cashier's answers come out of it.

Opens no sockets, reads no clock of its own and waits for nothing: its owner feeds it orders,
messages and time, and carries out what `drain` returns. Two rules hold everything together:
nothing is said before the journal is durable (`drain` syncs first), and a purchase without
a final answer is taken back until the backend has acknowledged that. After a restart a
purchase is never resent, since its stripe and PIN were never written down; an advice is, sealed.
Specification: docs/protocol.md, "Purchases", "Retries and reversals".
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec

from trus.clock import Clock, Entropy
from trus.device import wire
from trus.device.blocks import PinEncoder, new_pin_block, pin_block
from trus.device.book import Book
from trus.device.effects import AskPin, Effect, Finished, HangUp, Say
from trus.device.journal import Asked, Journal
from trus.device.orders import Answer, BalanceOrder, Order, PinOrder, Reference, RefundOrder, check_amount
from trus.device.requests import Event, Phase, Request, Timing
from trus.device.signing import Signing
from trus.protocol.batches import parse_differences
from trus.protocol.effects import Terms
from trus.protocol.errors import ErrorCode, RemoteProtocolError, SessionEnded
from trus.protocol.messages import Kind, Message
from trus.protocol.session import SealedSession
from trus.values import NEVER_FINAL, BusinessDate, ResponseCode, Result, TerminalId

# What the cashier reads when the backend said nothing that could be shown.
NO_ANSWER: Final = "NO ANSWER"
NOT_CONNECTED: Final = "NOT CONNECTED"
NOT_ACCEPTED: Final = "NOT ACCEPTED"
NOT_CREDIBLE: Final = "ANSWER NOT CREDIBLE"
CANCELLED: Final = "CANCELLED"


class Terminal:
    """One logical terminal, over as many connections as it takes."""

    def __init__(
        self,
        name: TerminalId,
        *,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        encode_pin: PinEncoder,
        timing: Timing | None = None,
    ) -> None:
        """Take up where `journal` ends: what it holds unfinished is taken back or repeated."""
        self.name = name
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._encode_pin = encode_pin
        self._timing = timing or Timing()
        self._book = Book(name, journal, entropy, int(clock.now().timestamp()))
        self._dialogues: dict[str, Request] = {}
        self._abandoned: set[str] = set()
        self._session: SealedSession | None = None
        self._terms = Terms()
        self._lines: list[tuple[str | None, wire.Line]] = []
        self._effects: list[Effect] = []
        self._quiet_since = 0.0
        #: When it was last looked at what can be said.
        self._looked_at = 0.0
        self._echo: float | None = None
        self._signing = Signing(self._later, self._timing)
        self._book.resume()

    # ----------------------------------------------------------------- what the owner orders

    def purchase(self, order: Order) -> int:
        """Ask to pay; return the key under which Finished will tell. Raises AmountError."""
        check_amount(order)
        return self._book.add(Asked.PURCHASE, self._later(self._timing.give_up), order=order).key

    def balance(self, order: BalanceOrder) -> int:
        """Ask what the card's purse holds; return the key."""
        return self._book.add(Asked.BALANCE, self._later(self._timing.give_up), order=order).key

    def refund(self, order: RefundOrder) -> int:
        """Ask to give money of a purchase back; return the key. Raises AmountError."""
        check_amount(order)
        return self._book.add(Asked.REFUND, self._later(self._timing.give_up), order=order).key

    def hold(self, order: Order) -> int:
        """Ask to set money aside; return the key. Raises AmountError."""
        check_amount(order)
        return self._book.add(Asked.HOLD, self._later(self._timing.give_up), order=order).key

    def change_pin(self, order: PinOrder) -> int:
        """Ask for another PIN; return the key."""
        return self._book.add(Asked.PIN, self._later(self._timing.give_up), order=order).key

    def advise(self, order: Order) -> int:
        """Tell of a purchase made off-line; return the key. Repeated until answered. Raises AmountError."""
        check_amount(order)
        return self._book.add(Asked.ADVICE, self._later(self._timing.give_up), order=order).key

    def capture(self, order: RefundOrder) -> int:
        """Complete the pre-authorization of `order`; return the key. Repeated until answered. Raises AmountError."""
        check_amount(order)
        return self._book.add(Asked.CAPTURE, self._later(self._timing.give_up), order=order).key

    def release(self, order: RefundOrder) -> int:
        """Give the pre-authorization of `order` up; return the key. Repeated until answered."""
        return self._book.add(Asked.RELEASE, self._later(self._timing.give_up), order=order).key

    def reverse(self, original: Reference, reason: str = "customer") -> int:
        """Take back a purchase of this terminal; return the key. Repeated until acknowledged."""
        given_up_at = self._later(self._timing.give_up)
        return self._book.add(Asked.REVERSE, given_up_at, original=original, reason=reason).key

    def void(self, original: Reference, reason: str = "customer") -> int:
        """Cancel a purchase of the open batch; return the key. Repeated until answered."""
        return self._book.add(Asked.VOID, self._later(self._timing.give_up), original=original, reason=reason).key

    def sign(self, *, on: bool) -> None:
        """Ask to send requests (again), or say that none come; repeated until `Signed` tells, or the session ends."""
        self._signing.order(on=on)

    def close_batch(self) -> int:
        """Compare the batch's totals with the backend's and close it; return the key."""
        return self._book.add(Asked.CLOSE, self._later(self._timing.give_up)).key

    def present_pin(self, key: int, pin: str | None) -> None:
        """Go on with the PIN that the cardholder entered, or without: then take it back.

        When the connection was lost meanwhile, the PIN goes with the repetition. Does nothing
        when the request is over.
        """
        request = self._book.get(key)
        if request is None:
            return
        if pin is None:
            self._break_off(request, "customer", CANCELLED)
            return
        request.pin, request.pin_said = pin, False
        request.given_up_at = self._later(self._timing.give_up)
        if request.phase is Phase.ASKING:
            self._say_pin(request)

    @property
    def unfinished(self) -> int:
        """How many requests are not settled, reversals in the background included."""
        return len(self._book)

    @property
    def terms(self) -> Terms:
        """What the backend announced last."""
        return self._terms

    # ------------------------------------------------------------- what the connection brings

    def opened(self, session: SealedSession, terms: Terms) -> None:
        """Go on over a new session: say again what is not settled."""
        self.closed()
        if not terms.business_date:
            self._effects.append(HangUp("no-date"))
            return
        self._session, self._terms = session, terms
        self._book.date = BusinessDate(terms.business_date)
        self._book.currency = terms.currency
        self._book.announce(terms.advice_key)
        self._quiet_since = self._clock.monotonic()

    def closed(self) -> None:
        """Wait for another session; nothing is settled by the loss of one."""
        self._session = self._echo = None
        self._signing.began()
        self._lines.clear()
        self._effects = [effect for effect in self._effects if not isinstance(effect, Say)]
        self._dialogues.clear()
        self._abandoned.clear()
        for request in self._book:
            if request.phase in (Phase.SAID, Phase.ASKING):
                request.happen(Event.LOST)
                request.again_at = 0.0

    def heard(self, message: Message) -> None:
        """Take in a message of the session."""
        self._quiet_since = self._clock.monotonic()
        dialogue = message.dialogue or ""
        match message.kind, message.verb:
            case Kind.INFO, "RESULT":
                self._heard_result(dialogue, message)
            case Kind.COMMAND, "PRESENT-PIN":
                self._heard_present_pin(dialogue, message)
            case Kind.DATA, "DIFFERENCES":
                self._heard_differences(dialogue, message.fields["differences"])
            case Kind.INFO, "ERROR":
                self._heard_error(dialogue, message.fields.get("code", ""))
            case Kind.INFO, "DAY":
                self._book.date = BusinessDate(message.fields["date"])
            case Kind.INFO, "SIGNED-ON":
                self._book.date = BusinessDate(message.fields["date"])
                self._effects += self._signing.answered(dialogue, on=True)
            case Kind.INFO, "SIGNED-OFF":
                self._effects += self._signing.answered(dialogue, on=False)
            case Kind.COMMAND, "ECHO":
                self._lines.append((dialogue, wire.Line(Kind.INFO, "ECHO", {}, {})))
            case Kind.INFO, "ECHO":
                self._echo = None
            case _:
                pass  # an INFO of a later version: nothing here depends on it

    # ----------------------------------------------------------------------------------- time

    def deadline(self) -> float | None:
        """Return the monotonic second of the next `tick`, None when nothing is awaited."""
        moments = [moment for request in self._book for moment in self._moments(request)]
        if self._session is not None:
            moments += [self._echo or self._quiet_since + self._terms.idle_seconds / 2, *self._signing.moments()]
        return min(moments, default=None)

    def tick(self) -> None:
        """Repeat, give up or hang up whatever is due."""
        now = self._clock.monotonic()
        for request in self._book:
            if request.phase is Phase.ASKING:
                if request.pin_until <= now:
                    self._break_off(request, "timeout", NO_ANSWER)
                continue
            if not request.told and request.given_up_at <= now:
                self._give_up(request)
            if request.phase is Phase.SAID and request.again_at <= now:
                if request.attempts > 1:
                    # Twice without an answer: the connection itself is suspect.
                    self._effects.append(HangUp("no-answer"))
                self._repeat(request, 0.0)
        self._effects += self._signing.silent(now)
        self._keep_alive(now)

    # --------------------------------------------------------------------------------- output

    def drain(self) -> list[Effect]:
        """Make the journal durable, then return what the owner must now do, in order.

        Raises JournalFailed: then nothing may be said, and the terminal is out of order.
        Raises SessionEnded when the session ended meanwhile: call `closed`, then `drain`.
        """
        said = self._say_waiting()
        self._journal.sync()
        session = self._session
        if session is not None:
            if session.ended:
                raise SessionEnded(session.ended)
            for dialogue, line in self._lines:
                self._effects.append(_seal(session, dialogue or session.open_dialogue(), line))
            for dialogue, line in self._signing.say(self._clock.monotonic(), session.open_dialogue):
                self._effects.append(_seal(session, dialogue, line))
            for request in said:
                request.dialogue = session.open_dialogue()
                self._dialogues[request.dialogue] = request
                block = pin_block(self._encode_pin, request, session)
                new = new_pin_block(self._encode_pin, request, session)
                line = wire.request_line(self._book.identify(request), request.order, block, request.attempts > 1, new)
                for each in (line, *wire.item_lines(self._book.identify(request))):
                    self._effects.append(_seal(session, request.dialogue, each))
        self._lines.clear()
        effects, self._effects = self._effects, []
        return effects

    def _say_waiting(self) -> list[Request]:
        """Return every request that can be said now, each under its identity."""
        said: list[Request] = []
        if self._session is None:
            return said
        self._looked_at = now = self._clock.monotonic()
        room = self._terms.max_dialogues - len(self._dialogues) - len(self._abandoned)
        for request in self._book:
            if len(said) >= room:
                break
            if request.phase is not Phase.WAITING or request.again_at > now:
                continue
            if self._signing.quiet and request.asked is not Asked.REVERSE:
                continue
            self._book.identify(request)
            request.happen(Event.SAY)
            request.attempts += 1
            request.again_at = self._later(self._timing.answer)
            said.append(request)
        return said

    # --------------------------------------------------------------------------- one request

    def _heard_result(self, dialogue: str, message: Message) -> None:
        self._lines.append((dialogue, wire.Line(Kind.INFO, "COMPLETE", {}, {})))
        request = self._closed_dialogue(dialogue)
        if request is None or request.opened is None:
            return  # a late answer: its reversal is under way
        answer, sensible = wire.read_result(message, request.opened, request.order, request.attempts)
        if sensible and answer.code == ResponseCode.OUT_OF_BALANCE and request.asked is Asked.CLOSE:
            self._book.go_on(request, answer)
        elif sensible and answer.code not in NEVER_FINAL:
            self._tell(request, msgspec.structs.replace(answer, differences=tuple(request.differences)))
            self._book.settle(request, answer)
        elif request.lasting:
            self._repeat(request, self._timing.reversal_first)
        elif sensible:
            self._break_off(request, "system", answer.text, answer.code)
        else:
            self._break_off(request, "system", NOT_CREDIBLE)

    def _heard_differences(self, dialogue: str, text: str) -> None:
        """Take in where the backend's batch differs; what cannot be read is counted in the answer all the same."""
        request = self._dialogues.get(dialogue)
        if request is not None and request.opened is not None:
            with suppress(RemoteProtocolError):
                request.differences += parse_differences(text, request.opened.currency)

    def _heard_present_pin(self, dialogue: str, message: Message) -> None:
        request = self._dialogues.get(dialogue)
        if request is None or request.phase is not Phase.SAID or not isinstance(request.order, Order | BalanceOrder):
            return
        request.happen(Event.PIN_WANTED)
        request.pin_until = self._clock.monotonic() + self._timing.pin
        if request.pin is not None and not request.pin_said:
            self._say_pin(request)  # entered while the connection was away
            return
        tries = message.fields.get("tries")
        self._effects.append(AskPin(request.key, int(tries) if tries is not None else None))

    def _say_pin(self, request: Request) -> None:
        request.happen(Event.PIN_PRESENTED)
        request.again_at = self._later(self._timing.answer)
        if self._session is None or request.dialogue is None:
            return
        block = pin_block(self._encode_pin, request, self._session)
        if block is not None:
            self._lines.append((request.dialogue, wire.pin_line(block)))

    def _heard_error(self, dialogue: str, code: str) -> None:
        if self._signing.refused(dialogue):
            return
        request = self._closed_dialogue(dialogue)
        if request is None:
            return
        if request.lasting or code == ErrorCode.BUSY:
            self._repeat(request, self._timing.reversal_first)
        else:
            self._break_off(request, "system", NOT_ACCEPTED)

    def _closed_dialogue(self, dialogue: str) -> Request | None:
        """Return the request that waits in a dialogue which the backend has now closed."""
        self._abandoned.discard(dialogue)
        return self._dialogues.pop(dialogue, None)

    def _abandon(self, request: Request) -> None:
        """Listen no more in the request's dialogue.

        One in which the backend waits for a PIN is closed by INFO ERROR; in any other the
        backend will still answer, and counts it as open until then.
        """
        dialogue = request.dialogue
        if dialogue is None or self._dialogues.pop(dialogue, None) is None:
            return
        if request.phase is Phase.ASKING:
            self._lines.append((dialogue, wire.Line(Kind.INFO, "ERROR", {"code": ErrorCode.TIMEOUT.value}, {})))
        else:
            self._abandoned.add(dialogue)
            if 2 * len(self._abandoned) >= self._terms.max_dialogues:
                # Too many dialogues that the backend owes an answer in: start afresh.
                self._effects.append(HangUp("no-answer"))

    def _repeat(self, request: Request, wait: float) -> None:
        """No final answer: say the request again after `wait` seconds, a lasting one ever later."""
        if request.lasting:
            wait = max(wait, self._timing.back_off(request.attempts))
        self._abandon(request)
        request.happen(Event.LOST)
        request.again_at = self._later(wait) if wait else 0.0

    def _give_up(self, request: Request) -> None:
        """The owner waited long enough: no answer counts as declined."""
        if request.lasting:
            self._tell(request, self._unanswered(request, NO_ANSWER))
        else:
            self._break_off(request, "timeout", NO_ANSWER)

    def _break_off(self, request: Request, reason: str, text: str, code: str = "") -> None:
        """End a request without a final answer; what may have moved money is taken back."""
        self._abandon(request)
        if request.opened is None:
            self._tell(request, self._unanswered(request, NOT_CONNECTED))
            self._book.strike(request)
            return
        answer = self._unanswered(request, text, code)
        self._tell(request, answer)
        if request.moves_money:
            self._book.take_back(request.opened, reason)
            self._book.strike(request)
        else:
            self._book.settle(request, answer)

    def _unanswered(self, request: Request, text: str, code: str = "") -> Answer:
        said = request.opened is not None
        return Answer(
            Result.DECLINED,
            code,
            request.opened.reference if request.opened else None,
            text=text,
            attempts=request.attempts,
            reversing=said and (request.moves_money or request.asked is Asked.REVERSE),
        )

    def _tell(self, request: Request, answer: Answer) -> None:
        if not request.told:
            request.told = True
            self._effects.append(Finished(request.key, answer))

    # ---------------------------------------------------------------------------------- waits

    def _later(self, seconds: float) -> float:
        """Return the monotonic second after `seconds` and a random share more."""
        share = int.from_bytes(self._entropy.draw(2), "big") / 65536
        return self._clock.monotonic() + seconds * (1 + self._timing.jitter * share)

    def _moments(self, request: Request) -> list[float]:
        if request.phase is Phase.ASKING:
            return [request.pin_until]
        moments = [] if request.told else [request.given_up_at]
        if request.phase is Phase.SAID:
            moments.append(request.again_at)
        elif self._session is not None and request.again_at > self._looked_at:
            # What was due when it was looked and not said waits for an answer that leaves room, or for SIGNED-ON.
            moments.append(request.again_at)
        return moments

    def _keep_alive(self, now: float) -> None:
        """Ask for a sign of life after half the silence that would end the session."""
        if self._session is None:
            return
        if self._echo is not None:
            if self._echo <= now:
                self._effects.append(HangUp("silent"))
                self._echo = self._later(self._timing.answer)
        elif self._quiet_since + self._terms.idle_seconds / 2 <= now:
            self._lines.append((None, wire.Line(Kind.COMMAND, "ECHO", {}, {})))
            self._echo = self._later(self._timing.answer)


def _seal(session: SealedSession, dialogue: str, line: wire.Line) -> Say:
    return Say(session.seal(line.kind, line.verb, line.clear, line.sealed, dialogue=dialogue))
