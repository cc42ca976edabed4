"""Pages and look-ups of the registry: orders that wait, ceremonies, certificates, everybody's standing."""

from __future__ import annotations

from tests.ledger.books import NOON, PANS, TODAY
from tests.ledger.registering import RegistryCase
from tests.ledger.test_directory import certificate
from trus.ledger.erasure import erase_employee
from trus.ledger.registry import Registry
from trus.ledger.registry_approvals import PendingOrderRow
from trus.ledger.registry_directory import MAX_CHANGES, Wanted
from trus.ledger.registry_values import CertificateRow, HolderRow, NewEmployee, RevocationListRow


class ApprovalCase(RegistryCase):
    """Orders that others must approve."""

    def order(self, number: int, at: int = 100, subject: str = "T0000001") -> PendingOrderRow:
        return PendingOrderRow(
            f"O{number:07d}", "revoke", subject, "revoke", "{}", "admin/ada", 2, "waiting", at, at + 1_000
        )

    def test_pages(self) -> None:
        """Orders are listed oldest first, page by page; those of one moment by their ids, none twice or left out."""
        approvals = self.change().approvals
        moments = (300, 100, 200, 200, 200)
        for number, at in enumerate(moments):
            approvals.add(self.order(number, at))
        approvals.set_state("O0000001", "rejected", 400, before="waiting")
        seen: list[str] = []
        while page := approvals.orders(["waiting"], seen[-1] if seen else "", 2):
            seen += [each.id for each in page]
        self.assertEqual(seen, ["O0000002", "O0000003", "O0000004", "O0000000"])
        self.assertEqual([each.id for each in approvals.orders(["rejected"], "", 9)], ["O0000001"])

    def test_waiting(self) -> None:
        """An order counts as waiting until it expires or is decided."""
        approvals = self.change().approvals
        for number in range(3):
            approvals.add(self.order(number, 100 * number))
        self.assertEqual([approvals.waiting(now) for now in (999, 1_000, 1_199, 1_200)], [3, 2, 1, 0])
        self.assertTrue(approvals.set_state("O0000002", "done", 500, before="waiting"))
        self.assertEqual(approvals.waiting(999), 2)

    def test_decided_once(self) -> None:
        """An order is decided from the state that it is in, so that of two who decide at once one is told no."""
        approvals = self.change().approvals
        approvals.add(self.order(1))
        approvals.approve("O0000001", "admin/bob", 150)
        approvals.approve("O0000001", "admin/cy", 140)
        self.assertTrue(approvals.set_state("O0000001", "done", 200, before="waiting"))
        self.assertFalse(approvals.set_state("O0000001", "rejected", 200, before="waiting"))
        found = approvals.order("O0000001")
        assert found is not None
        self.assertEqual((found.state, found.approved_by), ("done", ("admin/cy", "admin/bob")))
        self.assertIsNone(approvals.order("O0000002"))

    def test_newest(self) -> None:
        """The newest order about a subject is found, and none of another's."""
        approvals = self.change().approvals
        for number, at in enumerate((100, 300, 200)):
            approvals.add(self.order(number, at))
        approvals.add(self.order(9, 400, "T0000002"))
        newest = approvals.newest_about("revoke", "T0000001")
        assert newest is not None
        self.assertEqual(newest.id, "O0000001")
        self.assertIsNone(approvals.newest_about("issue", "T0000001"))

    def test_ceremonies(self) -> None:
        """The transcript of a key ceremony is on record by its digest, also after a restart."""
        with self.registry.changing(NOON) as change:
            self.assertEqual(change.approvals.ceremonies(), set())
            change.approvals.add_ceremony(b"\x01" * 32, "first", change.at)
            change.approvals.add_ceremony(b"\x02" * 32, "second", change.at)
        self.books.reopen()
        with Registry(self.books.ledger).reading() as view:
            self.assertEqual(view.approvals.ceremonies(), {b"\x01" * 32, b"\x02" * 32})


class CertificateCase(RegistryCase):
    """Certificates by what is known of them."""

    def setUp(self) -> None:
        super().setUp()
        self.made = self.change()
        self.directory = self.made.directory

    def register(self, *rows: CertificateRow) -> None:
        for row in rows:
            self.made.identities.register(row)

    def test_many_keys(self) -> None:
        """Of many keys asked for at once, more than fit one statement, each finds its own certificate or nothing."""
        asked = [number.to_bytes(20, "big") for number in range(1, 601)]
        expected = {}
        for number in (1, 2, 500, 501, 599):
            self.register(certificate(number))
            self.directory.add_keys(f"{number:x}", [("cert", asked[number - 1])])
            expected[asked[number - 1]] = f"{number:x}"
        found = self.directory.by_keys("cert", asked)
        self.assertEqual({key: row.serial for key, row in found.items()}, expected)
        self.assertEqual(self.directory.by_keys("subject", asked), {})

    def test_no_keys(self) -> None:
        """A certificate may have no look-up key at all, and is then among those without."""
        self.register(certificate(1))
        self.directory.add_keys("1", [])
        self.assertEqual([row.serial for row in self.directory.without_keys(9)], ["1"])

    def test_counted(self) -> None:
        """What a search finds page by page is what it counts."""
        self.register(*(certificate(number, state) for number, state in enumerate(("good", "held", "good"), 1)))
        for wanted, count in (
            (Wanted(), 3),
            (Wanted(states=("good",)), 2),
            (Wanted(states=("good",), ends_after=2_001), 1),
            (Wanted(serial="2"), 1),
            (Wanted(valid_at=2_002), 1),
            (Wanted(issued_from=1_000, issued_to=1_000), 0),
            (Wanted(issued_from=1_000, issued_to=1_001), 3),
            (Wanted(ends_before=2_001), 1),
            (Wanted(role="card"), 0),
        ):
            self.assertEqual((self.directory.count(wanted), len(self.directory.search(wanted, "", 9))), (count, count))
        self.assertEqual([row.serial for row in self.directory.search(Wanted(), "1", 1)], ["2"])

    def test_others_of_a_holder(self) -> None:
        """The other certificates of a holder are found by their state; those of namesakes in other roles are not."""
        self.register(certificate(1), certificate(2, "pending"), certificate(3), certificate(4, name="T0000002"))
        self.assertEqual(self.directory.others_of("pos", "T0000001", "1", ["good", "pending"]), ["2", "3"])
        self.assertEqual(self.directory.others_of("pos", "T0000001", "1", ["pending"]), ["2"])
        self.assertEqual(self.directory.others_of("card", "T0000001", "1", ["good"]), [])

    def test_all_lists(self) -> None:
        """The newest full and delta list of every authority are told in the order of their names."""
        rows = [
            RevocationListRow(authority, kind, 1, None, 0, 1_000, 2_000, b"der")
            for authority in ("zebra", "alpha")
            for kind in ("full", "delta")
        ]
        for row in rows:
            self.directory.put_list(row)
        named = [(row.authority, row.kind) for row in self.directory.lists()]
        self.assertEqual(named, [("alpha", "delta"), ("alpha", "full"), ("zebra", "delta"), ("zebra", "full")])


class LedgerCase(RegistryCase):
    """What the registry shows of its ledger."""

    def test_day(self) -> None:
        """The business date is the ledger's, and cut-over moves it by a calendar day."""
        self.assertEqual(self.registry.business_date(), TODAY)
        self.assertEqual(self.registry.advance_day(NOON), "2026-11-21")
        change = self.change()
        self.assertEqual((change.business_date, self.books.ledger.business_date()), ("2026-11-21", "2026-11-21"))

    def test_card_names(self) -> None:
        """TR-13: a card number is looked up by the ledger's own keyed hash."""
        self.assertEqual(self.registry.card_names(PANS[0]), self.books.ledger.card_names(PANS[0]))
        self.assertEqual(self.registry.card_names(PANS[0]).current, self.books.ledger.card_key(PANS[0]))


class EverybodyCase(RegistryCase):
    """What concerns all holders at once."""

    def test_standing_of_everybody(self) -> None:
        """TR-15: after a change that concerns everybody nobody is taken for unchanged, and later changes are told."""
        with self.registry.changing(NOON) as change:
            change.directory.changed("pos", "T0000001", change.at)
            number = change.concern_everybody()
        self.assertEqual(number, 1 + MAX_CHANGES + 1)
        with self.registry.reading() as view:
            self.assertEqual([view.directory.changes_since(since) for since in (0, 1)], [None, None])
            self.assertEqual(view.directory.changes_since(number), [])
        with self.registry.changing(NOON) as change:
            self.assertEqual(change.directory.changed("pos", "T0000002", change.at), number + 1)
        with self.registry.reading() as view:
            self.assertEqual(view.directory.changes_since(number), [HolderRow("pos", "T0000002")])

    def test_the_erased(self) -> None:
        """A person whose name was erased is still listed, nameless, so that the books stay whole."""
        with self.registry.changing(NOON) as change:
            company = change.people.add_company(
                company_id="CORP", name="Corp", currency="USD", time_zone="UTC", at=change.at
            )
            people = [NewEmployee("ADA", "Ada", "Lovelace"), NewEmployee("BOB", "Bob", "Builder")]
            change.people.add_employees(company, people, change.at)
            [ada, _] = change.people.employees(company)
        with self.books.ledger.order(NOON) as unit:
            erase_employee(unit, ada.row, "admin/root")
        with self.registry.reading() as view:
            shown = [(each.employee, each.name, each.surname) for each in view.people.employees(company)]
        self.assertEqual(shown, [("ADA", "", ""), ("BOB", "Bob", "Builder")])
