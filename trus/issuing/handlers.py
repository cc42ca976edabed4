"""Carries out an admin's command in the core: who, may they, what, done or why not.

Trusts nothing that the front checked: name, serial number, roles and arguments are looked at
again. Every refusal is an answer with a fixed code; only a defect of the program raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.admin.commands import check_arguments, find_command
from trus.admin.model import Command, RefusalCode
from trus.auth.model import State
from trus.core.messages import AdminAnswer, AdminCommand
from trus.errors import CommandRefused, KeyStoreError, OutcomeUnknown, StorageFailed
from trus.issuing import cards, certificates, companies, money, operation, policies, records, shops
from trus.issuing.desk import ORDER_KIND, Desk, Handler, Order, refuse
from trus.ledger.registry_values import AdminRow

#: Every command that the core carries out.
HANDLERS: Final[Mapping[str, Handler]] = {
    **companies.HANDLERS,
    **shops.HANDLERS,
    **certificates.HANDLERS,
    **cards.HANDLERS,
    **money.HANDLERS,
    **policies.HANDLERS,
    **records.HANDLERS,
    **operation.HANDLERS,
}

#: The rule under which a denied order is on record.
DENIED: Final = "denied"


class AdminHandlers:
    """Implements trus.core.core.AdminHandler."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handle(self, command: AdminCommand) -> AdminAnswer:
        """Carry out one command. What it changed is durable when the answer says so."""
        try:
            checked = find_command(command.command)
            admin = self._admin(command)
            self._permit(checked, admin)
            order = Order(admin, checked.verb, check_arguments(checked, command.arguments))
            handler = HANDLERS.get(checked.verb)
            if handler is None:
                raise refuse(RefusalCode.NOT_SUPPORTED, "The console answers that by itself.")
            return handler(self._desk, order)
        except CommandRefused as refused:
            return AdminAnswer(refused.code, refused.text)
        except StorageFailed as failure:
            return AdminAnswer(RefusalCode.UNAVAILABLE, f"Nothing was done: {failure}.")
        except OutcomeUnknown:
            return AdminAnswer(RefusalCode.SYSTEM, "Whether it was done is not known yet. Look before you repeat it.")
        except KeyStoreError:
            return AdminAnswer(RefusalCode.UNAVAILABLE, "The token did not answer as it should: nothing was done.")

    def _admin(self, command: AdminCommand) -> AdminRow:
        with self._desk.registry.reading() as view:
            admin = view.identities.admin(command.admin)
        if admin is None or admin.serial != command.serial:
            raise refuse(RefusalCode.ROLE, "The network does not know the holder of your certificate as an admin.")
        if admin.state != State.ACTIVE:
            raise refuse(RefusalCode.ROLE, "Your rights have been taken away.")
        return admin

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
