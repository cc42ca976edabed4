"""Lists of a batch's items and of differences about them, on a line."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from trus.protocol.batches import (
    difference_lists,
    format_item,
    item_lists,
    parse_differences,
    parse_item,
    parse_items,
)
from trus.protocol.errors import ErrorCode, RemoteProtocolError
from trus.protocol.fields import MAX_DIFFERENCES_A_LINE, MAX_ITEMS_A_LINE
from trus.values import BatchItem, BusinessDate, Difference, ItemKind, ItemState, Why

DATE = BusinessDate("2026-11-20")
ITEM = BatchItem(DATE, 42, ItemKind.PURCHASE, ItemState.STANDS, 1250, "632400000009")
WIRE = "000042:2026-11-20:purchase:stands:12.50:632400000009"


def numbered(count: int) -> list[BatchItem]:
    return [
        BatchItem(DATE, number, ItemKind.REFUND, ItemState.VOIDED, number, "632400000009") for number in range(count)
    ]


class ItemTests(SynchronousTestCase):
    def test_form(self) -> None:
        """TR-19: An item stands on the line as trace number, date, kind, state, amount and retrieval reference."""
        self.assertEqual(format_item(ITEM, "USD"), WIRE)
        self.assertEqual(parse_item(WIRE, "USD"), ITEM)

    def test_every_kind_and_state(self) -> None:
        """Whatever a terminal can have in a batch, in any currency's decimals, comes back as it was."""
        for kind, state, currency in product(ItemKind, ItemState, ("USD", "JPY", "KWD")):
            item = BatchItem(DATE, 999_999, kind, state, 1250, "ABCDEF123456")
            self.assertEqual(parse_item(format_item(item, currency), currency), item)

    def test_what_is_no_item(self) -> None:
        """A part too few or too many, a kind or state that nobody knows, other digits: a bad field, never a guess."""
        for text in (
            "",
            WIRE.rpartition(":")[0],
            f"{WIRE}:1",
            WIRE.replace("purchase", "gift"),
            WIRE.replace("stands", "lost"),
            WIRE.replace("2026-11-20", "20.11.2026"),
            WIRE.replace("000042", "٠٠٠٠٤٢"),
            WIRE.replace("12.50", "-12.50"),
            f"{WIRE}\n",
        ):
            error = self.assertRaises(RemoteProtocolError, parse_item, text, "USD")
            self.assertEqual((error.code, error.detail), (ErrorCode.BAD_FIELD, "items"), text)

    def test_decimals_are_the_currencys(self) -> None:
        """An item whose amount has other decimals than its currency is refused."""
        error = self.assertRaises(RemoteProtocolError, parse_item, WIRE, "JPY")
        self.assertEqual((error.code, error.detail), (ErrorCode.BAD_FIELD, "amount"))

    def test_lists_fit_their_lines(self) -> None:
        """A long batch goes out in lines of at most 64 items, in order, none left out or said twice."""
        for count in (0, 1, MAX_ITEMS_A_LINE, MAX_ITEMS_A_LINE + 1, 3 * MAX_ITEMS_A_LINE):
            items = numbered(count)
            lines = [parse_items(line, "USD") for line in item_lists(items, "USD")]
            self.assertEqual([item for line in lines for item in line], items)
            self.assertEqual([len(line) for line in lines[:-1]], [MAX_ITEMS_A_LINE] * (len(lines) - 1))
            self.assertTrue(all(0 < len(line) <= MAX_ITEMS_A_LINE for line in lines))


class DifferenceTests(SynchronousTestCase):
    def test_form(self) -> None:
        """A difference says how, and what the terminal and the backend have; "-" is a side that has nothing."""
        cheaper = BatchItem(DATE, 42, ItemKind.PURCHASE, ItemState.STANDS, 1200, "632400000009")
        text = f"amount/{WIRE}/{WIRE.replace('12.50', '12.00')},missing-at-host/{WIRE}/-,missing-at-terminal/-/{WIRE}"
        self.assertEqual(
            parse_differences(text, "USD"),
            (
                Difference(Why.AMOUNT, ITEM, cheaper),
                Difference(Why.MISSING_AT_HOST, ITEM, None),
                Difference(Why.MISSING_AT_TERMINAL, None, ITEM),
            ),
        )

    def test_every_word(self) -> None:
        """Each way in which two sides can differ has its word on the line."""
        for why in Why:
            self.assertEqual(parse_differences(f"{why.value}/-/-", "USD"), (Difference(why, None, None),))

    def test_what_is_no_difference(self) -> None:
        """A side too few or too many, or a word that nobody knows, is a bad field."""
        for text in ("", "kind", f"kind/{WIRE}", "kind/-/-/-", "colour/-/-", "kind/-/gift", "kind/-/-,", "kind/-/-\n"):
            error = self.assertRaises(RemoteProtocolError, parse_differences, text, "USD")
            self.assertEqual((error.code, error.detail), (ErrorCode.BAD_FIELD, "differences"), text)

    def test_lists_fit_their_lines(self) -> None:
        """A long list of differences is cut into lines of at most 24, in order; of none there is no line."""
        for count in (0, 1, MAX_DIFFERENCES_A_LINE, MAX_DIFFERENCES_A_LINE + 1):
            listed = ",".join(f"kind/{format_item(item, 'USD')}/-" for item in numbered(count))
            lines = list(difference_lists(listed))
            self.assertEqual(",".join(lines), listed)
            self.assertEqual(len(lines), -(-count // MAX_DIFFERENCES_A_LINE))
            self.assertTrue(all(len(parse_differences(line, "USD")) <= MAX_DIFFERENCES_A_LINE for line in lines))
