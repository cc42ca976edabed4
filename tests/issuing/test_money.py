"""Prepaid accounts and refills: never below zero, never twice (TR-4)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House
from trus.admin.model import RefusalCode


class MoneyTests(SynchronousTestCase):
    """Money of a company."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch()

    def prepaid(self) -> str:
        return self.house.done("COMPANIES").rows[0]["prepaid"]

    def purses(self) -> list[str]:
        return [row["balance"] for row in self.house.done("BALANCES", company="ACME").rows]

    def test_funding(self) -> None:
        """TR-4: an operator books what a company paid by bank transfer; the prepaid account holds it."""
        [row] = self.house.done("COMPANY-FUND", company="ACME", amount="0.01").rows
        self.assertEqual((row["prepaid"], self.prepaid()), ("1000.01", "1000.01"))
        self.assertRegex(row["rrn"], r"^6324[0-9]{8}$")

    def test_refilling_all(self) -> None:
        """TR-4: a refill without an employee's id reaches each active employee's purse, none else."""
        self.house.done("EMPLOYEE-BLOCK", company="ACME", employee="E2")
        [row] = self.house.done("REFILL", company="ACME", amount="12.50").rows
        self.assertEqual((row["purses"], row["total"], row["prepaid"]), ("2", "25.00", "975.00"))
        self.assertEqual((self.purses(), self.prepaid()), (["12.50", "0.00", "12.50"], "975.00"))

    def test_refilling_one(self) -> None:
        """TR-4: with an employee's id the refill reaches that purse alone."""
        self.house.done("REFILL", company="ACME", amount="7.00", employee="E3")
        self.assertEqual((self.purses(), self.prepaid()), (["0.00", "0.00", "7.00"], "993.00"))

    def test_credit_that_ends(self) -> None:
        """TR-4: a refill may end: by a business date that is open or comes, never by one that is over."""
        answer = self.house.done("REFILL", company="ACME", amount="7.00", employee="E3", expires="2026-12-31")
        self.assertEqual(answer.text, "1 purse got 7.00 USD each, to be spent by 2026-12-31.")
        with self.house.registry.reading() as view:
            company = view.people.company("ACME")
            assert company is not None
            self.assertEqual([row.lots for row in view.people.employees(company)], ["", "", "2026-12-31:700"])
        self.house.done("REFILL", company="ACME", amount="2.50", employee="E3", expires="2026-11-30")
        rows = self.house.done("BALANCES", company="ACME").rows
        self.assertEqual([row.get("ends", "") for row in rows], ["", "", "2026-11-30:2.50,2026-12-31:7.00"])
        self.assertEqual(rows[2]["balance"], "9.50")
        refused = self.house.order("REFILL", company="ACME", amount="7.00", expires="2026-11-19")
        self.assertEqual((refused.code, self.prepaid()), (RefusalCode.STATE, "990.50"))

    def test_never_below_zero(self) -> None:
        """TR-4: a refill that the prepaid account cannot bear moves nothing to anybody."""
        answer = self.house.order("REFILL", company="ACME", amount="333.34")
        self.assertEqual(answer.code, RefusalCode.INSUFFICIENT_FUNDS)
        self.assertEqual(answer.text, "The prepaid account holds 1000.00 USD, 1000.02 are needed: nothing was moved.")
        self.assertEqual((self.purses(), self.prepaid()), (["0.00"] * 3, "1000.00"))
        self.house.done("REFILL", company="ACME", amount="333.33")
        self.assertEqual(self.prepaid(), "0.01")

    def test_a_reference_is_booked_once(self) -> None:
        """A bank transfer's reference is booked once, for each kind and company, so a repeat does no harm."""
        for verb in ("COMPANY-FUND", "REFILL"):
            self.house.done(verb, company="ACME", amount="10.00", reference="SEPA 4711")
            answer = self.house.order(verb, company="ACME", amount="10.00", reference="SEPA 4711")
            self.assertEqual((answer.code, self.house.orders()[-1].rule), (RefusalCode.EXISTS, verb))
        self.assertEqual(self.prepaid(), "980.00")
        self.house.done("COMPANY-ADD", id="OTHER", name="Other")
        self.house.done("COMPANY-FUND", company="OTHER", amount="10.00", reference="SEPA 4711")

    def test_amounts_that_are_none(self) -> None:
        """Zero, missing decimals and too many are refused by the company's own currency."""
        self.house.done("COMPANY-ADD", id="NIPPON", name="Nippon", currency="JPY")
        for company, amount in (
            ("ACME", "0.00"), ("ACME", "1"), ("ACME", "1.0"), ("ACME", "1.000"), ("NIPPON", "1.00"), ("NIPPON", "0"),
        ):  # fmt: skip
            for verb in ("COMPANY-FUND", "REFILL"):
                answer = self.house.order(verb, company=company, amount=amount)
                self.assertEqual(answer.code, RefusalCode.AMOUNT, f"{verb} {company} {amount}")
        self.house.done("COMPANY-FUND", company="NIPPON", amount="500")
        for amount in ("-1.00", "1e3", "1,00", "١.٠٠"):
            self.assertEqual(self.house.order("REFILL", company="ACME", amount=amount).code, RefusalCode.ARGUMENTS)

    def test_who_is_not_refilled(self) -> None:
        """Nothing is moved for blocked companies, blocked or unknown employees, or a company without any."""
        refill = self.house.order
        self.assertEqual(refill("REFILL", company="ACME", amount="1.00", employee="E9").code, RefusalCode.NOT_FOUND)
        self.house.done("EMPLOYEE-BLOCK", company="ACME", employee="E1")
        self.assertEqual(refill("REFILL", company="ACME", amount="1.00", employee="E1").code, RefusalCode.STATE)
        self.house.done("COMPANY-BLOCK", company="ACME")
        self.assertEqual(refill("REFILL", company="ACME", amount="1.00").code, RefusalCode.STATE)
        self.house.done("COMPANY-ADD", id="EMPTY", name="Empty")
        self.house.done("COMPANY-FUND", company="EMPTY", amount="5.00")
        self.assertEqual(refill("REFILL", company="EMPTY", amount="1.00").code, RefusalCode.NOT_FOUND)
        self.assertEqual(self.prepaid(), "1000.00")

    def test_refills_and_purchases_agree(self) -> None:
        """A purse that is refilled, spent and refilled again holds what the entries say, counters included."""
        self.house.done("CARD-ISSUE", company="ACME", employee="E1")
        self.house.done("POLICY-SET", company="ACME", valid_from="2026-11-20", daily_amount="8.00")
        [card] = self.house.cards()
        self.house.done("REFILL", company="ACME", amount="10.00")
        self.assertEqual(self.house.pay(card, 600).code, "00")
        self.house.done("REFILL", company="ACME", amount="10.00")
        self.assertEqual(self.purses()[0], "14.00")
        self.assertEqual(self.house.pay(card, 300).code, "61", "the day's counter survives a refill")
        self.assertEqual(self.house.pay(card, 200).code, "00")
        self.assertEqual(self.purses()[0], "12.00")

    @settings(max_examples=12, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(["fund", "all", "one"]), st.integers(1, 60_000)), max_size=8))
    def test_money_is_neither_made_nor_lost(self, orders: list[tuple[str, int]]) -> None:
        """Whatever is ordered, prepaid account and purses together hold exactly what was paid in."""
        house = House(self)
        house.lunch()
        paid = 100_000
        for what, cents in orders:
            amount = f"{cents // 100}.{cents % 100:02d}"
            if what == "fund":
                house.done("COMPANY-FUND", company="ACME", amount=amount)
                paid += cents
            else:
                house.order("REFILL", company="ACME", amount=amount, **({"employee": "E2"} if what == "one" else {}))
        with house.registry.reading() as view:
            [row] = view.reports.company_balances("", 10)
            self.assertGreaterEqual(row.prepaid, 0)
            self.assertEqual(row.prepaid + row.purses, paid)
