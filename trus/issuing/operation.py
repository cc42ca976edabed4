"""Keeps the network running: business dates, health, and who its admins are.

The last administrator can neither be blocked nor lose the role: nobody could undo it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.admin.commands import commands_for
from trus.admin.model import AdminRole, RefusalCode
from trus.auth.model import State
from trus.core.messages import AdminAnswer
from trus.issuing.admins import shown_end
from trus.issuing.desk import Desk, Handler, Order, audit, done, refuse
from trus.issuing.states import next_state
from trus.ledger.registry import RegistryChange
from trus.ledger.registry_values import AdminRow


def who_am_i(desk: Desk, order: Order) -> AdminAnswer:
    """WHOAMI."""
    commands = commands_for(AdminRole(role) for role in order.admin.roles)
    return done(
        f"You are {order.admin.name}.",
        [{**_admin(order.admin), "commands": " ".join(command.verb for command in commands)}],
    )


def show_day(desk: Desk, order: Order) -> AdminAnswer:
    """DAY."""
    day = desk.registry.business_date()
    return done(f"The business date is {day}.", [{"business-date": day}])


def advance_day(desk: Desk, order: Order) -> AdminAnswer:
    """DAY-ADVANCE: the order is on record before the date changes."""
    with desk.registry.changing(desk.clock.now()) as change:
        audit(change, order, {"business-date": change.business_date})
    day = desk.registry.advance_day(desk.clock.now())
    desk.day_closed()
    return done(f"The business date is {day}.", [{"business-date": day}])


def show_health(desk: Desk, order: Order) -> AdminAnswer:
    """HEALTH."""
    parts = desk.health()
    rows = [{"part": part, "state": state} for part, state in parts.items()]
    rows += [{"part": name, "state": str(count)} for name, count in desk.counters().items()]
    sick = [part for part, state in parts.items() if state != "ok"]
    return done("All is well." if not sick else "Not well: " + ", ".join(sick) + ".", rows)


def list_admins(desk: Desk, order: Order) -> AdminAnswer:
    """ADMINS."""
    with desk.registry.reading() as view:
        rows = [_admin(row) for row in view.identities.admins()]
    return done(f"Admins: {len(rows)}", rows)


def add_admin(desk: Desk, order: Order) -> AdminAnswer:
    """ADMIN-ADD."""
    name, serial, roles = order.text("admin"), order.text("serial"), order.text("roles").split(",")
    with desk.registry.changing(desk.clock.now()) as change:
        if change.identities.admin(name) is not None or change.identities.admin_of_serial(serial) is not None:
            raise refuse(RefusalCode.EXISTS, "An admin of that name or certificate exists.")
        change.identities.add_admin(name=name, serial=serial, roles=roles, at=change.at)
        audit(change, order, {"admin": name, "serial": serial, "roles": " ".join(roles)})
    return done(f"{name} is {', '.join(roles)}.")


def change_roles(desk: Desk, order: Order) -> AdminAnswer:
    """ADMIN-ROLES."""
    roles = order.text("roles").split(",")
    with desk.registry.changing(desk.clock.now()) as change:
        row = _the_admin(change, order)
        if AdminRole.ADMINISTRATOR not in roles:
            _not_the_last(change, row)
        change.identities.set_admin_roles(row.row, roles)
        audit(change, order, {"admin": row.name, "roles": " ".join(roles)})
    return done(f"{row.name} is {', '.join(roles)}.")


def change_admin(desk: Desk, order: Order) -> AdminAnswer:
    """ADMIN-BLOCK, ADMIN-UNBLOCK."""
    with desk.registry.changing(desk.clock.now()) as change:
        row = _the_admin(change, order)
        state = next_state(order.verb, row.state)
        if state is not None:
            if state != State.ACTIVE:
                _not_the_last(change, row)
            change.identities.set_admin_state(row.row, state)
            audit(change, order, {"admin": row.name})
    return done(f"{row.name} is {state or row.state}.")


def _the_admin(change: RegistryChange, order: Order) -> AdminRow:
    found = change.identities.admin(order.text("admin"))
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "There is no such admin.")
    return found


def _not_the_last(change: RegistryChange, leaving: AdminRow) -> None:
    others = [
        row
        for row in change.identities.admins()
        if row.name != leaving.name and row.state == State.ACTIVE and AdminRole.ADMINISTRATOR in row.roles
    ]
    if not others:
        raise refuse(RefusalCode.STATE, "The network would be left without an administrator.")


def _admin(row: AdminRow) -> dict[str, str]:
    return {
        "admin": row.name,
        "roles": ",".join(row.roles),
        "state": row.state,
        "serial": row.serial,
        "until": shown_end(row.not_after),
    }


HANDLERS: Final[Mapping[str, Handler]] = {
    "WHOAMI": who_am_i,
    "DAY": show_day,
    "DAY-ADVANCE": advance_day,
    "HEALTH": show_health,
    "ADMINS": list_admins,
    "ADMIN-ADD": add_admin,
    "ADMIN-ROLES": change_roles,
    "ADMIN-BLOCK": change_admin,
    "ADMIN-UNBLOCK": change_admin,
}
