"""Keeps companies, their employees and their policies, each with the ledger account it needs.

Begins and ends no transaction: the caller's connection is in one. Names of people are
ciphered before they reach the database (trus.ledger.lookup).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, update

from trus.auth.policy import Policy
from trus.ledger.facts import decode_policy, encode_policy
from trus.ledger.lookup import FieldCipher
from trus.ledger.registry_values import CompanyRow, EmployeeRow, NewEmployee
from trus.ledger.tables import account, booking, company, employee, policy

_EMPTY: Final = ""
_COMPANY_COLUMNS: Final = (
    company.c.id,
    company.c.company,
    company.c.name,
    company.c.currency,
    company.c.time_zone,
    company.c.state,
    company.c.prepaid_account,
    account.c.balance,
)
_EMPLOYEE_COLUMNS: Final = (
    employee.c.id,
    employee.c.company_id,
    company.c.company,
    employee.c.employee,
    employee.c.name,
    employee.c.state,
    employee.c.purse_account,
    account.c.balance,
    account.c.currency,
    account.c.counter_day,
    account.c.day_amount,
    account.c.day_count,
    account.c.lots,
)
_FROM_COMPANIES: Final = company.join(account, account.c.id == company.c.prepaid_account)
_FROM_EMPLOYEES: Final = employee.join(company, company.c.id == employee.c.company_id).join(
    account, account.c.id == employee.c.purse_account
)


class PeopleRegistry:
    """Companies, employees and policies on one connection."""

    def __init__(self, connection: Connection, names: FieldCipher) -> None:
        """`names` ciphers and deciphers the names of people."""
        self._connection = connection
        self._names = names

    # ------------------------------------------------------------------------- companies

    def add_company(self, *, company_id: str, name: str, currency: str, time_zone: str, at: int) -> CompanyRow:
        """Store a company with a prepaid account that never goes below zero; return its row."""
        prepaid = self._new_accounts("company", [company_id], currency)[company_id]
        row = self._connection.execute(
            insert(company).returning(company.c.id),
            {
                "company": company_id,
                "name": name,
                "currency": currency,
                "time_zone": time_zone,
                "state": "active",
                "prepaid_account": prepaid,
                "created_at": at,
            },
        ).scalar_one()
        return CompanyRow(row, company_id, name, currency, time_zone, "active", prepaid, 0)

    def company(self, company_id: str) -> CompanyRow | None:
        """Return a company by its id, None when there is none."""
        query = select(*_COMPANY_COLUMNS).select_from(_FROM_COMPANIES).where(company.c.company == company_id)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else CompanyRow(*row)

    def companies(self, after: str, limit: int) -> list[CompanyRow]:
        """Return companies in the order of their ids, from the one after `after`."""
        query = (
            select(*_COMPANY_COLUMNS)
            .select_from(_FROM_COMPANIES)
            .where(company.c.company > after)
            .order_by(company.c.company)
            .limit(limit)
        )
        return [CompanyRow(*row) for row in self._connection.execute(query)]

    def set_company_state(self, row: int, state: str) -> None:
        """Change a company's state."""
        self._connection.execute(update(company).where(company.c.id == row).values(state=state))

    # ------------------------------------------------------------------------- employees

    def add_employees(self, employer: CompanyRow, people: Sequence[NewEmployee], at: int) -> None:
        """Store employees, each with a purse of zero that never goes below it."""
        owners = {person.employee: purse_owner(employer.company, person.employee) for person in people}
        purses = self._new_accounts("purse", list(owners.values()), employer.currency)
        self._connection.execute(
            insert(employee),
            [
                {
                    "company_id": employer.row,
                    "employee": person.employee,
                    "name": self._seal(employer.company, person),
                    "state": "active",
                    "purse_account": purses[owners[person.employee]],
                    "created_at": at,
                }
                for person in people
            ],
        )

    def employee(self, employer: CompanyRow, employee_id: str) -> EmployeeRow | None:
        """Return an employee of a company, None when there is none."""
        found = self.employees(employer, ids=[employee_id])
        return found[0] if found else None

    def employees(
        self, employer: CompanyRow, *, ids: Sequence[str] | None = None, after: str = _EMPTY, limit: int | None = None
    ) -> list[EmployeeRow]:
        """Return employees of a company in the order of their ids: some, or a page of all."""
        query = (
            select(*_EMPLOYEE_COLUMNS)
            .select_from(_FROM_EMPLOYEES)
            .where(employee.c.company_id == employer.row, employee.c.employee > after)
            .order_by(employee.c.employee)
            .limit(limit)
        )
        if ids is not None:
            query = query.where(employee.c.employee.in_(ids))
        return [self._employee(tuple(row)) for row in self._connection.execute(query)]

    def taken(self, employer: CompanyRow, ids: Iterable[str]) -> list[str]:
        """Return those of the employee ids that the company uses already."""
        query = select(employee.c.employee).where(
            employee.c.company_id == employer.row, employee.c.employee.in_(list(ids))
        )
        return sorted(self._connection.execute(query).scalars())

    def set_employee_state(self, row: int, state: str) -> None:
        """Change an employee's state."""
        self._connection.execute(update(employee).where(employee.c.id == row).values(state=state))

    # -------------------------------------------------------------------------- bookings

    def booked(self, company_row: int, kind: str, reference: str) -> int | None:
        """Return the event under which a reference was booked, None when it was not."""
        query = select(booking.c.event_id).where(
            booking.c.company_id == company_row, booking.c.kind == kind, booking.c.reference == reference
        )
        return self._connection.execute(query).scalar()

    def book(self, company_row: int, kind: str, reference: str, event_id: int) -> None:
        """Note that a reference was booked."""
        self._connection.execute(
            insert(booking),
            {"company_id": company_row, "kind": kind, "reference": reference, "event_id": event_id},
        )

    # -------------------------------------------------------------------------- policies

    def set_policy(self, rules: Policy, at: int) -> None:
        """Store a company's policy from its `valid_from` on, in the place of one of the same date."""
        document = encode_policy(rules)
        same = (policy.c.company_id == rules.company_id) & (policy.c.valid_from == rules.valid_from)
        changed = self._connection.execute(update(policy).where(same).values(document=document, created_at=at))
        if changed.rowcount == 0:
            self._connection.execute(
                insert(policy),
                {
                    "company_id": rules.company_id,
                    "valid_from": rules.valid_from,
                    "document": document,
                    "created_at": at,
                },
            )

    def policies(self, company_row: int) -> list[Policy]:
        """Return a company's policies, newest first."""
        query = (
            select(policy.c.id, policy.c.company_id, policy.c.valid_from, policy.c.document)
            .where(policy.c.company_id == company_row)
            .order_by(policy.c.valid_from.desc())
        )
        return [decode_policy(*row) for row in self._connection.execute(query)]

    # --------------------------------------------------------------------------- private

    def _new_accounts(self, kind: str, owners: Sequence[str], currency: str) -> dict[str, int]:
        rows = self._connection.execute(
            insert(account).returning(account.c.owner, account.c.id),
            [{"kind": kind, "owner": owner, "currency": currency, "floor": 0, "balance": 0} for owner in owners],
        )
        return {str(owner): int(row) for owner, row in rows}

    def _seal(self, company_id: str, person: NewEmployee) -> bytes:
        text = msgspec.json.encode([person.name, person.surname]).decode("utf-8")
        return self._names.seal(text, table="employee", column="name", row=purse_owner(company_id, person.employee))

    def _employee(self, row: Sequence[Any]) -> EmployeeRow:
        number, company_row, company_id, employee_id, sealed, *rest = row
        name, surname = _EMPTY, _EMPTY
        if sealed is not None:
            place = purse_owner(company_id, employee_id)
            clear = self._names.open(sealed, table="employee", column="name", row=place)
            name, surname = msgspec.json.decode(clear, type=tuple[str, str])
        return EmployeeRow(number, company_row, company_id, employee_id, name, surname, *rest)


def purse_owner(company_id: str, employee_id: str) -> str:
    """Return the owner's name of an employee's purse: at most 31 characters."""
    return f"{company_id}/{employee_id}"
