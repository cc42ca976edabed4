"""A network whose K_DB is rotated: a real SQLCipher file, people with cards and money, and a real SoftHSM token.

Where the token itself proves nothing (what a rotation does with rows, file and record) its keys are kept in
memory, behind the same adapter.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import LABEL, OFFICER_PIN, PIN
from tests.ledger.books import rid_of
from trus.auth.ports import Event, EventKind, Posting, PurseUpdate
from trus.cli.database_keys import TokenKeySource
from trus.cli.softhsm import find_module
from trus.clock import SystemClock, SystemEntropy
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.memory import MemoryStore
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings
from trus.hsm.ports import KeyPurpose
from trus.hsm.softhsm import create_token, write_configuration
from trus.ledger.audit import verify
from trus.ledger.compose import FILE_KEY_LABEL, create_database, open_under
from trus.ledger.registry import Registry
from trus.ledger.registry_values import NewCard, NewEmployee
from trus.ledger.rotation import KeyRotation
from trus.ledger.store import SqlLedger
from trus.ledger.tables import card, event
from trus.values import Identity, TerminalId

LOADED = 100_000


def number_of(person: int) -> str:
    """Return the card number of a person."""
    return f"999999{person:010d}"


def surname_of(person: int) -> str:
    """Return the surname of a person."""
    return f"Canary{person:05d}"


class Place:
    """Where a network of this kind lies: a folder with a database, and a token unless its keys are in memory."""

    def __init__(self, folder: Path, kept: MemoryStore | None = None) -> None:
        self.folder = folder
        self.database = folder / "trus.db"
        self.kept = kept

    def open_store(self) -> Pkcs11Store | MemoryStore:
        """Open the token; keys in memory are those of before."""
        return Pkcs11Store(self.token) if self.kept is None else self.kept

    @property
    def token(self) -> TokenSettings:
        """How its token is opened."""
        conf = str(self.folder / "token" / "softhsm2.conf")
        return TokenSettings(module=str(find_module()), pin=PIN, token_label=LABEL, softhsm_conf=conf)

    @classmethod
    def make(cls, case: SynchronousTestCase, people: int) -> Place:
        """Make one with so many people, a card and money each; it is gone with the test."""
        place = cls(Path(tempfile.mkdtemp(prefix="trus-rotation-")))
        case.addCleanup(shutil.rmtree, place.folder, ignore_errors=True)
        conf = write_configuration(place.folder / "token")
        create_token(str(find_module()), conf, LABEL, PIN, OFFICER_PIN)
        with Pkcs11Store(place.token) as store:
            place.fill(store, people)
        return place

    @classmethod
    def in_memory(cls, case: SynchronousTestCase, people: int) -> Place:
        """Make one without a token."""
        store = MemoryStore(SystemEntropy())
        place = cls(Path(case.mktemp()).absolute(), store)
        place.folder.mkdir(parents=True)
        place.fill(store, people)
        return place

    def fill(self, store: Pkcs11Store | MemoryStore, people: int) -> None:
        """Make the first version of K_DB, the database under it, and so many people."""
        store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        key = DataKeys(store).derive(FILE_KEY_LABEL)
        create_database(self.database, db_key=key, clock=SystemClock(), entropy=SystemEntropy())
        with Bank(self, store=store) as bank:
            bank.settle(people)

    def copy(self, case: SynchronousTestCase) -> Place:
        """Return another network in the same state."""
        place = Place(Path(tempfile.mkdtemp(prefix="trus-rotation-")))
        case.addCleanup(shutil.rmtree, place.folder, ignore_errors=True)
        shutil.copytree(self.folder, place.folder, dirs_exist_ok=True)
        write_configuration(place.folder / "token")
        return place


class Bank:
    """The process that writes: token and ledger open."""

    def __init__(
        self,
        place: Place,
        at: Callable[[str], None] = lambda step: None,
        store: Pkcs11Store | MemoryStore | None = None,
    ) -> None:
        """`store` is one that is open already, and stays open."""
        self.place = place
        self.store = place.open_store() if store is None else store
        self._keeps_store = store is not None or place.kept is not None
        self.source = TokenKeySource(self.store)
        self.clock = SystemClock()
        opened = open_under(place.database, self.source, clock=self.clock, entropy=SystemEntropy())
        self.ledger: SqlLedger = opened.ledger
        self.registry = Registry(self.ledger)
        self.rotation = KeyRotation(
            self.ledger, place.database, self.source, self.clock, SystemEntropy(), opened.file_version, at
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of both."""
        self.ledger.close()
        if not self._keeps_store:
            self.store.close()

    def settle(self, people: int) -> None:
        """Register a company, its people with cards and money, a shop and a terminal."""
        with self.registry.changing(self.clock.now()) as change:
            company = change.people.add_company(
                company_id="ACME", name="Acme", currency="USD", time_zone="UTC", at=change.at
            )
            shop = change.shops.add_shop(shop_id="BISTRO", name="Bistro", mcc="5812", currency="USD", at=change.at)
            change.shops.add_terminal(terminal_id="T0000001", owner=shop, model="", at=change.at)
            everybody = [NewEmployee(f"E{person}", "Zoë", surname_of(person)) for person in range(people)]
            change.people.add_employees(company, everybody, change.at)
            external = change.external("USD")
            for person in range(people):
                holder = change.people.employee(company, f"E{person}")
                assert holder is not None
                change.cards.add_cards([self.card(person, holder.row)], change.at)
                change.post(
                    kind="refill",
                    actor="test",
                    rule="test",
                    figures={},
                    postings=(
                        Posting(external, -LOADED, "USD"),
                        Posting(holder.purse_account, LOADED, "USD"),
                    ),
                )

    def card(self, person: int, holder: int) -> NewCard:
        """Return a card as the issuer would store it now."""
        number = number_of(person)
        return NewCard(
            f"CARD{person:08d}", number, self.ledger.card_names(number).current, "3012", bytes(16), 3, holder
        )

    # -------------------------------------------------------------------------------- acting

    def pay(self, person: int, stan: int) -> str:
        """Commit a purchase of one cent with the card of a person, found by its number; return its reference."""
        names = self.ledger.card_names(number_of(person))
        unit = self.ledger.begin(self.clock.now())
        facts = unit.read(identities=[], terminals=["T0000001"], card_keys=[names.current, *names.former])
        [held], [place] = facts.cards.values(), facts.terminals.values()
        identity = Identity(TerminalId("T0000001"), unit.business_date, stan)
        event_id, rrn = unit.next_event()
        unit.record(
            Event(
                event_id,
                EventKind.PURCHASE.value,
                identity,
                rid_of(identity),
                bytes(32),
                held.card_id,
                place.shop_id,
                1,
                "USD",
                "approved",
                "00",
                "",
                rrn,
                "approved",
                {},
                b"answer",
                postings=(Posting(held.purse_account, -1, "USD"), Posting(place.merchant_account, 1, "USD")),
                purses=(PurseUpdate(held.purse_account, held.balance - 1, "", 0, 0),),
                authorized=1,
            )
        )
        unit.commit()
        return rrn

    def rotate(self) -> None:
        """Carry what is under way to its end, with nobody to serve."""
        while self.rotation.waiting:
            self.rotation.work(lambda seconds: None)

    # ------------------------------------------------------------------------------- looking

    def references(self) -> set[str]:
        """Return the references of the purchases that are stored."""
        with self.ledger.reading() as connection:
            return set(connection.execute(select(event.c.rrn).where(event.c.kind == "purchase")).scalars())

    def check(self, case: SynchronousTestCase, people: int) -> None:
        """Check that everybody's name and card can be read, is found, and that the ledger is sound."""
        with self.registry.reading() as view:
            company = view.people.company("ACME")
            assert company is not None
            for person in range(people):
                holder = view.people.employee(company, f"E{person}")
                assert holder is not None
                case.assertEqual((holder.name, holder.surname), ("Zoë", surname_of(person)))
        with self.ledger.reading() as connection:
            rows = connection.execute(select(card.c.card, card.c.pan, card.c.pan_key).order_by(card.c.card)).all()
        case.assertEqual(len(rows), people)
        for person, (reference, sealed, key) in enumerate(rows):
            number = self.ledger.fields.open(sealed, table="card", column="pan", row=reference)
            case.assertEqual(number, number_of(person))
            names = self.ledger.card_names(number)
            case.assertIn(key, (names.current, *names.former))
        report = verify(self.ledger.engine)
        case.assertTrue(report.sound, report.findings)

    def sealed_under(self) -> set[int]:
        """Return the versions of K_DB that stored fields need."""
        with self.ledger.reading() as connection:
            cards = connection.execute(select(card.c.pan)).scalars()
            return {sealed[0] for sealed in cards}
