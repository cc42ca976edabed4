"""Transactions, explanations, balances and settlement, on purchases that were really decided."""

from __future__ import annotations

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House
from trus.admin.model import RefusalCode
from trus.ledger import registry_reports
from trus.ledger.audit import verify


class RecordTests(SynchronousTestCase):
    """One lunch hour: five requests, three of them paid, one of those taken back."""

    def setUp(self) -> None:
        self.house = House(self)
        house = self.house
        house.lunch()
        house.done("CARD-ISSUE", company="ACME")
        house.done("REFILL", company="ACME", amount="20.00")
        self.one, self.two, self.three = house.cards()
        house.pay(self.one, 1250)
        house.pay(self.two, 700)
        house.pay(self.two, 2000)
        house.pay(self.three, 100, "0000" if self.three["pin"] != "0000" else "1111")
        house.pay(self.three, 300)
        house.take_back(1, 1250)

    def transactions(self, **filters: str) -> list[dict[str, str]]:
        return self.house.done("TRANSACTIONS", "support", **filters).rows

    def explained(self, row: dict[str, str]) -> tuple[str, dict[str, str]]:
        answer = self.house.done("EXPLAIN", "support", rrn=row["rrn"])
        return answer.text, answer.rows[0]

    def test_newest_first_with_what_was_asked_and_moved(self) -> None:
        """Support sees transactions newest first: who, where, asked, moved and the answer."""
        rows = self.transactions(limit="6")
        self.assertEqual(
            [(row["kind"], row["employee"], row["amount"], row["moved"], row["code"]) for row in rows],
            [
                ("reversal", "E1", "12.50", "12.50", "00"),
                ("purchase", "E3", "3.00", "3.00", "00"),
                ("purchase", "E3", "1.00", "0.00", "55"),
                ("purchase", "E2", "20.00", "0.00", "51"),
                ("purchase", "E2", "7.00", "7.00", "00"),
                ("purchase", "E1", "12.50", "12.50", "00"),
            ],
        )
        self.assertEqual({(row["shop"], row["terminal"], row["currency"]) for row in rows}, {("S1", "T0000001", "USD")})

    def test_filters(self) -> None:
        """Transactions are found by company, employee, card, shop, terminal, date, code and kind."""
        for filters, count in (
            ({"kind": "purchase"}, 5),
            ({"kind": "refill"}, 3),
            ({"kind": "funding"}, 1),
            ({"code": "51"}, 1),
            ({"card": self.two["card"]}, 2),
            ({"shop": "S1"}, 6),
            ({"terminal": "T0000001", "kind": "reversal"}, 1),
            ({"terminal": "T0000009"}, 0),
            ({"company": "ACME", "employee": "E3"}, 3),
            ({"company": "ACME"}, 10),
            ({"date": "2026-11-20"}, 10),
            ({"date": "2026-11-19"}, 0),
            ({"date": "2026-11-21"}, 0),
        ):
            self.assertEqual(len(self.transactions(**filters)), count, filters)

    def test_filters_of_others(self) -> None:
        """A company sees its own transactions alone, and what does not exist is 25."""
        self.house.done("COMPANY-ADD", id="OTHER", name="Other")
        self.house.done("COMPANY-FUND", company="OTHER", amount="1.00")
        self.assertEqual([row["kind"] for row in self.transactions(company="OTHER")], ["funding"])
        for filters in ({"company": "NOBODY"}, {"card": "222222222222"}, {"shop": "S9"}):
            self.assertEqual(self.house.order("TRANSACTIONS", **filters).code, RefusalCode.NOT_FOUND)
        self.assertEqual(self.house.order("TRANSACTIONS", employee="E1").code, RefusalCode.ARGUMENTS)
        self.assertEqual(self.house.order("TRANSACTIONS", after="x-1").code, RefusalCode.ARGUMENTS)

    def pages(self, **filters: str) -> list[str]:
        seen: list[str] = []
        mark: dict[str, str] = {}
        for _ in range(30):
            answer = self.house.done("TRANSACTIONS", **filters, **mark)
            seen += [row["rrn"] for row in answer.rows]
            if "after=" not in answer.text:
                return seen
            mark = {"after": answer.text.rpartition("=")[2]}
        raise AssertionError("the pages do not end")

    def test_pages(self) -> None:
        """Pages follow each other without a gap or a repeat, whatever the filter."""
        everything = [row["rrn"] for row in self.transactions()]
        self.assertEqual(self.pages(limit="3"), everything)
        purchases = [row["rrn"] for row in self.transactions(kind="purchase")]
        self.assertEqual(self.pages(limit="2", kind="purchase"), purchases)

    def test_a_long_journal_is_looked_at_in_parts(self) -> None:
        """A page looks at a bounded part of the journal, says where it stopped, and the rest is found from there."""
        everything = [row["rrn"] for row in self.transactions()]
        self.patch(registry_reports, "SCAN_EVENTS", 4)
        self.assertEqual(self.pages(limit="3"), everything)
        self.assertEqual(self.pages(kind="funding"), everything[-1:])
        self.assertEqual(self.pages(kind="funding", date="2026-11-20"), everything[-1:])
        self.assertEqual(self.pages(kind="close-batch"), [])

    def test_every_answer_can_be_explained(self) -> None:
        """Support can say of every transaction which rule settled it and which figures it looked at."""
        back, three, wrong, poor, two, one = self.transactions(limit="6")
        self.assertEqual(
            self.explained(poor)[0], "Declined with 51. 20.00 USD was asked, and the purse held 13.00 USD."
        )
        self.assertEqual(self.explained(wrong)[0], "Declined with 55. The PIN was wrong; tries left: 2.")
        self.assertEqual(self.explained(three)[0], "Approved with 00. Nothing stood against it.")
        text, row = self.explained(one)
        self.assertTrue(text.endswith(f"Reversed by {back['rrn']}."))
        self.assertEqual((row["reversed-by"], row["stan"], row["rule"]), (back["rrn"], "000001", "approved"))
        text, row = self.explained(back)
        self.assertEqual((row["original"], row["result"]), (one["rrn"], "reversed"))
        self.assertIn("12.50 USD was given back", text)
        self.assertEqual(self.explained(two)[1]["meaning"], "approved, or carried out")

    def test_refills_can_be_explained(self) -> None:
        """A refill says from whom to whom, by whose order, under which reference."""
        self.house.done("COMPANY-FUND", "issuer", company="ACME", amount="5.00", reference="SEPA 1")
        funding = self.transactions(kind="funding")[0]
        self.assertEqual(
            self.explained(funding)[0], "5.00 USD were paid in by ACME; ordered by issuer, reference SEPA 1."
        )
        refill = self.transactions(kind="refill")[0]
        self.assertEqual(
            self.explained(refill)[0], "20.00 USD were moved to the purse of E3 of ACME; ordered by administrator."
        )

    def test_nothing_secret_is_explained(self) -> None:
        """TR-5: neither lists nor explanations hold a card number, a track or a PIN."""
        shown = repr([self.explained(row) for row in self.transactions()]) + repr(self.transactions())
        for card in (self.one, self.two, self.three):
            self.assertNotIn(card["track2"][:12], shown)
            self.assertNotIn(card["track2"], shown)
            self.assertIn(card["card"], shown)

    def test_unknown_reference_numbers(self) -> None:
        """A reference number that was never given, or of a day to come, is 25."""
        for rrn in ("632400009999", "000000000000", "632599999999", "999999999999"):
            self.assertEqual(self.house.order("EXPLAIN", rrn=rrn).code, RefusalCode.NOT_FOUND, rrn)

    def test_orders(self) -> None:
        """An auditor sees who ordered what, newest first, in pages, without names of people."""
        self.house.done("EMPLOYEE-ADD", "issuer", company="ACME", id="E9", name="Griselda", surname="Quux")
        answer = self.house.done("ORDERS", "auditor", limit="2")
        self.assertEqual([row["order"] for row in answer.rows], ["EMPLOYEE-ADD", "CARD-ISSUE"])
        self.assertEqual((answer.rows[0]["admin"], answer.rows[0]["figures"]), ("issuer", "company=ACME, employees=E9"))
        after = answer.text.rpartition("=")[2]
        rest = self.house.done("ORDERS", "auditor", after=after).rows
        self.assertEqual([row["order"] for row in rest][:2], ["TERMINAL-ADD", "SHOP-ADD"])
        self.assertNotIn("Griselda", repr(answer.rows + rest))
        self.assertEqual(self.house.done("ORDERS", "auditor", date="2026-11-19").rows, [])
        self.assertEqual(self.house.order("ORDERS", "auditor", after="x").code, RefusalCode.ARGUMENTS)
        self.assertIn("TERMINAL-ADD", self.house.done("EXPLAIN", rrn=rest[0]["rrn"]).text)

    def test_balances(self) -> None:
        """The network's balances are each company's prepaid money and purses; a company's are its purses."""
        self.assertEqual(
            self.house.done("BALANCES", "auditor").rows,
            [{"company": "ACME", "prepaid": "940.00", "purses": "50.00", "currency": "USD", "employees": "3"}],
        )
        answer = self.house.done("BALANCES", "auditor", company="ACME", limit="2")
        self.assertEqual([row["balance"] for row in answer.rows], ["20.00", "13.00"])
        self.assertEqual(answer.text, "Purses: 2; more follow: after=E2; 940.00 USD are not given out yet.")

    def test_settlement(self) -> None:
        """TR-25: a shop is owed its purchases less what was taken back, by the date they were booked on."""
        answer = self.house.done("SETTLEMENT", "auditor", date="2026-11-20")
        self.assertEqual(
            answer.rows,
            [
                {
                    "date": "2026-11-20", "shop": "S1", "name": "Żabka", "currency": "USD", "count": "3",
                    "gross": "22.50", "reversal-count": "1", "reversals": "12.50", "refund-count": "0",
                    "refunds": "0.00", "net": "10.00",
                }
            ],
        )  # fmt: skip
        self.assertEqual(answer.text, "2026-11-20: 10.00 USD to 1 shop.")

    def test_settlement_of_other_days_and_shops(self) -> None:
        """What is sold after the cut-over belongs to the next date, also a reversal of yesterday's purchase."""
        house = self.house
        house.done("SHOP-ADD", id="S0", name="Silent", mcc="5812")
        self.assertEqual(house.done("SETTLEMENT", date="2026-11-20", shop="S0").rows, [])
        self.assertEqual(house.order("SETTLEMENT", date="2026-11-20", shop="S9").code, RefusalCode.NOT_FOUND)
        house.done("DAY-ADVANCE")
        house.clock.advance(timedelta(hours=1))
        house.pay(self.one, 200)
        house.take_back(2, 700)
        [row] = house.done("SETTLEMENT", date="2026-11-21").rows
        self.assertEqual((row["count"], row["gross"], row["reversals"], row["net"]), ("1", "2.00", "7.00", "-5.00"))
        self.assertEqual(house.done("SETTLEMENT", date="2026-11-20").rows[0]["net"], "10.00")
        self.assertEqual(house.done("SETTLEMENT", date="2027-01-01").text, "2027-01-01: nothing is owed.")


class SoundnessTests(SynchronousTestCase):
    """The ledger after a day of orders and purchases."""

    def test_the_ledger_is_proven(self) -> None:
        """After orders of every kind, purchases, a reversal and a cut-over, the audit finds nothing wrong."""
        house = House(self)
        house.lunch()
        house.done("CARD-ISSUE", company="ACME")
        house.done("REFILL", company="ACME", amount="20.00")
        house.done("EMPLOYEE-BLOCK", company="ACME", employee="E2")
        house.done("REFILL", company="ACME", amount="1.00", reference="bonus")
        house.order("REFILL", "auditor", company="ACME", amount="1.00")
        house.order("REFILL", company="ACME", amount="5000.00")
        one, _, three = house.cards()
        for card, cents in ((one, 1250), (three, 2200), (one, 875), (one, 1)):
            house.pay(card, cents)
        house.take_back(1, 1250)
        house.done("DAY-ADVANCE")
        house.done("CARD-LOST", card=one["card"])
        house.done("REVOKE", terminal="T0000001")
        house.ledger.checkpoint()
        report = verify(house.ledger.engine)
        self.assertEqual([(each.check, each.row, each.problem) for each in report.findings], [])
        self.assertTrue(report.sound)
        self.assertGreater(report.events, 20)
