"""Takes over purchases that terminals made off-line (store and forward): never declined for want of money.

The purse pays what it can spend, and the rest is posted to the issuer's risk account; a card that is not
active any more pays nothing, so that its holder is not charged for what came after the report. The day's
limits count all of it. An advice may come for as long as a repeat may.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from trus.auth.advice import floor_of, judge_advice
from trus.auth.case import Case
from trus.auth.explain import PAID_FROM
from trus.auth.lots import UNCHANGED, Credit
from trus.auth.model import CardFacts, Checks, Draw, Facts, Kind, Question, Reading, State, TerminalFacts
from trus.auth.policy import MAIN_PURSE
from trus.auth.ports import Event, Posting, PurseUpdate
from trus.auth.purses import draw_off_line, paid_from
from trus.auth.readings import figures_of, reading_of, signals_after, watches
from trus.auth.rules import Figures
from trus.auth.texts import cashier_text
from trus.core.answers import encode_outcome
from trus.core.approvals import ApprovalCodes
from trus.core.asked import Asked
from trus.core.authorizing import actor_of
from trus.core.book import Book
from trus.core.credit import shown, spending
from trus.core.messages import Advise, Outcome
from trus.core.purses import account_of, others
from trus.core.watching import Guard, WatchUpdate
from trus.values import ResponseCode, Result

ADVISED: Final = "advised"
#: What a terminal may sell off-line at once, minor units.
FLOOR_LIMIT: Final = 5_000


class Noted(NamedTuple):
    """What is kept of a stripe's reading: in the terminal's row, in the figures, in the card's row."""

    reading: Reading | None
    figures: Figures
    signals: str


UNREAD: Final = Noted(None, {}, "")


class Adviser:
    """Answers advices that were never seen before."""

    def __init__(self, approvals: ApprovalCodes, floor_limit: int, guard: Guard) -> None:
        """`floor_limit` is in minor units."""
        self._guard = guard
        self._approvals = approvals
        self._floor_limit = floor_limit

    def take_over(self, asked: Asked, request: Advise, checks: Checks, book: Book) -> Outcome:
        """Record an advice, or why it is not posted, and return the answer. Raises LedgerError."""
        terminal = book.terminal(request.identity.terminal)
        card = book.card(asked.card_key) if asked.card_key else None
        policy = None if card is None else book.policy(card.company_id)
        question = Question(Kind.PURCHASE, request.amount, request.currency, read=request.read)
        case = Case(question, Facts(terminal, card, checks, policy), book.now)
        noted = _read(case)
        verdict = judge_advice(case, floor_of(policy, self._floor_limit), unopened=asked.unopened)
        if verdict is not None or card is None or terminal is None:
            rule, code, figures = verdict or ("card-not-genuine", ResponseCode.INVALID_CARD, {})
            figures = {**figures, **noted.figures}
            outcome = Outcome(Result.DECLINED.value, code.value, text=cashier_text(code.value))
            watch = self._guard.learn(terminal, card, rule, checks, book, noted.reading)
            outcome = _record(asked, request, book, outcome, rule, figures, terminal, card, watch=watch, noted=noted)
            self._guard.block_if_swept(terminal, book, watch)
            self._guard.learn_range(asked, rule, book)
            return outcome
        amount, currency = request.amount, request.currency
        drawn = _drawn(case, amount)
        paid = sum(each.amount for each in drawn)
        of_main = sum(each.amount for each in drawn if each.purse == MAIN_PURSE)
        credit = spending(card, of_main, book)
        postings = [
            *(Posting(account_of(card, each.purse), -each.amount, currency) for each in drawn),
            Posting(terminal.merchant_account, amount, currency),
        ]
        if paid < amount:
            postings.append(Posting(book.risk_account(currency), paid - amount, currency))
        purse = PurseUpdate(
            card.purse_account,
            card.balance - of_main,
            case.counter_day,
            case.day_amount + amount,
            case.day_count + 1,
            spent=None if case.spent is None else case.spent.plus(terminal.shop_id, amount),
            lots=credit.after,
        )
        outcome = Outcome(
            Result.APPROVED.value,
            ResponseCode.APPROVED.value,
            self._approvals.next(),
            amount=amount,
            currency=currency,
            text=cashier_text(ResponseCode.APPROVED.value),
        )
        figures = {"asked": amount, "currency": currency, "balance": card.balance, "shortfall": amount - paid}
        if case.policy.purses:
            figures[PAID_FROM] = paid_from(drawn)
        figures.update(shown(credit))
        figures.update(noted.figures)
        purses = (purse, *others(card, postings))
        watch = self._guard.learn(terminal, card, ADVISED, checks, book, noted.reading)
        moved = (tuple(postings), purses, credit)
        outcome = _record(asked, request, book, outcome, ADVISED, figures, terminal, card, *moved, watch, noted)
        self._guard.block_if_swept(terminal, book, watch)
        return outcome


def _read(case: Case) -> Noted:
    """Return what the number of an advice's reading says: it is noted and never declines what was sold."""
    if not watches(case):
        return UNREAD
    return Noted(reading_of(case), figures_of(case), signals_after(case))


def _drawn(case: Case, amount: int) -> tuple[Draw, ...]:
    """Return what the purses pay of what was sold; the main one is named also where it pays nothing."""
    card = case.card
    if card.state != State.ACTIVE:
        return (Draw(MAIN_PURSE, 0),)
    if case.policy.purses:
        return draw_off_line(case, amount) or (Draw(MAIN_PURSE, 0),)
    return (Draw(MAIN_PURSE, max(0, min(amount, card.spendable))),)


def _record(
    asked: Asked,
    request: Advise,
    book: Book,
    answer: Outcome,
    rule: str,
    figures: Figures,
    terminal: TerminalFacts | None,
    card: CardFacts | None,
    postings: tuple[Posting, ...] = (),
    purses: tuple[PurseUpdate, ...] = (),
    credit: Credit = UNCHANGED,
    watch: WatchUpdate | None = None,
    noted: Noted = UNREAD,
) -> Outcome:
    event_id, rrn = book.number()
    outcome = Outcome(
        answer.result, answer.code, answer.approval, rrn, answer.amount, answer.currency, text=answer.text
    )
    book.record(
        Event(
            event_id,
            asked.kind.value,
            asked.identity,
            asked.rid,
            asked.digest,
            None if card is None else card.card_id,
            None if terminal is None else terminal.shop_id,
            request.amount,
            request.currency,
            outcome.result,
            outcome.code,
            outcome.approval,
            rrn,
            rule,
            figures,
            encode_outcome(outcome),
            actor_of(request.peer),
            None,
            postings,
            purses,
            None,
            answer.amount or 0,
            purses[0].counter_day if purses else "",
            lots=credit.moves,
            watch=watch,
            signals=(card.card_id, noted.signals) if card is not None and noted.signals else None,
        )
    )
    return outcome
