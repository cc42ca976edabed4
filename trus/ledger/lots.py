"""Follows the lots of purses through a unit of work, and refuses an event that does not add up.

Decides nothing about credit (trus.auth.lots): what an event says of the lots of a purse must follow from its
moves, and no purse may hold less than its lots. A unit in which no purse has lots does nothing here.
"""

from __future__ import annotations

from trus.auth.lots import after, read_lots, total
from trus.auth.ports import Event
from trus.errors import Unbalanced

Row = tuple[object, ...]


class LotBook:
    """The lots that a unit has read, as the events recorded since have left them."""

    def __init__(self) -> None:
        self._kept: dict[int, str] = {}
        self.changed: dict[int, str] = {}
        self.rows: list[Row] = []

    def know(self, account: int, lots: str) -> str:
        """Note the lots that an account's row says, unless a later state is known; return what is known."""
        if lots or account in self._kept:
            return self._kept.setdefault(account, lots)
        return lots

    def concerns(self, event: Event) -> bool:
        """Return whether there is anything to look at."""
        return bool(self._kept) or bool(event.lots)

    def check(self, event: Event) -> None:
        """Raise Unbalanced unless the lots follow from the moves of the event and are within the balance."""
        owners = [purse for purse in event.purses if purse.lots is not None]
        if len(owners) != bool(event.lots):
            raise Unbalanced(f"event {event.rrn} moves lots, and does not say whose")
        for purse in event.purses:
            lots = read_lots(self._kept.get(purse.account, ""))
            if purse.lots is not None:
                try:
                    lots = after(lots, event.lots)
                except ValueError:
                    raise Unbalanced(f"event {event.rrn} takes more out of a lot than it holds") from None
                if lots != read_lots(purse.lots):
                    raise Unbalanced(f"event {event.rrn} sets the lots of account {purse.account} apart from its moves")
            if total(lots) > purse.balance:
                raise Unbalanced(f"event {event.rrn} leaves account {purse.account} with less than its lots")

    def keep(self, event: Event) -> None:
        """Take an event that was checked into account."""
        for purse in event.purses:
            if purse.lots is not None:
                self._kept[purse.account] = self.changed[purse.account] = purse.lots
                self.rows += [(event.event_id, lot.expires_on, purse.account, lot.amount) for lot in event.lots]
