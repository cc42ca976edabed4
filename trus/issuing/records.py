"""Shows what happened and why: transactions, one of them explained, balances, settlement.

Shows cards by reference and never by number; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from trus.admin.commands import TRANSACTION_KINDS
from trus.admin.model import RefusalCode
from trus.auth.explain import explain as sentence
from trus.auth.lots import read_lots
from trus.auth.texts import CATALOGUE
from trus.core.messages import AdminAnswer
from trus.issuing.desk import (
    ORDER_KIND,
    Desk,
    Handler,
    Order,
    counted,
    done,
    page,
    refuse,
    the_company,
    the_employee,
    the_shop,
)
from trus.issuing.money import FUNDING, REFILL
from trus.ledger.registry import RegistryView
from trus.ledger.registry_reports import JournalFilter
from trus.ledger.registry_values import EmployeeRow, TransactionRow
from trus.money import EXPONENTS, format_amount
from trus.settlement import table
from trus.values import BusinessDate, ResponseCode
from trus.wording import ENGLISH, wording

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def list_transactions(desk: Desk, order: Order) -> AdminAnswer:
    """TRANSACTIONS."""
    with desk.registry.reading() as view:
        found, mark = view.reports.transactions(_filter(view, order), page_before(order), order.limit)
    return done(f"Transactions: {len(found)}{page_more(mark)}", [_brief(row) for row in found])


def list_orders(desk: Desk, order: Order) -> AdminAnswer:
    """ORDERS."""
    wanted = JournalFilter(kinds=(ORDER_KIND,), actor=order.text("admin"), ledger_date=order.text("date"))
    with desk.registry.reading() as view:
        found, mark = view.reports.transactions(wanted, page_before(order), order.limit)
    rows = [
        {
            "rrn": row.rrn,
            "at": _moment(row.at),
            "admin": row.actor,
            "order": row.rule,
            "figures": _pairs(_figures(row)),
            "code": row.code,
        }
        for row in found
    ]
    return done(f"Orders: {len(found)}{page_more(mark)}", rows)


def explain(desk: Desk, order: Order) -> AdminAnswer:
    """EXPLAIN."""
    today = desk.registry.business_date()
    with desk.registry.reading() as view:
        row = view.reports.transaction(order.text("rrn"), today)
    if row is None:
        raise refuse(RefusalCode.NOT_FOUND, "No transaction has that retrieval reference number.")
    figures = _figures(row)
    shown = {
        **_brief(row),
        "approval": row.approval,
        "business-date": row.business_date,
        "ledger-date": row.ledger_date,
        "stan": "" if row.stan is None else f"{row.stan:06d}",
        "actor": row.actor,
        "original": row.original_rrn,
        "reversed-by": row.reversed_by,
        "rule": row.rule,
        "figures": _pairs(figures),
        "meaning": _meaning(row.code),
        **_read(row, order.text("language") or ENGLISH),
    }
    return done(_why(row, figures), [{name: value for name, value in shown.items() if value}])


def show_balances(desk: Desk, order: Order) -> AdminAnswer:
    """BALANCES."""
    with desk.registry.reading() as view:
        if order.text("company"):
            company = the_company(view, order)
            people = view.people.employees(company, after=order.text("after"), limit=order.limit + 1)
            others = view.purses.of([row.row for row in people])
            rows = [
                {
                    "employee": row.employee,
                    "balance": format_amount(row.balance, row.currency),
                    **_credit_that_ends(row),
                    **_other_purses(others.get(row.row, ()), row.currency),
                    "currency": row.currency,
                    "state": row.state,
                }
                for row in people
            ]
            answer = page(order, rows, "employee", "purses")
            prepaid = format_amount(company.prepaid, company.currency)
            return AdminAnswer(
                answer.code, f"{answer.text}; {prepaid} {company.currency} are not given out yet.", answer.rows
            )
        companies = view.reports.company_balances(order.text("after"), order.limit + 1)
    rows = [
        {
            "company": row.company,
            "prepaid": format_amount(row.prepaid, row.currency),
            "purses": format_amount(row.purses, row.currency),
            "currency": row.currency,
            "employees": str(row.employees),
        }
        for row in companies
    ]
    return page(order, rows, "company", "companies")


def _credit_that_ends(row: EmployeeRow) -> dict[str, str]:
    """Return what of a purse can be spent until when, the next end first; nothing for credit that never ends."""
    told = ",".join(f"{lot.expires_on}:{format_amount(lot.amount, row.currency)}" for lot in read_lots(row.lots))
    return {"ends": told} if told else {}


def _other_purses(purses: Iterable[tuple[str, int]], currency: str) -> dict[str, str]:
    told = ",".join(f"{name}:{format_amount(amount, currency)}" for name, amount in purses)
    return {"other-purses": told} if told else {}


def settle(desk: Desk, order: Order) -> AdminAnswer:
    """SETTLEMENT."""
    date = BusinessDate(order.text("date"))
    with desk.registry.reading() as view:
        shop = the_shop(view, order) if order.text("shop") else None
        days = view.reports.settlement(date, None if shop is None else shop.row)
    owed = ", ".join(
        f"{format_amount(total.net, total.currency)} {total.currency} to {counted(total.shops, 'shop')}"
        for total in table.totals(days)
    )
    return done(f"{date}: {owed or 'nothing is owed'}.", table.rows(date, days))


def _filter(view: RegistryView, order: Order) -> JournalFilter:
    company = the_company(view, order) if order.text("company") else None
    employee = None
    if order.text("employee"):
        if company is None:
            raise refuse(RefusalCode.ARGUMENTS, "An employee is named together with the company.")
        employee = the_employee(view, order, company)
    card = None
    if order.text("card"):
        card = view.cards.card(order.text("card"))
        if card is None:
            raise refuse(RefusalCode.NOT_FOUND, "There is no card of that reference.")
    shop = the_shop(view, order) if order.text("shop") else None
    kind = order.text("kind")
    return JournalFilter(
        kinds=(kind,) if kind else TRANSACTION_KINDS,
        company_row=None if company is None else company.row,
        employee_row=None if employee is None else employee.row,
        account=None if employee is None else employee.purse_account,
        card_row=None if card is None else card.row,
        shop_row=None if shop is None else shop.row,
        terminal=order.text("terminal"),
        ledger_date=order.text("date"),
        code=order.text("code"),
    )


def _brief(row: TransactionRow) -> dict[str, str]:
    figures = _figures(row)
    return {
        "rrn": row.rrn,
        "at": _moment(row.at),
        "kind": row.kind,
        "shop": row.shop,
        "terminal": row.terminal,
        "card": row.card,
        "company": row.company or str(figures.get("company", "")),
        "employee": row.employee or str(figures.get("employee", "")),
        "amount": _amount(row.asked, row.currency),
        "moved": _amount(row.moved, row.currency),
        "currency": row.currency,
        "result": row.result,
        "code": row.code,
    }


def page_before(order: Order) -> int | None:
    """Return the event id before which a page begins, None for the first page."""
    after = order.text("after")
    if after and not (after.isascii() and after.isdigit()):
        raise refuse(RefusalCode.ARGUMENTS, "after: the mark that the last page ended with is expected.")
    return int(after) if after else None


def page_more(mark: int) -> str:
    """Return how a page ends whose last event is `mark`; 0 when nothing older is left."""
    return f"; older ones may follow: after={mark}" if mark else ""


def _moment(at: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=at):%Y-%m-%dT%H:%M:%SZ}"


def _pairs(figures: Mapping[str, int | str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in figures.items())


def _amount(minor: int, currency: str) -> str:
    return format_amount(minor, currency) if currency in EXPONENTS else str(minor)


def _figures(row: TransactionRow) -> dict[str, int | str]:
    return msgspec.json.decode(row.figures, type=dict[str, int | str]) if row.figures else {}


def _why(row: TransactionRow, figures: Mapping[str, int | str]) -> str:
    if row.kind in {FUNDING, REFILL}:
        company, employee = figures.get("company", "?"), figures.get("employee", "?")
        what = f"paid in by {company}" if row.kind == FUNDING else f"moved to the purse of {employee} of {company}"
        reference = f", reference {figures['reference']}" if "reference" in figures else ""
        return f"{_amount(row.moved, row.currency)} {row.currency} were {what}; ordered by {row.actor}{reference}."
    undone = f" Reversed by {row.reversed_by}." if row.reversed_by else ""
    return f"{row.result.capitalize()} with {row.code}. {sentence(row.rule, figures)}{undone}"


def _read(row: TransactionRow, language: str) -> dict[str, str]:
    """Return what cashier and cardholder read of an answer to a terminal."""
    if not row.terminal:
        return {}
    said = wording(row.code, language)
    return {"cashier": said.cashier, "cardholder": said.cardholder}


def _meaning(code: str) -> str:
    try:
        return CATALOGUE[ResponseCode(code)].meaning
    except ValueError:
        return ""


HANDLERS: Final[Mapping[str, Handler]] = {
    "TRANSACTIONS": list_transactions,
    "ORDERS": list_orders,
    "EXPLAIN": explain,
    "BALANCES": show_balances,
    "SETTLEMENT": settle,
}
