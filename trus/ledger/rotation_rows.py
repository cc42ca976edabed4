"""Re-ciphers names and card numbers under the newest key, and hashes card numbers anew, some rows at a time.

Begins and ends no transaction and decides on no key. A row that was erased is left as it is: it
holds neither name nor number, and its look-up key is random. A row that does not open stops the
rotation: it was moved or altered, and nobody may paper over that.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from trus.ledger.lookup import CardLookup, FieldCipher, sealed_version
from trus.ledger.registry_people import purse_owner
from trus.ledger.rotation_state import RotationRow
from trus.ledger.tables import card, company, employee


def next_rows(
    connection: Connection, row: RotationRow, lookup: CardLookup, fields: FieldCipher, limit: int
) -> RotationRow:
    """Work on the next `limit` rows, employees before cards; return how far the rotation is then.

    It has come to its end when `rows` did not grow. Raises FieldUnreadable.
    """
    moved = _employees(connection, row, fields, limit)
    return moved if moved.rows > row.rows else _cards(connection, row, lookup, fields, limit)


def _employees(connection: Connection, row: RotationRow, fields: FieldCipher, limit: int) -> RotationRow:
    rows = connection.execute(
        select(employee.c.id, company.c.company, employee.c.employee, employee.c.name)
        .join_from(employee, company, employee.c.company_id == company.c.id)
        .where(employee.c.id > row.employee_done)
        .order_by(employee.c.id)
        .limit(limit)
    ).all()
    changed = []
    for number, company_id, employee_id, sealed in rows:
        if sealed is None or sealed_version(sealed) == fields.version:
            continue
        place = purse_owner(company_id, employee_id)
        clear = fields.open(sealed, table="employee", column="name", row=place)
        changed.append({"number": number, "text": fields.seal(clear, table="employee", column="name", row=place)})
    if changed:
        put = update(employee).where(employee.c.id == bindparam("number")).values(name=bindparam("text"))
        connection.execute(put, changed)
    last = rows[-1][0] if rows else row.employee_done
    return msgspec.structs.replace(row, employee_done=last, rows=row.rows + len(rows))


def _cards(
    connection: Connection, row: RotationRow, lookup: CardLookup, fields: FieldCipher, limit: int
) -> RotationRow:
    rows = connection.execute(
        select(card.c.id, card.c.card, card.c.pan).where(card.c.id > row.card_done).order_by(card.c.id).limit(limit)
    ).all()
    changed = []
    for number, reference, sealed in rows:
        if sealed is None or sealed_version(sealed) == fields.version:
            continue
        clear = fields.open(sealed, table="card", column="pan", row=reference)
        changed.append(
            {
                "number": number,
                "text": fields.seal(clear, table="card", column="pan", row=reference),
                "hashed": lookup.card_key(clear),
            }
        )
    if changed:
        connection.execute(
            update(card)
            .where(card.c.id == bindparam("number"))
            .values(pan=bindparam("text"), pan_key=bindparam("hashed")),
            changed,
        )
    last = rows[-1][0] if rows else row.card_done
    return msgspec.structs.replace(row, card_done=last, rows=row.rows + len(rows))
