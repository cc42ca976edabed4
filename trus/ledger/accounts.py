"""Opens accounts, and finds those of the network itself: the world outside, gains, risk.

Moves nothing: money moves through units of work alone (trus.ledger.posting, trus.core).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, insert, select

from trus.auth.ports import Origin
from trus.ledger.tables import account, company


class AccountKind(StrEnum):
    """Whose money an account holds."""

    EXTERNAL = "external"  #: the world outside: banks, cash; no floor
    COMPANY = "company"  #: loaded by a company, not yet given out; floor zero
    PURSE = "purse"  #: an employee's; floor zero
    SHOP = "shop"  #: owed to a shop; the sum of its entries
    GAINS = "gains"  #: the issuer's own
    RISK = "risk"  #: shortfalls that the issuer bears


#: Kinds whose balance is a locked row that never goes below zero.
FLOORED: Final = frozenset({AccountKind.COMPANY, AccountKind.PURSE})


def add_account(connection: Connection, kind: AccountKind, owner: str, currency: str) -> int:
    """Open an account and return its id. `owner` names company, employee or shop ("" for none).

    Raises sqlalchemy.exc.IntegrityError when that owner has one of this kind and currency.
    """
    zero = 0 if kind in FLOORED else None
    done = connection.execute(
        insert(account).values(kind=kind.value, owner=owner, currency=currency, floor=zero, balance=zero)
    )
    [number] = done.inserted_primary_key or (0,)
    return int(number)


def network_account(connection: Connection, kind: AccountKind, currency: str) -> int:
    """Return the network's own account of this kind (external, gains, risk), opened when missing."""
    if kind in FLOORED or kind is AccountKind.SHOP:
        raise ValueError(f"{kind.value} accounts have an owner")
    found = connection.execute(
        select(account.c.id).where(account.c.kind == kind.value, account.c.owner == "", account.c.currency == currency)
    ).scalar()
    return add_account(connection, kind, "", currency) if found is None else int(found)


def origin_of(connection: Connection, purse: int) -> Origin:
    """Return where the credit of a purse came from; the balance is what its row says."""
    owner = connection.execute(select(account.c.owner).where(account.c.id == purse)).scalar_one()
    employer, _, holder = owner.partition("/")
    number, balance = connection.execute(
        select(account.c.id, account.c.balance)
        .join_from(account, company, company.c.prepaid_account == account.c.id)
        .where(company.c.company == employer)
    ).one()
    return Origin(number, balance, employer, holder)


def risk_account(connection: Connection, currency: str) -> int:
    """Return the account of the shortfalls that the issuer bears, opened when missing."""
    return network_account(connection, AccountKind.RISK, currency)
