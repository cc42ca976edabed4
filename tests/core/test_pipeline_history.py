"""Whatever terminals ask in whatever order, and whatever fails meanwhile, the books and the answers agree."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.core.fake_ledger import StoredAnyway
from tests.core.fake_world import FakeWorld
from tests.core.tills import Bank, CardInHand, Till
from trus.core.messages import Failed, Outcome, PinWanted, Purchase, Refused, Reverse
from trus.errors import OutcomeUnknown, StorageFailed
from trus.values import Identity

BALANCE = 5_000
FAULTS: list[tuple[str, list[Any]]] = [
    ("begin", [StorageFailed("x")]),
    ("read", [StorageFailed("x")]),
    ("commit", [StorageFailed("x")]),
    ("commit", [StorageFailed("x"), None, StorageFailed("x")]),
    ("commit", [OutcomeUnknown("x")]),
    ("commit", [StoredAnyway(OutcomeUnknown("x"))]),
    ("commit", [StorageFailed("x"), StoredAnyway(OutcomeUnknown("x")), OutcomeUnknown("x")]),
]


class History(RuleBasedStateMachine):
    """Two terminals, two purses, three cards; batches of new requests, repeats and reversals; faults."""

    requests = Bundle("requests")

    @initialize()
    def open(self) -> None:
        self.world = FakeWorld()
        self.world.add_company("ACME", daily_amount=3000, daily_count=6)
        self.world.add_employee("ACME", "ADA", BALANCE)
        self.world.add_employee("ACME", "BOB", BALANCE)
        self.world.add_terminal("BISTRO", "T0000001", "5812")
        self.world.add_terminal("CAFE", "T0000002", "5812")
        self.bank = Bank(self.world)
        self.cards: list[CardInHand] = [
            self.bank.issue("ACME", "ADA", "CARD000000A1"),
            self.bank.issue("ACME", "ADA", "CARD000000A2"),
            self.bank.issue("ACME", "BOB", "CARD000000B1"),
        ]
        self.tills = [Till("T0000001", "BISTRO"), Till("T0000002", "CAFE")]
        self.waiting: list[Any] = []
        self.finals: dict[Identity, list[Outcome]] = {}
        self.reversed: set[Identity] = set()

    @rule(
        target=requests,
        till=st.integers(0, 1),
        card=st.integers(0, 2),
        amount=st.sampled_from((100, 700, 2000, 6000)),
        pin=st.sampled_from(("1234", "1234", "1234", "0000", None)),
        partial=st.booleans(),
        then=st.booleans(),
    )
    def ask(self, till: int, card: int, amount: int, pin: str | None, partial: bool, then: bool) -> Any:
        request = self.tills[till].purchase(self.cards[card], amount, pin=pin, partial=partial)
        self.waiting.append(request)
        self.maybe_send(then)
        return request

    @rule(request=requests, then=st.booleans())
    def repeat(self, request: Purchase, then: bool) -> None:
        self.waiting.append(request)
        self.maybe_send(then)

    @rule(request=requests, then=st.booleans(), again=st.booleans())
    def take_back(self, request: Purchase, then: bool, again: bool) -> None:
        till = self.tills[request.identity.terminal == "T0000002"]
        self.waiting.append(till.reverse(request))
        if again:
            self.waiting.append(request)
        self.maybe_send(then)

    @rule(target=requests, till=st.integers(0, 1), card=st.integers(0, 2), then=st.booleans())
    def take_back_what_never_came(self, till: int, card: int, then: bool) -> Any:
        request = self.tills[till].purchase(self.cards[card], 300)
        self.waiting.append(self.tills[till].reverse(request))
        self.maybe_send(then)
        return request

    @rule(fault=st.sampled_from(FAULTS))
    def fail_next(self, fault: tuple[str, list[Any]]) -> None:
        step, faults = fault
        self.world.ledger.faults = {step: list(faults)}

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.world.clock.advance(hours=hours)

    @rule()
    def cut_over(self) -> None:
        date = self.world.advance_day()
        for till in self.tills:
            till.date = date

    def maybe_send(self, then: bool) -> None:
        """Give what is waiting to the pipeline in one batch."""
        if not then:
            return
        batch, self.waiting = self.waiting, []
        failing = bool(self.world.ledger.faults)
        answers = self.bank.handle(*batch)
        self.world.ledger.faults = {}
        assert len(answers) == len(batch)
        assert failing or not self.bank.notes, "a batch failed although nothing was made to fail"
        self.bank.notes.clear()
        for request, answer in zip(batch, answers, strict=True):
            self.hear(request, answer)

    def hear(self, request: Any, answer: Any) -> None:
        """Hold an answer against everything that was said before about the same request."""
        assert not isinstance(answer, Refused)
        if isinstance(answer, Failed):
            assert answer.code in ("91", "96")
            return
        if isinstance(request, Reverse):
            assert isinstance(answer, Outcome)
            assert answer.code == "00", answer.code
            assert answer.result == "reversed"
            said = self.finals.get(request.original, [])
            approved = [each.amount for each in said if each.result in ("approved", "partial")]
            assert not approved or answer.amount == approved[0]
            self.reversed.add(request.original)
            return
        if isinstance(answer, PinWanted):
            assert request.pin is None
            assert request.identity not in self.reversed
            return
        said = self.finals.setdefault(request.identity, [])
        if request.identity in self.reversed:
            assert answer.code == "68", answer.code
        elif said and said[-1].code != "68":
            # A repeat hears the same, or that the request was taken back in this very batch.
            assert answer == said[-1] or answer.code == "68"
        said.append(answer)

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "world"):
            return
        kept = self.world.ledger.kept
        assert self.world.sum_of_all() == 0
        spent = {"ADA": 0, "BOB": 0}
        earned = {"BISTRO": 0, "CAFE": 0}
        counted: dict[tuple[str, str], tuple[int, int]] = {}
        for event in kept.events.values():
            assert sum(each.amount for each in event.postings) == 0
            if event.kind == "purchase" and event.authorized and event.event_id not in kept.endings:
                assert event.identity is not None
                assert event.card_id is not None
                employee = "ADA" if event.card_id < 3 else "BOB"
                spent[employee] += event.authorized
                amount, count = counted.get((employee, event.counter_day), (0, 0))
                counted[employee, event.counter_day] = (amount + event.authorized, count + 1)
                earned["BISTRO" if event.identity.terminal == "T0000001" else "CAFE"] += event.authorized
        for employee, amount in spent.items():
            purse = self.world.purse("ACME", employee)
            assert purse.balance == BALANCE - amount >= 0
            today = counted.get((employee, purse.counter_day), (0, 0))
            assert (purse.day_amount, purse.day_count) == today
            assert purse.day_amount <= 3000
            assert purse.day_count <= 6
        for shop_id, amount in earned.items():
            assert self.world.owed(shop_id) == amount

    @invariant()
    def said_is_stored(self) -> None:
        """What a terminal was told is approved is in the books, unless it was taken back since."""
        if not hasattr(self, "world"):
            return
        kept = self.world.ledger.kept
        for identity, said in self.finals.items():
            for answer in said:
                if answer.result in ("approved", "partial"):
                    stored = kept.stored(identity)
                    assert stored is not None
                    assert stored.authorized == answer.amount
        for identity in self.reversed:
            stored = kept.stored(identity)
            assert stored is not None
            assert stored.kind == "tombstone" or stored.reversed_by

    @invariant()
    def tries_follow_wrong_pins(self) -> None:
        if not hasattr(self, "world"):
            return
        for number, card in ((1, "CARD000000A1"), (2, "CARD000000A2"), (3, "CARD000000B1")):
            tries = 3
            for event in self.world.ledger.kept.events.values():
                if event.card_id == number and event.kind == "purchase":
                    if event.code == "55":
                        tries -= 1
                    elif event.tries is not None:
                        tries = event.tries[1]
            assert self.world.tries(card) == tries >= 0


class Histories(SynchronousTestCase):
    def test_any_history(self) -> None:
        """TR-2: through any mix of purchases, repeats, reversals and failures no money is lost, made or moved twice."""
        run_state_machine_as_test(History, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))
