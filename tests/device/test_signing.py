"""A terminal signs off and on, whatever becomes of the backend's core meanwhile."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.device.acting import Said, Stage, order, result
from trus.device.effects import Effect, Signed
from trus.protocol.messages import Kind, Message


def signed(said: Said, *, on: bool) -> Message:
    """Answer SIGN-ON or SIGN-OFF."""
    return Message(Kind.INFO, "SIGNED-ON" if on else "SIGNED-OFF", {"date": "2026-11-21"}, None, said.dialogue)


def busy(said: Said) -> Message:
    """Say that the core is away."""
    return Message(Kind.INFO, "ERROR", {"code": "busy"}, None, said.dialogue)


class SigningTests(SynchronousTestCase):
    """SIGN-OFF and SIGN-ON."""

    def setUp(self) -> None:
        """Connect a terminal."""
        self.stage = Stage()
        self.stage.connect()
        self.heard: list[Effect] = []
        keep = self.stage._keep

        def keep_all(effects: list[Effect]) -> None:
            self.heard += effects
            keep(effects)

        self.stage._keep = keep_all  # type: ignore[method-assign]

    def signs(self, *, on: bool) -> list[Said]:
        """Order it; return what is said."""
        self.stage.terminal.sign(on=on)
        return self.stage.drain()

    def signed_off(self) -> None:
        """Sign the terminal off."""
        [off] = self.signs(on=False)
        self.stage.hear(signed(off, on=False))

    @property
    def told(self) -> list[bool]:
        """What the owner was told of signing."""
        return [effect.on for effect in self.heard if isinstance(effect, Signed)]

    def test_core_away(self) -> None:
        """A terminal that signs on while the core is away asks again, ever later, until it may sell again."""
        self.signed_off()
        [asked] = self.signs(on=True)
        waits = []
        for _ in range(7):
            self.assertEqual(self.stage.hear(busy(asked)), [])
            deadline = self.stage.terminal.deadline()
            assert deadline is not None
            waits.append(deadline - self.stage.clock.monotonic())
            self.assertEqual(self.stage.wait(waits[-1] - 0.01), [])
            [asked] = self.stage.wait(0.02)
            self.assertEqual(asked.head, "COMMAND SIGN-ON")
        timing = self.stage.timing
        for wait, least in zip(waits, (2, 4, 8, 16, 32, 60, 60), strict=True):
            self.assertTrue(least <= wait <= least * (1 + timing.jitter), waits)
        self.stage.terminal.advise(order(1000, None))
        self.assertEqual((self.stage.drain(), self.told), ([], [False]))
        [advice] = self.stage.hear(signed(asked, on=True))
        self.assertEqual((advice.head, self.told), ("COMMAND ADVISE", [False, True]))
        self.stage.hear(result(advice.dialogue))
        self.assertEqual(self.stage.terminal.unfinished, 0)

    def test_waits_without_a_clock(self) -> None:
        """What is to be said again while the terminal is signed off, or has no room, waits for an answer: no alarm is
        due at once, over and over."""
        self.stage.terminal.advise(order(1000, None))
        [advice] = self.stage.drain()
        self.stage.hear(result(advice.dialogue, outcome="declined", code="91"))
        self.signed_off()
        self.assertEqual(self.stage.wait(70), [])
        deadline = self.stage.terminal.deadline()
        assert deadline is not None
        self.assertGreater(deadline, self.stage.clock.monotonic())
        [on] = self.signs(on=True)
        self.assertEqual([each.head for each in self.stage.hear(signed(on, on=True))], ["COMMAND ADVISE"])

    def test_due_while_the_journal_was_synced(self) -> None:
        """What falls due while the journal's disk is at work is said at once afterwards."""
        self.stage.terminal.advise(order(1000, None))
        [advice] = self.stage.drain()
        self.stage.hear(result(advice.dialogue, outcome="declined", code="91"))
        deadline = self.stage.terminal.deadline()
        assert deadline is not None
        self.stage.clock.advance(deadline - self.stage.clock.monotonic() - 0.001)
        self.patch(self.stage.journal, "sync", lambda: self.stage.clock.advance(0.01))
        self.assertEqual(self.stage.drain(), [])
        self.assertEqual(self.stage.terminal.deadline(), deadline)
        self.assertEqual([each.head for each in self.stage.drain()], ["COMMAND ADVISE"])

    def test_nothing_after_sign_off(self) -> None:
        """What is ordered after the order to sign off is not said, so that no 58 ends it: it waits for SIGN-ON."""
        self.stage.terminal.sign(on=False)
        self.stage.terminal.advise(order(1000, None))
        [off] = self.stage.drain()
        self.assertEqual((off.head, self.stage.drain()), ("COMMAND SIGN-OFF", []))
        self.stage.hear(signed(off, on=False))
        [on] = self.signs(on=True)
        [advice] = self.stage.hear(signed(on, on=True))
        self.assertEqual(advice.head, "COMMAND ADVISE")

    def test_one_after_the_other(self) -> None:
        """Two cashiers' orders are said in their order: who signed off last is not signed on by the other's order."""
        self.signed_off()
        [on] = self.signs(on=True)
        self.assertEqual(self.signs(on=False), [])
        [again] = [said for _ in [self.stage.hear(busy(on))] for said in self.stage.wait(3)]
        [off] = self.stage.hear(signed(again, on=True))
        self.stage.terminal.purchase(order(1000))
        self.assertEqual((off.head, self.stage.drain()), ("COMMAND SIGN-OFF", []))
        self.stage.hear(signed(off, on=False))
        self.assertEqual((self.told, self.stage.drain()), ([False, True, False], []))

    def test_no_answer(self) -> None:
        """An order to sign that gets no answer at all ends the session; the next one begins signed on."""
        self.signed_off()
        self.signs(on=True)
        self.assertEqual((self.stage.wait(7.9), self.stage.hung_up), ([], []))
        self.stage.wait(2.2)
        self.assertEqual(self.stage.hung_up, ["no-answer"])
        self.stage.wait(0.1)
        self.assertEqual(self.stage.hung_up, ["no-answer"])
        self.stage.disconnect()
        self.assertEqual(self.stage.connect(), [])
        _, asked = self.stage.buy()
        self.assertEqual(asked.head, "COMMAND PROCESS")

    def test_stranger(self) -> None:
        """An answer in another dialogue, or to the other order, changes nothing."""
        [off] = self.signs(on=False)
        self.stage.hear(signed(off, on=True))
        self.stage.hear(signed(off._replace(dialogue="c77"), on=False))
        self.stage.hear(busy(off._replace(dialogue="c78")))
        self.assertEqual((self.told, self.stage.wait(3)), ([], []))
        self.stage.hear(signed(off, on=False))
        self.stage.hear(busy(off))
        self.assertEqual((self.told, self.stage.wait(3)), ([False], []))
