"""What a terminal says, repeats and takes back."""

from __future__ import annotations

from twisted.trial import unittest

from tests.device.acting import (
    NUMBER,
    PIN,
    TERMINAL,
    TERMS,
    TRACK2,
    KeptSession,
    SeededEntropy,
    Stage,
    SteppedClock,
    encode_pin,
    order,
    result,
)
from trus.device.journal import Asked, MemoryJournal, Totals
from trus.device.orders import BalanceOrder, PinOrder, Reference, RefundOrder
from trus.device.requests import TRANSITIONS, Event, OutOfOrder, Phase, Request
from trus.device.terminal import Terminal
from trus.money import AmountError
from trus.protocol.messages import Kind, Message
from trus.values import BusinessDate, Identity, Result, TerminalId


class Paying(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.stage = Stage()
        self.stage.connect()

    def test_approved(self) -> None:
        """TR-2: a purchase is asked for once, answered once, and its dialogue completed."""
        key, asked = self.stage.buy()
        self.assertEqual(asked.head, "COMMAND PROCESS")
        wanted = {"stan": "000001", "date": "2026-11-20", "amount": "12.50", "currency": "USD", "track2": TRACK2}
        self.assertEqual(wanted, {name: asked.fields[name] for name in wanted})
        self.assertNotIn("repeat", asked.fields)
        said = self.stage.hear(result(asked.dialogue, approval="A1B2C3", rrn="632500000042", text="THANK YOU"))
        self.assertEqual([(line.head, line.dialogue) for line in said], [("INFO COMPLETE", asked.dialogue)])
        [finished] = self.stage.finished
        self.assertEqual(finished.key, key)
        self.assertTrue(finished.answer.approved)
        self.assertEqual((finished.answer.amount, finished.answer.text), (1250, "THANK YOU"))
        self.assertEqual(self.stage.journal.memory.totals, Totals(1, 1250))
        self.assertEqual(self.stage.terminal.unfinished, 0)

    def test_declined(self) -> None:
        """A refusal is final: nothing is repeated, nothing is taken back."""
        _, asked = self.stage.buy()
        self.stage.hear(result(asked.dialogue, "declined", "51"))
        self.assertEqual(self.stage.finished[0].answer.code, "51")
        self.assertEqual(self.stage.wait(3600)[0].head, "COMMAND ECHO")
        self.assertEqual(self.stage.terminal.unfinished, 0)

    def test_partial(self) -> None:
        """A part is accepted only when the purchase welcomed one."""
        _, asked = self.stage.buy(partial=True)
        self.assertEqual(asked.fields["partial"], "yes")
        self.stage.hear(result(asked.dialogue, "partial", "10", amount="5.00", currency="USD"))
        answer = self.stage.finished[0].answer
        self.assertEqual((answer.result, answer.amount), (Result.PARTIAL, 500))

    def test_balance(self) -> None:
        """A balance enquiry shows what the purse holds, and moves nothing."""
        self.stage.terminal.balance(BalanceOrder(TRACK2, PIN))
        [asked] = self.stage.drain()
        self.assertEqual(asked.head, "COMMAND BALANCE")
        self.stage.hear(result(asked.dialogue, balance="87.50", currency="USD"))
        self.assertEqual(self.stage.finished[0].answer.balance, 8750)
        self.assertEqual(self.stage.journal.memory.totals, Totals())

    def test_nonsense_amounts(self) -> None:
        """A purchase of nothing, of too much or in an unknown currency is never asked for."""
        for amount, currency in ((0, "USD"), (-1, "USD"), (10**12, "USD"), (1, "XXX")):
            with self.assertRaises(AmountError):
                self.stage.terminal.purchase(type(order())(amount, currency, TRACK2))
        self.assertEqual(self.stage.drain(), [])

    def test_two_requests_never_share_an_identity(self) -> None:
        """Pipelined purchases have trace numbers and rids of their own."""
        for _ in range(3):
            self.stage.terminal.purchase(order())
        said = self.stage.drain()
        self.assertEqual([line.fields["stan"] for line in said], ["000001", "000002", "000003"])
        self.assertEqual(len({line.fields["rid"] for line in said}), 3)
        self.assertEqual(len({line.dialogue for line in said}), 3)

    def test_begins_anywhere(self) -> None:
        """A terminal whose journal was lost does not use the numbers again that it used that day."""
        first = set()
        for seed in range(1, 9):
            terminal = Terminal(
                TerminalId("T0000001"),
                journal=MemoryJournal(),
                clock=SteppedClock(),
                entropy=SeededEntropy(seed),
                encode_pin=encode_pin,
            )
            session = KeptSession()
            terminal.opened(session.sealed(), TERMS)
            for _ in range(2):
                terminal.purchase(order())
            terminal.drain()
            numbers = [int(said.fields["stan"]) for said in session.said]
            self.assertEqual(numbers[1], numbers[0] + 1)
            first.add(numbers[0])
        self.assertEqual(len(first), 8)

    def test_limit(self) -> None:
        """No more dialogues are open at once than the backend allows; the rest waits its turn."""
        for _ in range(10):
            self.stage.terminal.purchase(order())
        said = self.stage.drain()
        self.assertEqual(len(said), TERMS.max_dialogues)
        said = self.stage.hear(result(said[0].dialogue))
        self.assertEqual([line.head for line in said], ["INFO COMPLETE", "COMMAND PROCESS"])

    def test_business_date(self) -> None:
        """The date comes from the backend alone; a request keeps its own when it is repeated."""
        _, first = self.stage.buy()
        self.stage.hear(Message(Kind.INFO, "DAY", {"date": "2026-11-21"}))
        _, second = self.stage.buy()
        self.assertEqual(second.fields["date"], "2026-11-21")
        self.stage.disconnect()
        again = self.stage.connect(TERMS._replace(business_date="2026-11-22"))
        self.assertEqual([line.fields["date"] for line in again], ["2026-11-20", "2026-11-21"])
        self.assertEqual([line.fields["rid"] for line in again], [first.fields["rid"], second.fields["rid"]])

    def test_no_date(self) -> None:
        """A backend that announces no business date is not asked anything."""
        stage = Stage()
        stage.connect(TERMS._replace(business_date=""))
        stage.terminal.purchase(order())
        self.assertEqual(stage.drain(), [])
        self.assertEqual(stage.hung_up, ["no-date"])


class Pins(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.stage = Stage()
        self.stage.connect()

    def want_pin(self, dialogue: str, **fields: str) -> Message:
        return Message(Kind.COMMAND, "PRESENT-PIN", fields, None, dialogue)

    def test_known(self) -> None:
        """A PIN that was entered already goes with the purchase: one round trip."""
        _, asked = self.stage.buy()
        self.assertEqual(asked.fields["format"], "4")
        self.assertNotIn(PIN, asked.fields["pin"])

    def test_asked(self) -> None:
        """When the backend asks for the PIN, the cardholder is asked, then it is presented."""
        key, asked = self.stage.buy(pin=None)
        self.assertNotIn("pin", asked.fields)
        self.assertEqual(self.stage.hear(self.want_pin(asked.dialogue)), [])
        self.assertEqual(self.stage.asked[0], (key, None))
        self.stage.terminal.present_pin(key, PIN)
        [said] = self.stage.drain()
        self.assertEqual((said.head, said.dialogue), ("DATA PIN-BLOCK", asked.dialogue))
        self.stage.hear(result(asked.dialogue))
        self.assertTrue(self.stage.finished[0].answer.approved)

    def test_wrong_then_right(self) -> None:
        """After a wrong PIN the cardholder sees the tries left and may enter another."""
        key, asked = self.stage.buy()
        self.stage.hear(self.want_pin(asked.dialogue, tries="2"))
        self.assertEqual(self.stage.asked[0], (key, 2))
        self.stage.terminal.present_pin(key, "0815")
        self.assertEqual(self.stage.drain()[0].head, "DATA PIN-BLOCK")

    def test_cancelled(self) -> None:
        """A cardholder who gives up pays nothing: the purchase is taken back."""
        key, asked = self.stage.buy(pin=None)
        self.stage.hear(self.want_pin(asked.dialogue))
        self.stage.terminal.present_pin(key, None)
        said = self.stage.drain()
        self.assertEqual([line.head for line in said], ["INFO ERROR", "COMMAND REVERSE"])
        self.assertEqual(said[1].fields["original-rid"], asked.fields["rid"])
        self.assertFalse(self.stage.finished[0].answer.approved)

    def test_pinpad_deadline(self) -> None:
        """A cardholder who does not answer at the pinpad pays nothing."""
        _, asked = self.stage.buy(pin=None)
        self.stage.hear(self.want_pin(asked.dialogue))
        said = self.stage.wait(61)
        self.assertIn("COMMAND REVERSE", [line.head for line in said])

    def test_entered_while_away(self) -> None:
        """A PIN entered while the connection was lost is not asked for again."""
        key, asked = self.stage.buy(pin=None)
        self.stage.hear(self.want_pin(asked.dialogue))
        self.stage.disconnect()
        [again] = self.stage.connect()
        self.assertNotIn("pin", again.fields)
        self.stage.terminal.present_pin(key, PIN)
        self.assertEqual(self.stage.drain(), [])
        [said] = self.stage.hear(self.want_pin(again.dialogue))
        self.assertEqual(said.head, "DATA PIN-BLOCK")
        self.assertEqual(len(self.stage.asked), 1)

    def test_goes_with_the_repetition(self) -> None:
        """A PIN entered before the connection is back goes with the repeated purchase."""
        key, asked = self.stage.buy(pin=None)
        self.stage.hear(self.want_pin(asked.dialogue))
        self.stage.disconnect()
        self.stage.terminal.present_pin(key, PIN)
        [again] = self.stage.connect()
        self.assertIn("pin", again.fields)

    def test_stray(self) -> None:
        """A PIN asked for in no dialogue, or in one without a card, asks nobody."""
        reference = Reference(Identity(TerminalId("T0000001"), TERMS.business_date, 9), bytes(16), 5, "USD")  # type: ignore[arg-type]
        self.stage.terminal.reverse(reference)
        [asked] = self.stage.drain()
        self.stage.hear(self.want_pin(asked.dialogue))
        self.stage.hear(self.want_pin("c77"))
        self.stage.terminal.present_pin(4711, PIN)
        self.assertEqual(self.stage.asked, [])


class Phases(unittest.SynchronousTestCase):
    def test_every_transition(self) -> None:
        """Every step that is not in the table is refused and changes nothing."""
        for phase in Phase:
            for event in Event:
                request = Request(1, Asked.PURCHASE, 0.0, order=order(), pin=PIN, phase=phase)
                following = TRANSITIONS.get((phase, event))
                if following is None:
                    with self.assertRaises(OutOfOrder):
                        request.happen(event)
                    self.assertIs(request.phase, phase)
                else:
                    request.happen(event)
                    self.assertIs(request.phase, following)

    def test_forgets(self) -> None:
        """A settled request holds no stripe and no PIN any more, and never shows them."""
        request = Request(1, Asked.PURCHASE, 0.0, order=order(), pin=PIN)
        self.assertNotIn(PIN, repr(request).replace("1250", ""))
        self.assertNotIn(NUMBER, repr(request))
        request.happen(Event.SETTLE)
        self.assertIsNone(request.order)
        self.assertIsNone(request.pin)

    def test_redacted(self) -> None:
        """An order shows neither stripe nor PIN."""
        for shown in (repr(order()), str(order()), repr(BalanceOrder(TRACK2, PIN))):
            self.assertNotIn(NUMBER, shown)
            self.assertNotIn(PIN, shown)

    def test_jitter(self) -> None:
        """Two terminals that lost the network together do not come back together."""
        moments = set()
        for seed in range(20):
            terminal = Terminal(
                TerminalId("T0000001"),
                journal=MemoryJournal(),
                clock=SteppedClock(),
                entropy=SeededEntropy(seed),
                encode_pin=encode_pin,
            )
            terminal.purchase(order())
            moments.add(terminal.deadline())
        self.assertGreater(len(moments), 15)
        self.assertTrue(all(1030 <= (moment or 0) <= 1037.5 for moment in moments))


class Refunding(unittest.SynchronousTestCase):
    def test_refund(self) -> None:
        """A refund names its purchase and no card; unanswered, it is taken back like a purchase."""
        stage = Stage()
        stage.connect()
        stage.terminal.refund(RefundOrder(500, "USD", "632500000042"))
        [asked] = stage.drain()
        self.assertEqual((asked.head, asked.fields["original-rrn"]), ("COMMAND REFUND", "632500000042"))
        self.assertNotIn("track2", asked.fields)
        stage.hear(result(asked.dialogue, "declined", "40"))
        self.assertEqual(stage.finished[0].answer.code, "40")
        stage.terminal.refund(RefundOrder(500, "USD", "632500000042"))
        [asked] = stage.drain()
        said = stage.hear(result(asked.dialogue, "declined", "96"))
        self.assertEqual(said[-1].head, "COMMAND REVERSE")

    def test_refund_of_own_purchase(self) -> None:
        """A refund of a purchase that this terminal made names it by number, date and rid too."""
        stage = Stage()
        stage.connect()
        original = Reference(Identity(TERMINAL, BusinessDate("2026-11-20"), 7), bytes(16), 1250, "USD")
        stage.terminal.refund(RefundOrder(500, "USD", "632500000042", original))
        [asked] = stage.drain()
        self.assertEqual((asked.fields["original-stan"], asked.fields["original-date"]), ("000007", "2026-11-20"))
        self.assertEqual(asked.fields["original-rid"], "A" * 22)

    def test_totals(self) -> None:
        """Refunds that were approved, and the money that a reversal gave back, are in the batch's totals."""
        stage = Stage()
        stage.connect()
        stage.terminal.refund(RefundOrder(500, "USD", "632500000042"))
        [asked] = stage.drain()
        stage.hear(result(asked.dialogue, rrn="632500000043"))
        stage.terminal.purchase(order(1000))
        [asked] = [said for said in stage.drain() if said.head == "COMMAND PROCESS"]
        stage.hear(result(asked.dialogue, approval="A1B2C3"))
        reference = stage.finished[-1].answer.reference
        assert reference is not None
        stage.terminal.reverse(reference)
        [asked] = [said for said in stage.drain() if said.head == "COMMAND REVERSE"]
        stage.hear(result(asked.dialogue, "reversed", amount="6.00", currency="USD"))
        stage.terminal.close_batch()
        [asked] = [said for said in stage.drain() if said.head == "COMMAND CLOSE-BATCH"]
        told = {name: asked.fields[name] for name in asked.fields if name.endswith(("count", "amount"))}
        self.assertEqual(
            told,
            {
                "purchase-count": "1",
                "purchase-amount": "10.00",
                "reversal-count": "1",
                "reversal-amount": "6.00",
                "refund-count": "1",
                "refund-amount": "5.00",
                "void-count": "0",
                "void-amount": "0.00",
                "completion-count": "0",
                "completion-amount": "0.00",
            },
        )

    def test_pre_authorization(self) -> None:
        """Money is set aside like a purchase, and taken back when nobody answers; it counts in no total."""
        stage = Stage()
        stage.connect()
        stage.terminal.hold(order(1000))
        [asked] = stage.drain()
        self.assertEqual((asked.head, asked.fields["amount"]), ("COMMAND PRE-AUTHORIZE", "10.00"))
        stage.hear(result(asked.dialogue, approval="A1B2C3", rrn="632500000042"))
        self.assertEqual(stage.finished[-1].answer.amount, 1000)
        self.assertEqual(stage.journal.memory.totals, Totals())
        stage.terminal.hold(order(1000))
        [asked] = [said for said in stage.drain() if said.head == "COMMAND PRE-AUTHORIZE"]
        self.assertEqual(stage.hear(result(asked.dialogue, "declined", "96"))[-1].head, "COMMAND REVERSE")

    def test_advice(self) -> None:
        """A purchase made off-line is told without PIN until it is answered, and counts as a purchase."""
        stage = Stage()
        stage.connect()
        stage.terminal.advise(order(1000, pin=None))
        [asked] = stage.drain()
        self.assertEqual((asked.head, "pin" in asked.fields), ("COMMAND ADVISE", False))
        stage.hear(result(asked.dialogue, "declined", "91"))
        stage.clock.advance(10)
        stage.terminal.tick()
        [again] = [said for said in stage.drain() if said.head == "COMMAND ADVISE"]
        self.assertEqual((again.fields["stan"], again.fields["repeat"]), (asked.fields["stan"], "yes"))
        stage.hear(result(again.dialogue, approval="A1B2C3"))
        self.assertEqual(stage.journal.memory.totals, Totals(1, 1000))

    def test_change_of_pin(self) -> None:
        """Another PIN is asked for with both blocks, is not taken back, and leaves no PIN in the journal."""
        stage = Stage()
        stage.connect()
        stage.terminal.change_pin(PinOrder(TRACK2, "4711", "7391"))
        [asked] = stage.drain()
        self.assertEqual(asked.head, "COMMAND CHANGE-PIN")
        self.assertNotEqual(asked.fields["pin"], asked.fields["new-pin"])
        self.assertNotIn("7391", repr(stage.journal.memory.unfinished))
        self.assertNotIn("7391", repr(PinOrder(TRACK2, "4711", "7391")))
        stage.hear(result(asked.dialogue, "declined", "96"))
        self.assertEqual((stage.finished[0].answer.code, stage.terminal.unfinished), ("96", 0))

    def test_completion(self) -> None:
        """A completion and a release name their pre-authorization, and are repeated, also after a restart."""
        stage = Stage()
        stage.connect()
        stage.terminal.capture(RefundOrder(700, "USD", "632500000042"))
        stage.terminal.release(RefundOrder(0, "USD", "632500000043"))
        stage.drain()
        stage.start()
        again = {said.head: said for said in stage.connect()}
        capture, release = again["COMMAND CAPTURE"], again["COMMAND RELEASE"]
        self.assertEqual((capture.fields["original-rrn"], capture.fields["amount"]), ("632500000042", "7.00"))
        self.assertEqual(release.fields["original-rrn"], "632500000043")
        self.assertNotIn("amount", release.fields)
        stage.hear(result(capture.dialogue, amount="7.00", currency="USD"))
        stage.hear(result(release.dialogue, amount="0.00", currency="USD"))
        totals = stage.journal.memory.totals
        self.assertEqual((totals.completion_count, totals.completion_amount), (1, 700))
        self.assertEqual(len(stage.journal.memory.unfinished), 0)

    def test_void(self) -> None:
        """A void names its purchase, is repeated until it is answered, and counts once it is approved."""
        stage = Stage()
        stage.connect()
        stage.terminal.purchase(order(1000))
        [asked] = stage.drain()
        stage.hear(result(asked.dialogue, approval="A1B2C3"))
        reference = stage.finished[-1].answer.reference
        assert reference is not None
        stage.terminal.void(reference, "cashier")
        [void] = [said for said in stage.drain() if said.head == "COMMAND VOID"]
        self.assertEqual((void.fields["amount"], void.fields["reason"]), ("10.00", "cashier"))
        stage.start()
        [again] = [said for said in stage.connect() if said.head == "COMMAND VOID"]
        self.assertEqual((again.fields["stan"], again.fields["repeat"]), (void.fields["stan"], "yes"))
        stage.hear(result(again.dialogue, amount="10.00", currency="USD"))
        totals = stage.journal.memory.totals
        self.assertEqual((totals.void_count, totals.void_amount), (1, 1000))
        self.assertEqual(stage.journal.memory.purchases, {})

    def test_signed_off(self) -> None:
        """A terminal that signed off asks nothing but reversals until it signs on, with the date that it is told."""
        stage = Stage()
        stage.connect()
        stage.terminal.sign(on=False)
        [off] = stage.drain()
        stage.hear(Message(Kind.INFO, "SIGNED-OFF", {}, None, off.dialogue))
        stage.terminal.purchase(order(1000))
        self.assertEqual(stage.drain(), [])
        stage.terminal.sign(on=True)
        [on] = stage.drain()
        said = stage.hear(Message(Kind.INFO, "SIGNED-ON", {"date": "2026-11-21"}, None, on.dialogue))
        self.assertEqual([(each.head, each.fields["date"]) for each in said], [("COMMAND PROCESS", "2026-11-21")])
