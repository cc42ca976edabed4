"""What was sold off-line is told, also by a terminal that was switched off before anybody answered."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial import unittest

from tests.device.acting import TERMS, TRACK2, Stage, order, result
from trus.cards.sealed import StripeKeys, binding
from trus.device.journal import FileJournal, Totals
from trus.protocol.fields import parse_octets
from trus.values import BusinessDate, Identity, TerminalId

KEYS = StripeKeys(lambda: [bytes(range(1, 33))])
LATER = StripeKeys(lambda: [bytes(range(2, 34))])
TOLD = TERMS._replace(advice_key=KEYS.public)


class Advices(unittest.SynchronousTestCase):
    """Store and forward over a journal in a file."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "journal"
        self.stage = Stage(self.journal())

    def journal(self) -> FileJournal:
        made = FileJournal(self.path)
        self.addCleanup(lambda: made._broken or made.close())
        return made

    def power_cut(self) -> None:
        """Switch the terminal off and on: what is not in the file is gone."""
        self.stage.disconnect()
        assert isinstance(self.stage.journal, FileJournal)
        self.stage.journal.close()
        self.stage.journal = self.journal()
        self.stage.start()

    def test_told_after_power_off(self) -> None:
        """An advice that was said and not answered is said again after a restart, under its name, sealed as it was."""
        self.stage.connect(TOLD)
        self.stage.terminal.advise(order(1000, pin=None))
        [asked] = self.stage.drain()
        self.assertEqual(("track2" in asked.fields, "repeat" in asked.fields), (False, False))
        self.power_cut()
        [again] = self.stage.connect(TOLD)
        self.assertEqual((again.head, again.fields), ("COMMAND ADVISE", {**asked.fields, "repeat": "yes"}))
        self.stage.hear(result(again.dialogue, approval="A1B2C3"))
        self.assertEqual(self.stage.journal.memory.totals, Totals(1, 1000))
        self.power_cut()
        self.assertEqual((self.stage.connect(TOLD), self.stage.terminal.unfinished), ([], 0))

    def test_opens_at_the_backend(self) -> None:
        """What is said opens with the backend's key for this request alone."""
        self.stage.connect(TOLD)
        self.stage.terminal.advise(order(1000, pin=None))
        [asked] = self.stage.drain()
        said = asked.fields
        identity = Identity(TerminalId("T0000001"), BusinessDate(said["date"]), int(said["stan"]))
        bound = binding(identity, parse_octets(said["rid"]), 1000, "USD", int(said["read"]))
        opened = KEYS.open(parse_octets(said["stripe"]), bound)
        assert opened is not None
        self.assertEqual(opened.text, TRACK2)

    def test_sold_without_a_connection(self) -> None:
        """A sale while nothing answers is in the journal at once, and told after a restart under its own day."""
        self.stage.connect(TOLD)
        self.stage.disconnect()
        self.stage.terminal.advise(order(700, pin=None))
        self.assertEqual(self.stage.drain(), [])
        self.power_cut()
        [asked] = self.stage.connect(TOLD._replace(business_date="2026-11-21"))
        self.assertEqual((asked.fields["date"], asked.fields["amount"]), ("2026-11-20", "7.00"))

    def test_no_stripe_in_the_journal(self) -> None:
        """No octet of the stripe is ever in the file, nor in the request that waits, nor is a PIN."""
        self.stage.connect(TOLD)
        for _ in range(3):
            self.stage.terminal.advise(order(700, pin=None))
        self.stage.terminal.purchase(order())
        self.stage.drain()
        self.power_cut()
        self.stage.connect(TOLD)
        written = self.path.read_bytes()
        for part in (TRACK2[:6], TRACK2[-6:], TRACK2, "4711"):
            self.assertNotIn(part.encode(), written.replace(b"T0000001", b""))
        self.assertIn(b'"sealed":"', written)
        waiting = [each for each in self.stage.terminal._book if each.asked == "advice"]
        self.assertEqual([each.order for each in waiting], [None] * 3)

    def test_before_a_key_was_told(self) -> None:
        """A backend that tells no key gets the stripe as it is; after a restart such a sale stays the shop's own."""
        self.stage.connect()
        self.stage.terminal.advise(order(700, pin=None))
        [asked] = self.stage.drain()
        self.assertEqual((asked.fields["track2"], "stripe" in asked.fields), (TRACK2, False))
        self.power_cut()
        self.assertEqual((self.stage.connect(TOLD), self.stage.terminal.unfinished), ([], 0))

    def test_keys_change(self) -> None:
        """Another key that is told is kept and used from then on; what was sealed before stays as it was."""
        self.stage.connect(TOLD)
        self.stage.terminal.advise(order(700, pin=None))
        [first] = self.stage.drain()
        self.stage.disconnect()
        self.stage.connect(TERMS._replace(advice_key=LATER.public))
        self.power_cut()
        self.assertEqual(self.stage.journal.memory.advice_key, LATER.public.hex())
        self.stage.terminal.advise(order(800, pin=None))
        [again, second] = self.stage.connect()
        self.assertEqual(again.fields["stripe"], first.fields["stripe"])
        self.assertNotEqual(second.fields["stripe"][:10], first.fields["stripe"][:10])
        self.assertEqual(self.stage.journal.memory.summary().advice_key, LATER.public.hex())
