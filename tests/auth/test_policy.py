"""Policies start on their day, on the company's clocks, and nonsense is refused with its field."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import POLICY, policies
from trus.auth.policy import (
    MEAL_CATEGORIES,
    Policy,
    PolicyRefused,
    ShopLimit,
    check_policy,
    from_json,
    policy_at,
    to_json,
)


def policy(number: int, valid_from: str, time_zone: str = "UTC") -> Policy:
    return Policy(number, 5, valid_from, time_zone)


class InForce(SynchronousTestCase):
    def test_latest_that_started(self) -> None:
        """The policy in force is the last one that has started, in whatever order they are kept."""
        old, current, future = policy(1, "2026-01-01"), policy(2, "2026-11-20"), policy(3, "2026-12-01")
        for kept in ((old, current, future), (future, current, old)):
            self.assertEqual(policy_at(kept, datetime(2026, 11, 20, tzinfo=UTC)), current)
            self.assertEqual(policy_at(kept, datetime(2026, 11, 19, 23, 59, tzinfo=UTC)), old)
        self.assertIsNone(policy_at((old,), datetime(2025, 12, 31, tzinfo=UTC)))
        self.assertIsNone(policy_at((), datetime(2026, 11, 20, tzinfo=UTC)))

    def test_corrected(self) -> None:
        """Of two policies of one date the newer one counts."""
        self.assertEqual(
            policy_at((policy(1, "2026-01-01"), policy(2, "2026-01-01")), datetime(2026, 2, 1, tzinfo=UTC)),
            policy(2, "2026-01-01"),
        )

    def test_local_midnight(self) -> None:
        """A policy starts at midnight where the company is."""
        there = policy(1, "2026-11-20", "America/New_York")
        self.assertIsNone(policy_at((there,), datetime(2026, 11, 20, 4, 59, tzinfo=UTC)))
        self.assertEqual(policy_at((there,), datetime(2026, 11, 20, 5, 0, tzinfo=UTC)), there)

    def test_unknown_zone(self) -> None:
        """A policy whose time zone nobody knows never starts."""
        self.assertIsNone(policy_at((policy(1, "2026-01-01", "Mars/Base"),), datetime(2026, 11, 20, tzinfo=UTC)))


class Checked(SynchronousTestCase):
    def test_defaults(self) -> None:
        """A policy that says nothing pays for meals on working days, always with PIN."""
        plain = check_policy(policy(1, "2026-01-01"))
        self.assertEqual((plain.week_days, plain.categories, plain.pin_above), ((1, 2, 3, 4, 5), MEAL_CATEGORIES, 0))
        self.assertNotIn("5813", plain.categories)
        self.assertNotIn("5921", plain.categories)

    def test_every_problem_at_once(self) -> None:
        """All that is wrong is said at once, each with its field."""
        with self.assertRaises(PolicyRefused) as caught:
            check_policy(
                Policy(1, 5, "2026-02-30", "Nowhere", -1, -1, 10**12, (0, 1, 1), "24:00", "25:00", ("58",), -5)
            )
        self.assertEqual(
            [problem.split(":")[0] for problem in caught.exception.problems],
            [
                "valid_from",
                "time_zone",
                "daily_amount",
                "single_amount",
                "daily_count",
                "pin_above",
                "week_days",
                "opens",
                "closes",
                "categories",
            ],
        )

    def test_each_field(self) -> None:
        """Each nonsense value is refused by itself."""
        for field, value in (
            ("valid_from", "2026-1-1"),
            ("valid_from", "20260101"),
            ("time_zone", "../../etc/passwd"),
            ("time_zone", ""),
            ("week_days", (8,)),
            ("week_days", (1, 1)),
            ("opens", "7:00"),
            ("closes", "24:01"),
            ("closes", "00:00"),
            ("categories", ("58120",)),
            ("weekly_amount", -1),
            ("weekly_count", -1),
            ("monthly_amount", 10**12),
            ("monthly_count", -1),
            ("floor_limit", -1),
            ("velocity_count", -1),
            ("velocity_minutes", 0),
            ("velocity_minutes", 1441),
            ("travel_speed", -1),
            ("stripe_reads", "sometimes"),
            ("holidays", ("2026-02-30",)),
            ("holidays", ("2026-12-25",) * 65),
            ("shop_limits", (ShopLimit("bistro"),)),
            ("shop_limits", (ShopLimit("*", -1),)),
            ("shop_limits", (ShopLimit("*", 1, -1),)),
            ("shop_limits", (ShopLimit("*"), ShopLimit("*", 1))),
        ):
            wrong = msgspec.structs.replace(POLICY, **{field: value})
            with self.assertRaises(PolicyRefused) as caught:
                check_policy(wrong)
            self.assertEqual(len(caught.exception.problems), 1)
            self.assertTrue(caught.exception.problems[0].startswith(f"{field}:"))


class Json(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """What is exported is read again, field by field."""

        @given(policies)
        def holds(rules: Policy) -> None:
            try:
                check_policy(rules)
            except PolicyRefused:
                self.assertRaises(PolicyRefused, from_json, to_json(rules))
            else:
                self.assertEqual(from_json(to_json(rules), policy_id=1, company_id=5), rules)

        holds()

    def test_defaults(self) -> None:
        """A document that names its date alone is the default policy: the two never drift apart."""
        self.assertEqual(from_json('{"valid_from": "2026-01-01"}', policy_id=1, company_id=5), policy(1, "2026-01-01"))
        names = set(msgspec.json.decode(to_json(POLICY)))
        self.assertEqual(names - {"form"}, set(Policy.__struct_fields__) - {"policy_id", "company_id"})

    def test_refused(self) -> None:
        """Unknown fields, other versions, wrong types and broken documents are refused in words."""
        for text in (
            "",
            "[]",
            "{}",
            '{"valid_from": 1}',
            '{"valid_from": "2026-01-01", "colour": "blue"}',
            '{"valid_from": "2026-01-01", "form": 2}',
            '{"valid_from": "2026-01-01", "daily_amount": 1.5}',
            '{"valid_from": "yesterday"}',
        ):
            with self.assertRaises(PolicyRefused) as caught:
                from_json(text)
            self.assertTrue(str(caught.exception))
