"""Records orders of the issuer that trus.ledger.posting does not: refills of many purses, and refusals.

Gives money out of a prepaid account with one event a purse and no statement for each, and
never below zero. The rows of the purses were read by the caller in the same transaction, so
that their balances need no second look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from trus.auth.lots import NO_LOTS, Lot, after, read_lots, write_lots
from trus.auth.ports import Event, Posting, PurseUpdate
from trus.ledger.posting import BelowFloor
from trus.ledger.registry_values import CompanyRow, EmployeeRow
from trus.ledger.unit import SqlUnit
from trus.values import ResponseCode, Result

#: No terminal named these events, so there is nothing to tell two of them apart by.
_NO_RID: Final = bytes(16)
_NO_DIGEST: Final = bytes(32)


def give_out(
    unit: SqlUnit,
    company: CompanyRow,
    holders: Sequence[EmployeeRow],
    amount: int,
    *,
    kind: str,
    actor: str,
    rule: str,
    figures: Mapping[str, int | str],
    expires_on: str = "",
) -> list[tuple[int, str]]:
    """Move `amount` minor units from the company's prepaid account to each holder's purse.

    It can be spent up to and on the business date `expires_on`, for ever when that is empty. Both rows were
    read in this unit. Each event's figures are `figures` and the employee's id.
    Returns the events' ids and retrieval reference numbers, in the order of the holders. Raises
    BelowFloor before anything is recorded, StorageFailed.
    """
    prepaid = unit.held(company.prepaid_account, company.prepaid)
    missing = amount * len(holders) - prepaid
    if missing > 0:
        raise BelowFloor(company.prepaid_account, prepaid, missing)
    lots = (Lot(expires_on, amount),) if expires_on else NO_LOTS
    made: list[tuple[int, str]] = []
    for holder in holders:
        prepaid -= amount
        balance = unit.held(holder.purse_account, holder.balance) + amount
        dated = unit.lots(holder.purse_account, holder.lots)
        event_id, rrn = unit.next_event()
        unit.record(
            Event(
                event_id=event_id,
                kind=kind,
                identity=None,
                rid=_NO_RID,
                digest=_NO_DIGEST,
                card_id=None,
                shop_id=None,
                amount=amount,
                authorized=amount,
                currency=company.currency,
                result=Result.APPROVED,
                code=ResponseCode.APPROVED,
                approval="",
                rrn=rrn,
                rule=rule,
                figures={**figures, "employee": holder.employee},
                answer=b"",
                actor=actor,
                postings=(
                    Posting(company.prepaid_account, -amount, company.currency),
                    Posting(holder.purse_account, amount, company.currency),
                ),
                purses=(
                    PurseUpdate(company.prepaid_account, prepaid, "", 0, 0),
                    PurseUpdate(
                        holder.purse_account,
                        balance,
                        holder.counter_day,
                        holder.day_amount,
                        holder.day_count,
                        lots=write_lots(after(read_lots(dated), lots)) if lots else None,
                    ),
                ),
                lots=lots,
            )
        )
        made.append((event_id, rrn))
    return made


def record_refusal(
    unit: SqlUnit, *, kind: str, actor: str, code: str, rule: str, figures: Mapping[str, int | str]
) -> None:
    """Record an order that was refused with `code` and moved nothing. Raises StorageFailed."""
    event_id, rrn = unit.next_event()
    unit.record(
        Event(
            event_id=event_id,
            kind=kind,
            identity=None,
            rid=_NO_RID,
            digest=_NO_DIGEST,
            card_id=None,
            shop_id=None,
            amount=0,
            currency="",
            result=Result.DECLINED,
            code=code,
            approval="",
            rrn=rrn,
            rule=rule,
            figures=dict(figures),
            answer=b"",
            actor=actor,
        )
    )
