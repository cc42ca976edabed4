"""Proves of every event that is about an earlier one that both fit: reversals undo, refunds stay within.

Reads entries alone, never a stored answer. A reversal undoes its original; where refunds came between,
all of them together leave the shop with nothing of the purchase, and whatever a purse could not
pay back stands on the issuer's risk. No account gets back more of a sale than it gave.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, and_, func, or_, select, union

from trus.auth.ports import SOLD
from trus.ledger.findings import Check, Findings
from trus.ledger.tables import account, entry, event, hold

#: Kinds that take an event back.
_UNDOING: Final = ("reversal", "void")
#: Kinds that end a hold.
_HOLD_ENDS: Final = ("reversal", "completion", "release", "expiry")


def check_reversals(connection: Connection, findings: Findings) -> None:
    """Check that what takes an event back undoes its entries, and that it is the only one."""
    reversal, original = event.alias("reversal"), event.alias("original")
    pairs = (
        select(reversal.c.id, reversal.c.original, original.c.id, original.c.kind, original.c.original)
        .outerjoin_from(reversal, original, original.c.id == reversal.c.original)
        .where(reversal.c.kind.in_(_UNDOING), reversal.c.result != "declined")
        .order_by(reversal.c.id)
    )
    taken_back: dict[int, int] = {}
    count = 0
    for event_id, named, found, kind, about in connection.execute(pairs):
        count += 1
        row = f"event {event_id}"
        if found is None:
            findings.add(Check.REVERSALS, row, f"it takes back event {named}, which does not exist")
            continue
        if found in taken_back:
            findings.add(Check.REVERSALS, row, f"event {found} was taken back before, by event {taken_back[found]}")
        taken_back[found] = event_id
        if kind in _UNDOING:
            # A pre-authorization that stood again as that event: nothing moves when it ends.
            if _moves(connection, event_id, 1):
                findings.add(Check.REVERSALS, row, f"it moves something, and takes a pre-authorization back ({found})")
            continue
        if _moves(connection, event_id, -1) == _moves(connection, found, 1):
            continue
        if not _settled(connection, event_id, found, about if kind == "refund" else found):
            findings.add(Check.REVERSALS, row, f"it does not undo the entries of event {found}")
    findings.examine(Check.REVERSALS, count)


def check_refunds(connection: Connection, findings: Findings) -> None:
    """Check that a refund is of an event that exists, and that all of one purchase are within what it paid."""
    refund, purchase, undone = event.alias("refund"), event.alias("purchase"), event.alias("undone")
    refunds = (
        select(refund.c.original, purchase.c.id, purchase.c.authorized, func.sum(refund.c.authorized), func.count())
        .select_from(refund)
        .outerjoin(purchase, purchase.c.id == refund.c.original)
        .outerjoin(undone, and_(undone.c.original == refund.c.id, undone.c.kind.in_(_UNDOING)))
        .where(refund.c.kind == "refund", refund.c.original.is_not(None), undone.c.id.is_(None))
        .group_by(refund.c.original, purchase.c.id, purchase.c.authorized)
        .order_by(refund.c.original)
    )
    examined = 0
    for named, found, paid, refunded, count in connection.execute(refunds):
        examined += count
        if found is None:
            findings.add(Check.REFUNDS, f"event {named}", "it was refunded and does not exist")
        elif refunded > paid:
            findings.add(Check.REFUNDS, f"event {named}", f"{refunded} of it was refunded, and it paid {paid}")
    findings.examine(Check.REFUNDS, examined)


def check_returns(connection: Connection, findings: Findings) -> None:
    """Check that over a sale, its refunds and what took these back, nobody got back more than was given.

    A purse, and the issuer's risk, may have given for it in all, or nothing; a shop may have received.
    """
    about, refund, undone, sale = (event.alias(name) for name in ("about", "refund", "undone", "sale"))
    direct = (about.c.kind.in_(("refund", *_UNDOING)), about.c.original.is_not(None))
    family = union(
        select(about.c.original.label("sale"), about.c.original.label("part")).where(*direct),
        select(about.c.original, about.c.id).where(*direct),
        select(refund.c.original, undone.c.id)
        .join_from(refund, undone, and_(undone.c.original == refund.c.id, undone.c.kind.in_(_UNDOING)))
        .where(refund.c.kind == "refund", refund.c.original.is_not(None)),
    ).subquery()
    net = func.sum(entry.c.amount)
    gained = (
        select(sale.c.id, account.c.id, account.c.kind, net)
        .join_from(family, sale, and_(sale.c.id == family.c.sale, sale.c.kind.in_(SOLD)))
        .join(entry, entry.c.event_id == family.c.part)
        .join(account, account.c.id == entry.c.account)
        .group_by(sale.c.id, account.c.id, account.c.kind)
        .having(or_(and_(account.c.kind == "shop", net < 0), and_(account.c.kind != "shop", net > 0)))
        .order_by(sale.c.id, account.c.id)
    )
    for number, of, kind, amount in connection.execute(gained):
        what = "gave back more than it received" if kind == "shop" else "got back more than it gave"
        findings.add(Check.REFUNDS, f"event {number}", f"{kind} account {of} {what} over it: {abs(amount)}")


def check_holds(connection: Connection, findings: Findings) -> None:
    """Check that the open holds are those that nothing has ended, and that purses set aside their sum."""
    ending = event.alias("ending")
    unended = (
        select(event.c.id, event.c.authorized, hold.c.amount)
        .select_from(event)
        .outerjoin(ending, and_(ending.c.original == event.c.id, ending.c.kind.in_(_HOLD_ENDS)))
        .outerjoin(hold, hold.c.event_id == event.c.id)
        .where(event.c.kind == "hold", event.c.authorized > 0)
        .where((ending.c.id.is_(None)) != (hold.c.event_id.is_not(None)))
    )
    for number, _, amount in connection.execute(unended):
        what = "it is open, and something ended it" if amount is not None else "nothing ended it, and it is not open"
        findings.add(Check.HOLDS, f"event {number}", what)
    sums = select(hold.c.account, func.sum(hold.c.amount).label("total")).group_by(hold.c.account).subquery()
    total = func.coalesce(sums.c.total, 0)
    wrong = (
        select(account.c.id, account.c.held, total)
        .outerjoin_from(account, sums, sums.c.account == account.c.id)
        .where(or_(account.c.held != total, account.c.held > func.coalesce(account.c.balance, 0)))
        .order_by(account.c.id)
    )
    for number, held, held_by_rows in connection.execute(wrong):
        findings.add(Check.HOLDS, f"account {number}", f"it sets {held} aside, and its open holds are {held_by_rows}")
    findings.examine(Check.HOLDS, int(connection.execute(select(func.count()).select_from(hold)).scalar_one()))


def _settled(connection: Connection, ending: int, original: int, purchase: int | None) -> bool:
    """Return whether a purchase with its refunds, or a refund with its reversal, leaves every shop with nothing."""
    undone = select(event.c.id).where(event.c.original == purchase, event.c.kind.in_(_UNDOING))
    family = {ending, original}
    if purchase is not None and connection.execute(undone).first() is not None:
        refunds = select(event.c.id).where(event.c.original == purchase, event.c.kind == "refund")
        family |= {purchase, *connection.execute(undone).scalars(), *connection.execute(refunds).scalars()}
        of_refunds = select(event.c.id).where(event.c.original.in_(refunds), event.c.kind.in_(_UNDOING))
        family |= set(connection.execute(of_refunds).scalars())
    sums = (
        select(func.sum(entry.c.amount))
        .join_from(entry, account, account.c.id == entry.c.account)
        .where(entry.c.event_id.in_(family), account.c.kind == "shop")
        .group_by(entry.c.account, entry.c.currency)
    )
    return not any(connection.execute(sums).scalars())


def _moves(connection: Connection, event_id: int, sign: int) -> dict[tuple[int, str], int]:
    moved: dict[tuple[int, str], int] = {}
    rows = connection.execute(
        select(entry.c.account, entry.c.currency, entry.c.amount).where(entry.c.event_id == event_id)
    )
    for number, currency, amount in rows:
        moved[number, currency] = moved.get((number, currency), 0) + sign * amount
    return moved
