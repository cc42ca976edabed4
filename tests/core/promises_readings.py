"""What the pipeline promises about stripes that no reader read, on whatever ledger."""

from __future__ import annotations

from tests.core.promises import PipelineCase
from trus.auth.model import State
from trus.auth.watching import WatchLimits
from trus.core.messages import PinWanted

EVE, PAM = ("STRICT", "EVE"), ("NOTING", "PAM")
LIMITS = WatchLimits()


class ReadingPromises(PipelineCase):
    """TR-5: a stripe that was kept cannot be played again through the terminal that read it."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_company("STRICT", stripe_reads="refuse")
        self.world.add_company("NOTING", stripe_reads="note")
        for who in (EVE, PAM):
            self.world.add_employee(*who, balance=10_000)
        self.eve = self.bank.issue(*EVE, card="CARD000000E1")
        self.pam = self.bank.issue(*PAM, card="CARD000000F1")
        self.number = int(self.world.clock.now().timestamp())

    def test_played_again(self) -> None:
        """A number that was used gets 34 under another identity, also within a batch; its own repeat does not."""
        paid = self.till.purchase(self.eve, 100, read=self.number)
        self.assertEqual(self.codes(paid, self.till.purchase(self.eve, 100, read=self.number)), ["00", "34"])
        self.assertEqual(self.codes(paid), ["00"], "a repeat is the same request")
        again = [
            self.till.purchase(self.eve, 100, read=self.number),
            self.till.hold(self.eve, 100, read=self.number),
            self.till.balance(self.eve, self.eve.pin, read=self.number),
            self.till.change_pin(self.eve, "8642", read=self.number),
        ]
        self.assertEqual(self.codes(*again), ["34"] * 4)
        self.assertEqual(self.world.purse(*EVE).balance, 9_900)
        self.assertEqual([line.rule for line in self.world.journal()], ["approved"] + ["stripe-read"] * 5)
        self.assertEqual(self.codes(self.till.change_pin(self.eve, "8642", read=self.number + 1)), ["00"])

    def test_restart(self) -> None:
        """What was read is known after the backend was started again."""
        self.assertEqual(self.codes(self.till.purchase(self.eve, 100, read=self.number)), ["00"])
        self.bank.start()
        self.assertEqual(self.codes(self.till.purchase(self.eve, 100, read=self.number)), ["34"])

    def test_pin_wanted(self) -> None:
        """The PIN that is presented later belongs to the same reading."""
        asked = self.till.purchase(self.eve, 100, read=self.number, pin=None)
        self.assertIsInstance(self.bank.handle(asked)[0], PinWanted)
        self.assertEqual(
            self.codes(self.till.purchase(self.eve, 100, read=self.number, identity=asked.identity)), ["00"]
        )

    def test_sold_off_line(self) -> None:
        """An advice is noted and taken over: the goods are gone."""
        told = [self.till.advise(self.eve, 100, read=self.number) for _ in range(2)]
        self.assertEqual(self.codes(*told), ["00", "00"])
        self.assertEqual([line.figures.get("reading") for line in self.world.journal()], [None, "used before"])
        self.assertEqual(self.codes(self.till.purchase(self.eve, 100, read=self.number)), ["34"])
        over = self.till.advise(self.eve, 900_000, read=self.number)
        self.assertEqual(self.codes(over), ["61"])
        self.assertEqual(self.world.journal()[-1].figures["reading"], "used before")

    def test_blocked(self) -> None:
        """A terminal that plays stripes again is slowed down and then blocked; lifted, it cannot begin anew."""
        codes = []
        for _ in range(60):
            codes += self.codes(self.till.purchase(self.pam, 1, read=self.number))
            self.world.clock.advance(seconds=LIMITS.longest_wait)
        self.assertEqual(set(codes[:30]), {"00"}, "slowly it may")
        self.assertEqual(codes[-1], "58")
        self.assertEqual(self.world.terminal_state("T0000001"), State.BLOCKED)
        self.world.set_state("terminal", "T0000001", State.ACTIVE)
        self.assertEqual(self.codes(self.till.purchase(self.eve, 1, read=self.number)), ["34"])
        self.assertEqual(self.codes(self.till.purchase(self.eve, 1, read=self.number + 1)), ["00"])

    def test_left_out(self) -> None:
        """A terminal without numbers is noted once it had given some, and is not blocked for it."""
        self.assertEqual(self.codes(self.till.purchase(self.pam, 1)), ["00"])
        self.assertEqual(self.codes(self.till.purchase(self.pam, 1, read=self.number)), ["00"])
        self.assertEqual(self.codes(*[self.till.purchase(self.pam, 1) for _ in range(30)]), ["00"] * 30)
        self.assertEqual(self.world.journal()[-1].figures["reading"], "not numbered")

    def test_others(self) -> None:
        """Cards of other companies are not looked at."""
        self.assertEqual(
            self.codes(*[self.till.purchase(self.ada, 10, read=self.number) for _ in range(2)]), ["00"] * 2
        )
