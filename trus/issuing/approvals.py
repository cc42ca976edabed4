"""Dual control: an order that others must approve waits here, and is carried out when enough have.

Decides who may approve and nothing of the order itself: any command that changes something can be
put under approval by the certificate policy (pki/policy.yaml), and the PKI asks here for approval of
devices' requests. Whoever ordered never counts; each admin counts once, holds a role that the order
itself needs, and is in the audit chain with the one who ordered. An approved order is carried out
once: after a crash in between it is shown as approved, and ordered again by a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from trus.admin.commands import find_command
from trus.admin.model import AdminRole, Command, RefusalCode
from trus.auth.model import State
from trus.clock import Clock, Entropy
from trus.core.messages import AdminAnswer
from trus.issuing.desk import ORDER_KIND, Order, refuse
from trus.ledger.registry import Registry, RegistryChange, RegistryView
from trus.ledger.registry_approvals import PendingOrderRow
from trus.ledger.registry_values import AdminRow
from trus.pki.examination import Approval, ApprovalWanted
from trus.values import Frozen

#: Kinds of what waits: a console's command, a device's request for a certificate.
COMMAND: Final = "command"
ENROLMENT: Final = "enrolment"

#: States of an order. Expired is one that nobody approved in time.
WAITING, APPROVED, DONE, FAILED, REJECTED, EXPIRED = "waiting", "approved", "done", "failed", "rejected", "expired"

#: Roles that may approve a device's request: those that may register devices.
ENROLMENT_ROLES: Final = frozenset({AdminRole.ADMINISTRATOR, AdminRole.ISSUER})
#: The actor of what the PKI asks by itself.
_PKI: Final = "pki"
#: Letters and digits of an order's id: those that nobody confuses on the telephone.
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"
_ID_CHARACTERS: Final = 8
#: 31 symbols drawn from a byte: bytes from here on would favour the first ones.
_FAIR: Final = 248

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class OrderPolicy(Frozen, frozen=True):
    """Which commands how many others must approve, and how long an order waits for them."""

    orders: Mapping[str, int] = {}
    validity: timedelta = timedelta(hours=24)


def approvable(command: Command) -> bool:
    """Say whether a command may be put under approval.

    Those that approve may not, nor those whose arguments name people: orders that wait are stored as given.
    """
    names_people = any(argument.name in ("surname", "people") for argument in command.arguments)
    return command.mutating and command.verb not in ("APPROVE", "REJECT") and not names_people


class Approvals:
    """Orders that wait; also the PKI's trus.pki.examination.ApprovalDesk."""

    def __init__(self, registry: Registry, clock: Clock, entropy: Entropy, policy: OrderPolicy) -> None:
        self._registry = registry
        self._clock = clock
        self._entropy = entropy
        self._policy = policy

    def needed(self, verb: str) -> int:
        """Return how many others must approve a command before it is carried out, 0 for none."""
        return self._policy.orders.get(verb, 0)

    # --------------------------------------------------------------------------- ordering

    def wait(self, order: Order) -> AdminAnswer:
        """Store an order until enough others have approved it; answer that it waits (09)."""
        with self._registry.changing(self._clock.now()) as change:
            row = self._open(
                change,
                kind=COMMAND,
                subject="",
                verb=order.verb,
                arguments=order.arguments,
                ordered_by=order.admin.name,
                needed=self.needed(order.verb),
            )
        others = "another admin" if row.needed == 1 else f"{row.needed} other admins"
        until = _moment(row.expires_at)
        text = f"Order {row.id} waits for {others} to give APPROVE order={row.id}, at most until {until}."
        return AdminAnswer(RefusalCode.PENDING, text, [shown(row, self._now())])

    def approval(self, wanted: ApprovalWanted) -> Approval:
        """Return how far the approval of a device's request is; ask for it when nobody has yet."""
        with self._registry.reading() as view:
            row = view.approvals.newest_about(ENROLMENT, wanted.subject)
        if row is not None:
            state = standing(row, self._now())
            if state in (APPROVED, DONE):
                return Approval.GIVEN
            if state == REJECTED:
                return Approval.REFUSED
            if state == WAITING:
                return Approval.WAITING
        facts = {"role": wanted.role.value, "name": wanted.name, "shop": wanted.shop, "model": wanted.model}
        arguments = {name: value for name, value in {**facts, "key": wanted.key}.items() if value}
        with self._registry.changing(self._clock.now()) as change:
            self._open(
                change,
                kind=ENROLMENT,
                subject=wanted.subject,
                verb="ENROLMENT",
                arguments=arguments,
                ordered_by=wanted.ordered_by,
                # Where no admin opened the activation, nobody is the first of two.
                needed=wanted.needed + (not wanted.ordered_by),
            )
        return Approval.WAITING

    def _open(
        self,
        change: RegistryChange,
        *,
        kind: str,
        subject: str,
        verb: str,
        arguments: Mapping[str, str],
        ordered_by: str,
        needed: int,
    ) -> PendingOrderRow:
        row = PendingOrderRow(
            id=self._id(),
            kind=kind,
            subject=subject,
            verb=verb,
            arguments=msgspec.json.encode(dict(arguments)).decode("utf-8"),
            ordered_by=ordered_by,
            needed=needed,
            state=WAITING,
            created_at=change.at,
            expires_at=change.at + self._policy.validity // _MICROSECOND,
        )
        change.approvals.add(row)
        figures: dict[str, int | str] = {"order": row.id, "command": verb, "needed": needed, "arguments": row.arguments}
        change.post(kind=ORDER_KIND, actor=ordered_by or _PKI, rule="ORDER-WAITS", figures=figures)
        return row

    def _id(self) -> str:
        found = ""
        while len(found) < _ID_CHARACTERS:
            drawn = self._entropy.draw(_ID_CHARACTERS)
            found += "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in drawn if byte < _FAIR)
        return found[:_ID_CHARACTERS]

    # -------------------------------------------------------------------------- approving

    def approve(self, order: Order, perform: Callable[[Order], AdminAnswer]) -> AdminAnswer:
        """Agree to an order; when enough have, carry it out with `perform` and answer what it answers."""
        with self._registry.changing(self._clock.now()) as change:
            row = self._decidable(change, order)
            if order.admin.name == row.ordered_by:
                raise refuse(RefusalCode.ROLE, "Whoever ordered does not approve: another admin must.")
            if order.admin.name in row.approved_by:
                raise refuse(RefusalCode.EXISTS, "You have approved it already: another admin must.")
            change.approvals.approve(row.id, order.admin.name, change.at)
            agreed = (*row.approved_by, order.admin.name)
            enough = len(agreed) >= row.needed
            if enough:
                change.approvals.set_state(row.id, APPROVED, change.at, before=WAITING)
            figures = {"order": row.id, "command": row.verb, "ordered-by": row.ordered_by}
            change.post(kind=ORDER_KIND, actor=order.admin.name, rule="APPROVE", figures=figures)
        if not enough:
            left = row.needed - len(agreed)
            return AdminAnswer(RefusalCode.DONE, f"Approved; {left} more must agree to order {row.id}.", [])
        if row.kind == ENROLMENT:
            return AdminAnswer(RefusalCode.DONE, "Approved: the device gets its certificate when it asks again.", [])
        return self._perform(row, agreed, perform)

    def _perform(
        self, row: PendingOrderRow, agreed: tuple[str, ...], perform: Callable[[Order], AdminAnswer]
    ) -> AdminAnswer:
        """Carry out an approved order in its orderer's name, if that admin still may."""
        with self._registry.reading() as view:
            admin = view.identities.admin(row.ordered_by)
        if admin is None or not _may(admin, find_command(row.verb).roles):
            answer = AdminAnswer(RefusalCode.ROLE, f"{row.ordered_by} may not order {row.verb} any more.", [])
        else:
            arguments = msgspec.json.decode(row.arguments, type=dict[str, str])
            answer = perform(Order(admin, row.verb, arguments, approved_by=agreed, order_id=row.id))
        state = DONE if answer.code == RefusalCode.DONE else FAILED
        with self._registry.changing(self._clock.now()) as change:
            change.approvals.set_state(row.id, state, change.at, before=APPROVED)
            figures = {"order": row.id, "command": row.verb, "code": answer.code, "approved-by": " ".join(agreed)}
            change.post(kind=ORDER_KIND, actor=row.ordered_by, rule=f"ORDER-{state.upper()}", figures=figures)
        return AdminAnswer(answer.code, f"Order {row.id}, {row.verb}: {answer.text}", answer.rows)

    def reject(self, order: Order) -> AdminAnswer:
        """End an order that waits; its orderer may as well."""
        with self._registry.changing(self._clock.now()) as change:
            row = self._decidable(change, order)
            change.approvals.set_state(row.id, REJECTED, change.at, before=WAITING)
            figures = {"order": row.id, "command": row.verb, "ordered-by": row.ordered_by}
            change.post(kind=ORDER_KIND, actor=order.admin.name, rule="REJECT", figures=figures)
        return AdminAnswer(RefusalCode.DONE, f"Order {row.id} is rejected.", [])

    def _decidable(self, view: RegistryView, order: Order) -> PendingOrderRow:
        row = view.approvals.order(order.text("order"))
        if row is None:
            raise refuse(RefusalCode.NOT_FOUND, "There is no such order.")
        roles = ENROLMENT_ROLES if row.kind == ENROLMENT else find_command(row.verb).roles
        if not _may(order.admin, roles):
            raise refuse(RefusalCode.ROLE, f"That order needs one of: {', '.join(sorted(roles))}.")
        state = standing(row, self._now())
        if state != WAITING:
            raise refuse(RefusalCode.STATE, f"That order is {state}.")
        return row

    # ---------------------------------------------------------------------------- showing

    def listed(self, state: str, after: str, limit: int) -> list[dict[str, str]]:
        """Return orders in a state, oldest first."""
        stored = [WAITING] if state == EXPIRED else [state]
        now = self._now()
        with self._registry.reading() as view:
            # One too old to wait is stored as waiting: nobody had to touch it.
            rows = view.approvals.orders(stored, after, limit if state not in (WAITING, EXPIRED) else 10_000)
        return [shown(row, now) for row in rows if standing(row, now) == state][:limit]

    def _now(self) -> int:
        return (self._clock.now() - _EPOCH) // _MICROSECOND


def standing(row: PendingOrderRow, now: int) -> str:
    """Return an order's state at `now` (microseconds): one that waited too long is expired."""
    return EXPIRED if row.state == WAITING and now >= row.expires_at else row.state


def shown(row: PendingOrderRow, now: int) -> dict[str, str]:
    """Return an order as the console shows it."""
    arguments = msgspec.json.decode(row.arguments, type=dict[str, str])
    return {
        "order": row.id,
        "state": standing(row, now),
        "command": row.verb,
        "arguments": ", ".join(f"{name}={value}" for name, value in arguments.items()),
        "ordered-by": row.ordered_by,
        "approved-by": " ".join(row.approved_by),
        "needed": str(row.needed),
        "until": _moment(row.expires_at),
    }


def _may(admin: AdminRow, roles: frozenset[AdminRole]) -> bool:
    return admin.state == State.ACTIVE and any(role in roles for role in admin.roles)


def _moment(at: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=at):%Y-%m-%dT%H:%M:%SZ}"
