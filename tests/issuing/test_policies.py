"""Dated policies: what a company's cards may do, from when on."""

from __future__ import annotations

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House
from trus.admin.model import RefusalCode


class PolicyTests(SynchronousTestCase):
    """Policies of one company in Madrid, where it is one hour later than UTC."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch()
        self.house.done("CARD-ISSUE", company="ACME", employee="E1")
        self.house.done("REFILL", company="ACME", amount="100.00")
        [self.card] = self.house.cards()

    def set(self, valid_from: str = "2026-11-20", **fields: str) -> dict[str, str]:
        [row] = self.house.done("POLICY-SET", company="ACME", valid_from=valid_from, **fields).rows
        return row

    def test_all_fields(self) -> None:
        """Every rule that a policy knows can be set, shown, and taken away again with `none`."""
        row = self.set(
            daily_amount="20.00", daily_count="2", single_amount="15.00", week_days="1-4,6", opens="07:00",
            closes="16:30", categories="5812,5811", pin_above="5.00", weekly_amount="60.00", weekly_count="5",
            monthly_amount="200.00", monthly_count="20", shop_limits="bistro:none/1;*:20.00/2",
            holidays="2027-01-01,2026-12-25", floor_limit="5.00", purses="snack:5814,5411;main", split_purses="yes",
            velocity_count="6", velocity_minutes="30", travel_speed="300", stripe_reads="refuse",
        )  # fmt: skip
        expected = {
            "valid-from": "2026-11-20", "daily-amount": "20.00", "daily-count": "2", "single-amount": "15.00",
            "week-days": "1,2,3,4,6", "opens": "07:00", "closes": "16:30", "time-zone": "Europe/Madrid",
            "categories": "5811,5812", "pin-above": "5.00", "currency": "USD", "weekly-amount": "60.00",
            "weekly-count": "5", "monthly-amount": "200.00", "monthly-count": "20",
            "shop-limits": "*:20.00/2;BISTRO:none/1", "holidays": "2026-12-25,2027-01-01", "floor-limit": "5.00",
            "purses": "SNACK:5411,5814;MAIN", "split-purses": "yes",
            "velocity-count": "6", "velocity-minutes": "30", "travel-speed": "300", "stripe-reads": "refuse",
        }  # fmt: skip
        self.assertEqual(row, expected)
        shown = self.house.done("POLICY-SHOW", company="ACME").rows
        self.assertEqual(shown[0], {"in-force": "yes", **expected})
        row = self.set(daily_amount="none", daily_count="none", single_amount="none", categories="meals")
        self.assertEqual((row["daily-amount"], row["daily-count"], row["single-amount"]), ("none", "none", "none"))
        self.assertEqual((row["opens"], row["week-days"]), ("07:00", "1,2,3,4,6"), "what is not named stays")
        more = ("weekly_amount", "weekly_count", "monthly_amount", "monthly_count", "shop_limits", "holidays", "purses")
        self.set(velocity_count="none", travel_speed="none", stripe_reads="off")
        self.assertEqual(row["weekly-amount"], "60.00")
        row = self.set(**dict.fromkeys((*more, "floor_limit"), "none"))
        self.assertEqual({row[name.replace("_", "-")] for name in (*more, "floor_limit")}, {"none"})
        self.assertIn("5462", row["categories"])

    def test_a_policy_decides_the_next_purchase(self) -> None:
        """A policy that holds from today on decides the next purchase."""
        self.assertEqual(self.house.pay(self.card, 1000).code, "00")
        self.set(single_amount="9.99")
        self.assertEqual([self.house.pay(self.card, cents).code for cents in (1000, 999)], ["61", "00"])
        self.set(week_days="6,7")
        self.assertEqual(self.house.pay(self.card, 100).code, "57")

    def test_a_shop_has_its_limit(self) -> None:
        """A limit at a shop has the company's currency and names each shop once; nonsense sets nothing."""
        for text in ("*:1.5/2", "BISTRO", "BISTRO:1.00", "BISTRO:1.00/x", "BI STRO:1.00/1", "*:1.00/1;*:2.00/1"):
            answer = self.house.order("POLICY-SET", company="ACME", valid_from="2026-12-01", shop_limits=text)
            self.assertIn(answer.code, {RefusalCode.AMOUNT, RefusalCode.ARGUMENTS}, text)
        for text in ("2026-02-30", "christmas", "2026-12-25,"):
            answer = self.house.order("POLICY-SET", company="ACME", valid_from="2026-12-01", holidays=text)
            self.assertEqual(answer.code, RefusalCode.ARGUMENTS, text)
        self.set(shop_limits="*:10.00/none")
        self.assertEqual([self.house.pay(self.card, cents).code for cents in (1000, 1)], ["00", "61"])

    def test_places(self) -> None:
        """A shop's place is set, taken away, and refused where it is none; a policy then looks at distances."""
        self.assertIn(
            "is at 40.41678,-3.70379", self.house.done("SHOP-PLACE", shop="S1", place="40.41678,-3.70379").text
        )
        self.set(travel_speed="300")
        self.assertEqual(self.house.pay(self.card, 100).code, "00")
        self.house.done("SHOP-PLACE", shop="S1", place="-33.8688,151.2093")
        answer = self.house.pay(self.card, 100)
        self.assertEqual(answer.code, "34")
        self.assertIn("0 minutes before, the card paid at S1, 176", self.house.done("EXPLAIN", rrn=answer.rrn).text)
        self.assertIn("has no place", self.house.done("SHOP-PLACE", shop="S1", place="none").text)
        self.assertEqual(self.house.pay(self.card, 100).code, "00")
        for text in ("91,0", "0,181", "48.8566", "north,south", "1.123456,0"):
            answer = self.house.order("SHOP-PLACE", shop="S1", place=text)
            self.assertEqual(answer.code, RefusalCode.ARGUMENTS)

    def test_purses(self) -> None:
        """A purse is opened by its first refill, pays as the policy says, and is seen in all reports."""
        self.house.done("REFILL", company="ACME", employee="E1", amount="5.00", purse="snack")
        self.set(purses="SNACK:5812;MAIN", split_purses="yes")
        answer = self.house.pay(self.card, 800)
        self.assertEqual((answer.code, answer.details), ("00", {"purses": "SNACK:5.00,MAIN:3.00"}))
        rows = self.house.done("BALANCES", company="ACME").rows
        self.assertEqual((rows[0]["balance"], rows[0]["other-purses"]), ("97.00", "SNACK:0.00"))
        self.assertNotIn("other-purses", rows[1])
        self.house.done("REFILL", company="ACME", employee="E1", amount="2.50", purse="SNACK")
        rows = self.house.done("BALANCES", company="ACME").rows
        self.assertEqual(rows[0]["other-purses"], "SNACK:2.50")
        [company] = self.house.done("BALANCES").rows
        self.assertEqual(company["purses"], "299.50")
        text = self.house.done("EXPLAIN", rrn=answer.rrn).text
        self.assertIn("SNACK 5.00 USD, MAIN 3.00 USD", text)
        kinds = [
            row["amount"] for row in self.house.done("TRANSACTIONS", kind="refill", company="ACME", employee="E1").rows
        ]
        self.assertEqual(kinds, ["2.50", "5.00", "100.00"])
        answer = self.house.order("REFILL", company="ACME", amount="1.00", purse="SNACK", expires="2027-01-01")
        self.assertEqual(answer.code, RefusalCode.ARGUMENTS)
        for text in ("A:58", "A;A", ";", "A B"):
            answer = self.house.order("POLICY-SET", company="ACME", valid_from="2026-12-01", purses=text)
            self.assertEqual(answer.code, RefusalCode.ARGUMENTS)

    def test_a_policy_of_the_future_waits(self) -> None:
        """A policy begins at midnight where the company is, not where the backend is."""
        self.set("2026-11-21", week_days="1-7", single_amount="1.00")
        self.assertEqual(self.house.pay(self.card, 1000).code, "00")
        self.house.clock.advance(timedelta(hours=10, minutes=59))
        self.assertEqual(self.house.pay(self.card, 1000).code, "00", "23:59 in Madrid")
        self.house.clock.advance(timedelta(minutes=1))
        self.assertEqual(self.house.pay(self.card, 1000).code, "61", "midnight in Madrid, 23:00 UTC")
        states = [(row["valid-from"], row["in-force"]) for row in self.house.done("POLICY-SHOW", company="ACME").rows]
        self.assertEqual(states, [("2026-11-21", "yes"), ("2000-01-01", "no")])

    def test_the_past_is_not_rewritten(self) -> None:
        """A policy cannot begin before today, in the company's time zone: old answers stay explained."""
        answer = self.house.order("POLICY-SET", company="ACME", valid_from="2026-11-19", daily_amount="1.00")
        self.assertEqual((answer.code, answer.text), (RefusalCode.STATE, "A policy cannot begin in the past."))

    def test_a_new_policy_starts_from_the_one_in_force_then(self) -> None:
        """A policy inherits from the one in force on its first day, not from a later one."""
        self.set("2026-11-20", daily_count="3")
        self.set("2026-12-24", daily_count="1")
        self.assertEqual(self.set("2026-12-01", single_amount="5.00")["daily-count"], "3")
        self.assertEqual(self.set("2026-12-31", single_amount="5.00")["daily-count"], "1")
        self.assertEqual(len(self.house.done("POLICY-SHOW", company="ACME").rows), 5)

    def test_a_company_without_any(self) -> None:
        """Where no policy holds on its first day a new one starts from the rules for meals."""
        with self.house.ledger.order(self.house.clock.now()) as unit:
            unit.connection.exec_driver_sql("DELETE FROM policy")
        row = self.set(daily_count="1")
        self.assertEqual((row["daily-count"], row["week-days"], row["time-zone"]), ("1", "1,2,3,4,5", "Europe/Madrid"))

    def test_amounts_are_of_the_companys_currency(self) -> None:
        """A limit with the wrong decimals is refused and nothing is set."""
        for name in ("daily_amount", "single_amount", "pin_above", "weekly_amount", "monthly_amount", "floor_limit"):
            fields = {name: "1.5"}
            answer = self.house.order("POLICY-SET", company="ACME", valid_from="2026-12-01", **fields)
            self.assertEqual(answer.code, RefusalCode.AMOUNT)
        self.assertEqual(len(self.house.done("POLICY-SHOW", company="ACME").rows), 1)

    def test_nonsense_is_refused(self) -> None:
        """Hours that no purchase can fall into are refused with their field, and nothing is set."""
        for fields in ({"opens": "12:00", "closes": "12:00"}, {"opens": "24:00"}):
            answer = self.house.order("POLICY-SET", company="ACME", valid_from="2026-12-01", **fields)
            self.assertEqual(answer.code, RefusalCode.ARGUMENTS)
            self.assertRegex(answer.text, "opens|closes")
        self.assertEqual(len(self.house.done("POLICY-SHOW", company="ACME").rows), 1)
