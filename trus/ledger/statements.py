"""Holds the SQL of the hot path: written in SQLAlchemy Core, compiled to text once, sent as it is.

Runs nothing. Reads are for sets of keys, with sizes that are powers of two up to MAX_KEYS, so that
the driver's cache of prepared statements stays small and warm: a short set repeats its last key. Writes
take one row and are sent with many. `trus.ledger.tables` says what the columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import (
    Column,
    Dialect,
    Executable,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from trus.ledger.chain import CHAINED, PERSONAL
from trus.ledger.statements_linked import (
    due_holds,
    ended_again,
    ends,
    locked_accounts,
    markers,
    refunds,
    request_entries,
    request_lots,
    restored_holds,
    watched_ranges,
)
from trus.ledger.tables import (
    account,
    business_day,
    card,
    chain_node,
    company,
    employee,
    entry,
    event,
    hold,
    lot_move,
    policy,
    purse,
    range_watch,
    shop,
    terminal,
    writer_slot,
)

#: Keys in one read. Beyond 64 the gain is lost in the noise.
MAX_KEYS: Final = 64

#: Columns of `event` as they are written, in the table's order, which SQLAlchemy's text follows.
#: The commitment stays NULL until an erasure.
EVENT_COLUMNS: Final = (*CHAINED, *PERSONAL, "slot", "sequence", "salt", "link", "mark")
_ENTRY_COLUMNS: Final = tuple(each.name for each in entry.columns)
_LOT_COLUMNS: Final = tuple(each.name for each in lot_move.columns)

_CARD_FACTS: Final[tuple[ColumnElement[Any], ...]] = (
    card.c.pan_key,
    card.c.id,
    card.c.card,
    card.c.state,
    card.c.expiry,
    card.c.tries_left,
    card.c.pin_reference,
    employee.c.state,
    company.c.id,
    company.c.state,
    account.c.id,
    account.c.balance,
    account.c.currency,
    account.c.counter_day,
    account.c.day_amount,
    account.c.day_count,
    account.c.held,
    account.c.spent,
    account.c.lots,
    card.c.signals,
)

#: What a batch's items are made of.
ITEM_KINDS: Final = ("purchase", "completion", "refund")
_ITEM: Final = (
    event.c.business_date,
    event.c.stan,
    event.c.kind,
    event.c.authorized,
    event.c.rrn,
)


def padded(keys: Sequence[Any]) -> tuple[int, list[Any]]:
    """Return the next power of two and `keys` (not empty) filled up to it with the last one."""
    size = 1 << (len(keys) - 1).bit_length()
    return size, [*keys, *([keys[-1]] * (size - len(keys)))]


#: The texts of each dialect that lives: an engine that is opened again need not compile again.
_TEXTS: Final[WeakKeyDictionary[Dialect, dict[tuple[str, int], str]]] = WeakKeyDictionary()


class Statements:
    """Compiles each statement for a size at its first use and keeps the text."""

    def __init__(self, dialect: Dialect) -> None:
        """`dialect` is the engine's; it must take positional parameters."""
        self._dialect = dialect
        self._texts = _TEXTS.setdefault(dialect, {})
        self._makers: dict[str, Callable[[int], Executable]] = {
            "day": lambda _: _day(),
            "requests": _requests,
            "requests_by_id": _requests_by_id,
            "request_entries": request_entries,
            "request_lots": request_lots,
            "refunds": refunds,
            "locked_accounts": locked_accounts,
            "terminals": _terminals,
            "cards": lambda size: _cards(card.c.pan_key, size),
            "cards_by_id": lambda size: _cards(card.c.id, size),
            "policies": _policies,
            "purses": _purses,
            "closings": _closings,
            "dates": lambda _: _dates(),
            "totals": _totals,
            "batch_items": _batch_items,
            "batch_endings": _batch_endings,
            "insert_events": lambda _: _insert(event, EVENT_COLUMNS),
            "insert_entries": lambda _: _insert(entry, _ENTRY_COLUMNS),
            "update_accounts": lambda _: _update_accounts(),
            "update_tries": lambda _: _update_tries(),
            "update_pins": lambda _: _update_pins(),
            "update_held": lambda _: _update_held(),
            "update_spent": lambda _: _update_spent(),
            "update_watch": lambda _: _update_watch(),
            "update_signals": lambda _: _update_signals(),
            "update_lots": lambda _: _update_lots(),
            "insert_lots": lambda _: _insert(lot_move, _LOT_COLUMNS),
            "due_lots": lambda _: _due_lots(),
            "insert_holds": lambda _: _insert(hold, [each.name for each in hold.columns]),
            "forget_ranges": lambda _: delete(range_watch).where(range_watch.c.since < bindparam(None, unique=True)),
            "delete_ranges": lambda _: delete(range_watch).where(range_watch.c.name == bindparam(None, unique=True)),
            "insert_ranges": lambda _: _insert(range_watch, [each.name for each in range_watch.columns]),
            "watched_ranges": watched_ranges,
            "delete_holds": lambda _: delete(hold).where(hold.c.event_id == bindparam(None, unique=True)),
            "due_holds": lambda _: due_holds(),
            "restored_holds": restored_holds,
            "ended_again": ended_again,
            "lease_numbers": lambda _: _lease_numbers(),
            "insert_nodes": lambda _: _insert(chain_node, [each.name for each in chain_node.columns]),
        }

    def text(self, name: str, size: int = 1) -> str:
        """Return the SQL text of statement `name` for `size` keys."""
        known = self._texts.get((name, size))
        if known is None:
            statement: Any = self._makers[name](size)
            compiled = statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
            known = self._texts[name, size] = str(compiled)
        return known

    def names(self) -> tuple[str, ...]:
        """Return the names of all statements, so that a test can ask for every plan."""
        return tuple(self._makers)


def _day() -> Executable:
    # The state is spelled out because the index covers open days alone.
    return (
        select(business_day.c.date, business_day.c.previous, business_day.c.next_number, writer_slot.c.epoch)
        .select_from(business_day)
        .join(writer_slot, writer_slot.c.slot == bindparam(None, type_=Integer))
        .where(business_day.c.state == literal_column("'open'"))
    )


def _requests(size: int) -> Executable:
    identity = tuple_(event.c.business_date, event.c.terminal, event.c.stan)
    return _stored().where(identity.in_([("", "", 0)] * size))


def _requests_by_id(size: int) -> Executable:
    return _stored().where(event.c.id.in_(markers(size)), event.c.terminal.is_not(None))


def _stored() -> Select[Any]:
    """Return what is kept of a request, how it ended, and what was refunded of it.

    The kinds are spelled out because the indexes cover them alone. What hangs on a request is looked
    for only where there is one, so that a new request pays nothing for it.
    """
    ending, refund, undone = event.alias("ending"), event.alias("refund"), event.alias("undone")
    refunds = (
        select(func.sum(refund.c.authorized))
        .select_from(refund)
        .outerjoin(undone, and_(undone.c.original == refund.c.id, ends("undone")))
        .where(refund.c.original == event.c.id, text("refund.kind = 'refund'"), undone.c.id.is_(None))
    )
    refunded = refunds.scalar_subquery()
    in_time = refunds.where(refund.c.counter_day != literal_column("''")).scalar_subquery()
    return (
        select(
            event.c.terminal,
            event.c.business_date,
            event.c.stan,
            event.c.id,
            event.c.kind,
            event.c.rid,
            event.c.digest,
            event.c.amount,
            event.c.currency,
            event.c.result,
            event.c.code,
            event.c.rrn,
            event.c.answer,
            event.c.card_id,
            ending.c.id,
            event.c.counter_day,
            event.c.authorized,
            event.c.shop_id,
            event.c.original,
            ending.c.authorized,
            refunded,
            ending.c.kind,
            *(event.c[name] for name in ("slot", "sequence", "mark", "at")),
            *(ending.c[name] for name in ("slot", "sequence", "mark")),
            in_time,
        )
        .select_from(event)
        .outerjoin(ending, and_(ending.c.original == event.c.id, ends("ending")))
    )


def _terminals(size: int) -> Executable:
    return (
        select(
            terminal.c.terminal,
            terminal.c.state,
            shop.c.shop,
            shop.c.id,
            shop.c.name,
            shop.c.state,
            shop.c.mcc,
            shop.c.currency,
            shop.c.account,
            terminal.c.watch,
            shop.c.place,
        )
        .join_from(terminal, shop, terminal.c.shop_id == shop.c.id)
        .where(terminal.c.terminal.in_(markers(size)))
    )


def _cards(key: Column[Any], size: int) -> Executable:
    return (
        select(*_CARD_FACTS)
        .select_from(card)
        .join(employee, card.c.employee_id == employee.c.id)
        .join(company, employee.c.company_id == company.c.id)
        .join(account, employee.c.purse_account == account.c.id)
        .where(key.in_(markers(size)))
    )


def _policies(size: int) -> Executable:
    return (
        select(policy.c.id, policy.c.company_id, policy.c.valid_from, policy.c.document)
        .where(policy.c.company_id.in_(markers(size)))
        .order_by(policy.c.company_id, policy.c.valid_from.desc())
    )


def _purses(size: int) -> Executable:
    return (
        select(card.c.id, purse.c.name, account.c.id, account.c.balance, account.c.held)
        .select_from(card)
        .join(purse, purse.c.employee_id == card.c.employee_id)
        .join(account, account.c.id == purse.c.account)
        .where(card.c.id.in_(markers(size)))
        .order_by(card.c.id, purse.c.name)
    )


def _closings(size: int) -> Executable:
    # Kind and result are spelled out because the index covers approved closings alone.
    return (
        select(event.c.terminal, func.max(event.c.id), func.max(event.c.ledger_date))
        .where(
            event.c.terminal.in_(markers(size)),
            event.c.kind == literal_column("'close-batch'"),
            event.c.result == literal_column("'approved'"),
        )
        .group_by(event.c.terminal)
    )


def _dates() -> Executable:
    return select(business_day.c.date).where(business_day.c.date >= bindparam(None, unique=True))


def _totals(size: int) -> Executable:
    # A join with the dates would read better; SQLite then walks all terminals of every date.
    undone = event.alias("undone")
    return (
        select(event.c.kind, event.c.rule, func.count(), func.sum(event.c.authorized))
        .select_from(event)
        .outerjoin(undone, and_(undone.c.original == event.c.id, ends("undone")))
        .where(
            or_(event.c.kind != literal_column("'refund'"), undone.c.id.is_(None)),
            event.c.terminal == bindparam(None, unique=True),
            event.c.id > bindparam(None, unique=True),
            event.c.authorized > literal_column("0"),
            event.c.business_date.in_(markers(size)),
        )
        .group_by(event.c.kind, event.c.rule)
    )


def _batch_items(size: int) -> Executable:
    """Ask for what a terminal sold and refunded since an event, and how each ended."""
    ending = event.alias("ending")
    return (
        select(*_ITEM, ending.c.kind)
        .select_from(event)
        .outerjoin(ending, and_(ending.c.original == event.c.id, ends("ending")))
        .where(
            event.c.terminal == bindparam(None, unique=True),
            event.c.id > bindparam(None, unique=True),
            event.c.authorized > literal_column("0"),
            event.c.kind.in_([literal_column(f"'{kind}'") for kind in ITEM_KINDS]),
            event.c.business_date.in_(markers(size)),
        )
    )


def _batch_endings(size: int) -> Executable:
    """Ask for what a terminal took back since an event of what it had sold up to it."""
    ending = event.alias("ending")
    return (
        select(*_ITEM, ending.c.kind)
        .select_from(ending)
        .join(event, event.c.id == ending.c.original)
        .where(
            ending.c.terminal == bindparam(None, unique=True),
            ending.c.id > bindparam(None, unique=True),
            event.c.id <= bindparam(None, unique=True),
            event.c.authorized > literal_column("0"),
            event.c.kind.in_([literal_column(f"'{kind}'") for kind in ITEM_KINDS]),
            ending.c.kind.in_([literal_column("'reversal'"), literal_column("'void'")]),
            ending.c.business_date.in_(markers(size)),
        )
    )


def _insert(table: Table, columns: Sequence[str]) -> Executable:
    return insert(table).values(dict.fromkeys(columns, 0))


def _update_accounts() -> Executable:
    return (
        update(account)
        .where(account.c.id == bindparam("account"))
        .values(
            balance=bindparam("new_balance"),
            counter_day=bindparam("new_day"),
            day_amount=bindparam("new_amount"),
            day_count=bindparam("new_count"),
        )
    )


def _update_tries() -> Executable:
    return update(card).where(card.c.id == bindparam("card")).values(tries_left=bindparam("new_tries"))


def _update_pins() -> Executable:
    return update(card).where(card.c.id == bindparam("card")).values(pin_reference=bindparam("new_reference"))


def _update_held() -> Executable:
    return update(account).where(account.c.id == bindparam("account")).values(held=bindparam("new_held"))


def _update_spent() -> Executable:
    return update(account).where(account.c.id == bindparam("account")).values(spent=bindparam("new_spent"))


def _update_lots() -> Executable:
    return update(account).where(account.c.id == bindparam("account")).values(lots=bindparam("new_lots"))


def _due_lots() -> Executable:
    # The condition on the text is spelled out because the index covers purses with lots alone.
    return (
        select(account.c.lots, account.c.id)
        .where(
            text("account.lots != ''"),
            account.c.lots < bindparam(None, unique=True),
            tuple_(account.c.lots, account.c.id) > tuple_(*markers(2)),
        )
        .order_by(account.c.lots, account.c.id)
        .limit(bindparam(None, unique=True))
        .offset(literal_column("0"))
    )


def _update_signals() -> Executable:
    return update(card).where(card.c.id == bindparam("card")).values(signals=bindparam("new_signals"))


def _update_watch() -> Executable:
    return update(terminal).where(terminal.c.terminal == bindparam("name")).values(watch=bindparam("new_watch"))


def _lease_numbers() -> Executable:
    return update(business_day).where(business_day.c.date == bindparam("day")).values(next_number=bindparam("next"))
