"""A terminal numbers the readings of its stripe reader, and says the number with whatever bears a stripe."""

from __future__ import annotations

from twisted.trial import unittest

from tests.device.acting import TRACK2, Stage, order
from trus.device.orders import BalanceOrder, PinOrder


class Readings(unittest.SynchronousTestCase):
    """TR-5: a stripe that was kept is told from one that was read."""

    def test_every_reading(self) -> None:
        """Purchases, holds, advices, enquiries and changes of a PIN each have a number of their own, in their order."""
        stage = Stage()
        stage.connect()
        terminal = stage.terminal
        terminal.purchase(order())
        terminal.hold(order())
        terminal.advise(order(pin=None))
        terminal.balance(BalanceOrder(TRACK2, "4711"))
        terminal.change_pin(PinOrder(TRACK2, "4711", "7391"))
        numbers = [int(said.fields["read"]) for said in stage.drain()]
        first = int(stage.clock.now().timestamp()) + 1
        self.assertEqual(numbers, list(range(first, first + 5)))

    def test_said_again(self) -> None:
        """A repetition is the same reading; what shows no card has none."""
        stage = Stage()
        stage.connect()
        _, asked = stage.buy()
        stage.disconnect()
        [again] = stage.connect()
        self.assertEqual((again.fields["repeat"], again.fields["read"]), ("yes", asked.fields["read"]))
        stage.terminal.close_batch()
        self.assertNotIn("read", stage.drain()[-1].fields)

    def test_after_power_off(self) -> None:
        """After a restart numbers go on above all that were said."""
        stage = Stage()
        stage.connect()
        numbers = [int(stage.buy()[1].fields["read"]) for _ in range(3)]
        stage.clock.seconds = 0.0
        stage.start()
        stage.connect()
        self.assertEqual(int(stage.buy()[1].fields["read"]), numbers[-1] + 1)

    def test_the_readers_own(self) -> None:
        """A reader that numbers by itself is believed: a stripe that is played again comes with its old number."""
        stage = Stage()
        stage.connect()
        self.assertEqual([stage.buy(read=77)[1].fields["read"] for _ in range(2)], ["77", "77"])
