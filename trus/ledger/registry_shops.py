"""Keeps shops, each with the account of what it is owed, and their terminals.

Begins and ends no transaction: the caller's connection is in one.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, insert, select, update

from trus.auth.watching import forgiven
from trus.ledger.registry_values import ShopRow, TerminalRow
from trus.ledger.tables import account, shop, terminal

_SHOP_COLUMNS: Final = (
    shop.c.id,
    shop.c.shop,
    shop.c.name,
    shop.c.mcc,
    shop.c.currency,
    shop.c.state,
    shop.c.account,
)
_TERMINAL_COLUMNS: Final = (
    terminal.c.id,
    terminal.c.terminal,
    shop.c.shop,
    terminal.c.shop_id,
    terminal.c.model,
    terminal.c.state,
)
_FROM_TERMINALS: Final = terminal.join(shop, shop.c.id == terminal.c.shop_id)


class ShopRegistry:
    """Shops and terminals on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_shop(self, *, shop_id: str, name: str, mcc: str, currency: str, at: int) -> ShopRow:
        """Store a shop; its account has no locked balance, so that no two sales wait for each other."""
        owed = self._connection.execute(
            insert(account).returning(account.c.id),
            {"kind": "shop", "owner": shop_id, "currency": currency, "floor": None, "balance": None},
        ).scalar_one()
        row = self._connection.execute(
            insert(shop).returning(shop.c.id),
            {
                "shop": shop_id,
                "name": name,
                "mcc": mcc,
                "currency": currency,
                "state": "active",
                "account": owed,
                "created_at": at,
            },
        ).scalar_one()
        return ShopRow(row, shop_id, name, mcc, currency, "active", owed)

    def shop(self, shop_id: str) -> ShopRow | None:
        """Return a shop by its id, None when there is none."""
        row = self._connection.execute(select(*_SHOP_COLUMNS).where(shop.c.shop == shop_id)).one_or_none()
        return None if row is None else ShopRow(*row)

    def shops(self, after: str, limit: int) -> list[ShopRow]:
        """Return shops in the order of their ids, from the one after `after`."""
        query = select(*_SHOP_COLUMNS).where(shop.c.shop > after).order_by(shop.c.shop).limit(limit)
        return [ShopRow(*row) for row in self._connection.execute(query)]

    def set_shop_state(self, row: int, state: str) -> None:
        """Change a shop's state."""
        self._connection.execute(update(shop).where(shop.c.id == row).values(state=state))

    def set_shop_place(self, row: int, place: str) -> None:
        """Say where a shop is: "latitude,longitude" in degrees, "" for nowhere."""
        self._connection.execute(update(shop).where(shop.c.id == row).values(place=place))

    def add_terminal(self, *, terminal_id: str, owner: ShopRow, model: str, at: int) -> TerminalRow:
        """Store a terminal of a shop."""
        row = self._connection.execute(
            insert(terminal).returning(terminal.c.id),
            {"terminal": terminal_id, "shop_id": owner.row, "model": model, "state": "active", "created_at": at},
        ).scalar_one()
        return TerminalRow(row, terminal_id, owner.shop, owner.row, model, "active")

    def terminal(self, terminal_id: str) -> TerminalRow | None:
        """Return a terminal by its id, None when there is none."""
        query = select(*_TERMINAL_COLUMNS).select_from(_FROM_TERMINALS).where(terminal.c.terminal == terminal_id)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else TerminalRow(*row)

    def terminals(self, shop_row: int | None, after: str, limit: int) -> list[TerminalRow]:
        """Return terminals in the order of their ids: of one shop or of all."""
        query = (
            select(*_TERMINAL_COLUMNS)
            .select_from(_FROM_TERMINALS)
            .where(terminal.c.terminal > after)
            .order_by(terminal.c.terminal)
            .limit(limit)
        )
        if shop_row is not None:
            query = query.where(terminal.c.shop_id == shop_row)
        return [TerminalRow(*row) for row in self._connection.execute(query)]

    def set_terminal_state(self, row: int, state: str) -> None:
        """Change a terminal's state; what it has tried so far is forgotten, its readings of stripes are not."""
        of_it = terminal.c.id == row
        tried = self._connection.execute(select(terminal.c.watch).where(of_it)).scalar_one()
        self._connection.execute(update(terminal).where(of_it).values(state=state, watch=forgiven(tried)))
