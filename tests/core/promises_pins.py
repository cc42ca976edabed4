"""What the pipeline promises about changing a PIN, on whatever ledger."""

from __future__ import annotations

import msgspec

from tests.core.promises import ADA
from tests.core.promises_refunds import RefundCase
from tests.core.tills import pin_block
from trus.auth.model import State
from trus.hsm.ports import KeyPurpose
from trus.values import BusinessDate, PinMaterial

replace = msgspec.structs.replace


class PinPromises(RefundCase):
    """Promises about the cardholder's own change of the PIN."""

    def test_changed(self) -> None:
        """After a change the new PIN pays and the old one is wrong; the tries are whole, and nothing moved."""
        self.codes(self.till.purchase(self.ada, pin="0000"))
        answer = self.bank.outcome(self.till.change_pin(self.ada, "7391"))
        self.assertEqual((answer.result, answer.code, answer.balance), ("approved", "00", None))
        self.assertEqual(self.world.tries("CARD000000A1"), 3)
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["55"])
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100, pin="7391")), ["00"])
        line = self.world.journal()[1]
        self.assertEqual((line.kind, line.moved, line.rule), ("pin-change", 0, "pin-changed"))

    def test_one_batch(self) -> None:
        """What follows a change in its batch is checked against the new PIN, what came before against the old."""
        batch = [
            self.till.purchase(self.ada, 100),
            self.till.change_pin(self.ada, "7391"),
            self.till.purchase(self.ada, 100),
            self.till.purchase(self.ada, 100, pin="7391"),
            self.till.change_pin(self.ada, "8264", pin="7391"),
            self.till.purchase(self.ada, 100, pin="8264"),
        ]
        self.assertEqual(self.codes(*batch), ["00", "00", "55", "00", "00", "00"])

    def test_wrong(self) -> None:
        """A wrong old PIN takes a try and changes nothing; the third one locks the card."""
        batch = [self.till.change_pin(self.ada, "7391", pin="0000") for _ in range(4)]
        self.assertEqual(self.codes(*batch), ["55", "55", "55", "75"])
        self.assertEqual(self.codes(self.till.change_pin(self.ada, "7391")), ["75"])
        self.assertEqual(self.codes(self.till.purchase(self.ada_too, 100)), ["00"])

    def test_repeated(self) -> None:
        """A change repeated answers the same, takes no try and changes nothing again."""
        change = self.till.change_pin(self.ada, "7391")
        first = self.bank.outcome(change)
        self.assertEqual(self.bank.outcome(replace(change, repeat=True)), first)
        self.assertEqual(self.world.tries("CARD000000A1"), 3)
        self.assertEqual(len(self.world.journal()), 1)

    def test_simple(self) -> None:
        """A PIN that thieves try first is refused: runs, one digit, pairs, the card's last digits, the PIN before."""
        last = self.ada.number.digits[-4:]
        for simple in ("0000", "1234", "8901", "4321", "1212", "343434", last, self.ada.pin):
            answer = self.bank.outcome(self.till.change_pin(self.ada, simple))
            self.assertEqual((answer.code, answer.text), ("12", "PIN too simple: choose another"), simple)
        self.assertEqual(self.world.tries("CARD000000A1"), 3)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["00"])

    def test_unusable(self) -> None:
        """A block that does not open, of the old PIN or the new one, changes nothing and takes no try: 88."""
        broken = PinMaterial(bytes(range(16)), bytes(16))
        self.assertEqual(self.codes(self.till.change_pin(self.ada, "7391", new_pin=broken)), ["88"])
        change = replace(self.till.change_pin(self.ada, "7391"), pin=broken)
        self.assertEqual(self.codes(change), ["88"])
        other = pin_block("7391", self.bob.number)
        self.assertEqual(self.codes(self.till.change_pin(self.ada, "7391", new_pin=other)), ["88"])
        self.assertEqual(self.world.tries("CARD000000A1"), 3)

    def test_refused(self) -> None:
        """A made-up stripe, a blocked card and an old business date change nothing."""
        self.assertEqual(self.codes(self.till.change_pin(self.ada, "7391", track2=self.ada.forged())), ["14"])
        self.assertEqual(self.codes(self.till.change_pin(self.ada, "7391", date=BusinessDate("2026-11-18"))), ["12"])
        self.world.set_state("card", "CARD000000A1", State.BLOCKED)
        self.assertEqual(self.codes(self.till.change_pin(self.ada, "7391")), ["62"])
        self.world.set_state("card", "CARD000000A1", State.ACTIVE)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["00"])

    def test_newest_key(self) -> None:
        """A changed PIN is kept under the newest version of K_PIN, whichever the old one was under."""
        self.bank.keys.generate("K_PIN", KeyPurpose.PIN)
        self.bank.start()
        self.assertEqual(self.codes(self.till.change_pin(self.ada, "7391")), ["00"])
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100, pin="7391")), ["00"])
        self.assertEqual(self.codes(self.till.purchase(self.bob, 100)), ["00"])

    def test_no_pin_in_sight(self) -> None:
        """Neither PIN nor stripe is shown by a change, or stored by it in the clear."""
        change = self.till.change_pin(self.ada, "739182")
        self.assertEqual(self.codes(change), ["00"])
        for secret in ("739182", self.ada.track.text):
            self.assertNotIn(secret, repr(change))
            self.assertNotIn(secret.encode(), self.world.journal_bytes())
