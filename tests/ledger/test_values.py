"""Look-up keys, ciphered fields, and event numbers."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import CountedEntropy
from trus.clock import SystemEntropy
from trus.ledger.days import (
    candidates,
    day_of,
    days_before,
    first_event,
    microseconds,
    moment,
    next_day,
    rrn_prefix,
)
from trus.ledger.lookup import CardLookup, FieldCipher, FieldUnreadable

KEY, OTHER = b"k" * 32, b"o" * 32
DAYS = st.dates(date(2020, 1, 1), date(2060, 12, 31))


class LookupCase(SynchronousTestCase):
    """TR-13: cards are found without their numbers being stored in the clear."""

    def test_card_key(self) -> None:
        """A card's key is the first 16 bytes of HMAC-SHA256 over its number, under a key of its own."""
        expected = hmac.new(KEY, b"9999990000000017", hashlib.sha256).digest()[:16]
        self.assertEqual(CardLookup(KEY).card_key("9999990000000017"), expected)
        self.assertNotEqual(CardLookup(OTHER).card_key("9999990000000017"), expected)

    def test_redacted(self) -> None:
        """Neither look-up nor cipher shows its key."""
        for shown in (repr(CardLookup(KEY)), repr(FieldCipher({1: KEY, 2: OTHER}, CountedEntropy()))):
            self.assertIn("redacted", shown)
            self.assertNotIn("kkk", shown)

    def test_keys_are_checked(self) -> None:
        """Keys of another size, and versions that do not fit a byte, are refused."""
        self.assertRaises(ValueError, CardLookup, b"short")
        for keys in ({}, {0: KEY}, {256: KEY}, {1: b"short"}):
            self.assertRaises(ValueError, FieldCipher, keys, CountedEntropy())
        self.assertRaises(ValueError, FieldCipher, {1: KEY}, CountedEntropy(), 2)


class CipherCase(SynchronousTestCase):
    """TR-13: single fields are ciphered too, bound to their place."""

    def setUp(self) -> None:
        self.cipher = FieldCipher({1: KEY}, SystemEntropy())

    @given(text=st.text(), row=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
    def test_round_trip(self, text: str, row: str) -> None:
        """Any name in any script comes back as it was; two seals of one text differ."""
        sealed = self.cipher.seal(text, table="employee", column="name", row=row)
        self.assertEqual(self.cipher.open(sealed, table="employee", column="name", row=row), text)
        self.assertNotEqual(self.cipher.seal(text, table="employee", column="name", row=row), sealed)
        self.assertEqual(len(sealed), 1 + 12 + len(text.encode()) + 16)

    def test_moved(self) -> None:
        """A field moved to another table, column or row, altered anywhere, or cut, does not open."""
        sealed = self.cipher.seal("Ada", table="employee", column="name", row="E1")
        for table, column, row in (("card", "name", "E1"), ("employee", "pan", "E1"), ("employee", "name", "E2")):
            self.assertRaises(FieldUnreadable, self.cipher.open, sealed, table=table, column=column, row=row)
        for place in range(len(sealed)):
            altered = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
            self.assertRaises(FieldUnreadable, self.cipher.open, altered, table="employee", column="name", row="E1")
            self.assertRaises(
                FieldUnreadable, self.cipher.open, sealed[:place], table="employee", column="name", row="E1"
            )

    def test_versions(self) -> None:
        """After a key change new fields take the new key and old ones still open; a retired key is told."""
        old = self.cipher.seal("Ada", table="t", column="c", row="r")
        both = FieldCipher({1: KEY, 2: OTHER}, SystemEntropy())
        new = both.seal("Ada", table="t", column="c", row="r")
        self.assertEqual((old[0], new[0]), (1, 2))
        self.assertEqual(both.open(old, table="t", column="c", row="r"), "Ada")
        failure = self.assertRaises(FieldUnreadable, self.cipher.open, new, table="t", column="c", row="r")
        self.assertIn("key version 2", str(failure))

    def test_places_cannot_run_together(self) -> None:
        """A place with a zero byte is refused: no two places share their associated data."""
        self.assertRaises(ValueError, self.cipher.seal, "x", table="a\0b", column="c", row="d")


class NumbersCase(SynchronousTestCase):
    """Event ids, reference numbers, and dates."""

    @given(day=DAYS, number=st.integers(1, 10**8 - 1), later=st.integers(0, 300))
    def test_reference_finds_event(self, day: date, number: int, later: int) -> None:
        """ISO 8583 field 37: a reference number leads back to its event, that of the last ten years first."""
        event_id = first_event(day.isoformat()) + number
        rrn = rrn_prefix(day.isoformat()) + f"{number:08d}"
        self.assertEqual(len(rrn), 12)
        self.assertEqual(day_of(event_id), day.isoformat())
        found = candidates(rrn, (day + timedelta(days=later)).isoformat())
        self.assertEqual(found[0], event_id)
        self.assertEqual(sorted(found, reverse=True), list(found))

    def test_no_reference(self) -> None:
        """A text that is no reference number leads nowhere."""
        for text in (
            "",
            "63240000001",
            "6324000000011",
            "63240000000x",
            "632٤00000001",
            "600000000001",
            "639900000001",
        ):
            self.assertEqual(candidates(text, "2026-11-20"), (), text)

    @given(at=st.integers(0, 2**53))
    def test_moments(self, at: int) -> None:
        """Moments are kept to the microsecond."""
        self.assertEqual(microseconds(moment(at)), at)
        self.assertEqual(moment(at), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at))

    def test_days(self) -> None:
        """Calendar days over the ends of months and years."""
        self.assertEqual(next_day("2026-12-31"), "2027-01-01")
        self.assertEqual(next_day("2028-02-28"), "2028-02-29")
        self.assertEqual(days_before("2026-01-05", 31), "2025-12-05")
        self.assertEqual(rrn_prefix("2026-11-20"), "6324")
