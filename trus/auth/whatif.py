"""Decides past requests again under another policy, and says which answers would have been others.

Reads no storage and changes none: it is fed what the journal holds of one company, in order, and keeps the books of
what would have been beside those of what was: a purchase that would have been declined leaves its money for the
next one. Only what a policy decides is decided again: what was declined for the card, the PIN or the place stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from trus.auth import readings
from trus.auth.case import Case
from trus.auth.decide import APPROVED, PARTIAL, decide
from trus.auth.explain import explain
from trus.auth.model import CardFacts, Checks, Facts, Kind, PurseFacts, Question, State, TerminalFacts
from trus.auth.policy import MAIN_PURSE, Policy
from trus.auth.ports import EventKind
from trus.auth.rules import AFTER_PIN, LIMITS
from trus.auth.spending import Spent
from trus.values import CardRef, Frozen, Result, ShopId, TerminalId

#: The rules that a policy decides by.
#: The journal does not keep the numbers of readings, so that what was declined for one stays so.
JUDGED: Final = frozenset(
    {APPROVED, PARTIAL, *(rule.name for rule in AFTER_PIN), *(limit.name for limit in LIMITS)} - {readings.RULE}
)
#: What is told of a request that would have been asked for its PIN first.
PIN_WANTED: Final = "pin-wanted"

_ENDINGS: Final = frozenset({EventKind.COMPLETION, EventKind.RELEASE, EventKind.EXPIRY})
_BACK: Final = frozenset({EventKind.REFUND, EventKind.VOID, EventKind.REVERSAL})
_NEVER: Final = "9912"
_GENUINE: Final = Checks(_NEVER, "201", True, True)


class Holder(Frozen, frozen=True):
    """A card, and the accounts of its holder's purses: the main one, and (name, account) of the others."""

    card: CardRef
    employee: str
    main: int
    purses: tuple[tuple[str, int], ...] = ()


class PastRequest(Frozen, frozen=True):
    """An event of the journal that concerns a company's purses, with what it moved of them (account, amount).

    `card` is the ledger's number of the card, None where no card was shown. Minor units.
    """

    event_id: int
    rrn: str
    at: datetime
    kind: str = ""
    card: int | None = None
    shop_id: int = 0
    shop: str = ""
    mcc: str = ""
    terminal: str = ""
    business_date: str = ""
    amount: int = 0
    authorized: int = 0
    currency: str = ""
    result: str = ""
    code: str = ""
    rule: str = ""
    original: int | None = None
    place: str = ""
    restored: int = 0  #: what a pre-authorization has set aside again whose completion is taken back by this event
    ended: int = 0  #: what of the main purse had ended and was not posted away yet
    moved: tuple[tuple[int, int], ...] = ()


class Change(Frozen, frozen=True):
    """A request that would have been answered otherwise; `code` is empty where the PIN would have been asked for."""

    request: PastRequest
    holder: Holder
    code: str
    amount: int
    rule: str
    why: str


class _Paid(msgspec.Struct):
    """What a judged request took: as it was, and as it would have been, by account; `counted` is for the limits."""

    request: PastRequest
    day: str
    was: dict[int, int]
    would: dict[int, int]
    left: int
    aside: bool
    counted: int


class _Counters(msgspec.Struct, frozen=True):
    day: str = ""
    amount: int = 0
    count: int = 0
    spent: Spent | None = None


class WhatIf:
    """The books of one company under another policy. `judged` counts the requests that were decided again."""

    def __init__(
        self,
        policy: Policy,
        holders: Mapping[int, Holder],
        balances: Mapping[int, int],
        held: Mapping[int, int],
        in_force: Callable[[datetime], Policy | None],
        since: datetime,
    ) -> None:
        """`balances` and `held` are those of the purses' accounts before the first request that is fed.

        Requests before `since` only fill the counters. `in_force` returns the policy that was in force at a moment.
        """
        self.judged = 0
        self._policy = policy
        self._holders = holders
        self._balances = dict(balances)
        self._held = dict(held)
        self._otherwise: dict[int, int] = {}
        self._in_force = in_force
        self._since = since
        self._counters: dict[int, _Counters] = {}
        self._paid: dict[int, _Paid] = {}
        self._signals: dict[int, str] = {}

    def feed(self, request: PastRequest) -> Change | None:
        """Take the next event; return how its answer would have been another one, None where it would not."""
        holder = None if request.card is None else self._holders.get(request.card)
        change = None
        if holder is not None and request.kind in (EventKind.PURCHASE, EventKind.HOLD):
            change = self._judge(request, holder)
        elif request.original in self._paid:
            self._follow(request, self._paid[request.original])
        for account, amount in request.moved:
            self._balances[account] = self._balances.get(account, 0) + amount
        return change

    def _judge(self, request: PastRequest, holder: Holder) -> Change | None:
        card = self._card(request, holder)
        question = Question(
            Kind.PURCHASE,
            request.amount,
            request.currency,
            request.result == Result.PARTIAL,
        )
        facts = Facts(_terminal(request), card, _GENUINE, self._policy)
        was = {account: -amount for account, amount in request.moved if amount < 0}
        aside = request.kind == EventKind.HOLD
        if aside and request.authorized and not was:
            # Of the main purse nothing is said; in former versions an entry of nothing named another one.
            was = {request.moved[0][0] if request.moved else holder.main: request.authorized}
        if request.rule not in JUDGED or request.at < self._since:
            if request.authorized:
                self._count(holder, Case(question, facts, request.at), request.authorized)
                self._keep(request, was, was, aside, self._counters[holder.main].day, request.authorized)
            return None
        self.judged += 1
        decision = decide(question, facts, request.at)
        if decision.signals:
            self._signals[card.card_id] = decision.signals
        would: dict[int, int] = {}
        if decision.amount:
            drawn = {each.purse: each.amount for each in decision.draws} or {MAIN_PURSE: decision.amount}
            would = {_account(holder, name): amount for name, amount in drawn.items()}
            self._counters[holder.main] = _Counters(
                decision.counter_day, decision.day_amount, decision.day_count, decision.spent or card.spent
            )
        self._keep(request, was, would, aside, decision.counter_day, decision.amount)
        if (decision.code, decision.amount) != (request.code, request.authorized):
            why = explain(decision.rule, decision.figures)
            return Change(request, holder, decision.code.value, decision.amount, decision.rule, why)
        if decision.amount and self._asks_for_pin(request):
            return Change(request, holder, "", decision.amount, PIN_WANTED, explain(PIN_WANTED, {}))
        return None

    def _asks_for_pin(self, request: PastRequest) -> bool:
        before = self._in_force(request.at)
        return before is not None and self._policy.pin_above < request.amount <= before.pin_above

    def _card(self, request: PastRequest, holder: Holder) -> CardFacts:
        """Return the card with its purses as they would have stood."""
        counters = self._counters.get(holder.main, _Counters())
        return CardFacts(
            request.card or 0,
            holder.card,
            State.ACTIVE,
            _NEVER,
            1,
            b"",
            State.ACTIVE,
            self._policy.company_id,
            State.ACTIVE,
            holder.main,
            self._balance(holder.main),
            request.currency,
            counters.day,
            counters.amount,
            counters.count,
            self._held.get(holder.main, 0),
            counters.spent,
            ended=request.ended,
            signals=self._signals.get(request.card or 0, ""),
            purses=tuple(
                PurseFacts(name, account, self._balance(account), self._held.get(account, 0))
                for name, account in holder.purses
            ),
        )

    def _balance(self, account: int) -> int:
        return self._balances.get(account, 0) + self._otherwise.get(account, 0)

    def _count(self, holder: Holder, case: Case, amount: int) -> None:
        spent = None if case.spent is None else case.spent.plus(case.terminal.shop_id, amount)
        self._counters[holder.main] = _Counters(case.counter_day, case.day_amount + amount, case.day_count + 1, spent)

    def _keep(
        self, request: PastRequest, was: dict[int, int], would: dict[int, int], aside: bool, day: str, counted: int
    ) -> None:
        if aside:
            # What is set aside is told apart from the balance; both books lose it until it ends.
            for account, amount in was.items():
                self._held[account] = self._held.get(account, 0) + amount
        self._shift(was, would)
        self._paid[request.event_id] = _Paid(request, day, was, would, sum(would.values()), aside, counted)

    def _shift(self, was: Mapping[int, int], would: Mapping[int, int]) -> None:
        """Note that `would` goes out where `was` went out."""
        for account, amount in was.items():
            self._otherwise[account] = self._otherwise.get(account, 0) + amount
        for account, amount in would.items():
            self._otherwise[account] = self._otherwise.get(account, 0) - amount

    def _follow(self, request: PastRequest, paid: _Paid) -> None:
        """Let what gives back or ends an earlier request do so in both books."""
        if paid.aside and request.kind in (*_ENDINGS, EventKind.REVERSAL):
            for account, amount in paid.was.items():
                self._held[account] = self._held.get(account, 0) - amount
            self._shift(paid.would, paid.was)
            went = {account: -amount for account, amount in request.moved if amount < 0}
            pays = min(sum(went.values()), paid.left)
            would = _spread(pays, paid.would)
            self._shift(went, would)
            self._give_back(paid, paid.left - pays, whole=not pays)
            self._paid[request.event_id] = _Paid(request, paid.day, went, would, pays, False, pays)
        elif request.kind in _BACK and request.result != Result.DECLINED:
            self._come_back(request, paid)

    def _come_back(self, request: PastRequest, paid: _Paid) -> None:
        """Give back what a refund, a void or a reversal gives back; a pre-authorization may stand again then."""
        came = {account: amount for account, amount in request.moved if amount > 0}
        same, refund = paid.was == paid.would, request.kind == EventKind.REFUND
        back = min(sum(came.values()), paid.left)
        self._shift(came if same else dict.fromkeys(list(paid.would)[:1], back), came)
        # What the issuer bore of it counts for the limits too.
        given = min(request.authorized, paid.counted) if same else back
        whole = given >= (paid.counted if refund else paid.left)
        again = self._set_aside_again(request, paid, back, same=same)
        if not refund or request.business_date == paid.request.business_date:
            self._give_back(paid, given - again, whole=whole and not again)
            paid.counted -= given
        paid.left -= back

    def _set_aside_again(self, request: PastRequest, paid: _Paid, back: int, *, same: bool) -> int:
        """Return what a pre-authorization would have set aside again whose completion is taken back."""
        if not request.restored:
            return 0
        hold = self._paid[paid.request.original or 0]
        was = _spread(request.restored, hold.was)
        would = was if same else _spread(min(request.restored, back), hold.would)
        again = sum(would.values())
        self._keep(request, was, would, True, paid.day, again)
        return again

    def _give_back(self, paid: _Paid, amount: int, *, whole: bool) -> None:
        """Give the limits of a request back, as far as its periods last; `whole` says that it counts as none."""
        holder = self._holders.get(paid.request.card or 0)
        if holder is None or not amount:
            return
        counters = self._counters.get(holder.main, _Counters())
        count, spent = int(whole), counters.spent
        if spent is not None:
            spent = spent.plus_of(paid.day, paid.request.shop_id, -amount, -count)
        today = counters.day == paid.day
        self._counters[holder.main] = _Counters(
            counters.day,
            max(0, counters.amount - amount) if today else counters.amount,
            max(0, counters.count - count) if today else counters.count,
            spent,
        )


def _terminal(request: PastRequest) -> TerminalFacts:
    name, shop = TerminalId(request.terminal), ShopId(request.shop)
    active = State.ACTIVE
    return TerminalFacts(
        name, active, shop, request.shop_id, "", active, request.mcc, request.currency, 0, place=request.place
    )


def _spread(amount: int, over: Mapping[int, int]) -> dict[int, int]:
    """Return an amount over accounts, as much in each as is said, the first ones first."""
    parts: dict[int, int] = {}
    for account, most in over.items():
        part = min(most, amount)
        amount -= part
        if part:
            parts[account] = part
    return parts


def _account(holder: Holder, name: str) -> int:
    return dict(holder.purses).get(name, holder.main)
