"""Companies, people, cards, shops and terminals, as the registry keeps them, and credit on its way to them."""

from __future__ import annotations

from msgspec.structs import replace

from tests.ledger.books import NOON, PANS
from tests.ledger.registering import RegistryCase
from trus.auth.policy import Policy
from trus.ledger.lookup import FieldUnreadable
from trus.ledger.registry_values import EmployeeRow, NewCard, NewEmployee


class PeopleCase(RegistryCase):
    """A company with people, beside those of the books."""

    def setUp(self) -> None:
        super().setUp()
        self.made = self.change()
        self.people = self.made.people
        self.corp = self.people.add_company(company_id="CORP", name="Corp", currency="USD", time_zone="UTC", at=1)
        names = [NewEmployee(f"E{number}", "Zoë", f"Canary{number}") for number in (3, 1, 2)]
        self.people.add_employees(self.corp, names, 1)

    def holder(self, name: str) -> EmployeeRow:
        found = self.people.employee(self.corp, name)
        assert found is not None
        return found


class CompanyCase(PeopleCase):
    """Companies and their policies."""

    def test_companies(self) -> None:
        """Companies are found by id and listed page by page; a state changes one of them alone."""
        self.assertEqual(self.people.company("CORP"), self.corp)
        self.assertIsNone(self.people.company("NONE"))
        self.people.set_company_state(self.corp.row, "blocked")
        self.assertEqual([each.company for each in self.people.companies("", 2)], ["ACME", "BYTE"])
        listed = [(each.company, each.state) for each in self.people.companies("ACME", 9)]
        self.assertEqual(listed, [("BYTE", "active"), ("CORP", "blocked")])

    def test_policies(self) -> None:
        """A policy of the same date takes the place of the one before; others stay, the newest first."""
        row = self.corp.row
        for amount, date in ((100, "2026-01-01"), (300, "2026-12-01"), (200, "2026-01-01")):
            self.people.set_policy(Policy(0, row, date, daily_amount=amount), 1)
        kept = [(each.valid_from, each.daily_amount) for each in self.people.policies(row)]
        self.assertEqual(kept, [("2026-12-01", 300), ("2026-01-01", 200)])

    def test_bookings(self) -> None:
        """A reference of a company's file is booked once for each kind, so that a file sent twice pays once."""
        event_id, _ = self.made.post(kind="admin", actor="ada", rule="test", figures={})
        self.assertIsNone(self.people.booked(self.corp.row, "refill", "R1"))
        self.people.book(self.corp.row, "refill", "R1", event_id)
        self.assertEqual(self.people.booked(self.corp.row, "refill", "R1"), event_id)
        self.assertIsNone(self.people.booked(self.corp.row, "top-up", "R1"))
        self.assertIsNone(self.people.booked(self.corp.row + 1, "refill", "R1"))


class EmployeeCase(PeopleCase):
    """People."""

    def test_found(self) -> None:
        """People are found by id, listed in order and page by page, with their names in the clear."""
        self.assertEqual((self.holder("E1").name, self.holder("E1").surname), ("Zoë", "Canary1"))
        self.assertIsNone(self.people.employee(self.corp, "E9"))
        self.assertEqual([each.employee for each in self.people.employees(self.corp, after="E1", limit=1)], ["E2"])
        self.assertEqual([each.employee for each in self.people.employees(self.corp, ids=["E3", "E9"])], ["E3"])
        self.assertEqual(self.people.taken(self.corp, ["E9", "E3", "E1"]), ["E1", "E3"])

    def test_a_name_in_anothers_row(self) -> None:
        """TR-13: a name that was moved to another person's row is told, never shown."""
        swap = "UPDATE employee SET name = (SELECT name FROM employee WHERE id = ?) WHERE id = ?"
        connection = self.people._connection
        connection.exec_driver_sql(swap, (self.holder("E1").row, self.holder("E2").row)).close()
        self.assertRaises(FieldUnreadable, self.people.employee, self.corp, "E2")

    def test_purses(self) -> None:
        """A purse beside the main one is opened once a person, holds what that one does not, and is found again."""
        purses = self.made.purses
        first = purses.open([self.holder("E1")], "SNACK")
        both = purses.open([self.holder("E1"), self.holder("E2")], "SNACK")
        self.assertEqual(both[0], first[0])
        accounts = {each.purse_account for each in both} | {self.holder("E1").purse_account}
        self.assertEqual((len(accounts), [each.balance for each in both]), (3, [0, 0]))
        purses.open([self.holder("E1")], "GYM")
        rows = [self.holder(name).row for name in ("E1", "E2", "E3")]
        self.assertEqual(purses.of(rows), {rows[0]: [("GYM", 0), ("SNACK", 0)], rows[1]: [("SNACK", 0)]})

    def test_state(self) -> None:
        """Blocking one person leaves the others as they are."""
        self.people.set_employee_state(self.holder("E2").row, "blocked")
        states = [each.state for each in self.people.employees(self.corp)]
        self.assertEqual(states, ["active", "blocked", "active"])


class CardCase(PeopleCase):
    """Cards by reference and by the keyed hash of their numbers."""

    def card(self, number: int, holder: EmployeeRow) -> NewCard:
        pan = f"999999000000{number:04d}"
        return NewCard(f"CARD{number:08d}", pan, self.books.ledger.card_key(pan), "3012", bytes(16), 3, holder.row)

    def test_found(self) -> None:
        """TR-13: a card is shown by its last four digits alone, and listed by holder, by company or with all others."""
        cards = self.made.cards
        cards.add_cards([self.card(71, self.holder("E1")), self.card(72, self.holder("E2"))], 1)
        found = cards.card("CARD00000071")
        assert found is not None
        self.assertEqual((found.last_four, found.company, found.employee), ("0071", "CORP", "E1"))
        self.assertIsNone(cards.card("CARD00000099"))
        self.assertEqual([each.employee for each in cards.cards(company_row=self.corp.row)], ["E1", "E2"])
        one = cards.cards(employee_row=self.holder("E2").row)
        self.assertEqual([each.card for each in one], ["CARD00000072"])
        self.assertEqual([each.card for each in cards.cards(after="CARD00000003", limit=1)], ["CARD00000071"])

    def test_taken(self) -> None:
        """No reference and no number is given out twice, however many are asked for at once."""
        keys = [self.books.ledger.card_key(each) for each in (PANS[0], "9999990000009999", PANS[3])]
        references = [f"CARD{number:08d}" for number in range(1_200)]
        names, hashes = self.made.cards.taken(references, keys)
        self.assertEqual((len(names), hashes), (4, {keys[0], keys[2]}))
        self.assertEqual(self.made.cards.taken([], []), (set(), set()))

    def test_without_card(self) -> None:
        """Who still needs a card: active people whose cards are all gone, and nobody else."""
        cards = self.made.cards
        cards.add_cards([self.card(71, self.holder("E1")), self.card(72, self.holder("E2"))], 1)
        self.assertEqual(cards.without_card(self.corp.row, 9), ["E3"])
        lost = cards.card("CARD00000072")
        assert lost is not None
        cards.set_card_state(lost.row, "lost")
        self.assertEqual(cards.without_card(self.corp.row, 9), ["E2", "E3"])
        self.assertEqual(cards.without_card(self.corp.row, 1), ["E2"])
        self.people.set_employee_state(self.holder("E3").row, "blocked")
        self.assertEqual(cards.without_card(self.corp.row, 9), ["E2"])

    def test_tries(self) -> None:
        """Wrong PINs are given back to one card alone."""
        first, second = self.made.cards.cards(limit=2)
        self.made.cards.set_card_tries(first.row, 1)
        self.assertEqual([each.tries_left for each in self.made.cards.cards(limit=2)], [1, second.tries_left])


class ShopCase(RegistryCase):
    """Shops and terminals."""

    def test_found(self) -> None:
        """Shops and terminals are found by id and listed page by page; what changes of one changes of no other."""
        shops = self.change().shops
        deli = shops.add_shop(shop_id="DELI", name="Deli", mcc="5411", currency="USD", at=1)
        till = shops.add_terminal(terminal_id="T0000007", owner=deli, model="VX1", at=1)
        self.assertEqual((shops.shop("DELI"), shops.terminal("T0000007")), (deli, till))
        self.assertEqual((shops.shop("NONE"), shops.terminal("T9999999")), (None, None))
        self.assertEqual([each.shop for each in shops.shops("BISTRO", 1)], ["CAFE"])
        self.assertEqual([each.terminal for each in shops.terminals(deli.row, "", 9)], ["T0000007"])
        self.assertEqual([each.terminal for each in shops.terminals(None, "T0000001", 1)], ["T0000002"])
        shops.set_shop_state(deli.row, "blocked")
        shops.set_terminal_state(till.row, "closed")
        self.assertEqual([each.state for each in shops.shops("", 9)], ["active", "active", "blocked"])
        self.assertEqual(shops.terminal("T0000007"), replace(till, state="closed"))

    def test_place(self) -> None:
        """Where a shop stands is known to what decides about a purchase there."""
        with self.registry.changing(NOON) as change:
            deli = change.shops.shop("BISTRO")
            assert deli is not None
            change.shops.set_shop_place(deli.row, "48.2,16.4")
        unit = self.books.ledger.begin(NOON)
        self.addCleanup(unit.rollback)
        facts = unit.read(identities=[], terminals=["T0000001", "T0000002"], card_keys=[])
        self.assertEqual([each.place for each in facts.terminals.values()], ["48.2,16.4", ""])
