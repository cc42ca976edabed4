"""Carries out an admin's command in the core: who, may they, what, done or why not.

Trusts nothing that the front checked: name, serial number, roles and arguments are looked at
again. Every refusal is an answer with a fixed code; only a defect of the program raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from trus.admin.commands import check_arguments, find_command
from trus.admin.model import Command, RefusalCode
from trus.auth.model import State
from trus.core.messages import AdminAnswer, AdminCommand
from trus.errors import CommandRefused, KeyStoreError, OutcomeUnknown, StorageFailed
from trus.issuing import (
    admins,
    cards,
    certificates,
    companies,
    enrolments,
    keys,
    money,
    operation,
    policies,
    receipts,
    records,
    shops,
)
from trus.issuing.approvals import WAITING, Approvals, OrderPolicy
from trus.issuing.desk import ORDER_KIND, Desk, Handler, Order, page, refuse
from trus.ledger.registry_values import AdminRow

#: Every command that the core carries out.
HANDLERS: Final[Mapping[str, Handler]] = {
    **companies.HANDLERS,
    **shops.HANDLERS,
    **certificates.HANDLERS,
    **enrolments.HANDLERS,
    **cards.HANDLERS,
    **money.HANDLERS,
    **policies.HANDLERS,
    **records.HANDLERS,
    **operation.HANDLERS,
    **admins.HANDLERS,
    **keys.HANDLERS,
    **receipts.HANDLERS,
}

#: Commands about orders that wait for others' approval, carried out by trus.issuing.approvals.
DUAL_CONTROL: Final = frozenset({"APPROVALS", "APPROVE", "REJECT"})
TOKEN_SILENT: Final = "The token did not answer as it should: nothing was done."  # noqa: S105 - a sentence
#: The rule under which a denied order is on record.
DENIED: Final = "denied"


class AdminHandlers:
    """Implements trus.core.core.AdminHandler."""

    def __init__(self, desk: Desk, approvals: Approvals | None = None) -> None:
        """`approvals` knows which commands others must approve; without it none."""
        self._desk = desk
        self._approvals = approvals or Approvals(desk.registry, desk.clock, desk.entropy, OrderPolicy())

    def handle(self, command: AdminCommand) -> AdminAnswer:
        """Carry out one command. What it changed is durable when the answer says so."""
        try:
            checked = find_command(command.command)
            admin = self._admin(command)
            self._permit(checked, admin)
            order = Order(admin, checked.verb, check_arguments(checked, command.arguments))
            if self._approvals.needed(order.verb):
                return self._approvals.wait(order)
            return self._perform(order)
        except CommandRefused as refused:
            return AdminAnswer(refused.code, refused.text)
        except StorageFailed as failure:
            return AdminAnswer(RefusalCode.UNAVAILABLE, f"Nothing was done: {failure}.")
        except OutcomeUnknown:
            return AdminAnswer(RefusalCode.SYSTEM, "Whether it was done is not known yet. Look before you repeat it.")
        except KeyStoreError:
            return AdminAnswer(RefusalCode.UNAVAILABLE, TOKEN_SILENT)

    def _perform(self, order: Order) -> AdminAnswer:
        """Carry out an order that nobody else need approve, or enough others have."""
        match order.verb:
            case "APPROVALS":
                rows = self._approvals.listed(order.text("state") or WAITING, order.text("after"), order.limit + 1)
                return page(order, rows, "order", "orders")
            case "APPROVE":
                return self._approvals.approve(order, self._approved)
            case "REJECT":
                return self._approvals.reject(order)
        handler = HANDLERS.get(order.verb)
        if handler is None:
            raise refuse(RefusalCode.NOT_SUPPORTED, "The console answers that by itself.")
        return handler(self._desk, order)

    def _approved(self, order: Order) -> AdminAnswer:
        """Carry out an approved order; that it is refused is an answer, so that its end can be written down."""
        try:
            return self._perform(order)
        except CommandRefused as refused:
            return AdminAnswer(refused.code, refused.text)
        except KeyStoreError:
            return AdminAnswer(RefusalCode.UNAVAILABLE, TOKEN_SILENT)

    def _admin(self, command: AdminCommand) -> AdminRow:
        with self._desk.registry.reading() as view:
            admin = view.identities.admin(command.admin)
        now = self._desk.clock.now()
        if admin is None or not admins.knows(admin, command.serial, now):
            raise refuse(RefusalCode.ROLE, "The network does not know the holder of your certificate as an admin.")
        if admin.state != State.ACTIVE:
            raise refuse(RefusalCode.ROLE, "Your rights have been taken away.")
        if admins.is_news(admin, command.serial, command.ends):
            with self._desk.registry.changing(now) as change:
                admins.note_end(change, admin, command.ends)
        return msgspec.structs.replace(admin, serial=command.serial)

    def _permit(self, command: Command, admin: AdminRow) -> None:
        if any(role in command.roles for role in admin.roles):
            return
        with self._desk.registry.changing(self._desk.clock.now()) as change:
            change.refuse(
                kind=ORDER_KIND,
                actor=admin.name,
                code=RefusalCode.ROLE,
                rule=DENIED,
                figures={"command": command.verb},
            )
        raise refuse(RefusalCode.ROLE, f"{command.verb} needs one of: {', '.join(sorted(command.roles))}.")
