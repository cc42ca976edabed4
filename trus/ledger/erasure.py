"""Erases what names a person, when the law asks for it, and leaves the audit chain provable.

Decides nothing: whether a person may be erased yet is the issuer's matter (terminals may repeat a
request for 30 days, and an erased answer cannot be given again). Money
and its entries stay; what goes is the name, the card numbers, and the columns of events that tell of
the person. Of those a commitment is kept, so that the chain still proves every other column.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from trus.ledger.chain import PERSONAL, commit_personal
from trus.ledger.posting import post
from trus.ledger.tables import card, employee, event
from trus.ledger.unit import SqlUnit


def erase_employee(unit: SqlUnit, employee_id: int, actor: str) -> int:
    """Erase an employee's name, card numbers and events; return how many events that were.

    Cards stay as closed rows that nothing leads to a person from. The erasure is itself an event, by
    `actor`, that names nobody. The caller commits the unit.
    """
    put = unit.connection.execute
    cards = list(put(select(card.c.id).where(card.c.employee_id == employee_id)).scalars())
    put(update(employee).where(employee.c.id == employee_id).values(name=None, state="closed"))
    for number in cards:
        # The look-up key names the card number to whoever holds the key: random bytes take its place.
        put(
            update(card)
            .where(card.c.id == number)
            .values(pan=None, pan_key=unit.draw(16), last_four="", pin_reference=bytes(16), state="closed")
        )
    erased = _erase_events(unit, cards)
    post(unit, kind="erasure", postings=(), actor=actor, rule="erased", figures={"events": erased})
    return erased


def _erase_events(unit: SqlUnit, cards: Sequence[int]) -> int:
    columns = [event.c[name] for name in PERSONAL]
    told = select(event.c.id, event.c.salt, *columns).where(event.c.card_id.in_(cards), event.c.commitment.is_(None))
    rows = unit.connection.execute(told).all()
    for event_id, salt, *personal in rows:
        unit.connection.execute(
            update(event)
            .where(event.c.id == event_id)
            .values(commitment=commit_personal(salt, tuple(personal)), salt=None, **dict.fromkeys(PERSONAL))
        )
    return len(rows)
