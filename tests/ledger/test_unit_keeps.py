"""What a unit of work keeps of terminals and cards, and whose slot a writer takes."""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import insert, select
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import LOADED, NOON, Books, open_books
from trus.auth.model import State
from trus.ledger.tables import account, card, meta, terminal, writer_slot
from trus.ledger.writer import ledger_id, slot_head


class KeepingCase(SynchronousTestCase):
    """One event, and the rows that it changes."""

    def setUp(self) -> None:
        self.books = Books(self)

    def states(self) -> list[str]:
        with self.books.ledger.reading() as connection:
            return list(connection.execute(select(terminal.c.state).order_by(terminal.c.terminal)).scalars())

    def test_pins(self) -> None:
        """TR-5: a new PIN is kept for the card that it is of, and for no other."""
        with self.books.ledger.reading() as connection:
            before = connection.execute(select(card.c.pin_reference).order_by(card.c.id)).scalars().all()
        with self.books.ledger.order(NOON) as unit:
            unit.record(replace(self.books.purchase(unit, 1, 100), pin=(2, b"another reference")))
        with self.books.ledger.reading() as connection:
            after = connection.execute(select(card.c.pin_reference).order_by(card.c.id)).scalars().all()
        self.assertEqual(list(after), [before[0], b"another reference", *before[2:]])

    def test_blocked(self) -> None:
        """A terminal that is watched is blocked when the event says so, and not before."""
        for blocked, wanted in ((False, State.ACTIVE), (True, State.BLOCKED)):
            with self.books.ledger.order(NOON) as unit:
                event = self.books.purchase(unit, 0, 100)
                unit.record(replace(event, watch=("T0000002", "seen", blocked)))
            self.assertEqual(self.states(), [State.ACTIVE, wanted])

    def test_aside(self) -> None:
        """What is set aside of a purse without an entry is kept, and its balance is as it was."""
        with self.books.ledger.order(NOON) as unit:
            event = self.books.purchase(unit, 0, 100)
            [purse] = event.purses
            unit.record(replace(event, postings=(), purses=(replace(purse, balance=purse.balance + 100, held=250),)))
        with self.books.ledger.reading() as connection:
            row = select(account.c.balance, account.c.held).where(account.c.id == self.books.purses[0])
            self.assertEqual(tuple(connection.execute(row).one()), (LOADED, 250))


class SlotCase(SynchronousTestCase):
    """Slots are leased one by one."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.books.pay()

    def epochs(self) -> dict[int, int]:
        with self.books.ledger.reading() as connection:
            rows = connection.execute(select(writer_slot.c.slot, writer_slot.c.epoch)).all()
        return {row[0]: row[1] for row in rows}

    def into(self, slot: int) -> None:
        """Close the ledger, and open it as another slot's writer."""
        self.books.close()
        self.books.ledger = open_books(self.books.path, self.books.clock, f"slot {slot}", slot=slot)

    def test_epochs(self) -> None:
        """A slot's first lease has epoch 1, each later one the next; other slots keep theirs."""
        self.assertEqual(self.epochs(), {1: 1})
        for slot, wanted in ((1, {1: 2}), (1, {1: 3}), (3, {1: 3, 3: 1}), (1, {1: 4, 3: 1}), (3, {1: 4, 3: 2})):
            self.into(slot)
            self.assertEqual(self.epochs(), wanted)

    def test_chains(self) -> None:
        """Each slot goes on from its own last link, and a new one begins at the beginning."""
        first = self.books.ledger._writer.progress.head
        self.into(3)
        begun = self.books.ledger._writer.progress.head
        self.assertEqual((begun.slot, begun.sequence), (3, 0))
        for _ in range(4):
            self.books.pay()
        third = self.books.ledger._writer.progress.head
        self.assertEqual((third.slot, third.sequence), (3, 4))
        self.into(1)
        self.assertEqual(self.books.ledger._writer.progress.head, first)
        with self.books.ledger.reading() as connection:
            self.assertEqual(slot_head(connection, 3), third)
        self.assertEqual(self.books.audit().findings, ())

    def test_name(self) -> None:
        """A ledger is known by its own name, whatever else is noted of it."""
        with self.books.ledger.order(NOON) as unit:
            name = ledger_id(unit.connection)
            for other in ("a note", "ledger_ic", "ledger_ie", "z note"):
                unit.connection.execute(insert(meta).values(name=other, value="something else"))
            self.assertEqual(ledger_id(unit.connection), name)
        self.assertEqual(len(name), 32)
