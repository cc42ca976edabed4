"""What the pipeline promises about purchases and enquiries, on whatever ledger.

A test case of a ledger inherits a class of promises and makes worlds: tests.core.test_pipeline in
memory, tests.core.test_pipeline_sql on SQLCipher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tests.core.tills import Bank, Till
from tests.core.worlds import Purse, World
from trus.auth.model import State
from trus.cards.numbers import compose_number
from trus.core.messages import Outcome, PinWanted, Refused
from trus.hsm.ports import KeyPurpose
from trus.values import BusinessDate, DeviceRole, PeerIdentity, PinMaterial, TrackTwo

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as Mixin
else:
    # Not a test case by itself: trial would run the promises without a world.
    Mixin = object

replace = msgspec.structs.replace
ADA = ("ACME", "ADA")


class PipelineCase(Mixin):
    """A bistro with one terminal, a company with two employees and three cards."""

    def make_world(self) -> World:
        """Return an empty world."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.world = world = self.make_world()
        world.add_company("ACME", daily_amount=4000, daily_count=4, single_amount=2500)
        world.add_employee(*ADA, balance=10_000)
        world.add_employee("ACME", "BOB", balance=1_000)
        world.add_terminal("BISTRO", "T0000001", "5812")
        world.add_terminal("LIQUOR", "T0000002", "5921")
        self.bank = Bank(world)
        self.ada = self.bank.issue(*ADA, card="CARD000000A1")
        self.ada_too = self.bank.issue(*ADA, card="CARD000000A2", pin="98765")
        self.bob = self.bank.issue("ACME", "BOB", card="CARD000000B1")
        self.till = Till()

    def codes(self, *requests: Any) -> list[str]:
        """Return the codes of a batch of outcomes."""
        return [answer.code for answer in self.bank.handle(*requests)]

    def assert_untouched(self) -> None:
        """Nothing was moved and nothing counted."""
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "", 0, 0))
        self.assertEqual(self.world.owed("BISTRO"), 0)
        self.assertEqual(self.world.tries("CARD000000A1"), 3)


class PurchasePromises(PipelineCase):
    """Promises about purchases that a terminal asks once."""

    def test_lunch(self) -> None:
        """TR-2: a lunch is paid: the purse has less, the shop is owed it, and the answer was stored first."""
        answer = self.bank.outcome(self.till.purchase(self.ada, 1250))
        self.assertEqual((answer.result, answer.code, answer.amount), ("approved", "00", 1250))
        self.assertRegex(answer.approval, r"\A[0-9A-Z]{6}\Z")
        self.assertRegex(answer.rrn, r"\A[0-9]{12}\Z")
        self.assertEqual((answer.currency, answer.text, answer.balance), ("USD", "Approved", None))
        self.assertEqual(self.world.purse(*ADA), Purse(8_750, "2026-11-20", 1250, 1))
        self.assertEqual(self.world.owed("BISTRO"), 1250)
        [line] = self.world.journal()
        self.assertEqual(
            (line.kind, line.terminal, line.stan, line.asked, line.moved, line.code, line.rule),
            ("purchase", "T0000001", 1, 1250, 1250, "00", "approved"),
        )

    def test_one_batch(self) -> None:
        """Purchases of one batch see each other: the last one finds what the others left."""
        batch = [self.till.purchase(self.bob, 400) for _ in range(3)]
        self.assertEqual(self.codes(*batch), ["00", "00", "51"])
        self.assertEqual(self.world.purse("ACME", "BOB"), Purse(200, "2026-11-20", 800, 2))
        self.assertEqual(self.world.owed("BISTRO"), 800)

    def test_one_purse(self) -> None:
        """Two cards of one employee draw on one purse and share the day's limits, also within a batch."""
        batch = [
            self.till.purchase(self.ada, 2400),
            self.till.purchase(self.ada_too, 1700),
            self.till.purchase(self.ada_too, 1600),
        ]
        self.assertEqual(self.codes(*batch), ["00", "61", "00"])
        self.assertEqual(self.world.purse(*ADA), Purse(6_000, "2026-11-20", 4000, 2))

    def test_daily_count(self) -> None:
        """The day's number of purchases holds across batches."""
        for code in ("00", "00", "00", "00", "65"):
            self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), [code])

    def test_next_day(self) -> None:
        """A new day on the company's clocks gives a new allowance."""
        self.assertEqual(
            self.codes(self.till.purchase(self.ada, 2500), self.till.purchase(self.ada, 2500)), ["00", "61"]
        )
        self.world.clock.advance(days=3)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 2500)), ["00"])
        self.assertEqual(self.world.purse(*ADA), Purse(5_000, "2026-11-23", 2500, 1))

    def test_partial(self) -> None:
        """Part of an amount is paid to a terminal that asked for that, and the answer says how much."""
        answer = self.bank.outcome(self.till.purchase(self.bob, 1250, partial=True))
        self.assertEqual((answer.result, answer.code, answer.amount), ("partial", "10", 1000))
        self.assertEqual(self.world.purse("ACME", "BOB").balance, 0)
        [line] = self.world.journal()
        self.assertEqual((line.asked, line.moved), (1250, 1000))

    def test_declines_are_kept(self) -> None:
        """A decline is stored with its rule, and moves nothing."""
        self.assertEqual(self.codes(Till("T0000002", "LIQUOR").purchase(self.ada)), ["57"])
        [line] = self.world.journal()
        self.assertEqual((line.result, line.code, line.rule, line.moved), ("declined", "57", "category", 0))
        self.assert_untouched()

    def test_blocked(self) -> None:
        """A card, employee, company, terminal or shop that is blocked pays nothing from the next batch on."""
        for kind, name, code in (
            ("card", "CARD000000A1", "62"),
            ("employee", "ACME/ADA", "62"),
            ("company", "ACME", "57"),
            ("terminal", "T0000001", "58"),
            ("shop", "BISTRO", "03"),
        ):
            self.world.set_state(kind, name, State.BLOCKED)
            self.assertEqual(self.codes(self.till.purchase(self.ada)), [code], kind)
            self.world.set_state(kind, name, State.ACTIVE)
        self.assert_untouched()

    def test_unknown_terminal(self) -> None:
        """A terminal with a good certificate that nobody registered sells nothing."""
        self.assertEqual(self.codes(Till("T0000009", "").purchase(self.ada)), ["58"])


class CardPromises(PipelineCase):
    """Promises about stripes and PINs."""

    def test_unknown_and_forged(self) -> None:
        """TR-5: an unknown card and a made-up stripe get the same answer, 14, and take no PIN try."""
        unknown = self.bank.make(compose_number(99))
        answers = self.bank.handle(
            self.till.purchase(unknown),
            self.till.purchase(self.ada, track=self.ada.forged()),
            self.till.purchase(self.ada, track=self.ada.forged(), pin="0000"),
            self.till.purchase(self.ada, track=self.ada.forged(), pin=None),
        )
        same = Outcome("declined", "14", currency="USD", text="Card not valid")
        self.assertEqual([replace(answer, rrn="", receipt=None) for answer in answers], [same] * 4)
        self.assertEqual([line.rule for line in self.world.journal()], ["card-not-genuine"] * 4)
        self.assert_untouched()

    def test_changed_stripe(self) -> None:
        """A stripe whose expiry or service code was changed is as good as a made-up one."""
        text = self.ada.track.text
        for wrong in (text.replace("=2912", "=3012"), text.replace("725", "727", 1), text[:-10], text + "0"):
            self.assertEqual(self.codes(self.till.purchase(self.ada, track=TrackTwo(wrong))), ["14"])

    def test_unreadable(self) -> None:
        """What is not a track 2 is a format error, whatever PIN comes with it."""
        for text in ("", "=", "9999", "%B9999000100000052^X/Y^2912725", "9" * 60):
            self.assertEqual(self.codes(self.till.purchase(self.ada, track=TrackTwo(text))), ["30"])
        self.assert_untouched()

    def test_pin_wanted(self) -> None:
        """Without a PIN one is asked for, nothing is stored, and the same request with PIN is then decided."""
        request = self.till.purchase(self.ada, pin=None)
        self.assertEqual(self.bank.one(request), PinWanted())
        self.assertEqual(self.world.journal(), [])
        with_pin = self.till.purchase(self.ada, identity=request.identity)
        self.assertEqual(self.codes(with_pin), ["00"])

    def test_both_in_one_batch(self) -> None:
        """A request without PIN and the same with PIN may meet in one batch."""
        request = self.till.purchase(self.ada, pin=None)
        wanted, answer = self.bank.handle(request, self.till.purchase(self.ada, identity=request.identity))
        self.assertEqual((wanted, answer.code), (PinWanted(), "00"))

    def test_wrong_pins_to_the_lock(self) -> None:
        """Wrong PINs count down to the lock, and then the right PIN is refused too: 55, 55, 55, 75."""
        answers = [self.bank.outcome(self.till.purchase(self.ada, pin="0000")) for _ in range(3)]
        self.assertEqual([(each.code, each.tries_left) for each in answers], [("55", 2), ("55", 1), ("55", 0)])
        self.assertEqual(self.world.tries("CARD000000A1"), 0)
        answer = self.bank.outcome(self.till.purchase(self.ada))
        self.assertEqual((answer.code, answer.tries_left), ("75", None))
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)
        self.assertEqual(self.codes(self.till.purchase(self.ada_too)), ["00"])

    def test_wrong_pins_in_one_batch(self) -> None:
        """Within one batch the tries advance in order: nobody gets more guesses by asking at once."""
        batch = [self.till.purchase(self.ada, pin=f"{guess:04d}") for guess in range(5)]
        self.assertEqual(self.codes(*batch, self.till.purchase(self.ada)), ["55", "55", "55", "75", "75", "75"])
        self.assertEqual(self.world.tries("CARD000000A1"), 0)

    def test_right_pin_gives_tries_back(self) -> None:
        """The right PIN in time gives all tries back, also where the purchase is declined."""
        self.codes(self.till.purchase(self.ada, pin="0000"), self.till.purchase(self.ada, pin="0000"))
        self.assertEqual(self.world.tries("CARD000000A1"), 1)
        self.assertEqual(self.bank.one(self.till.purchase(self.ada, pin=None)), PinWanted(1))
        self.assertEqual(self.codes(self.till.purchase(self.ada, 2501)), ["61"])
        self.assertEqual(self.world.tries("CARD000000A1"), 3)

    def test_repeat_costs_no_try(self) -> None:
        """A request repeated after a wrong PIN gets its stored answer, whatever PIN comes along; no try is taken."""
        request = self.till.purchase(self.ada, pin="0000")
        first = self.bank.outcome(request)
        again = self.till.purchase(self.ada, identity=request.identity, pin="1111", repeat=True)
        right = self.till.purchase(self.ada, identity=request.identity)
        self.assertEqual(self.bank.handle(request, again, right), [first] * 3)
        self.assertEqual(self.world.tries("CARD000000A1"), 2)

    def test_unusable_pin_block(self) -> None:
        """A PIN block that does not open takes no try: 88."""
        good = self.till.purchase(self.ada).pin
        assert good is not None
        for material in (
            PinMaterial(good.key, bytes(16)),
            PinMaterial(good.key, b""),
            PinMaterial(b"short", good.block),
            PinMaterial(bytes(16), good.block),
            self.till.purchase(self.bob).pin,
        ):
            self.assertEqual(self.codes(replace(self.till.purchase(self.ada), pin=material)), ["88"])
        self.assert_untouched()

    def test_no_pin_for_small_amounts(self) -> None:
        """A company may let small amounts pass without a PIN."""
        self.world.add_company("SNACK", pin_above=500)
        self.world.add_employee("SNACK", "EVE", balance=5000)
        eve = self.bank.issue("SNACK", "EVE", card="CARD000000E1")
        self.assertEqual(self.codes(self.till.purchase(eve, 500, pin=None)), ["00"])
        self.assertEqual(self.bank.one(self.till.purchase(eve, 501, pin=None)), PinWanted())

    def test_new_keys(self) -> None:
        """Cards and PINs of an older key version stay good when a new version is made."""
        self.bank.keys.generate("K_PIN", KeyPurpose.PIN)
        self.bank.keys.generate("K_CARD", KeyPurpose.CARD)
        self.bank.start()
        new = self.bank.issue("ACME", "BOB", card="CARD000000B2", pin="555555")
        batch = [self.till.purchase(card, 100) for card in (self.ada, new, self.bob)]
        wrong = [self.till.purchase(card, 100, pin="0000") for card in (self.ada, new)]
        forged = [self.till.purchase(new, track=new.forged())]
        self.assertEqual(self.codes(*batch, *wrong, *forged), ["00", "00", "00", "55", "55", "14"])

    def test_balance(self) -> None:
        """A balance enquiry needs the PIN, tells the purse, moves nothing and is stored."""
        self.assertEqual(self.bank.one(self.till.balance(self.ada)), PinWanted())
        request = self.till.balance(self.ada, "1234")
        answer = self.bank.outcome(request)
        self.assertEqual((answer.code, answer.balance, answer.currency, answer.amount), ("00", 10_000, "USD", None))
        self.codes(self.till.purchase(self.ada, 2500))
        self.assertEqual(self.bank.outcome(request), answer)
        self.assertEqual(self.bank.outcome(self.till.balance(self.ada, "1234")).balance, 7_500)
        wrong = self.bank.outcome(self.till.balance(self.ada, "0000"))
        self.assertEqual((wrong.code, wrong.balance, wrong.tries_left), ("55", None, 2))


class IdentityPromises(PipelineCase):
    """Promises about who asks, and how often."""

    def test_repeat(self) -> None:
        """A repeated purchase is paid once and answered the same, in a later batch or in the same one."""
        request = self.till.purchase(self.ada)
        first = self.bank.outcome(request)
        again = self.till.purchase(self.ada, identity=request.identity, repeat=True, pin=None)
        self.assertEqual(self.bank.handle(request, again), [first, first])
        twin = self.till.purchase(self.ada)
        one, two = self.bank.handle(twin, twin)
        self.assertEqual(one, two)
        self.assertEqual(self.world.purse(*ADA), Purse(7_500, "2026-11-20", 2500, 2))
        self.assertEqual(len(self.world.journal()), 2)

    def test_other_request_same_number(self) -> None:
        """Another request under a used number gets 94 and changes nothing, in whatever it differs."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        before = self.world.purse(*ADA)
        others = (
            replace(request, amount=1251),
            replace(request, currency="EUR"),
            replace(request, partial=True),
            replace(request, rid=bytes(16)),
            replace(request, track2=self.bob.track),
            self.till.balance(self.ada, "1234", identity=request.identity, rid=request.rid),
            self.till.close(0, 0, identity=request.identity, rid=request.rid),
        )
        self.assertEqual(self.codes(*others), ["94"] * len(others))
        self.assertEqual(self.world.purse(*ADA), before)
        self.assertEqual(len(self.world.journal()), 1)

    def test_same_number_of_two_terminals(self) -> None:
        """Two terminals number their requests each for itself."""
        self.assertEqual(
            self.codes(Till().purchase(self.ada), Till("T0000002", "LIQUOR").purchase(self.ada)), ["00", "57"]
        )

    def test_anothers_name(self) -> None:
        """TR-16: a request in another terminal's name, or from a holder that is no POS, is refused and not kept."""
        honest = self.till.purchase(self.ada)
        thief = PeerIdentity(DeviceRole.POS, "T0000002", "2f", "LIQUOR")
        phone = PeerIdentity(DeviceRole.CARD, "T0000001", "3f")
        moved = PeerIdentity(DeviceRole.POS, "T0000001", "1f", "LIQUOR")
        self.assertEqual(self.bank.one(replace(honest, peer=thief)), Refused("63", "terminal"))
        self.assertEqual(self.bank.one(replace(honest, peer=phone)), Refused("58", "role"))
        self.assertEqual(self.bank.one(replace(honest, peer=moved)), Refused("58", "shop"))
        self.assertEqual(self.world.journal(), [])

    def test_malformed_names(self) -> None:
        """A number outside field 11 and a rid of another length are refused and not kept."""
        honest = self.till.purchase(self.ada)
        for wrong in (
            replace(honest, rid=b"short"),
            replace(honest, identity=replace(honest.identity, stan=0)),
            replace(honest, identity=replace(honest.identity, stan=1_000_000)),
        ):
            self.assertEqual(self.bank.one(wrong), Refused("30", "identity"))
        self.assertEqual(self.world.journal(), [])

    def test_cut_over(self) -> None:
        """A new request may be of the open date or the one before; older ones get 12, which is kept."""
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["00"])
        self.world.advance_day()
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["00"])
        self.world.advance_day()
        late = self.till.purchase(self.ada, 100)
        answer = self.bank.outcome(late)
        self.assertEqual(answer.code, "12")
        self.assertEqual(self.bank.outcome(late), answer)
        self.assertEqual(self.world.journal()[-1].rule, "business-date")
        self.assertEqual(self.codes(self.till.balance(self.ada, "1234")), ["12"])

    def test_repeat_after_days(self) -> None:
        """A repeat is answered from what is stored for 30 days; later, and for dates to come, the answer is 12."""
        request = self.till.purchase(self.ada)
        first = self.bank.outcome(request)
        for _ in range(30):
            self.world.advance_day()
        self.assertEqual(self.bank.outcome(request), first)
        self.world.advance_day()
        self.assertEqual(self.codes(request), ["12"])
        for date in ("2099-01-01", "", "yesterday", "2026-02-30"):
            self.assertEqual(self.codes(self.till.purchase(self.ada, date=BusinessDate(date))), ["12"])
        self.assertEqual(len(self.world.journal()), 1)

    def test_mixed_batch(self) -> None:
        """The answers of a batch come in the order of its requests, whatever becomes of each."""
        paid = self.till.purchase(self.ada, 100)
        self.bank.outcome(paid)
        answers = self.bank.handle(
            self.till.purchase(self.bob, 1001),
            replace(self.till.purchase(self.ada), rid=b""),
            self.till.purchase(self.ada, pin=None),
            paid,
            self.till.purchase(self.ada, 200),
            self.till.reverse(paid),
        )
        self.assertEqual([getattr(each, "code", "pin") for each in answers], ["51", "30", "pin", "00", "00", "00"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_800)

    def test_empty_batch(self) -> None:
        """An empty batch has no answers."""
        self.assertEqual(self.bank.handle(), [])

    def test_nothing_in_the_clear(self) -> None:
        """TR-13: what is stored of requests holds no card number, track, PIN or PIN block."""
        requests = [
            self.till.purchase(self.ada),
            self.till.purchase(self.ada_too, pin="98764"),
            self.till.purchase(self.ada, track=self.ada.forged()),
            self.till.purchase(self.ada, track=TrackTwo("=" + self.ada.track.text)),
        ]
        self.bank.handle(*requests, self.till.reverse(requests[0]))
        stored = self.world.journal_bytes()
        self.assertGreater(len(stored), 500)
        for card in (self.ada, self.ada_too):
            for secret in (card.number.digits, card.track.text, card.track.text[-7:], "98764", "98765"):
                self.assertNotIn(secret.encode(), stored)
        for request in requests:
            assert request.pin is not None
            self.assertNotIn(request.pin.block, stored)
