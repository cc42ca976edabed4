"""Companies and their employees: registered, listed, blocked (TR-1)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House
from trus.admin.model import RefusalCode


class CompanyTests(SynchronousTestCase):
    """Companies."""

    def setUp(self) -> None:
        self.house = House(self)

    def test_a_company_registers(self) -> None:
        """TR-1: a company has a prepaid account of zero, its currency and time zone, and a policy for meals."""
        [row] = self.house.done(
            "COMPANY-ADD", id="acme", name="Zażółć Ltd", time_zone="Asia/Tokyo", currency="JPY"
        ).rows
        self.assertEqual(
            row,
            {
                "company": "ACME", "name": "Zażółć Ltd", "currency": "JPY", "time-zone": "Asia/Tokyo",
                "state": "active", "prepaid": "0",
            },
        )  # fmt: skip
        self.assertEqual(self.house.done("COMPANIES").rows, [row])
        [policy] = self.house.done("POLICY-SHOW", company="ACME").rows
        self.assertEqual((policy["in-force"], policy["time-zone"]), ("yes", "Asia/Tokyo"))
        self.assertIn("5812", policy["categories"])

    def test_duplicates_and_strangers(self) -> None:
        """A second company of the same id is 94, an unknown one 25; neither changes anything."""
        self.house.done("COMPANY-ADD", id="ACME", name="One")
        self.assertEqual(self.house.order("COMPANY-ADD", id="ACME", name="Two").code, RefusalCode.EXISTS)
        self.assertEqual(self.house.done("COMPANIES").rows[0]["name"], "One")
        for verb in ("COMPANY-BLOCK", "EMPLOYEES", "POLICY-SHOW", "BALANCES", "CARD-ISSUE"):
            self.assertEqual(self.house.order(verb, company="NOBODY").code, RefusalCode.NOT_FOUND, verb)

    def test_pages(self) -> None:
        """A long list comes in pages, in the order of ids, each page ending with the mark of the next."""
        for number in range(7):
            self.house.done("COMPANY-ADD", id=f"C{number}", name="x")
        seen: list[str] = []
        after: dict[str, str] = {}
        for expected in ("Companies: 3; more follow: after=C2", "Companies: 3; more follow: after=C5", "Companies: 1"):
            answer = self.house.done("COMPANIES", limit="3", **after)
            self.assertEqual(answer.text, expected)
            seen += [row["company"] for row in answer.rows]
            after = {"after": seen[-1]}
        self.assertEqual(seen, [f"C{number}" for number in range(7)])

    def test_blocking(self) -> None:
        """A blocked company is blocked until it is unblocked; blocking twice changes nothing more."""
        self.house.done("COMPANY-ADD", id="ACME", name="One")
        for verb, text in (
            ("COMPANY-BLOCK", "Company ACME is blocked."),
            ("COMPANY-BLOCK", "Company ACME is blocked."),
            ("COMPANY-UNBLOCK", "Company ACME is active."),
        ):
            self.assertEqual(self.house.done(verb, company="ACME").text, text)
        self.assertEqual([row.rule for row in self.house.orders()][-2:], ["COMPANY-BLOCK", "COMPANY-UNBLOCK"])


class EmployeeTests(SynchronousTestCase):
    """Employees."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.done("COMPANY-ADD", id="ACME", name="Acme")
        self.house.done("COMPANY-ADD", id="OTHER", name="Other")

    def test_names_of_many_scripts(self) -> None:
        """TR-1: employees are kept with their names in any script, each with a purse of zero."""
        names = [("علي", "حسن"), ("小明", "王"), ("Siân", "O'Neill"), ("Владимир", "Ёлкин"), ("เอก", "ใจดี")]
        for number, (name, surname) in enumerate(names):
            self.house.done("EMPLOYEE-ADD", company="ACME", id=f"E{number}", name=name, surname=surname)
        rows = self.house.done("EMPLOYEES", company="ACME").rows
        self.assertEqual([(row["name"], row["surname"]) for row in rows], names)
        self.assertEqual({row["balance"] for row in rows}, {"0.00"})

    def test_names_are_ciphered_at_rest(self) -> None:
        """TR-13: beside the ciphered file, a person's name is ciphered in its column, and no event holds it."""
        self.house.done("EMPLOYEE-ADD", company="ACME", id="E1", name="Griselda", surname="Quux")
        with self.house.ledger.engine.connect() as connection:
            for table in ("employee", "event"):
                rows = connection.exec_driver_sql(f"SELECT * FROM {table}").fetchall()
                self.assertNotIn(b"Griselda", b"".join(repr(tuple(row)).encode() for row in rows))
        for path in self.house.folder.rglob("trus.db*"):
            self.assertNotIn(b"Griselda", path.read_bytes())

    def test_several_at_once_are_all_or_none(self) -> None:
        """TR-1: a group is registered whole, or not at all when one of it exists or is named twice."""
        self.house.done("EMPLOYEES-ADD", company="ACME", people="E1|A|B;E2|C|D")
        for people in ("E3|A|B;E2|C|D", "E4|A|B;E4|C|D"):
            answer = self.house.order("EMPLOYEES-ADD", company="ACME", people=people)
            self.assertEqual(answer.code, RefusalCode.EXISTS)
            self.assertIn("Nobody was registered.", answer.text)
        self.assertEqual([row["employee"] for row in self.house.done("EMPLOYEES", company="ACME").rows], ["E1", "E2"])
        self.house.done("EMPLOYEE-ADD", company="OTHER", id="E1", name="A", surname="B")

    def test_a_hundred_at_once(self) -> None:
        """A hundred employees are registered with one command, and listed in pages."""
        people = ";".join(f"E{number:03d}|Name {number}|Surname" for number in range(100))
        self.assertEqual(
            self.house.done("EMPLOYEES-ADD", company="ACME", people=people).text,
            "100 employees of ACME are registered.",
        )
        answer = self.house.done("EMPLOYEES", company="ACME", limit="99")
        self.assertEqual((len(answer.rows), answer.text), (99, "Employees: 99; more follow: after=E098"))

    def test_blocking(self) -> None:
        """An employee is blocked and unblocked by id within the company."""
        self.house.done("EMPLOYEE-ADD", company="ACME", id="E1", name="A", surname="B")
        self.house.done("EMPLOYEE-BLOCK", company="ACME", employee="E1")
        self.assertEqual(self.house.done("EMPLOYEES", company="ACME").rows[0]["state"], "blocked")
        self.house.done("EMPLOYEE-UNBLOCK", company="ACME", employee="E1")
        answer = self.house.order("EMPLOYEE-BLOCK", company="OTHER", employee="E1")
        self.assertEqual(answer.code, RefusalCode.NOT_FOUND)
