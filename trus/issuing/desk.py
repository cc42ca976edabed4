"""Gives every handler what it works with, and turns refusals into answers.

Decides no command: the modules beside it do. A mutating command leaves one event of kind
"admin" in the audit chain (or events that move money), with the admin's name; names of people
are not among its figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from trus.admin.model import RefusalCode
from trus.cards.numbers import DEFAULT_IIN
from trus.clock import Clock, Entropy
from trus.core.messages import AdminAnswer
from trus.errors import CommandRefused
from trus.hsm.ports import KeyStore
from trus.issuing.making import CardMaker
from trus.issuing.personalisation import PersonalisationFolder
from trus.ledger.registry import Registry, RegistryChange, RegistryView
from trus.ledger.registry_values import AdminRow, CompanyRow, EmployeeRow, ShopRow, TerminalRow
from trus.ledger.rotation import KeyRotation
from trus.values import DeviceRole, Frozen, Secret

#: The kind of an event that an order leaves when it moves no money.
ORDER_KIND: Final = "admin"
#: Rows of a list when no limit is given.
DEFAULT_LIMIT: Final = 50


class IssuingSettings(Frozen, frozen=True):
    """What the operator set for the issuer: `personalisation` is a folder on the backend's host."""

    personalisation: str
    currency: str = "USD"
    iin: str = DEFAULT_IIN
    validity_months: int = 36


class Activations(Protocol):
    """What the desk needs of trus.pki.identity.IdentityService."""

    def open_activation(
        self,
        role: DeviceRole,
        name: str,
        *,
        shop: str = "",
        model: str = "",
        validity: timedelta | None = None,
        opened_by: str = "",
    ) -> str:
        """Open an activation in the place of an earlier one, and return its code."""
        ...

    def certificate(self, handle: str) -> bytes:
        """Return the certificate (DER) kept under a handle. Raises KeyNotFound."""
        ...


class MadeCertificate(NamedTuple):
    """A new certificate of an admin: serial number (lower-case hexadecimal), end (aware, UTC), the bundle's file."""

    serial: str
    not_after: datetime
    file: str


class AdminCertificates(Protocol):
    """Whoever makes admins' certificates."""

    def make(self, name: str) -> MadeCertificate:
        """Make a key and a certificate for an admin, in a new bundle on this host. Raises StorageFailed."""
        ...


class Order(Secret, frozen=True):
    """A command whose admin and arguments have been checked.

    Where others had to approve it (trus.issuing.approvals), they are in `approved_by`.
    """

    admin: AdminRow
    verb: str
    arguments: dict[str, str]
    approved_by: tuple[str, ...] = ()
    order_id: str = ""

    def text(self, name: str) -> str:
        """Return an argument, "" when it was not given."""
        return self.arguments.get(name, "")

    @property
    def limit(self) -> int:
        """The rows wanted at most."""
        return int(self.arguments.get("limit", DEFAULT_LIMIT))


class Desk:
    """The collaborators of the handlers."""

    def __init__(
        self,
        registry: Registry,
        keys: KeyStore,
        activations: Activations,
        clock: Clock,
        entropy: Entropy,
        settings: IssuingSettings,
        health: Callable[[], Mapping[str, str]],
        counters: Callable[[], Mapping[str, int]] = dict,
        rotation: KeyRotation | None = None,
    ) -> None:
        """Take what handlers work with.

        `health()` says how each part of the core is: "ok" or a sentence. `counters()` says how
        often the core has done what since it started. `rotation` is that of K_DB, if this core has one.
        """
        self.registry = registry
        self.keys = keys
        self.activations = activations
        self.clock = clock
        self.entropy = entropy
        self.settings = settings
        self.health = health
        self.counters = counters
        self.rotation = rotation
        #: What is owed when a business date is closed: a signed head of the journal.
        self.day_closed: Callable[[], object] = lambda: None
        #: Makes admins' certificates; None where this token does not hold the key of their authority.
        self.admin_certificates: AdminCertificates | None = None
        self.maker = CardMaker(keys, entropy, settings.iin, registry.card_names)
        self.folder = PersonalisationFolder(Path(settings.personalisation))


Handler = Callable[[Desk, Order], AdminAnswer]


def done(text: str, rows: list[dict[str, str]] | None = None) -> AdminAnswer:
    """Return the answer of a command that was carried out."""
    return AdminAnswer(RefusalCode.DONE, text, rows or [])


def counted(number: int, one: str) -> str:
    """Return "1 card", "2 cards"."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def page(order: Order, rows: list[dict[str, str]], mark: str, what: str) -> AdminAnswer:
    """Return one page of a list that was read with one row more than the limit.

    `mark` names the field of the last shown row after which the next page begins; `what` the
    rows, in the plural.
    """
    shown = rows[: order.limit]
    more = f"; more follow: after={shown[-1][mark]}" if len(rows) > order.limit else ""
    return done(f"{what.capitalize()}: {len(shown)}{more}", shown)


def audit(change: RegistryChange, order: Order, figures: Mapping[str, int | str]) -> tuple[int, str]:
    """Leave the event of an order that moves no money; return its id and reference number.

    Those who approved it are in the event as well.
    """
    return change.post(
        kind=ORDER_KIND, actor=order.admin.name, rule=order.verb, figures={**figures, **approvers(order)}
    )


def approvers(order: Order) -> dict[str, int | str]:
    """Return who approved an order, for its event; nothing when nobody had to."""
    return {"order": order.order_id, "approved-by": " ".join(order.approved_by)} if order.approved_by else {}


def refuse(code: RefusalCode, text: str) -> CommandRefused:
    """Return a refusal to raise."""
    return CommandRefused(code.value, text)


def the_company(view: RegistryView, order: Order) -> CompanyRow:
    """Return the company that the order names. Raises CommandRefused (25)."""
    found = view.people.company(order.text("company"))
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "There is no such company.")
    return found


def the_employee(view: RegistryView, order: Order, company: CompanyRow) -> EmployeeRow:
    """Return the employee that the order names. Raises CommandRefused (25)."""
    found = view.people.employee(company, order.text("employee"))
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "The company has no such employee.")
    return found


def the_shop(view: RegistryView, order: Order) -> ShopRow:
    """Return the shop that the order names. Raises CommandRefused (25)."""
    found = view.shops.shop(order.text("shop"))
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "There is no such shop.")
    return found


def the_terminal(view: RegistryView, order: Order) -> TerminalRow:
    """Return the terminal that the order names. Raises CommandRefused (25)."""
    found = view.shops.terminal(order.text("terminal"))
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "There is no such terminal.")
    return found
