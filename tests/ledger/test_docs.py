"""The ledger's pages say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.core.upkeep import HEAD_SECONDS
from trus.ledger.chain import CHAINED, PERSONAL, UNSTATED
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL
from trus.ledger.days import first_event, rrn_prefix
from trus.ledger.engine import CACHE_KIBIBYTES, HMAC_ALGORITHM, PAGE_BYTES
from trus.ledger.findings import Check
from trus.ledger.posting import FLOORED, AccountKind
from trus.ledger.store import UNITS_A_CHECKPOINT
from trus.ledger.tables import metadata
from trus.ledger.unit import LEASED_NUMBERS
from trus.receipts.documents import CONTEXT, HeadDocument
from trus.receipts.links import STATED

DOCS = Path(__file__).resolve().parents[2] / "docs"


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table whose heading line begins with `heading`."""
    lines = text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {heading}"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


class ReferenceCase(SynchronousTestCase):
    """docs/reference/ledger.md."""

    def setUp(self) -> None:
        self.page = (DOCS / "reference" / "ledger.md").read_text("utf-8")

    def test_tables(self) -> None:
        """Every table and every column is on the page, in the order of the schema, and no other."""
        shown = {row[0].strip("`"): re.findall(r"`(\w+)`", row[2]) for row in rows(self.page, "table |")}
        self.assertEqual(
            shown, {name: [each.name for each in table.columns] for name, table in metadata.tables.items()}
        )

    def test_accounts(self) -> None:
        """Every kind of account, and whether it has a floor."""
        shown = {row[0].strip("`"): row[2] == "0" for row in rows(self.page, "kind | whose")}
        self.assertEqual(shown, {kind.value: kind in FLOORED for kind in AccountKind})

    def test_chain(self) -> None:
        """The canonical encoding's columns, in their order."""
        blocks = (("chained", CHAINED), ("stated", STATED), ("unstated", UNSTATED), ("personal", PERSONAL))
        for mark, columns in blocks:
            block = self.page.split(f"<!-- {mark} -->")[1].split("<!-- end -->")[0]
            self.assertEqual(tuple(re.findall(r"`(\w+)`", block)), columns)

    def test_checks(self) -> None:
        """Every check of the audit, in the order in which they are made."""
        self.assertEqual([row[0] for row in rows(self.page, "check |")], [check.value for check in Check])

    def test_heads(self) -> None:
        """Every field of a signed head, and what the signature begins with."""
        shown = [row[0].strip("`") for row in rows(self.page, "field | holds")]
        self.assertEqual(tuple(shown), HeadDocument.__struct_fields__)
        self.assertIn(f"`{CONTEXT[:-1].decode()}`, a zero byte", self.page)
        self.assertEqual(HEAD_SECONDS, 60.0)
        self.assertIn("Once a minute", self.page)

    def test_figures(self) -> None:
        """Sizes, labels and numbers are those of the program."""
        self.assertEqual((PAGE_BYTES, HMAC_ALGORITHM, CACHE_KIBIBYTES), (2048, "HMAC_SHA256", 64 * 1024))
        settings = {row[0]: row[1] for row in rows(self.page, "setting |")}
        self.assertEqual(settings["page size"], f"{PAGE_BYTES} bytes")
        self.assertEqual(settings["checkpoints"], f"every {UNITS_A_CHECKPOINT} units of work, between batches")
        for label in (FILE_KEY_LABEL, LOOKUP_KEY_LABEL, FIELD_KEY_LABEL):
            self.assertIn(f"`{label}`", self.page)
            self.assertIn(f"`{label}`", (DOCS / "reference" / "keys.md").read_text("utf-8"))
        self.assertEqual(LEASED_NUMBERS, 1000)
        event_id, rrn = first_event("2026-11-20") + 42, rrn_prefix("2026-11-20") + "00000042"
        self.assertIn(f"event `{event_id}` of 2026-11-20 has `{rrn}`", self.page)

    def test_known_answer(self) -> None:
        """The known answer on the page is the one that the chain's own test computes."""
        test = (Path(__file__).parent / "test_chain.py").read_text("utf-8")
        answers = re.findall(r"^    (?:commitment|link) +([0-9a-f]{64})$", self.page, re.MULTILINE)
        self.assertEqual(len(answers), 3)
        for answer in answers:
            self.assertIn(answer, test)


class ExplanationCase(SynchronousTestCase):
    """docs/explanation/double-entry.md."""

    def test_examples_balance(self) -> None:
        """The entries of every example sum to zero."""
        page = (DOCS / "explanation" / "double-entry.md").read_text("utf-8")
        examples = page.split("| account | amount |")[1:]
        self.assertEqual(len(examples), 3)
        for example in examples:
            table = example.split("\n\n")[0]
            amounts = [int(text.replace(".", "")) for text in re.findall(r"([+-][0-9]+\.[0-9]{2}) \|", table)]
            self.assertEqual(sum(amounts), 0)
            self.assertGreater(len(amounts), 1)
