"""What the promises of the pipeline need of a world: shops, people, cards, and a look at what is durable.

Implemented in memory (tests.core.fake_ledger) and on SQLCipher (tests.core.sql_world).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from trus.auth.model import State
from trus.auth.ports import Ledger
from trus.cards.numbers import CardNumber
from trus.values import BusinessDate, Frozen

#: A Friday.
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TODAY = BusinessDate("2026-11-20")


class SetClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


class Purse(Frozen, frozen=True):
    """A purse as it is kept."""

    balance: int
    counter_day: str
    day_amount: int
    day_count: int


class Line(Frozen, frozen=True):
    """An event as support sees it."""

    kind: str
    terminal: str
    business_date: str
    stan: int | None
    asked: int
    moved: int
    result: str
    code: str
    rule: str
    figures: dict[str, int | str] = {}


class World(Protocol):
    """A network of one issuer, with one writing ledger."""

    clock: SetClock

    @property
    def ledger(self) -> Ledger:
        """The ledger that the pipeline writes to."""
        ...

    def add_company(self, company: str, **policy: Any) -> None:
        """Register a company with a policy of these fields, valid from 2020-01-01."""
        ...

    def set_policy(self, company: str, **policy: Any) -> None:
        """Put a policy of these fields in the place of a company's."""
        ...

    def add_employee(self, company: str, employee: str, balance: int) -> None:
        """Register an employee with `balance` minor units in the purse."""
        ...

    def add_card(
        self, company: str, employee: str, card: str, number: CardNumber, expiry: str, reference: bytes
    ) -> None:
        """Store a card with its PIN reference and three tries."""
        ...

    def add_terminal(self, shop: str, terminal: str, mcc: str) -> None:
        """Register a shop that takes USD, with one terminal."""
        ...

    def set_state(self, kind: str, name: str, state: State) -> None:
        """Change the state of a card, terminal, shop, company or employee (COMPANY/EMPLOYEE)."""
        ...

    def purse(self, company: str, employee: str) -> Purse:
        """Return what is durable of a purse."""
        ...

    def add_credit(self, company: str, employee: str, amount: int, expires_on: str = "") -> None:
        """Refill a purse with credit that ends after a business date, or never."""
        ...

    def lots(self, company: str, employee: str) -> str:
        """Return the credit of a purse that ends, as it is kept."""
        ...

    def expire(self) -> None:
        """Let the upkeep post away what has ended."""
        ...

    def add_purse(self, company: str, employee: str, name: str, balance: int) -> None:
        """Give an employee who has cards another purse with `balance` minor units in it."""
        ...

    def purses(self, company: str, employee: str) -> dict[str, int]:
        """Return what is durable of all purses of an employee, by their names."""
        ...

    def held(self, company: str, employee: str) -> int:
        """Return what pre-authorizations have set aside in a purse."""
        ...

    def place(self, shop: str, place: str) -> None:
        """Say where a shop is: "latitude,longitude" in degrees."""
        ...

    def terminal_state(self, terminal: str) -> State:
        """Return the durable state of a terminal."""
        ...

    def tries(self, card: str) -> int:
        """Return the durable PIN tries of a card."""
        ...

    def owed(self, shop: str) -> int:
        """Return what the ledger owes a shop."""
        ...

    def risk(self) -> int:
        """Return what the issuer's risk account holds: below zero once it bore a shortfall."""
        ...

    def journal(self) -> list[Line]:
        """Return the durable events that terminals caused, oldest first."""
        ...

    def journal_bytes(self) -> bytes:
        """Return everything that is stored of these events, in one encoding or another."""
        ...

    def advance_day(self) -> BusinessDate:
        """Cut over to the next business date; the clock stays."""
        ...
