"""What the pipeline promises about terminals that try cards out, on whatever ledger."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.core.promises import ADA, PipelineCase
from tests.core.tills import Till
from trus.auth.model import State
from trus.auth.watching import WatchLimits
from trus.core.messages import Failed, PinWanted
from trus.values import ResponseCode

replace = msgspec.structs.replace
LIMITS = WatchLimits()


class WatchPromises(PipelineCase):
    """TR-5: a thief with the bistro's terminal and Ada's card number, and cards of other people."""

    def forged(self, **changes: Any) -> Any:
        """Return a purchase with a made-up stripe."""
        return replace(self.till.purchase(self.ada, 100, **changes), track2=self.ada.forged())

    def rules(self) -> list[str]:
        """Return the rules of the journal."""
        return [line.rule for line in self.world.journal()]

    def sweep(self, count: int) -> list[str]:
        """Try so many verification values, as fast as the network checks them; return the codes."""
        codes = []
        for _ in range(count):
            codes += self.codes(self.forged())
            self.world.clock.advance(seconds=LIMITS.longest_wait)
        return codes

    def test_few_are_free(self) -> None:
        """A few wrong verification values slow nobody down, and are forgotten."""
        self.assertEqual(self.codes(*[self.forged() for _ in range(LIMITS.free_values)]), ["14"] * LIMITS.free_values)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["00"])
        self.world.clock.advance(seconds=LIMITS.forget_seconds * LIMITS.free_values)
        self.assertEqual(self.codes(*[self.forged() for _ in range(LIMITS.free_values)]), ["14"] * LIMITS.free_values)

    def test_slowed_down(self) -> None:
        """A terminal that tries more is not checked for a while, longer each time, whatever card it shows."""
        batch = [self.forged() for _ in range(LIMITS.free_values + 3)]
        self.assertEqual(self.codes(*batch), ["14"] * (LIMITS.free_values + 1) + ["05", "05"])
        right = self.till.purchase(self.ada, 100)
        answer = self.bank.outcome(right)
        self.assertEqual((answer.code, answer.text), ("05", "Too many bad cards: wait a few minutes"))
        self.assertEqual(self.rules()[-1], "terminal-slowed")
        self.world.clock.advance(seconds=2)
        self.assertEqual(self.codes(self.forged(), self.till.purchase(self.ada, 100)), ["14", "05"])
        self.world.clock.advance(seconds=3)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["05"])
        self.world.clock.advance(seconds=1)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100), right), ["00", "05"])
        self.assertEqual(
            self.codes(Till("T0000002", "LIQUOR").balance(self.ada, "1234")), ["00"], "others are not slowed"
        )

    def test_nothing_is_learned(self) -> None:
        """While a terminal is slowed down, right and wrong stripes, PINs and enquiries get one answer, and no try."""
        self.codes(*[self.forged() for _ in range(LIMITS.free_values + 1)])
        batch = [
            self.forged(),
            self.till.purchase(self.ada, 100),
            self.till.purchase(self.ada, 100, pin="0000"),
            self.till.balance(self.ada, "0000"),
            self.till.hold(self.ada, 100),
        ]
        answers = [replace(answer, rrn="") for answer in self.bank.handle(*batch)]  # type: ignore[arg-type]
        self.assertEqual({answer.code for answer in answers}, {"05"})
        self.assertEqual(len({msgspec.json.encode(replace(each, currency="", receipt=None)) for each in answers}), 1)
        self.assertEqual(self.world.tries("CARD000000A1"), 3)
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_blocked(self) -> None:
        """TR-20: a sweep of verification values ends with the terminal blocked, an alarm, and no way on."""
        codes = self.sweep(60)
        tried = codes.count("14")
        self.assertLess(tried, LIMITS.most_values * 2)
        self.assertEqual(codes[tried:], ["58"] * (60 - tried))
        self.assertEqual(self.world.terminal_state("T0000001"), State.BLOCKED)
        alarms = [line for line in self.world.journal() if line.kind == "alarm"]
        self.assertEqual([(line.rule, line.code, line.moved) for line in alarms], [("terminal-swept", "63", 0)])
        [(level, text)] = self.bank.notes
        self.assertEqual(level, "critical")
        self.assertRegex(text, r"alarm [0-9]{12}: terminal T0000001 of BISTRO is blocked after 20 wrong")
        self.assertNotIn(self.ada.number.digits, text)

    def test_one_batch(self) -> None:
        """A sweep inside one batch gets no further than one of single requests."""
        codes = self.codes(*[self.forged() for _ in range(200)])
        self.assertEqual(codes, ["14"] * (LIMITS.free_values + 1) + ["05"] * (199 - LIMITS.free_values))

    def test_lifted(self) -> None:
        """An admin lifts the block, and nothing is held against the terminal afterwards."""
        self.sweep(60)
        self.world.set_state("terminal", "T0000001", State.ACTIVE)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["00"])
        self.assertEqual(self.codes(*[self.forged() for _ in range(LIMITS.free_values)]), ["14"] * LIMITS.free_values)

    def test_blocked_takes_back(self) -> None:
        """A terminal that was blocked may still take its own unanswered requests back, and nothing else."""
        paid = self.till.purchase(self.ada, 100)
        answer = self.bank.outcome(paid)
        self.sweep(60)
        self.assertEqual(self.codes(self.till.refund(answer, 100), self.till.void(paid)), ["58", "58"])
        self.assertEqual(
            self.codes(self.till.reverse(paid), self.till.reverse(self.till.purchase(self.ada))), ["00", "00"]
        )
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_made_up_numbers(self) -> None:
        """Numbers of no card count like wrong verification values of one."""
        from trus.cards.numbers import compose_number

        made_up = [
            replace(self.till.purchase(self.ada, 100), track2=self.bank.make(compose_number(7_000 + each)).track)
            for each in range(LIMITS.free_values + 2)
        ]
        self.assertEqual(self.codes(*made_up), ["14"] * (LIMITS.free_values + 1) + ["05"])

    def test_wrong_pins_of_many_cards(self) -> None:
        """Wrong PINs of one card after the other slow a terminal down and then block it; the cards keep their tries."""
        self.world.add_company("CROWD")
        cards = []
        for number in range(LIMITS.most_cards + 5):
            self.world.add_employee("CROWD", f"E{number}", balance=1000)
            cards.append(self.bank.issue("CROWD", f"E{number}", card=f"CARD0000C{number:03d}"))
        codes = []
        for card in cards:
            codes += self.codes(self.till.purchase(card, 100, pin="0000"))
            self.world.clock.advance(seconds=LIMITS.longest_wait // 4)
            if codes[-1] == "05":
                break
        self.assertEqual(set(codes[: LIMITS.free_cards]), {"55"})
        self.assertEqual(codes[-1], "05")
        self.assertEqual(self.world.tries("CARD0000C000"), 2)

    def test_honest_mistakes(self) -> None:
        """One card's three wrong PINs count once, and right PINs of others forgive: a busy canteen is not slowed."""
        self.assertEqual(self.codes(*[self.till.purchase(self.bob, 1, pin="0000") for _ in range(3)]), ["55"] * 3)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["00"])
        self.world.add_company("CROWD")
        for number in range(60):
            self.world.add_employee("CROWD", f"E{number}", balance=1000)
            card = self.bank.issue("CROWD", f"E{number}", card=f"CARD0000C{number:03d}")
            wrong = number % 3 == 0
            expected = ["55", "00"] if wrong else ["00"]
            pins = ["0000", "1234"] if wrong else ["1234"]
            self.assertEqual(self.codes(*[self.till.purchase(card, 1, pin=pin) for pin in pins]), expected)

    def test_off_line(self) -> None:
        """Advices with made-up stripes count too; one that comes while the terminal is slowed is told to come again."""
        count = LIMITS.free_values + 1
        forged = [replace(self.till.advise(self.ada, 100), track2=self.ada.forged()) for _ in range(count)]
        self.assertEqual(self.codes(*forged), ["14"] * count)
        advice = self.till.advise(self.ada, 100)
        self.assertEqual(self.bank.one(advice), Failed(ResponseCode.ISSUER_UNAVAILABLE, "terminal-slowed"))
        self.world.clock.advance(seconds=LIMITS.longest_wait)
        self.assertEqual(self.codes(replace(advice, repeat=True)), ["00"])

    def test_range_swept_by_many(self) -> None:
        """A range that many terminals sweep, each below its own limit, raises an alarm; its cards then need a PIN."""
        self.world.add_company("FREE", pin_above=1000)
        self.world.add_employee("FREE", "FAY", balance=10_000)
        fay = self.bank.issue("FREE", "FAY", card="CARD000000F1")
        self.assertEqual(self.codes(self.till.purchase(fay, 100, pin=None)), ["00"])
        tills = []
        for number in range(7):
            self.world.add_terminal(f"SHOP{number}", f"T000010{number}", "5812")
            tills.append(Till(f"T000010{number}", f"SHOP{number}"))
        forged = [replace(till.purchase(self.ada, 1), track2=self.ada.forged()) for till in tills for _ in range(5)]
        self.assertEqual(self.codes(*forged), ["14"] * 35)
        self.assertEqual([line.rule for line in self.world.journal() if line.kind == "alarm"], ["range-swept"])
        [(level, text)] = self.bank.notes
        self.assertEqual(level, "critical")
        self.assertNotIn(self.ada.number.digits[:8], text)
        self.assertIsInstance(self.bank.one(self.till.purchase(fay, 100, pin=None)), PinWanted)
        self.assertEqual(self.codes(self.till.purchase(fay, 100)), ["00"])
        self.bank.start()
        self.assertIsInstance(self.bank.one(self.till.purchase(fay, 100, pin=None)), PinWanted, "after a restart")
        self.world.clock.advance(hours=4)
        self.assertEqual(self.codes(self.till.purchase(fay, 100, pin=None)), ["00"])

    def test_repeats(self) -> None:
        """A wrong try that is repeated is answered from what is stored, and counts once."""
        request = self.forged()
        self.assertEqual(self.codes(*[request] * 50), ["14"] * 50)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["00"])
