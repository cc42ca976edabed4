"""Registers companies and their employees (TR-1), and blocks them.

A company starts with a prepaid account and a policy for meals that holds for every date.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from trus.admin.model import RefusalCode
from trus.auth.policy import Policy
from trus.core.messages import AdminAnswer
from trus.issuing.desk import Desk, Handler, Order, audit, done, page, refuse, the_company, the_employee
from trus.issuing.states import next_state
from trus.ledger.registry_values import CompanyRow, EmployeeRow, NewEmployee
from trus.money import format_amount

#: A company's first policy holds from before every date of the network.
FIRST_POLICY_DATE: Final = "2000-01-01"
#: Ids named in a refusal of duplicates.
_NAMED: Final = 5


def add_company(desk: Desk, order: Order) -> AdminAnswer:
    """COMPANY-ADD."""
    company_id = order.text("id")
    with desk.registry.changing(desk.clock.now()) as change:
        if change.people.company(company_id) is not None:
            raise refuse(RefusalCode.EXISTS, "That company exists.")
        row = change.people.add_company(
            company_id=company_id,
            name=order.text("name"),
            currency=order.text("currency") or desk.settings.currency,
            time_zone=order.text("time-zone") or "UTC",
            at=change.at,
        )
        change.people.set_policy(Policy(0, row.row, FIRST_POLICY_DATE, time_zone=row.time_zone), change.at)
        audit(change, order, {"company": company_id, "currency": row.currency, "time-zone": row.time_zone})
    return done(f"Company {company_id} is registered.", [_company(row)])


def list_companies(desk: Desk, order: Order) -> AdminAnswer:
    """COMPANIES."""
    with desk.registry.reading() as view:
        rows = [_company(row) for row in view.people.companies(order.text("after"), order.limit + 1)]
    return page(order, rows, "company", "companies")


def change_company(desk: Desk, order: Order) -> AdminAnswer:
    """COMPANY-BLOCK, COMPANY-UNBLOCK."""
    with desk.registry.changing(desk.clock.now()) as change:
        row = the_company(change, order)
        state = next_state(order.verb, row.state)
        if state is not None:
            change.people.set_company_state(row.row, state)
            audit(change, order, {"company": row.company})
    return done(f"Company {row.company} is {state or row.state}.")


def add_employee(desk: Desk, order: Order) -> AdminAnswer:
    """EMPLOYEE-ADD."""
    person = NewEmployee(order.text("id"), order.text("name"), order.text("surname"))
    return _add(desk, order, [person])


def add_employees(desk: Desk, order: Order) -> AdminAnswer:
    """EMPLOYEES-ADD: all or none."""
    people = [NewEmployee(*record.split("|")) for record in order.text("people").split(";")]
    repeated = [name for name, count in Counter(person.employee for person in people).items() if count > 1]
    if repeated:
        raise refuse(RefusalCode.EXISTS, f"Named twice: {_some(repeated)}. Nobody was registered.")
    return _add(desk, order, people)


def list_employees(desk: Desk, order: Order) -> AdminAnswer:
    """EMPLOYEES."""
    with desk.registry.reading() as view:
        company = the_company(view, order)
        rows = view.people.employees(company, after=order.text("after"), limit=order.limit + 1)
    return page(order, [_employee(row) for row in rows], "employee", "employees")


def change_employee(desk: Desk, order: Order) -> AdminAnswer:
    """EMPLOYEE-BLOCK, EMPLOYEE-UNBLOCK."""
    with desk.registry.changing(desk.clock.now()) as change:
        row = the_employee(change, order, the_company(change, order))
        state = next_state(order.verb, row.state)
        if state is not None:
            change.people.set_employee_state(row.row, state)
            audit(change, order, {"company": row.company, "employee": row.employee})
    return done(f"Employee {row.employee} is {state or row.state}.")


def _add(desk: Desk, order: Order, people: Sequence[NewEmployee]) -> AdminAnswer:
    with desk.registry.changing(desk.clock.now()) as change:
        company = the_company(change, order)
        taken = change.people.taken(company, [person.employee for person in people])
        if taken:
            raise refuse(RefusalCode.EXISTS, f"Registered already: {_some(taken)}. Nobody was registered.")
        change.people.add_employees(company, people, change.at)
        audit(
            change,
            order,
            {"company": company.company, "employees": " ".join(person.employee for person in people)},
        )
    if len(people) == 1:
        return done(f"Employee {people[0].employee} of {company.company} is registered.")
    return done(f"{len(people)} employees of {company.company} are registered.")


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return " ".join(ids[:_NAMED]) + more


def _company(row: CompanyRow) -> dict[str, str]:
    return {
        "company": row.company,
        "name": row.name,
        "currency": row.currency,
        "time-zone": row.time_zone,
        "state": row.state,
        "prepaid": format_amount(row.prepaid, row.currency),
    }


def _employee(row: EmployeeRow) -> dict[str, str]:
    return {
        "employee": row.employee,
        "name": row.name,
        "surname": row.surname,
        "state": row.state,
        "balance": format_amount(row.balance, row.currency),
        "currency": row.currency,
    }


HANDLERS: Final[Mapping[str, Handler]] = {
    "COMPANY-ADD": add_company,
    "COMPANIES": list_companies,
    "COMPANY-BLOCK": change_company,
    "COMPANY-UNBLOCK": change_company,
    "EMPLOYEE-ADD": add_employee,
    "EMPLOYEES-ADD": add_employees,
    "EMPLOYEES": list_employees,
    "EMPLOYEE-BLOCK": change_employee,
    "EMPLOYEE-UNBLOCK": change_employee,
}
