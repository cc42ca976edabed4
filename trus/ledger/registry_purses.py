"""Keeps the purses that cardholders have beside the main one, on one connection.

Moves no money: refills do (trus.ledger.registry_money), into the rows that this hands out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, insert, select

from trus.ledger.registry_values import EmployeeRow
from trus.ledger.tables import account, purse


class PurseRegistry:
    """Purses by the employees' rows and their names."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, holders: Sequence[EmployeeRow], name: str) -> list[EmployeeRow]:
        """Return each holder with the purse of that name in the place of the main one, opened when missing."""
        rows = [holder.row for holder in holders]
        query = (
            select(purse.c.employee_id, account.c.id, account.c.balance)
            .join(account, account.c.id == purse.c.account)
            .where(purse.c.employee_id.in_(rows), purse.c.name == name)
        )
        found = {row: (number, balance) for row, number, balance in self._connection.execute(query)}
        for holder in holders:
            if holder.row not in found:
                found[holder.row] = (self._new(holder, name), 0)
        return [
            msgspec.structs.replace(
                holder,
                purse_account=found[holder.row][0],
                balance=found[holder.row][1],
                counter_day="",
                day_amount=0,
                day_count=0,
            )
            for holder in holders
        ]

    def of(self, rows: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
        """Return names and balances (minor units) of employees' purses beside the main ones, by the employees' rows."""
        query = (
            select(purse.c.employee_id, purse.c.name, account.c.balance)
            .join(account, account.c.id == purse.c.account)
            .where(purse.c.employee_id.in_(rows))
            .order_by(purse.c.employee_id, purse.c.name)
        )
        found: dict[int, list[tuple[str, int]]] = {}
        for row, name, balance in self._connection.execute(query):
            found.setdefault(row, []).append((name, balance))
        return found

    def _new(self, holder: EmployeeRow, name: str) -> int:
        # No company's id begins with a plus sign, so that no main purse has such an owner.
        values = {
            "kind": "purse",
            "owner": f"+{holder.row}/{name}",
            "currency": holder.currency,
            "floor": 0,
            "balance": 0,
        }
        number = int(self._connection.execute(insert(account).returning(account.c.id), values).scalar_one())
        self._connection.execute(insert(purse), {"employee_id": holder.row, "name": name, "account": number})
        return number
