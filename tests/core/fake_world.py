"""A world in memory, on a ledger that fails when it is told to (tests.core.fake_ledger)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec

from tests.core.fake_ledger import RISK, FakeLedger, Kept
from tests.core.worlds import Line, Purse, SetClock
from trus.auth.lots import Lot, Lots, after, ended, read_lots, spend, write_lots
from trus.auth.model import CardFacts, PurseFacts, State, TerminalFacts
from trus.auth.policy import Policy
from trus.auth.watching import forgiven
from trus.cards.numbers import CardNumber
from trus.values import BusinessDate, CardRef, ShopId, TerminalId

_replace = msgspec.structs.replace


class FakeWorld:
    """A world in memory."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.ledger = FakeLedger()
        self._companies: dict[str, int] = {}
        self._purses: dict[tuple[str, str], int] = {}
        self._accounts = 0
        self._shops: dict[str, int] = {}

    @property
    def _kept(self) -> Kept:
        return self.ledger.kept

    def _account(self, balance: int) -> int:
        self._accounts += 1
        self._kept.balances[self._accounts] = balance
        self._kept.balances[0] = self._kept.balances.get(0, 0) - balance
        return self._accounts

    def add_company(self, company: str, **policy: Any) -> None:
        number = self._companies[company] = len(self._companies) + 1
        self._kept.policies[number] = (Policy(number, number, "2020-01-01", **policy),)

    def set_policy(self, company: str, **policy: Any) -> None:
        number = self._companies[company]
        self._kept.policies[number] = (Policy(number, number, "2020-01-01", **policy),)

    def add_employee(self, company: str, employee: str, balance: int) -> None:
        account = self._purses[company, employee] = self._account(balance)
        self._kept.floors.add(account)

    def add_card(
        self, company: str, employee: str, card: str, number: CardNumber, expiry: str, reference: bytes
    ) -> None:
        account = self._purses[company, employee]
        shared = [each for each in self._kept.cards.values() if each.purse_account == account]
        self._kept.cards[self.ledger.card_key(number.digits)] = CardFacts(
            len(self._kept.cards) + 1,
            CardRef(card),
            State.ACTIVE,
            expiry,
            3,
            reference,
            State.ACTIVE,
            self._companies[company],
            State.ACTIVE,
            account,
            shared[0].balance if shared else self._kept.balances[account],
            "USD",
            "",
            0,
            0,
        )

    def add_terminal(self, shop: str, terminal: str, mcc: str) -> None:
        number = len(self._shops) + 1
        account = self._shops[shop] = self._account(0)
        self._kept.terminals[terminal] = TerminalFacts(
            TerminalId(terminal), State.ACTIVE, ShopId(shop), number, shop, State.ACTIVE, mcc, "USD", account
        )

    def set_state(self, kind: str, name: str, state: State) -> None:
        kept = self._kept
        if kind in ("terminal", "shop"):
            for key, terminal in kept.terminals.items():
                if kind == "terminal" and name == terminal.terminal:
                    kept.terminals[key] = _replace(terminal, state=state, watch=forgiven(terminal.watch))
                elif kind == "shop" and name == terminal.shop:
                    kept.terminals[key] = _replace(terminal, shop_state=state)
            return
        for pan_key, card in kept.cards.items():
            if kind == "card" and card.card == name:
                kept.cards[pan_key] = _replace(card, state=state)
            elif kind == "company" and card.company_id == self._companies[name]:
                kept.cards[pan_key] = _replace(card, company_state=state)
            elif kind == "employee" and card.purse_account == self._purses[_pair(name)]:
                kept.cards[pan_key] = _replace(card, employee_state=state)

    def purse(self, company: str, employee: str) -> Purse:
        account = self._purses[company, employee]
        card = next(each for each in self._kept.cards.values() if each.purse_account == account)
        if card.balance != self._kept.balances[account]:
            raise AssertionError("the purse is not the sum of its entries")
        return Purse(card.balance, card.counter_day, card.day_amount, card.day_count)

    def add_credit(self, company: str, employee: str, amount: int, expires_on: str = "") -> None:
        lots = (Lot(expires_on, amount),) if expires_on else ()
        self._move(self._purses[company, employee], amount, lots)

    def lots(self, company: str, employee: str) -> str:
        account = self._purses[company, employee]
        return next(card.lots for card in self._kept.cards.values() if card.purse_account == account)

    def expire(self) -> None:
        for account in self._purses.values():
            card = next((each for each in self._kept.cards.values() if each.purse_account == account), None)
            left = 0 if card is None else max(0, ended(read_lots(card.lots), self._kept.day) - card.held)
            self._move(account, -left, spend(read_lots(card.lots) if card else (), left, ""))

    def _move(self, account: int, amount: int, lots: Lots) -> None:
        """Let money of the world outside come or go, with the lots of the purse."""
        self._kept.balances[account] += amount
        self._kept.balances[0] -= amount
        for key, card in self._kept.cards.items():
            if card.purse_account == account:
                kept = write_lots(after(read_lots(card.lots), lots))
                self._kept.cards[key] = _replace(card, balance=card.balance + amount, lots=kept)

    def add_purse(self, company: str, employee: str, name: str, balance: int) -> None:
        main, account = self._purses[company, employee], self._account(balance)
        self._kept.floors.add(account)
        for key, card in self._kept.cards.items():
            if card.purse_account == main:
                purses = sorted((*card.purses, PurseFacts(name, account, balance)), key=lambda each: each.name)
                self._kept.cards[key] = _replace(card, purses=tuple(purses))

    def purses(self, company: str, employee: str) -> dict[str, int]:
        main = self._purses[company, employee]
        card = next(each for each in self._kept.cards.values() if each.purse_account == main)
        found = {"MAIN": card.balance, **{each.name: each.balance for each in card.purses}}
        if any(self._kept.balances[each.account] != each.balance for each in card.purses):
            raise AssertionError("a purse is not the sum of its entries")
        return found

    def held(self, company: str, employee: str) -> int:
        account = self._purses[company, employee]
        return next(card.held for card in self._kept.cards.values() if card.purse_account == account)

    def place(self, shop: str, place: str) -> None:
        for key, terminal in self._kept.terminals.items():
            if terminal.shop == shop:
                self._kept.terminals[key] = _replace(terminal, place=place)

    def terminal_state(self, terminal: str) -> State:
        return self._kept.terminals[terminal].state

    def tries(self, card: str) -> int:
        return next(each.tries_left for each in self._kept.cards.values() if each.card == card)

    def owed(self, shop: str) -> int:
        return self._kept.balances[self._shops[shop]]

    def risk(self) -> int:
        return self._kept.balances.get(RISK, 0)

    def journal(self) -> list[Line]:
        return [
            Line(
                event.kind,
                event.identity.terminal if event.identity else "",
                event.identity.business_date if event.identity else "",
                event.identity.stan if event.identity else None,
                event.amount,
                event.authorized,
                event.result,
                event.code,
                event.rule,
                event.figures,
            )
            for event in self._kept.events.values()
        ]

    def journal_bytes(self) -> bytes:
        return msgspec.msgpack.encode(list(self._kept.events.values()))

    def advance_day(self) -> BusinessDate:
        kept = self._kept
        kept.previous = kept.day
        kept.day = BusinessDate((date.fromisoformat(kept.day) + timedelta(days=1)).isoformat())
        return kept.day

    def sum_of_all(self) -> int:
        return sum(self._kept.balances.values())


def _pair(name: str) -> tuple[str, str]:
    company, _, employee = name.partition("/")
    return company, employee
