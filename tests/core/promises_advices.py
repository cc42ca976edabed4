"""What the pipeline promises about purchases that were made off-line, on whatever ledger."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.core.promises import ADA
from tests.core.promises_refunds import BOB, RefundCase
from tests.core.tills import CardInHand, Till
from tests.core.worlds import Purse
from trus.auth.model import State
from trus.cards.sealed import seal_stripe
from trus.core.asked import bound_to
from trus.core.messages import Advise

replace = msgspec.structs.replace


class AdvicePromises(RefundCase):
    """Promises about advices (store and forward)."""

    def test_posted(self) -> None:
        """A purchase made off-line is posted without PIN, once, whatever the company allows at that hour."""
        advice = self.till.advise(self.ada, 4_900)
        answer = self.bank.outcome(advice)
        self.assertEqual((answer.result, answer.code, answer.amount), ("approved", "00", 4_900))
        self.assertRegex(answer.approval, r"\A[0-9A-Z]{6}\Z")
        self.assertEqual(self.bank.outcome(replace(advice, repeat=True)), answer)
        self.assertEqual(self.world.purse(*ADA), Purse(5_100, "2026-11-20", 4_900, 1))
        self.assertEqual((self.world.owed("BISTRO"), self.world.risk()), (4_900, 0))
        line = self.world.journal()[-1]
        self.assertEqual((line.kind, line.moved, line.rule), ("purchase", 4_900, "advised"))
        self.assertEqual(self.codes(self.till.purchase(self.ada, 100)), ["61"])

    def test_shortfall(self) -> None:
        """What the purse does not hold is the issuer's risk: the shop is paid, and no purse goes below zero."""
        self.assertEqual(self.codes(self.till.advise(self.bob, 1_500), self.till.advise(self.bob, 200)), ["00", "00"])
        self.assertEqual(self.world.purse(*BOB), Purse(0, "2026-11-20", 1_700, 2))
        self.assertEqual((self.world.owed("BISTRO"), self.world.risk()), (1_700, -700))

    def test_set_aside(self) -> None:
        """An advice takes nothing of what is set aside for a pre-authorization."""
        held = self.bank.outcome(self.till.hold(self.bob, 600))
        self.assertEqual(self.codes(self.till.advise(self.bob, 500)), ["00"])
        self.assertEqual((self.world.purse(*BOB).balance, self.world.risk()), (600, -100))
        self.assertEqual(self.codes(self.till.capture(held, 600)), ["00"])

    def test_reported_card(self) -> None:
        """A card that was reported since pays nothing: the shop is paid from the issuer's risk."""
        self.world.set_state("card", "CARD000000A1", State.STOLEN)
        self.assertEqual(self.codes(self.till.advise(self.ada, 1_000)), ["00"])
        self.assertEqual((self.world.purse(*ADA).balance, self.world.risk()), (10_000, -1_000))

    def sealed(self, card: CardInHand, amount: int = 1_000, **changes: Any) -> Advise:
        """Return an advice whose stripe the terminal has sealed."""
        advice = self.till.advise(card, amount, **changes)
        stripe = seal_stripe(self.bank.stripes.public, bound_to(advice), card.track.text, self.bank.entropy)
        return replace(advice, track2=None, sealed=stripe)

    def test_sealed(self) -> None:
        """TR-2: a terminal that was off in between tells its sale sealed: it is posted once, however often it comes."""
        advice = self.sealed(self.ada, read=7)
        self.assertEqual(self.codes(advice), ["00"])
        again = replace(advice, repeat=True)
        self.assertEqual(self.codes(again, again), ["00", "00"])
        readable = replace(self.till.advise(self.ada, 1_000, identity=advice.identity, read=7), repeat=True)
        self.assertEqual(self.codes(readable), ["00"], "the same sale in the other form is the same request")
        self.assertEqual(self.world.purse(*ADA).balance, 9_000)
        self.assertNotIn("redacted>" + self.ada.track.text, repr(advice))

    def test_sealed_for_another(self) -> None:
        """A sealed stripe that was taken out of a journal opens in no other request, and to no key that is not held."""
        advice = self.sealed(self.ada)
        pasted = replace(self.till.advise(self.ada, 2_000), track2=None, sealed=advice.sealed)
        more = replace(advice, amount=4_000)
        lost = replace(self.sealed(self.ada), sealed=b"12345678" + advice.sealed[8:])
        self.assertEqual(self.codes(pasted, more, lost), ["88"] * 3)
        self.assertEqual([line.rule for line in self.world.journal()], ["stripe-unopened"] * 3)
        self.assertEqual(self.codes(replace(lost, repeat=True)), ["88"])
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_sealed_and_late(self) -> None:
        """After its reversal it gets 68; within 30 days of its date it is posted, after them it gets 12."""
        taken_back = self.sealed(self.ada)
        self.assertEqual(self.codes(self.till.reverse(taken_back), taken_back), ["00", "68"])
        old = self.sealed(self.ada)
        for _ in range(30):
            self.world.advance_day()
        self.assertEqual(self.codes(old), ["00"])
        older = self.sealed(self.ada, date=old.identity.business_date)
        self.world.advance_day()
        self.assertEqual(self.codes(older, replace(old, repeat=True)), ["12", "12"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_000)

    def test_refused(self) -> None:
        """A made-up stripe, more than the floor limit, and a terminal that may not sell are not taken over."""
        self.assertEqual(self.codes(self.till.advise(self.ada, 1, track=self.ada.forged())), ["14"])
        self.assertEqual(self.codes(self.till.advise(self.ada, 5_001)), ["61"])
        self.assertEqual(self.world.journal()[-1].rule, "over-floor")
        self.assertEqual(self.codes(self.till.advise(self.ada, 0), self.till.advise(self.ada, -1)), ["13", "13"])
        self.assertEqual(self.codes(self.till.advise(self.ada, currency="EUR")), ["12"])
        self.world.set_state("terminal", "T0000001", State.BLOCKED)
        self.assertEqual(self.codes(self.till.advise(self.ada)), ["58"])
        self.assertEqual(self.codes(Till("T0000009", "").advise(self.ada)), ["58"])
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_late(self) -> None:
        """An advice may come for thirty days after its business date, and not after: 12."""
        early, late = self.till.advise(self.ada, 100), self.till.advise(self.ada, 100)
        for _ in range(30):
            self.world.advance_day()
        self.assertEqual(self.codes(early), ["00"])
        self.world.advance_day()
        self.assertEqual(self.codes(late), ["12"])

    def test_token_away(self) -> None:
        """Without the token nothing is taken over; the terminal hears 91 and tells again."""
        self.bank.keys.available = False
        advice = self.till.advise(self.ada)
        self.assertEqual(self.codes(advice), ["91"])
        self.bank.keys.available = True
        self.assertEqual(self.codes(advice), ["00"])

    def test_refunded(self) -> None:
        """Money of an advice that comes back makes the issuer's risk good first, then comes the purse."""
        paid = self.bank.outcome(self.till.advise(self.bob, 1_500))
        self.assertEqual(self.codes(self.till.refund(paid, 300)), ["00"])
        self.assertEqual((self.world.purse(*BOB).balance, self.world.risk()), (0, -200))
        refund = self.till.refund(paid, 700)
        self.assertEqual(self.codes(refund), ["00"])
        self.assertEqual((self.world.purse(*BOB).balance, self.world.risk()), (500, 0))
        self.assertEqual(self.codes(self.till.reverse(refund)), ["00"])
        self.assertEqual(self.world.purse(*BOB).balance, 0)
        self.assertEqual(self.codes(self.till.refund(paid, 1_201), self.till.refund(paid, 1_200)), ["13", "00"])
        self.assertEqual((self.world.purse(*BOB).balance + self.world.risk(), self.world.owed("BISTRO")), (1_000, 0))

    def test_taken_back(self) -> None:
        """An advice is taken back or cancelled like a purchase, also after a part of it was refunded."""
        advice, other = self.till.advise(self.bob, 1_500), self.till.advise(self.ada, 1_000)
        paid = self.bank.outcome(advice)
        self.bank.outcome(self.till.refund(paid, 600))
        self.assertEqual(self.bank.outcome(self.till.reverse(advice)).amount, 900)
        self.assertEqual((self.world.purse(*BOB), self.world.risk()), (Purse(1_000, "2026-11-20", 0, 0), 0))
        self.assertEqual(self.codes(other, self.till.void(other)), ["00", "00"])
        self.assertEqual(self.world.owed("BISTRO"), 0)
