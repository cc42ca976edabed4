"""Keeps cards: keyed hashes, ciphered numbers, PIN references; in sets, since cards are issued in groups.

Begins and ends no transaction and never returns a card number in the clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, exists, insert, select, update

from trus.ledger.lookup import FieldCipher
from trus.ledger.registry_values import CardRow, NewCard
from trus.ledger.tables import card, company, employee

#: Keys in one IN list; SQLite's limit of bound values is above 32,000.
_CHUNK: Final = 500
#: States in which a card counts as its employee's card.
LIVE_STATES: Final = ("active", "blocked", "suspected")

_CARD_COLUMNS: Final = (
    card.c.id,
    card.c.card,
    card.c.last_four,
    card.c.expiry,
    card.c.tries_left,
    card.c.state,
    company.c.company,
    employee.c.employee,
)
_FROM_CARDS: Final = card.join(employee, employee.c.id == card.c.employee_id).join(
    company, company.c.id == employee.c.company_id
)


class CardRegistry:
    """Cards on one connection."""

    def __init__(self, connection: Connection, numbers: FieldCipher) -> None:
        """`numbers` ciphers card numbers."""
        self._connection = connection
        self._numbers = numbers

    def add_cards(self, cards: Sequence[NewCard], at: int) -> None:
        """Store a group of cards with one statement."""
        self._connection.execute(
            insert(card),
            [
                {
                    "card": new.card,
                    "pan_key": new.pan_key,
                    "pan": self._numbers.seal(new.pan, table="card", column="pan", row=new.card),
                    "last_four": new.pan[-4:],
                    "expiry": new.expiry,
                    "sequence": new.sequence,
                    "pin_reference": new.pin_reference,
                    "tries_left": new.tries_left,
                    "state": "active",
                    "employee_id": new.employee_row,
                    "created_at": at,
                }
                for new in cards
            ],
        )

    def taken(self, references: Sequence[str], pan_keys: Sequence[bytes]) -> tuple[set[str], set[bytes]]:
        """Return those of the references and of the keyed hashes that a card has already."""
        names: set[str] = set()
        keys: set[bytes] = set()
        for start in range(0, len(references), _CHUNK):
            part = references[start : start + _CHUNK]
            names.update(self._connection.execute(select(card.c.card).where(card.c.card.in_(part))).scalars())
        for start in range(0, len(pan_keys), _CHUNK):
            chunk = pan_keys[start : start + _CHUNK]
            keys.update(self._connection.execute(select(card.c.pan_key).where(card.c.pan_key.in_(chunk))).scalars())
        return names, keys

    def without_card(self, company_row: int, limit: int) -> list[str]:
        """Return ids of active employees of a company who have no card, at most `limit`."""
        has_card = exists().where(card.c.employee_id == employee.c.id, card.c.state.in_(LIVE_STATES))
        query = (
            select(employee.c.employee)
            .where(employee.c.company_id == company_row, employee.c.state == "active", ~has_card)
            .order_by(employee.c.employee)
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def card(self, reference: str) -> CardRow | None:
        """Return a card by its reference, None when there is none."""
        query = select(*_CARD_COLUMNS).select_from(_FROM_CARDS).where(card.c.card == reference)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else CardRow(*row)

    def cards(
        self, *, company_row: int | None = None, employee_row: int | None = None, after: str = "", limit: int = 50
    ) -> list[CardRow]:
        """Return cards in the order of their references: of an employee, of a company or of all."""
        query = (
            select(*_CARD_COLUMNS)
            .select_from(_FROM_CARDS)
            .where(card.c.card > after)
            .order_by(card.c.card)
            .limit(limit)
        )
        if company_row is not None:
            query = query.where(employee.c.company_id == company_row)
        if employee_row is not None:
            query = query.where(card.c.employee_id == employee_row)
        return [CardRow(*row) for row in self._connection.execute(query)]

    def set_card_state(self, number: int, state: str) -> None:
        """Change a card's state."""
        self._connection.execute(update(card).where(card.c.id == number).values(state=state))

    def set_card_tries(self, number: int, tries: int) -> None:
        """Change how many wrong PINs a card has left."""
        self._connection.execute(update(card).where(card.c.id == number).values(tries_left=tries))
