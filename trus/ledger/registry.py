"""Opens the registry for reading or for one change: rows and the event that audits them, one commit.

Lets no storage error out but as StorageFailed or OutcomeUnknown, and no SQL either: what the
issuer sees are frozen rows (trus.ledger.registry_values). One change at a time, like the
batches of payments, and by the same writer, so that its event is in the same hash chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection

from trus.auth.ports import CardNames, Posting
from trus.ledger.lookup import FieldCipher
from trus.ledger.posting import AccountKind, post, system_account
from trus.ledger.registry_approvals import ApprovalRegistry
from trus.ledger.registry_cards import CardRegistry
from trus.ledger.registry_directory import DirectoryRegistry
from trus.ledger.registry_identities import IdentityRegistry
from trus.ledger.registry_issuance import IssuanceRegistry
from trus.ledger.registry_money import give_out, record_refusal
from trus.ledger.registry_people import PeopleRegistry
from trus.ledger.registry_purses import PurseRegistry
from trus.ledger.registry_receipts import ReceiptRegistry
from trus.ledger.registry_reports import ReportRegistry
from trus.ledger.registry_shops import ShopRegistry
from trus.ledger.registry_standing import concern_everybody
from trus.ledger.registry_values import CompanyRow, EmployeeRow
from trus.ledger.store import SqlLedger
from trus.ledger.unit import SqlUnit
from trus.values import BusinessDate


class RegistryView:
    """The registry within one transaction."""

    def __init__(self, connection: Connection, fields: FieldCipher) -> None:
        self.people = PeopleRegistry(connection, fields)
        self.purses = PurseRegistry(connection)
        self.shops = ShopRegistry(connection)
        self.cards = CardRegistry(connection, fields)
        self.identities = IdentityRegistry(connection)
        self.directory = DirectoryRegistry(connection)
        self.approvals = ApprovalRegistry(connection)
        self.issuance = IssuanceRegistry(connection)
        self.reports = ReportRegistry(connection)
        self.receipts = ReceiptRegistry(connection)


class RegistryChange(RegistryView):
    """One change: rows through the parts of the view, events and money through the unit of work."""

    def __init__(self, unit: SqlUnit, fields: FieldCipher) -> None:
        super().__init__(unit.connection, fields)
        self._unit = unit

    @property
    def at(self) -> int:
        """The moment of this change, microseconds since 1970-01-01 UTC."""
        return self._unit.at

    @property
    def business_date(self) -> BusinessDate:
        """The open business date."""
        return self._unit.business_date

    def external(self, currency: str) -> int:
        """Return the account of the world outside in a currency, opened when missing."""
        return system_account(self._unit, AccountKind.EXTERNAL, currency)

    def post(
        self,
        *,
        kind: str,
        actor: str,
        rule: str,
        figures: Mapping[str, int | str],
        postings: Sequence[Posting] = (),
        card_id: int | None = None,
        shop_id: int | None = None,
    ) -> tuple[int, str]:
        """Record an event, with what it moves; return its id and retrieval reference number.

        Raises BelowFloor, Unbalanced, StorageFailed.
        """
        return post(
            self._unit,
            kind=kind,
            postings=postings,
            actor=actor,
            rule=rule,
            figures=figures,
            card_id=card_id,
            shop_id=shop_id,
        )

    def concern_everybody(self) -> int:
        """Let the standing of every holder be looked at again; return the number of the change."""
        return concern_everybody(self._unit.connection)

    def refuse(self, *, kind: str, actor: str, code: str, rule: str, figures: Mapping[str, int | str]) -> None:
        """Record an order that was refused with `code`; it moves nothing. Raises StorageFailed."""
        record_refusal(self._unit, kind=kind, actor=actor, code=code, rule=rule, figures=figures)

    def give_out(
        self,
        company: CompanyRow,
        holders: Sequence[EmployeeRow],
        amount: int,
        *,
        kind: str,
        actor: str,
        rule: str,
        figures: Mapping[str, int | str],
        expires_on: str = "",
    ) -> list[tuple[int, str]]:
        """Move `amount` from the prepaid account to each purse, rows read in this change; one event each.

        It ends after the business date `expires_on`, never when that is empty.
        Returns ids and retrieval reference numbers. Raises BelowFloor, StorageFailed.
        """
        return give_out(
            self._unit,
            company,
            holders,
            amount,
            kind=kind,
            actor=actor,
            rule=rule,
            figures=figures,
            expires_on=expires_on,
        )


class Registry:
    """The registry of one writing process."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    def card_names(self, pan: str) -> CardNames:
        """Return the keyed hashes under which a card number is looked up."""
        return self._ledger.card_names(pan)

    @contextmanager
    def reading(self) -> Iterator[RegistryView]:
        """Show one snapshot. Raises StorageFailed."""
        with self._ledger.reading() as connection:
            yield RegistryView(connection, self._ledger.fields)

    @contextmanager
    def changing(self, now: datetime) -> Iterator[RegistryChange]:
        """Make one change, durable when the block has ended without an error; else nothing of it is.

        Raises StorageFailed (nothing stored) or OutcomeUnknown.
        """
        with self._ledger.order(now) as unit:
            yield RegistryChange(unit, self._ledger.fields)

    def advance_day(self, now: datetime) -> BusinessDate:
        """Close the open business date and open the next; return it. Raises StorageFailed."""
        return self._ledger.advance_day(now)

    def business_date(self) -> BusinessDate:
        """Return the open business date. Raises StorageFailed."""
        return self._ledger.business_date()
