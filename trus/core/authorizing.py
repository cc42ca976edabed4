"""Authorizes purchases and balance enquiries: facts to the rules, the decision to an event and an answer.

Decides nothing itself (trus.auth.decide) and commits nothing. A decline is an event like an
approval, with the rule and figures that led to it; only the demand for a PIN leaves no trace.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trus.auth.decide import decide
from trus.auth.lots import UNCHANGED
from trus.auth.model import CardFacts, Checks, Decision, Facts, Kind, Question, TerminalFacts
from trus.auth.ports import Event, EventKind, Posting, PurseUpdate
from trus.auth.readings import FIGURES
from trus.auth.texts import SIMPLE_PIN_TEXT, SLOWED_TEXT, cashier_text
from trus.core.answers import encode_outcome
from trus.core.approvals import ApprovalCodes
from trus.core.asked import Asked
from trus.core.book import Book
from trus.core.checking import SIMPLE_PIN, UNUSABLE_PIN
from trus.core.credit import shown, spending, without_ended
from trus.core.messages import Balance, ChangePin, Outcome, PinWanted, PreAuthorize, Purchase
from trus.core.purses import balances, draws_of, entries_of, others, set_aside, told
from trus.core.watching import SLOWED, Guard
from trus.money import format_amount
from trus.values import DeviceRole, PeerIdentity, ResponseCode, Result

#: Name of the rule that refuses a new request of an old date.
OLD_DATE: Final = "business-date"

_DECLINED: Final = Result.DECLINED.value
_WRONG_PIN: Final = ResponseCode.WRONG_PIN.value
_BALANCE: Final = EventKind.BALANCE
_HOLD: Final = EventKind.HOLD
_PIN_CHANGE: Final = EventKind.PIN_CHANGE
#: Names of what settles a change of a PIN that the old one has proved.
PIN_CHANGED: Final = "pin-changed"
_NEW_PIN_CODES: Final = {
    UNUSABLE_PIN: ResponseCode.CRYPTOGRAPHIC_FAILURE,
    SIMPLE_PIN: ResponseCode.INVALID_TRANSACTION,
}


#: Lines for the cashier that say more than the code's own.
_TEXTS: Final = {SIMPLE_PIN: SIMPLE_PIN_TEXT, SLOWED: SLOWED_TEXT}

#: What a cardholder asks with the card.
CardRequest = Purchase | PreAuthorize | Balance


class Authorizer:
    """Answers purchases and balance enquiries that were never seen before."""

    def __init__(self, approvals: ApprovalCodes, tries_allowed: int, guard: Guard) -> None:
        """`tries_allowed` wrong PINs in a row lock a card."""
        self._guard = guard
        self._approvals = approvals
        self._tries_allowed = tries_allowed

    def authorize(self, asked: Asked, request: CardRequest, checks: Checks, book: Book) -> Outcome | PinWanted:
        """Return the answer; what it stands on is recorded in the book. Raises LedgerError."""
        terminal = book.terminal(request.identity.terminal)
        card = book.card(asked.card_key) if asked.card_key else None
        if isinstance(request, (Purchase, PreAuthorize)):
            question = Question(Kind.PURCHASE, request.amount, request.currency, request.partial, request.read)
        else:
            currency = "" if terminal is None else terminal.currency
            question = Question(Kind.BALANCE, 0, currency, read=request.read)
        slowed = self._guard.slowed(terminal, book)
        if slowed is not None:
            return self._record(asked, request.peer, question, slowed, terminal, None, book)
        policy = self._guard.policy(asked, None if card is None else book.policy(card.company_id), book)
        decision = decide(question, Facts(terminal, card, checks, policy, self._tries_allowed), book.now)
        if decision.pin_wanted:
            tries = decision.tries_left
            return PinWanted(tries if tries is not None and tries < self._tries_allowed else None)
        if card is not None and decision.amount and asked.kind is _HOLD:
            card = without_ended(card, book)
        return self._record(asked, request.peer, question, decision, terminal, card, book, checks)

    def change_pin(self, asked: Asked, request: ChangePin, checks: Checks, book: Book) -> Outcome:
        """Return the answer to a change of the PIN, which the old PIN must prove. Raises LedgerError."""
        terminal = book.terminal(request.identity.terminal)
        card = book.card(asked.card_key) if asked.card_key else None
        question = Question(Kind.BALANCE, 0, "" if terminal is None else terminal.currency, read=request.read)
        slowed = self._guard.slowed(terminal, book)
        if slowed is not None:
            return self._record(asked, request.peer, question, slowed, terminal, None, book)
        policy = None if card is None else book.policy(card.company_id)
        decision = decide(question, Facts(terminal, card, checks, policy, self._tries_allowed), book.now)
        new = asked.new_pin
        if decision.result == Result.APPROVED:
            fault = UNUSABLE_PIN if new is None else new.fault
            code = _NEW_PIN_CODES.get(fault, ResponseCode.APPROVED)
            result = Result.DECLINED if fault else Result.APPROVED
            decision = msgspec.structs.replace(
                decision, result=result, code=code, rule=fault or PIN_CHANGED, figures=_of_reading(decision.figures)
            )
        return self._record(asked, request.peer, question, decision, terminal, card, book, checks)

    def refuse_date(self, asked: Asked, request: CardRequest | ChangePin, book: Book) -> Outcome:
        """Decline a new request whose business date is over. Raises LedgerError."""
        terminal = book.terminal(request.identity.terminal)
        if isinstance(request, (Purchase, PreAuthorize)):
            question = Question(Kind.PURCHASE, request.amount, request.currency)
        else:
            question = Question(Kind.BALANCE, 0, "" if terminal is None else terminal.currency)
        decision = Decision(
            Result.DECLINED,
            ResponseCode.INVALID_TRANSACTION,
            0,
            OLD_DATE,
            {"date": request.identity.business_date, "open": book.business_date},
        )
        return self._record(asked, request.peer, question, decision, terminal, None, book)

    def _record(
        self,
        asked: Asked,
        peer: PeerIdentity,
        question: Question,
        decision: Decision,
        terminal: TerminalFacts | None,
        card: CardFacts | None,
        book: Book,
        checks: Checks | None = None,
    ) -> Outcome:
        event_id, rrn = book.number()
        # Enum.value is a Python call; its own field is the same text at a quarter of the time.
        kind, result, code = asked.kind._value_, decision.result._value_, decision.code._value_
        approval, authorized, balance, tries_left, currency = "", None, None, None, question.currency
        details: dict[str, str] = {}
        pin: tuple[int, bytes] | None = None
        if result == _DECLINED:
            if code == _WRONG_PIN:
                tries_left = decision.tries_left
        elif card is not None and asked.kind is _PIN_CHANGE:
            pin = (card.card_id, b"" if asked.new_pin is None else asked.new_pin.reference)
        elif card is not None and asked.kind is _BALANCE:
            balance, currency = card.balance, card.currency
            if card.held or card.ended:
                details = {"available": format_amount(card.spendable, currency)}
            details.update(balances(card))
        else:
            approval, authorized = self._approvals.next(), decision.amount
            details = told(decision.draws, currency)
        text = _TEXTS.get(decision.rule) or cashier_text(code)
        outcome = Outcome(result, code, approval, rrn, authorized, currency, balance, tries_left, text, details)
        postings: tuple[Posting, ...] = ()
        purses: tuple[PurseUpdate, ...] = ()
        until, credit, figures = 0, UNCHANGED, decision.figures
        holds: tuple[tuple[int, int], ...] = ()
        if decision.amount and card is not None and asked.kind is _HOLD:
            # Nothing moves: the money is set aside, and counts as spent of the day's limits.
            until = book.hold_until
            day, used, count = decision.counter_day, decision.day_amount, decision.day_count
            parts = draws_of(card, decision.draws, decision.amount)
            aside = dict(parts).get(card.purse_account)
            held = None if aside is None else card.held + aside
            postings, holds = entries_of(parts, card, currency), tuple(parts)
            purses = (
                PurseUpdate(card.purse_account, card.balance, day, used, count, held, spent=decision.spent),
                *(set_aside(card, account, part) for account, part in parts if account != card.purse_account),
            )
        elif decision.amount and card is not None and terminal is not None:
            amount = of_main = decision.amount
            sold = Posting(terminal.merchant_account, amount, currency)
            if decision.draws:
                paid = draws_of(card, decision.draws, amount)
                of_main = dict(paid).get(card.purse_account, 0)
                postings = (*(Posting(account, -part, currency) for account, part in paid), sold)
            else:
                postings = (Posting(card.purse_account, -amount, currency), sold)
            if card.lots:
                credit = spending(card, of_main, book)
                figures = {**figures, **shown(credit)}
            purses = (
                PurseUpdate(
                    card.purse_account,
                    card.balance - of_main,
                    decision.counter_day,
                    decision.day_amount,
                    decision.day_count,
                    spent=decision.spent,
                    lots=credit.after,
                ),
                *others(card, postings),
            )
        tries: tuple[int, int] | None = None
        if card is not None and decision.tries_left is not None and decision.tries_left != card.tries_left:
            tries = (card.card_id, decision.tries_left)
        watch = None
        if checks is not None:
            watch = self._guard.learn(terminal, card, decision.rule, checks, book, decision.reading)
        book.record(
            Event(
                event_id,
                kind,
                asked.identity,
                asked.rid,
                asked.digest,
                None if card is None else card.card_id,
                None if terminal is None else terminal.shop_id,
                question.amount,
                question.currency,
                result,
                code,
                approval,
                rrn,
                decision.rule,
                figures,
                encode_outcome(outcome),
                actor_of(peer),
                None,
                postings,
                purses,
                tries,
                decision.amount,
                decision.counter_day if purses else "",
                until,
                False,
                pin,
                credit.moves,
                watch,
                holds=holds,
                signals=(card.card_id, decision.signals) if card is not None and decision.signals else None,
            )
        )
        if watch is not None:
            self._guard.block_if_swept(terminal, book, watch)
            self._guard.learn_range(asked, decision.rule, book)
        return outcome


def _of_reading(figures: dict[str, int | str]) -> dict[str, int | str]:
    """Return what figures say of a stripe's reading that was out of its order."""
    return {name: figures[name] for name in FIGURES if name in figures}


def actor_of(peer: PeerIdentity) -> str:
    """Return who asked, for the journal: role, name and the certificate's serial number."""
    return f"{DeviceRole.POS}/{peer.name}/{peer.serial}"[:64]
