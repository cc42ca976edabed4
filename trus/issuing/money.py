"""Books what companies pay in, and refills purses from it (TR-4, by hand).

Money enters from the account of the world outside and moves on to purses; no balance goes
below zero, and a reference of the outside world is never booked twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.admin.model import RefusalCode
from trus.auth.model import State
from trus.auth.policy import MAIN_PURSE
from trus.auth.ports import Posting
from trus.core.messages import AdminAnswer
from trus.issuing.desk import Desk, Handler, Order, counted, done, refuse, the_company, the_employee
from trus.ledger.posting import BelowFloor
from trus.ledger.registry import RegistryChange
from trus.ledger.registry_values import CompanyRow, EmployeeRow
from trus.money import AmountError, format_amount, parse_amount

FUNDING: Final = "funding"
REFILL: Final = "refill"


def fund(desk: Desk, order: Order) -> AdminAnswer:
    """COMPANY-FUND."""
    with desk.registry.changing(desk.clock.now()) as change:
        company = the_company(change, order)
        amount = _amount(order, company)
        _unbooked(change, order, company, FUNDING)
        event_id, rrn = change.post(
            kind=FUNDING,
            actor=order.admin.name,
            rule=order.verb,
            figures=_figures(order, company=company.company),
            postings=(
                Posting(change.external(company.currency), -amount, company.currency),
                Posting(company.prepaid_account, amount, company.currency),
            ),
        )
        _book(change, order, company, FUNDING, event_id)
    after = format_amount(company.prepaid + amount, company.currency)
    return done(
        f"{format_amount(amount, company.currency)} {company.currency} are booked for {company.company}.",
        [{"company": company.company, "prepaid": after, "currency": company.currency, "rrn": rrn}],
    )


def refill(desk: Desk, order: Order) -> AdminAnswer:
    """REFILL: one event a purse, all or none; a purse that is named is opened when missing."""
    with desk.registry.changing(desk.clock.now()) as change:
        company = the_company(change, order)
        amount = _amount(order, company)
        holders = _holders(change, order, company)
        _unbooked(change, order, company, REFILL)
        name = order.text("purse") or MAIN_PURSE
        if name != MAIN_PURSE:
            holders = change.purses.open(holders, name)
        total = amount * len(holders)
        expires_on = order.text("expires")
        if expires_on and name != MAIN_PURSE:
            raise refuse(
                RefusalCode.ARGUMENTS, f"Credit of the purse {name} cannot end: only that of {MAIN_PURSE} can."
            )
        if expires_on and expires_on < change.business_date:
            raise refuse(RefusalCode.STATE, f"Business date {change.business_date} is open: that credit has ended.")
        try:
            events = change.give_out(
                company,
                holders,
                amount,
                kind=REFILL,
                actor=order.admin.name,
                rule=order.verb,
                figures=_figures(order, company=company.company, **_named(name), **_ends(expires_on)),
                expires_on=expires_on,
            )
        except BelowFloor:
            raise _too_little(company, total) from None
        _book(change, order, company, REFILL, events[0][0])
    currency = company.currency
    until = f", to be spent by {expires_on}" if expires_on else ""
    return done(
        f"{counted(len(holders), 'purse')} got {format_amount(amount, currency)} {currency} each{until}.",
        [
            {
                "company": company.company,
                "purses": str(len(holders)),
                "total": format_amount(total, currency),
                "prepaid": format_amount(company.prepaid - total, currency),
                "currency": currency,
                "rrn": events[0][1],
            }
        ],
    )


def _ends(expires_on: str) -> dict[str, str]:
    return {"expires": expires_on} if expires_on else {}


def _named(purse: str) -> dict[str, str]:
    return {} if purse == MAIN_PURSE else {"purse": purse}


def _figures(order: Order, **who: str) -> dict[str, int | str]:
    reference = order.text("reference")
    return {**who, "reference": reference} if reference else {**who}


def _amount(order: Order, company: CompanyRow) -> int:
    try:
        amount = parse_amount(order.text("amount"), company.currency)
    except AmountError as wrong:
        raise refuse(RefusalCode.AMOUNT, f"The amount is not one of {company.currency}: {wrong}.") from None
    if amount == 0:
        raise refuse(RefusalCode.AMOUNT, "The amount must be above zero.")
    return amount


def _holders(change: RegistryChange, order: Order, company: CompanyRow) -> list[EmployeeRow]:
    if company.state != State.ACTIVE:
        raise refuse(RefusalCode.STATE, f"The company is {company.state}.")
    if order.text("employee"):
        employee = the_employee(change, order, company)
        if employee.state != State.ACTIVE:
            raise refuse(RefusalCode.STATE, f"The employee is {employee.state}.")
        return [employee]
    holders = [row for row in change.people.employees(company) if row.state == State.ACTIVE]
    if not holders:
        raise refuse(RefusalCode.NOT_FOUND, "The company has no active employee.")
    return holders


def _unbooked(change: RegistryChange, order: Order, company: CompanyRow, kind: str) -> None:
    reference = order.text("reference")
    if reference and change.people.booked(company.row, kind, reference) is not None:
        raise refuse(RefusalCode.EXISTS, "That reference was booked before: nothing was moved.")


def _book(change: RegistryChange, order: Order, company: CompanyRow, kind: str, event_id: int) -> None:
    reference = order.text("reference")
    if reference:
        change.people.book(company.row, kind, reference, event_id)


def _too_little(company: CompanyRow, total: int) -> Exception:
    held = format_amount(company.prepaid, company.currency)
    wanted = format_amount(total, company.currency)
    return refuse(
        RefusalCode.INSUFFICIENT_FUNDS,
        f"The prepaid account holds {held} {company.currency}, {wanted} are needed: nothing was moved.",
    )


HANDLERS: Final[Mapping[str, Handler]] = {"COMPANY-FUND": fund, "REFILL": refill}
