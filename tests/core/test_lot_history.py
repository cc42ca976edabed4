"""Whatever is refilled, bought, given back and left to end, a purse holds the coins that a child would count."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.core.fake_world import FakeWorld
from tests.core.sql_world import SqlWorld
from tests.core.tills import Bank, Till
from trus.auth.lots import GRACE_DAYS, days_after, read_lots
from trus.core.messages import Capture, MoneyRequest, Outcome

#: The date of a coin that never ends.
NEVER = "9999-12-31"
WHO = ("ACME", "ADA")


@attrs.define
class Bought:
    """A purchase: how many coins of each date the purse has given for it and not got back, and what the issuer has.

    A coin that came back after its date has another one then: of that date one less than none is owed.
    """

    request: MoneyRequest
    answer: Outcome
    owed: Counter[str]
    risk: int = 0
    over: bool = False

    @property
    def left(self) -> int:
        return sum(self.owed.values()) + self.risk


@attrs.define
class Returned:
    """A refund: of which purchase, how much, and the coins that it gave."""

    request: MoneyRequest
    purchase: Bought
    amount: int
    coins: list[str]
    over: bool = False


class Coins(RuleBasedStateMachine):
    """A purse of single coins, each with its last date, beside the real one."""

    def make_world(self) -> Any:
        return FakeWorld()

    @initialize(undated=st.integers(0, 30))
    def open(self, undated: int) -> None:
        self.world = self.make_world()
        self.world.add_company("ACME", week_days=(1, 2, 3, 4, 5, 6, 7))
        self.world.add_employee(*WHO, undated)
        self.world.add_terminal("BISTRO", "T0000001", "5812")
        self.bank = Bank(self.world)
        self.card = self.bank.issue(*WHO, "CARD000000A1")
        self.till = Till()
        self.coins = [NEVER] * undated
        self.bought: list[Bought] = []
        self.returned: list[Returned] = []
        self.holds: list[tuple[Outcome, int]] = []

    # ------------------------------------------------------------------------ the child's purse

    @property
    def day(self) -> str:
        return self.till.date

    def alive(self) -> list[str]:
        return sorted(coin for coin in self.coins if coin >= self.day)

    def room(self) -> int:
        aside = sum(amount for _, amount in self.holds)
        return len(self.coins) - max(aside, len(self.coins) - len(self.alive()))

    def end_coins(self) -> None:
        """Take out what has ended and nothing set aside keeps."""
        gone = len(self.coins) - len(self.alive()) - sum(amount for _, amount in self.holds)
        self.take(sorted(self.coins)[: max(0, gone)])

    def take(self, coins: list[str]) -> None:
        for coin in coins:
            self.coins.remove(coin)

    def recent(self, request: MoneyRequest) -> bool:
        return days_after(request.identity.business_date, 29) >= self.day

    def give(self, bought: Bought, count: int) -> list[str]:
        good = min(count, bought.risk)
        bought.risk -= good
        late = sum(-number for number in bought.owed.values() if number < 0)
        back = sorted((+bought.owed).elements())[late:][::-1][: count - good]
        given = [coin if coin >= self.day else days_after(self.day, GRACE_DAYS) for coin in back]
        self.coins += given
        bought.owed.subtract(given)
        return given

    # ---------------------------------------------------------------------------------- what happens

    @rule(amount=st.integers(1, 30), days=st.sampled_from((None, 0, 1, 2, 5, 9)))
    def refill(self, amount: int, days: int | None) -> None:
        until = "" if days is None else days_after(self.day, days)
        self.world.add_credit(*WHO, amount, until)
        self.coins += [until or NEVER] * amount

    @rule(amount=st.integers(1, 40))
    def buy(self, amount: int) -> None:
        request = self.till.purchase(self.card, amount)
        answer = self.bank.outcome(request)
        fits = amount <= self.room()
        assert answer.code == ("00" if fits else "51"), answer
        if fits:
            spent = self.alive()[:amount]
            self.take(spent)
            self.bought.append(Bought(request, answer, Counter(spent)))

    @precondition(lambda self: self.bought)
    @rule(which=st.integers(0, 99), amount=st.integers(1, 40))
    def refund(self, which: int, amount: int) -> None:
        bought = self.bought[which % len(self.bought)]
        request = self.till.refund(bought.answer, amount)
        answer = self.bank.outcome(request)
        if bought.over:
            assert answer.code == "25", answer
            return
        fits = amount <= bought.left
        assert answer.code == ("00" if fits else "13"), answer
        if fits:
            self.returned.append(Returned(request, bought, amount, self.give(bought, amount)))

    @precondition(lambda self: self.bought)
    @rule(which=st.integers(0, 99), void=st.booleans())
    def end(self, which: int, void: bool) -> None:
        bought = self.bought[which % len(self.bought)]
        left = bought.left
        if bought.over or (void and not left) or not self.recent(bought.request):
            return
        if isinstance(bought.request, Capture):
            return  # its hold would stand again
        answer = self.bank.outcome(self.till.void(bought.request) if void else self.till.reverse(bought.request))
        assert answer.code == "00", answer
        self.give(bought, left)
        bought.over = True

    @precondition(lambda self: self.returned)
    @rule(which=st.integers(0, 99))
    def reverse_refund(self, which: int) -> None:
        returned = self.returned[which % len(self.returned)]
        if returned.over or not self.recent(returned.request):
            return
        answer = self.bank.outcome(self.till.reverse(returned.request))
        assert answer.code == "00", answer
        returned.over = True
        if returned.purchase.over:
            return
        before = Counter(self.coins)
        left = taken = min(len(returned.coins), max(0, self.room()))
        for coin in sorted(returned.coins):
            if left and coin in self.alive() and coin != NEVER:
                self.take([coin])
                left -= 1
        undated = self.coins.count(NEVER)
        self.take([NEVER] * min(left, undated))
        self.take(self.alive()[: left - min(left, undated)])
        returned.purchase.owed.update(before - Counter(self.coins))
        returned.purchase.risk += returned.amount - taken

    @rule(amount=st.integers(1, 20))
    def hold(self, amount: int) -> None:
        answer = self.bank.outcome(self.till.hold(self.card, amount))
        assert answer.code == ("00" if amount <= self.room() else "51"), answer
        if answer.code == "00":
            self.end_coins()  # what had ended is not kept by what is set aside now
            self.holds.append((answer, amount))

    @precondition(lambda self: self.holds)
    @rule(amount=st.integers(0, 20))
    def end_hold(self, amount: int) -> None:
        held, aside = self.holds.pop()
        if not amount:
            assert self.bank.outcome(self.till.release(held)).code == "00"
            return
        amount = min(amount, aside)
        request = self.till.capture(held, amount)
        answer = self.bank.outcome(request)
        assert answer.code == "00", answer
        spent = sorted(self.coins)[:amount]
        self.take(spent)
        self.bought.append(Bought(request, answer, Counter(spent)))

    @rule(days=st.integers(1, 4), expire=st.booleans())
    def days_pass(self, days: int, expire: bool) -> None:
        for _ in range(days):
            self.till.date = self.world.advance_day()
        if expire:
            self.world.expire()
            self.end_coins()

    # ------------------------------------------------------------------------------- what must hold

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "coins"):
            return
        counted = Counter(self.coins)
        undated = counted.pop(NEVER, 0)
        lots = dict(read_lots(self.world.lots(*WHO)))
        assert lots == dict(counted), (lots, counted)
        assert self.world.purse(*WHO).balance == undated + sum(counted.values())
        assert not self.bank.notes, self.bank.notes

    def teardown(self) -> None:
        if hasattr(self, "world"):
            assert self.world.sum_of_all() == 0


class CoinsOnDisk(Coins):
    """The same on the real ledger, which is audited at the end."""

    def make_world(self) -> Any:
        self.folder = tempfile.mkdtemp()
        return SqlWorld(Path(self.folder) / "world")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            shutil.rmtree(self.folder)


class LotHistoryCase(SynchronousTestCase):
    """Issue 4: sequences of refills, purchases, refunds, voids, reversals, holds and ends against a simple model."""

    def test_coins(self) -> None:
        """The purse of the network and the purse of coins are the same after every step; sums stay zero."""
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            Coins, settings=settings(max_examples=120, stateful_step_count=30, deadline=None)
        )

    def test_on_disk(self) -> None:
        """TR-13: so they are on a ciphered database, which the audit finds sound afterwards."""
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            CoinsOnDisk,
            settings=settings(
                max_examples=6,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
