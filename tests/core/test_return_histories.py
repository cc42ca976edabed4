"""Whatever is bought, refunded, cancelled and taken back in whatever order, nobody gets more than was given."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.core.fake_world import FakeWorld
from tests.core.sql_world import SqlWorld
from tests.core.tills import Bank, Till
from tests.core.worlds import World
from trus.auth.policy import PurseRule
from trus.auth.ports import SOLD, Event
from trus.core.holding import HoldExpiry
from trus.core.messages import Advise, Capture, Outcome, PreAuthorize, Purchase, Refund, Reverse

BOB = ("ACME", "BOB")
_OPEN = {"week_days": (1, 2, 3, 4, 5, 6, 7), "daily_amount": 9_000, "daily_count": 60}
_SPLIT = {**_OPEN, "purses": (PurseRule("SNACK", ("5812",)), PurseRule("MAIN")), "split_purses": True}
#: What happens at a step, the more often the more often it is written here.
_STEPS = (
    *("buy", "buy", "advise", "hold", "hold", "capture", "capture", "release", "refund", "refund", "refund"),
    *("void", "take_back", "take_back", "take_back", "take_back", "repeat", "day", "wait", "credit", "policy"),
)

_REVERSIBLE = (Purchase, Advise, PreAuthorize, Capture, Refund)


class History:
    """One cardholder with two purses at one terminal, who does what a seed says."""

    def __init__(self, world: World, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world, self.bank, self.till = world, Bank(world), Till()
        world.add_company("ACME", **_SPLIT)
        world.add_employee(*BOB, balance=1_500)
        world.add_terminal("BISTRO", "T0000001", "5812")
        self.bob = self.bank.issue(*BOB, card="CARD000000B1")
        world.add_purse(*BOB, "SNACK", 600)
        self.expiry = HoldExpiry(world.ledger, world.clock, self.bank.note)
        self.said: list[tuple[Any, Outcome]] = []
        self.sold: list[tuple[Any, Outcome]] = []
        self.held: list[Outcome] = []
        self.split = True

    def step(self) -> None:
        """Let a few things happen, whose requests meet in one batch."""
        asked = []
        for name in self.chance.choices(_STEPS, k=self.chance.choice((1, 1, 2, 3))):
            request = getattr(self, f"_{name}")()
            if request is not None:
                asked.append((name, request))
        answers = self.bank.handle(*(request for _, request in asked))
        for (name, request), answer in zip(asked, answers, strict=True):
            assert isinstance(answer, Outcome), (name, answer, self.bank.notes)
            assert answer.code not in ("91", "96"), (name, answer, self.bank.notes)
            self.said.append((request, answer))
            if answer.code in ("00", "10") and name in ("buy", "advise", "capture"):
                self.sold.append((request, answer))
            if answer.code == "00" and name == "hold":
                self.held.append(answer)

    def _buy(self) -> Any:
        return self.till.purchase(self.bob, self.chance.randint(1, 900), partial=self.chance.random() < 0.3)

    def _advise(self) -> Any:
        return self.till.advise(self.bob, self.chance.randint(1, 1_500))

    def _hold(self) -> Any:
        return self.till.hold(self.bob, self.chance.randint(1, 600))

    def _capture(self) -> Any:
        if not self.held:
            return None
        held = self.chance.choice(self.held[-3:])
        return self.till.capture(held, self.chance.choice((held.amount or 0, self.chance.randint(1, held.amount or 1))))

    def _release(self) -> Any:
        return self.till.release(self.chance.choice(self.held[-3:])) if self.held else None

    def _refund(self) -> Any:
        if not self.sold:
            return None
        _, answer = self.chance.choice(self.sold[-4:])
        whole = answer.amount or 0
        return self.till.refund(answer, self.chance.choice((whole, self.chance.randint(1, whole))))

    def _void(self) -> Any:
        return self.till.void(self.chance.choice(self.sold[-4:])[0]) if self.sold else None

    def _take_back(self) -> Any:
        asked = [each for each, _ in self.said[-6:] if isinstance(each, _REVERSIBLE)]
        return self.till.reverse(self.chance.choice(asked)) if asked else None

    def _repeat(self) -> None:
        if self.said:
            request, before = self.chance.choice(self.said[-12:])
            if isinstance(request, Reverse) and before.code != "00":
                return  # what was completed when it was asked may stand again since
            again = self.bank.outcome(request)
            assert again == before or again.code == "68", (request, before, again)

    def _day(self) -> None:
        if self.chance.random() < 0.4:
            self.till.date = self.world.advance_day()
            self.world.expire()

    def _wait(self) -> None:
        self.world.clock.advance(hours=self.chance.choice((1, 13, 60)))
        self.expiry.step()

    def _credit(self) -> None:
        until = date.fromisoformat(self.till.date) + timedelta(days=self.chance.randint(0, 4))
        self.world.add_credit(*BOB, self.chance.randint(1, 500), until.isoformat())

    def _policy(self) -> None:
        self.split = not self.split
        self.world.set_policy("ACME", **(_SPLIT if self.split else _OPEN))


def gains(events: dict[int, Event], shop: int) -> dict[tuple[int, int], int]:
    """Return the accounts that stand on the wrong side over a sale, its refunds and what took these back."""
    sale_of: dict[int, int] = {}
    net: dict[tuple[int, int], int] = defaultdict(int)
    for each in events.values():
        sale = each.event_id if each.kind in SOLD else sale_of.get(each.original or 0)
        if sale is None:
            continue
        sale_of[each.event_id] = sale
        for posting in each.postings:
            net[sale, posting.account] += posting.amount
    return {place: left for place, left in net.items() if (left < 0 if place[1] == shop else left > 0)}


class ReturnHistories(SynchronousTestCase):
    """Issue 4: histories of what goes to and fro, each from its seed."""

    def test_in_memory(self) -> None:
        """TR-2: no request fails, every repeat is answered the same, and nobody gains by a sale."""
        for seed in range(100):
            world = FakeWorld()
            history = History(world, seed)
            shop = world.ledger.kept.terminals["T0000001"].merchant_account
            for _ in range(40):
                history.step()
            self.assertEqual(history.bank.notes, [], seed)
            self.assertEqual(gains(world.ledger.kept.events, shop), {}, seed)
            self.assertEqual(world.sum_of_all(), 0, seed)

    def test_on_disk(self) -> None:
        """TR-13: so it is on a ciphered database, which the audit finds sound at the end."""
        for seed in range(100, 104):
            world = SqlWorld(Path(self.mktemp()).absolute())
            history = History(world, seed)
            for _ in range(40):
                history.step()
            world.close()
            self.assertEqual(history.bank.notes, [], seed)
