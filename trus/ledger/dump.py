"""Shows an examiner the whole ledger as plain rows: what happened, what moved, what is held now.

Reads one snapshot, judges nothing and writes nothing. Meant for whoever checks the ledger by other
means than its own audit (trus.ledger.audit): the simulation, and tests that kill processes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, select

from trus.errors import StorageFailed
from trus.ledger.dialect import DATABASE_ERRORS, Direct, cause
from trus.ledger.prepared import Prepared
from trus.ledger.tables import account, business_day, card, employee, entry, event, shop, terminal


class EventRow(msgspec.Struct, frozen=True):
    """One event of the journal; `figures` is what the decision looked at, `answer` the stored one."""

    id: int
    kind: str
    terminal: str | None
    business_date: str | None
    stan: int | None
    rid: bytes
    amount: int
    authorized: int
    currency: str
    result: str
    code: str
    approval: str
    rrn: str
    rule: str
    original: int | None
    counter_day: str
    ledger_date: str
    card_id: int | None
    figures: dict[str, int | str]
    answer: bytes
    slot: int
    sequence: int


class EntryRow(msgspec.Struct, frozen=True):
    """`amount` minor units into (+) or out of (-) an account."""

    event_id: int
    account: int
    amount: int
    currency: str


class AccountRow(msgspec.Struct, frozen=True):
    """An account; `balance` is None where it is the sum of the entries, `held` is what is set aside in a purse."""

    id: int
    kind: str
    owner: str
    currency: str
    floor: int | None
    balance: int | None
    held: int = 0


class CardRow(msgspec.Struct, frozen=True):
    """A card by reference, its tries, and the purse that it draws on."""

    id: int
    card: str
    tries_left: int
    purse: int


class Dump(msgspec.Struct, frozen=True):
    """Everything; events in the order of their chains, entries in that of their events."""

    events: list[EventRow]
    entries: list[EntryRow]
    accounts: list[AccountRow]
    cards: list[CardRow]
    merchants: dict[str, int]  #: the account of each terminal's shop
    days: list[tuple[str, str]]  #: business dates and their states, oldest first


_EVENTS: Final = Prepared(
    select(*(event.c[name] for name in EventRow.__struct_fields__)).order_by(event.c.slot, event.c.sequence)
)
_ENTRIES: Final = Prepared(
    select(entry.c.event_id, entry.c.account, entry.c.amount, entry.c.currency).order_by(
        entry.c.event_id, entry.c.number
    )
)
_ACCOUNTS: Final = Prepared(select(*(account.c[name] for name in AccountRow.__struct_fields__)).order_by(account.c.id))
_CARDS: Final = Prepared(
    select(card.c.id, card.c.card, card.c.tries_left, employee.c.purse_account)
    .join_from(card, employee, card.c.employee_id == employee.c.id)
    .order_by(card.c.id)
)
_MERCHANTS: Final = Prepared(
    select(terminal.c.terminal, shop.c.account)
    .join_from(terminal, shop, terminal.c.shop_id == shop.c.id)
    .order_by(terminal.c.terminal)
)
_DAYS: Final = Prepared(select(business_day.c.date, business_day.c.state).order_by(business_day.c.date))


def read_dump(engine: Engine) -> Dump:
    """Return the whole ledger. Raises StorageFailed."""
    try:
        with engine.connect() as connection:
            direct = Direct(connection)
            direct.begin_reading()
            try:
                return _read(connection)
            finally:
                direct.rollback()
    except DATABASE_ERRORS as failure:
        raise StorageFailed(f"the ledger cannot be read: {cause(failure)}") from None


def _read(connection: Connection) -> Dump:
    return Dump(
        events=[_event(row) for row in _EVENTS.rows(connection)],
        entries=[EntryRow(*row) for row in _ENTRIES.rows(connection)],
        accounts=[AccountRow(*row) for row in _ACCOUNTS.rows(connection)],
        cards=[CardRow(*row) for row in _CARDS.rows(connection)],
        merchants=_MERCHANTS.pairs(connection),
        days=[(row[0], row[1]) for row in _DAYS.rows(connection)],
    )


def _event(row: Any) -> EventRow:
    values = list(row)
    figures = EventRow.__struct_fields__.index("figures")
    values[figures] = msgspec.json.decode(values[figures]) if values[figures] else {}
    values[figures + 1] = values[figures + 1] or b""
    return EventRow(*values)
