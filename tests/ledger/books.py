"""A small network in a real SQLCipher ledger: two companies, four employees with a card each, two shops."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, select
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.fresh import put_database
from trus.auth.policy import Policy
from trus.auth.ports import Event, EventKind, Posting, PurseUpdate, StoredRequest
from trus.ledger.audit import verify
from trus.ledger.compose import ONLY_SLOT, open_ledger
from trus.ledger.facts import encode_policy
from trus.ledger.findings import AuditReport
from trus.ledger.posting import AccountKind, open_account, post, system_account
from trus.ledger.store import SqlLedger
from trus.ledger.tables import account, card, company, employee, policy, shop, terminal
from trus.ledger.unit import SqlUnit
from trus.values import BusinessDate, Identity, TerminalId

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TODAY = BusinessDate("2026-11-20")
DB_KEY, LOOKUP_KEY, FIELD_KEY = b"d" * 32, b"l" * 32, b"f" * 32
PANS = ("9999990000000017", "9999990000000025", "9999990000000033", "9999990000000041")
NAMES = ("Ada Lovelace", "Bob Müller", "Чук Иванов", "陳大文")
PINS = ("4711", "98765", "3142", "20261120")
TERMINALS = ("T0000001", "T0000002")
LOADED = 10_000


class SetClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class CountedEntropy:
    """Bytes that are the same in every run."""

    def __init__(self, seed: str = "books") -> None:
        self._seed = seed
        self._count = 0

    def draw(self, count: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(f"{self._seed} {self._count}".encode()).digest(count)


def open_books(path: Path, clock: SetClock | None = None, seed: str = "again", slot: int = ONLY_SLOT) -> SqlLedger:
    """Open the ledger at `path` for writing."""
    return open_ledger(
        path,
        db_key=DB_KEY,
        lookup_key=LOOKUP_KEY,
        field_keys={1: FIELD_KEY},
        clock=clock or SetClock(),
        entropy=CountedEntropy(seed),
        slot=slot,
    )


class Books:
    """The ledger, its clock, and the ids of who is in it. Card n is of employee n, purse n."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.folder = Path(case.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.path = self.folder / "trus.db"
        self.clock = SetClock()
        self.stan = 0
        put_database(self.path, db_key=DB_KEY, business_date=TODAY, clock=SetClock, entropy=CountedEntropy)
        self.ledger = open_books(self.path, self.clock, "first")
        case.addCleanup(self.close)
        with self.ledger.order(self.clock.now()) as unit:
            self._fill(unit)

    def close(self) -> None:
        self.ledger.close()

    def reopen(self) -> None:
        """Close the ledger and open it again, as a restart does."""
        self.ledger.close()
        self.ledger = open_books(self.path, self.clock, f"restart {self.stan}")

    def _fill(self, unit: SqlUnit) -> None:
        put, at = unit.connection.execute, unit.at
        external = system_account(unit, AccountKind.EXTERNAL, "USD")
        self.companies = [open_account(unit, AccountKind.COMPANY, name, "USD") for name in ("ACME", "BYTE")]
        self.purses = [open_account(unit, AccountKind.PURSE, f"E{number}", "USD") for number in range(4)]
        self.shops = [open_account(unit, AccountKind.SHOP, name, "USD") for name in ("BISTRO", "CAFE")]
        known = {"state": "active", "created_at": at}
        for number, name in enumerate(("ACME", "BYTE")):
            row = {"company": name, "name": name.title(), "currency": "USD", "time_zone": "UTC"}
            put(insert(company).values(**row, **known, id=number + 1, prepaid_account=self.companies[number]))
            rules = Policy(0, number + 1, "2020-01-01", daily_amount=5_000)
            put(
                insert(policy).values(
                    company_id=number + 1, valid_from="2020-01-01", document=encode_policy(rules), created_at=at
                )
            )
        for number, (pan, name) in enumerate(zip(PANS, NAMES, strict=True)):
            owner = f"E{number}"
            sealed = self.ledger.fields.seal(name, table="employee", column="name", row=owner)
            purse = self.purses[number]
            put(
                insert(employee).values(
                    id=number + 1,
                    company_id=number % 2 + 1,
                    employee=owner,
                    name=sealed,
                    purse_account=purse,
                    **known,
                )
            )
            put(
                insert(card).values(
                    id=number + 1,
                    card=f"CARD0000000{number}",
                    pan_key=self.ledger.card_key(pan),
                    pan=self.ledger.fields.seal(pan, table="card", column="pan", row=f"CARD0000000{number}"),
                    last_four=pan[-4:],
                    expiry="3012",
                    sequence=1,
                    pin_reference=hashlib.sha256(PINS[number].encode()).digest()[:16],
                    tries_left=3,
                    employee_id=number + 1,
                    **known,
                )
            )
        for number, name in enumerate(("BISTRO", "CAFE")):
            row = {"shop": name, "name": name.title(), "mcc": "5812", "currency": "USD"}
            put(insert(shop).values(**row, **known, id=number + 1, account=self.shops[number]))
            put(insert(terminal).values(terminal=TERMINALS[number], shop_id=number + 1, **known))
        for number in range(2):
            loaded = [Posting(external, -50_000, "USD"), Posting(self.companies[number], 50_000, "USD")]
            post(unit, kind="refill", postings=loaded, actor="admin/root", rule="refill")
        for number, purse in enumerate(self.purses):
            given = [Posting(self.companies[number % 2], -LOADED, "USD"), Posting(purse, LOADED, "USD")]
            post(unit, kind="refill", postings=given, actor="admin/root", rule="refill")

    # ------------------------------------------------------------------------------- looking

    def balance(self, number: int) -> int:
        """Return the durable balance of an account."""
        with self.ledger.reading() as connection:
            return int(connection.execute(select(account.c.balance).where(account.c.id == number)).scalar_one())

    def audit(self) -> AuditReport:
        """Audit the ledger as it is on disk."""
        return verify(self.ledger.engine)

    # -------------------------------------------------------------------------------- acting

    def identity(self, number: int = 0, date: BusinessDate = TODAY) -> Identity:
        """Return a fresh identity of terminal `number`."""
        self.stan += 1
        return Identity(TerminalId(TERMINALS[number]), date, self.stan)

    def purchase(
        self,
        unit: SqlUnit,
        who: int = 0,
        amount: int = 1_250,
        identity: Identity | None = None,
        *,
        shop: int = 0,
    ) -> Event:
        """Return an approved purchase of employee `who`, as the pipeline would record it; reads the card."""
        return self.purchase_at(self.ledger, unit, who, amount, identity or self.identity(shop), shop=shop)

    def purchase_at(
        self, ledger: SqlLedger, unit: SqlUnit, who: int, amount: int, identity: Identity, *, shop: int = 0
    ) -> Event:
        """Return an approved purchase for a unit of any opening of this ledger."""
        facts = unit.read(identities=[], terminals=[], card_keys=[ledger.card_key(PANS[who])])
        [held] = facts.cards_by_id.values()
        return self.approved(unit, who, held.balance, amount, identity, shop=shop)

    def approved(
        self,
        unit: SqlUnit,
        who: int,
        balance: int,
        amount: int,
        identity: Identity,
        *,
        shop: int = 0,
    ) -> Event:
        """Return an approved purchase from a purse that holds `balance`."""
        event_id, rrn = unit.next_event()
        return Event(
            event_id,
            EventKind.PURCHASE.value,
            identity,
            rid_of(identity),
            hashlib.sha256(rid_of(identity)).digest(),
            who + 1,
            shop + 1,
            amount,
            "USD",
            "approved",
            "00",
            "A1B2C3",
            rrn,
            "approved",
            {"asked": amount, "balance": balance},
            b"answer " + rrn.encode(),
            actor=f"pos/{identity.terminal}/0a",
            postings=(Posting(self.purses[who], -amount, "USD"), Posting(self.shops[shop], amount, "USD")),
            purses=(PurseUpdate(self.purses[who], balance - amount, TODAY, amount, 1),),
            authorized=amount,
            counter_day=TODAY,
        )

    def declined(self, unit: SqlUnit, identity: Identity | None = None, tries: int | None = None) -> Event:
        """Return a purchase declined for a wrong PIN."""
        event_id, rrn = unit.next_event()
        named = identity or self.identity()
        return Event(
            event_id,
            EventKind.PURCHASE.value,
            named,
            rid_of(named),
            bytes(32),
            1,
            1,
            900,
            "USD",
            "declined",
            "55",
            "",
            rrn,
            "pin-wrong",
            {"tries_left": 2},
            b"answer",
            tries=None if tries is None else (1, tries),
        )

    def reversal(self, unit: SqlUnit, original: StoredRequest, identity: Identity, balance: int) -> Event:
        """Return what takes `original` back into a purse that holds `balance`."""
        event_id, rrn = unit.next_event()
        purse = next((each.account for each in original.postings if each.account in self.purses), None)
        purses = () if purse is None else (PurseUpdate(purse, balance + original.authorized, TODAY, 0, 0),)
        return Event(
            event_id,
            EventKind.REVERSAL.value,
            identity,
            rid_of(identity),
            bytes(32),
            original.card_id,
            1,
            original.amount,
            original.currency,
            "reversed",
            "00",
            "",
            rrn,
            "taken-back",
            {"given_back": original.authorized},
            b"taken back",
            original=original.event_id,
            postings=tuple(Posting(each.account, -each.amount, each.currency) for each in original.postings),
            purses=purses,
            authorized=original.authorized,
            counter_day=original.counter_day,
        )

    def closing(self, unit: SqlUnit, identity: Identity, result: str = "approved") -> Event:
        """Return a close-batch."""
        event_id, rrn = unit.next_event()
        return Event(
            event_id,
            EventKind.CLOSE_BATCH.value,
            identity,
            rid_of(identity),
            bytes(32),
            None,
            1,
            0,
            "USD",
            result,
            "00" if result == "approved" else "12",
            "",
            rrn,
            "batch-balanced",
            {},
            b"closed",
        )

    def pay(self, who: int = 0, amount: int = 1_250, identity: Identity | None = None, *, shop: int = 0) -> Event:
        """Commit one approved purchase and return it."""
        with self.ledger.order(self.clock.now()) as unit:
            event = self.purchase(unit, who, amount, identity, shop=shop)
            unit.record(event)
        return event


def rid_of(identity: Identity) -> bytes:
    """Return the device's own name of a request."""
    return hashlib.sha256(repr(identity).encode()).digest()[:16]
