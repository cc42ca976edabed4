"""Issues cards in groups and changes their state; never answers with a number, a track or a PIN.

Cards exist when three things are durable in this order: the personalisation file, the commit,
the file's name. What fails before the commit leaves neither cards nor file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.admin.model import RefusalCode
from trus.auth.model import PIN_TRIES, State
from trus.core.messages import AdminAnswer
from trus.errors import OutcomeUnknown, StorageFailed
from trus.issuing.desk import Desk, Handler, Order, audit, counted, done, page, refuse, the_company, the_employee
from trus.issuing.making import expiry_after
from trus.issuing.personalisation import PreparedFile
from trus.issuing.states import next_state
from trus.ledger.registry import RegistryChange
from trus.ledger.registry_values import CardRow, CompanyRow, EmployeeRow
from trus.values import DeviceRole

#: Cards of one order: payments wait while they are made, about a second.
MAX_CARDS: Final = 2000
_NAME_BYTES: Final = 4


def issue(desk: Desk, order: Order) -> AdminAnswer:
    """CARD-ISSUE: for one employee, or for each active one without a card."""
    now = desk.clock.now()
    months = int(order.text("validity") or desk.settings.validity_months)
    expiry = order.text("expiry") or expiry_after(now.date(), months)
    prepared: PreparedFile | None = None
    try:
        with desk.registry.changing(now) as change:
            company = the_company(change, order)
            holders = _holders(change, order, company)
            cards = desk.maker.make(holders[:MAX_CARDS], expiry, change.cards.taken)
            change.cards.add_cards([card.stored for card in cards], change.at)
            name = f"cards-{company.company}-{now:%Y%m%dT%H%M%SZ}-{desk.entropy.draw(_NAME_BYTES).hex()}.csv"
            audit(change, order, {"company": company.company, "cards": len(cards), "file": name, "expiry": expiry})
            prepared = desk.folder.prepare(name, cards)
    except OutcomeUnknown:
        # The cards may exist: their file stays as NAME.part until somebody has looked.
        raise
    except BaseException:
        if prepared is not None:
            prepared.discard()
        raise
    file, warning = _publish(prepared)
    more = " More employees are without a card: repeat the command." if len(holders) > MAX_CARDS else ""
    return done(
        f"{counted(len(cards), 'card')} issued.{more}{warning}",
        [{"file": file, "count": str(len(cards)), "expiry": expiry}],
    )


def list_cards(desk: Desk, order: Order) -> AdminAnswer:
    """CARDS."""
    with desk.registry.reading() as view:
        company = the_company(view, order) if order.text("company") else None
        employee = None
        if order.text("employee"):
            if company is None:
                raise refuse(RefusalCode.ARGUMENTS, "An employee is named together with the company.")
            employee = the_employee(view, order, company)
        rows = view.cards.cards(
            company_row=None if company is None else company.row,
            employee_row=None if employee is None else employee.row,
            after=order.text("after"),
            limit=order.limit + 1,
        )
    return page(order, [_card(row) for row in rows], "card", "cards")


def change_card(desk: Desk, order: Order) -> AdminAnswer:
    """CARD-BLOCK, CARD-UNBLOCK, CARD-LOST, CARD-STOLEN, CARD-SUSPECT, CARD-CLOSE."""
    with desk.registry.changing(desk.clock.now()) as change:
        row = _the_card(change, order)
        state = next_state(order.verb, row.state)
        if state is not None:
            change.cards.set_card_state(row.row, state)
            change.directory.changed(DeviceRole.CARD, row.card, change.at)
            audit(change, order, {"card": row.card})
    return done(f"Card {row.card} is {state or row.state}.")


def restore_tries(desk: Desk, order: Order) -> AdminAnswer:
    """CARD-TRIES."""
    with desk.registry.changing(desk.clock.now()) as change:
        row = _the_card(change, order)
        if row.state not in {State.ACTIVE, State.BLOCKED, State.SUSPECTED}:
            raise refuse(RefusalCode.STATE, f"The card is {row.state} for ever.")
        change.cards.set_card_tries(row.row, PIN_TRIES)
        audit(change, order, {"card": row.card, "tries-before": row.tries_left})
    return done(f"Card {row.card} has {PIN_TRIES} PIN tries again.")


def _holders(change: RegistryChange, order: Order, company: CompanyRow) -> list[EmployeeRow]:
    if company.state != State.ACTIVE:
        raise refuse(RefusalCode.STATE, f"The company is {company.state}.")
    if order.text("employee"):
        employee = the_employee(change, order, company)
        if employee.state != State.ACTIVE:
            raise refuse(RefusalCode.STATE, f"The employee is {employee.state}.")
        return [employee]
    ids = change.cards.without_card(company.row, MAX_CARDS + 1)
    if not ids:
        raise refuse(RefusalCode.STATE, "Every active employee of the company has a card.")
    return change.people.employees(company, ids=ids)


def _publish(prepared: PreparedFile) -> tuple[str, str]:
    try:
        prepared.publish()
    except StorageFailed as failure:
        return prepared.unfinished_name, f" But {failure}."
    return prepared.name, ""


def _the_card(change: RegistryChange, order: Order) -> CardRow:
    found = change.cards.card(order.text("card"))
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "There is no card of that reference.")
    return found


def _card(row: CardRow) -> dict[str, str]:
    return {
        "card": row.card,
        "number": f"*{row.last_four}",
        "company": row.company,
        "employee": row.employee,
        "expiry": row.expiry,
        "state": row.state,
        "tries": str(row.tries_left),
    }


HANDLERS: Final[Mapping[str, Handler]] = {
    "CARD-ISSUE": issue,
    "CARDS": list_cards,
    "CARD-BLOCK": change_card,
    "CARD-UNBLOCK": change_card,
    "CARD-LOST": change_card,
    "CARD-STOLEN": change_card,
    "CARD-SUSPECT": change_card,
    "CARD-CLOSE": change_card,
    "CARD-TRIES": restore_tries,
}
