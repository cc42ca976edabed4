"""Double entry under any sequence of payments, refusals, reversals, refills and restarts."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import LOADED, NOON, Books
from trus.auth.ports import Posting
from trus.errors import StorageFailed, Unbalanced
from trus.ledger.posting import AccountKind, BelowFloor, post, system_account
from trus.ledger.tables import account

POSTINGS = st.lists(
    st.builds(Posting, st.integers(1, 12), st.integers(-500, 500), st.sampled_from(["USD", "EUR"])), max_size=5
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.integers(0, 3), st.integers(1, LOADED)),
        st.tuples(st.just("refill"), st.integers(0, 3), st.integers(1, 30_000)),
        st.tuples(st.just("reverse"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("give up"), st.integers(0, 3), st.integers(1, 500)),
        st.tuples(st.just("cut over"), st.just(0), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=25,
)
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


class DoubleEntryCase(SynchronousTestCase):
    """Money is moved, never made and never lost."""

    @SLOW
    @given(steps=STEPS)
    def test_any_sequence(self, steps: list[tuple[str, int, int]]) -> None:
        """Whatever happens in whatever order: balances equal a model's, all money sums to zero, the audit is sound."""
        books = Books(self)
        purses, companies = [LOADED] * 4, [30_000] * 2
        paid: list[tuple[int, int, bool, object]] = []
        for step, who, amount in steps:
            if step == "pay":
                try:
                    event = books.pay(who, amount)
                except StorageFailed:
                    self.assertGreater(amount, purses[who])
                else:
                    purses[who] -= amount
                    paid.append((who, amount, False, event.identity))
            elif step == "refill":
                self._refill(books, who, amount, purses, companies)
            elif step == "reverse" and paid:
                place = who % len(paid)
                payer, spent, done, identity = paid[place]
                taken = self._reverse(books, identity)
                self.assertEqual(taken, not done)
                if taken:
                    purses[payer] += spent
                    paid[place] = (payer, spent, True, identity)
            elif step == "give up":
                unit = books.ledger.begin(NOON)
                unit.record(books.purchase(unit, who, min(amount, purses[who])))
                unit.rollback()
            elif step == "cut over":
                books.ledger.advance_day(NOON)
            elif step == "restart":
                books.reopen()
        for who, balance in enumerate(purses):
            self.assertEqual(books.balance(books.purses[who]), balance)
        for who, balance in enumerate(companies):
            self.assertEqual(books.balance(books.companies[who]), balance)
        report = books.audit()
        self.assertTrue(report.sound, report.findings)
        books.close()

    def _refill(self, books: Books, who: int, amount: int, purses: list[int], companies: list[int]) -> None:
        payer = who % 2
        moves = [Posting(books.companies[payer], -amount, "USD"), Posting(books.purses[who], amount, "USD")]
        try:
            with books.ledger.order(NOON) as unit:
                post(unit, kind="refill", postings=moves, actor="admin/root", rule="refill")
        except BelowFloor as failure:
            self.assertEqual((failure.balance, failure.missing), (companies[payer], amount - companies[payer]))
        else:
            purses[who] += amount
            companies[payer] -= amount

    def _reverse(self, books: Books, identity: object) -> bool:
        unit = books.ledger.begin(NOON)
        facts = unit.read(identities=[identity], terminals=[], card_keys=[])  # type: ignore[list-item]
        [stored] = facts.requests.values()
        [card] = facts.cards_by_id.values()
        unit.record(books.reversal(unit, stored, books.identity(), card.balance))
        try:
            unit.commit()
        except StorageFailed:
            self.assertNotEqual(stored.reversed_by, 0)
            return False
        self.assertEqual(stored.reversed_by, 0)
        return True

    @SLOW
    @given(postings=POSTINGS)
    def test_any_entries(self, postings: list[Posting]) -> None:
        """Entries are taken exactly when they sum to zero for each currency and no locked balance moves unsaid."""
        books = self.books
        sums: dict[str, int] = {}
        for each in postings:
            sums[each.currency] = sums.get(each.currency, 0) + each.amount
        unit = books.ledger.begin(NOON)
        try:
            event = books.declined(unit)
            unit.read(identities=[], terminals=[], card_keys=[books.ledger.card_key("9999990000000017")])
            moved: dict[int, int] = {}
            for each in postings:
                moved[each.account] = moved.get(each.account, 0) + each.amount
            good = not any(sums.values()) and not any(moved.get(each) for each in (*books.purses, *books.companies))
            changed = replace(event, postings=tuple(postings))
            if good:
                unit.record(changed)
            else:
                self.assertRaises(Unbalanced, unit.record, changed)
        finally:
            unit.rollback()

    def setUp(self) -> None:
        self.books = Books(self)


class PostingCase(SynchronousTestCase):
    """Orders that move money."""

    def setUp(self) -> None:
        self.books = Books(self)

    def test_below_floor(self) -> None:
        """A movement that a balance does not cover is refused with what is missing, and moves nothing."""
        books = self.books
        moves = [Posting(books.purses[0], -LOADED - 5, "USD"), Posting(books.companies[0], LOADED + 5, "USD")]
        with books.ledger.order(NOON) as unit:
            failure = self.assertRaises(BelowFloor, post, unit, kind="x", postings=moves, actor="a", rule="r")
        self.assertEqual((failure.account, failure.balance, failure.missing), (books.purses[0], LOADED, 5))
        self.assertEqual(books.balance(books.purses[0]), LOADED)
        self.assertTrue(books.audit().sound)

    def test_several_in_one_order(self) -> None:
        """Movements of one order see each other; the counters of a purse stay as they are."""
        books = self.books
        books.pay(0, 100)
        for _ in range(2):
            with books.ledger.order(NOON) as unit:
                for amount in (600, -200):
                    moves = [Posting(books.purses[0], amount, "USD"), Posting(books.companies[0], -amount, "USD")]
                    post(unit, kind="refill", postings=moves, actor="admin/root", rule="refill", figures={"n": 1})
        self.assertEqual(books.balance(books.purses[0]), LOADED - 100 + 800)
        with books.ledger.reading() as connection:
            row = connection.execute(account.select().where(account.c.id == books.purses[0])).one()
        self.assertEqual((row.counter_day, row.day_amount, row.day_count), ("2026-11-20", 100, 1))
        self.assertTrue(books.audit().sound)

    def test_note(self) -> None:
        """An order that moves nothing is an event too, in the same chain."""
        with self.books.ledger.order(NOON) as unit:
            event_id, rrn = post(unit, kind="admin", postings=[], actor="admin/root", rule="shop-added")
        self.assertTrue(str(event_id).endswith(rrn[-4:]))
        self.assertTrue(self.books.audit().sound)

    def test_two_currencies(self) -> None:
        """One event moves one currency."""
        moves = [Posting(1, 5, "USD"), Posting(2, -5, "USD"), Posting(1, 5, "EUR"), Posting(2, -5, "EUR")]
        with self.books.ledger.order(NOON) as unit:
            self.assertRaises(ValueError, post, unit, kind="x", postings=moves, actor="a", rule="r")

    def test_accounts_have_owners(self) -> None:
        """The network's own accounts are one a kind and currency; those with a floor belong to somebody."""
        with self.books.ledger.order(NOON) as unit:
            gains = system_account(unit, AccountKind.GAINS, "USD")
            self.assertEqual(system_account(unit, AccountKind.GAINS, "USD"), gains)
            self.assertNotEqual(system_account(unit, AccountKind.GAINS, "EUR"), gains)
            for kind in (AccountKind.PURSE, AccountKind.COMPANY, AccountKind.SHOP):
                self.assertRaises(ValueError, system_account, unit, kind, "USD")
