"""Payments and repeats across a rotation of K_DB, through the pipeline that terminals reach."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House
from trus.core.messages import Outcome, Purchase
from trus.values import DeviceRole, PeerIdentity, TrackTwo


class RepeatCase(SynchronousTestCase):
    """A card with money, and a terminal that repeats what it has no answer to."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch_card()
        [self.card] = self.house.cards()
        self.rotation = self.house.rotation

    def repeat(self, stan: int, track2: str | None = None, amount: int = 500) -> Outcome:
        """Send the purchase of a trace number again, with the same name; its PIN is not looked at."""
        identity, rid = self.house.rids[stan]
        peer = PeerIdentity(DeviceRole.POS, "T0000001", "1f", "S1")
        track = TrackTwo(self.card["track2"] if track2 is None else track2)
        [answer] = self.house.pipeline.handle([Purchase(peer, identity, rid, amount, "USD", track, repeat=True)])
        assert isinstance(answer, Outcome)
        return answer

    def finish(self) -> None:
        while self.rotation.waiting:
            self.rotation.work(lambda seconds: None)

    def test_repeats(self) -> None:
        """A purchase that is repeated after K_DB was rotated once, or twice, gets its first answer and is paid once."""
        first = self.house.pay(self.card, 500, stan=1)
        self.assertEqual((first.result, first.code), ("approved", "00"))
        self.rotation.begin("admin/ada")
        self.assertEqual(self.repeat(1), first)
        second = self.house.pay(self.card, 700, stan=2)
        self.finish()
        self.assertEqual((self.repeat(1), self.repeat(2, amount=700)), (first, second))
        self.rotation.begin("admin/ada")
        self.finish()
        self.assertEqual((self.repeat(1), self.repeat(2, amount=700)), (first, second))
        third = self.house.pay(self.card, 100, stan=3)
        self.assertEqual(third.code, "00")
        with self.house.registry.reading() as view:
            company = view.people.company("ACME")
            assert company is not None
            holder = view.people.employee(company, "E1")
        assert holder is not None
        self.assertEqual(holder.balance, 5_000 - 500 - 700 - 100)

    def test_another_card_under_the_same_name(self) -> None:
        """The same name with another amount or another card is still a duplicate, whatever keys there are."""
        self.house.pay(self.card, 500, stan=1)
        self.rotation.begin("admin/ada")
        self.finish()
        self.assertEqual(self.repeat(1, amount=501).code, "94")
        other = "9999990000000017" + self.card["track2"][16:]
        self.assertEqual(self.repeat(1, other).code, "94")

    def test_a_wrong_pin_counts_on_one_card(self) -> None:
        """Tries are the card's, before, during and after a rotation."""
        wrong = "0000" if self.card["pin"] != "0000" else "1111"
        self.assertEqual(self.house.pay(self.card, 100, wrong).tries_left, 2)
        self.rotation.begin("admin/ada")
        self.assertEqual(self.house.pay(self.card, 100, wrong).tries_left, 1)
        self.finish()
        self.assertEqual(self.house.pay(self.card, 100, wrong).code, "55")
        self.assertEqual(self.house.pay(self.card, 100).code, "75")

    def test_cards_issued_in_the_middle(self) -> None:
        """Cards that are issued while a rotation is under way pay at once, and afterwards."""
        self.rotation.begin("admin/ada")
        self.house.done("EMPLOYEE-ADD", company="ACME", id="E2", name="Björn", surname="Åse")
        self.house.done("COMPANY-FUND", company="ACME", amount="10.00")
        self.house.done("REFILL", company="ACME", employee="E2", amount="10.00")
        self.house.done("CARD-ISSUE", company="ACME")
        late = self.house.cards()[-1]
        self.assertEqual(self.house.pay(late, 100).code, "00")
        self.finish()
        self.assertEqual(self.house.pay(late, 100).code, "00")
        [row] = self.house.done("EMPLOYEES", company="ACME", after="E1").rows
        self.assertIn("Åse", str(row))
