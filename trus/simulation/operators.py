"""The admin of a simulated network: refills purses, changes the day, blocks and unblocks, and looks after trouble.

Gives the console's commands to the front, as an admin's console does. An order that moves money
bears a reference and is repeated until it is known to be carried out, or to have been before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from trus.admin.model import RefusalCode
from trus.core.messages import AdminAnswer, AdminCommand, Answer
from trus.money import format_amount
from trus.simulation.backend import Backend
from trus.simulation.chance import Chance
from trus.simulation.clockwork import Clockwork
from trus.simulation.papers import Admitted, Papers
from trus.simulation.town import ADMIN_NAME, ADMIN_SERIAL, COMPANIES, CURRENCY, FOUNDED, Town

#: An order of which nothing is heard is repeated after so many seconds.
_PATIENCE_SECONDS: Final = 5.0
#: Last business dates of credit that ends: a run passes some of them.
_ENDS: Final = tuple((FOUNDED + timedelta(days=days)).date().isoformat() for days in range(4))
#: Nothing was moved, and nothing will be.
_REFUSED: Final = frozenset(
    {RefusalCode.INSUFFICIENT_FUNDS.value, RefusalCode.STATE.value, RefusalCode.ARGUMENTS.value}
)
_SETTLED: Final = frozenset({RefusalCode.DONE.value, RefusalCode.EXISTS.value})


class Operator:
    """One admin."""

    def __init__(self, work: Clockwork, backend: Backend, town: Town, papers: Papers, chance: Chance) -> None:
        self._work = work
        self._backend = backend
        self._town = town
        self._papers = papers
        self._chance = chance
        self._references = 0
        self._blocked: dict[tuple[str, str], None] = {}
        self.counts: Counter[str] = Counter()
        self.resting = False  #: it does nothing of its own accord

    # ----------------------------------------------------------------------------- what it does

    def act(self) -> None:
        """Do something that an admin does now and then."""
        if self.resting:
            return
        name, action = self._chance.weighted(
            (
                (6, ("refill", self._refill)),
                (2, ("funding", self._fund)),
                (3, ("cut-over", self._advance)),
                (3, ("card blocked", self._block_card)),
                (2, ("terminal blocked", self._block_terminal)),
                (4, ("unblocked", self._unblock)),
                (3, ("tries restored", self._restore_tries)),
            )
        )
        self.counts[name] += 1
        action()

    def unblock_everything(self) -> None:
        """Take back every block."""
        for verb, who in list(self._blocked):
            self._undo(verb, who)

    @property
    def settled(self) -> bool:
        """Whether nothing that was ordered is in doubt."""
        return not self._blocked and all(each.code in _SETTLED for each in self._papers.admin)

    def _refill(self) -> None:
        company = self._chance.choose(COMPANIES)
        employee = f"E{self._chance.below(company.employees)}"
        amount = self._chance.between(1, 9_000)
        # A voucher: what is not spent by then goes back to the company.
        ends = {"expires": self._chance.choose(_ENDS)} if self._chance.below(2) else {}
        self._pay("REFILL", amount, company=company.name, employee=employee, **ends)

    def _fund(self) -> None:
        self._pay("COMPANY-FUND", self._chance.between(1, 100_000), company=self._chance.choose(COMPANIES).name)

    def _pay(self, verb: str, amount: int, **arguments: str) -> None:
        self._references += 1
        order = Admitted(verb, f"R{self._references:06d}", amount, self._work.step)
        self._papers.admin.append(order)
        self._insist(order, {**arguments, "amount": format_amount(amount, CURRENCY), "reference": order.reference})

    def _insist(self, order: Admitted, arguments: dict[str, str]) -> None:
        """Order, and order again until the answer says what became of it."""
        if order.code in _SETTLED:
            return

        def heard(answer: Answer) -> None:
            if isinstance(answer, AdminAnswer) and order.code not in _SETTLED:
                order.code = answer.code
                order.step = self._work.step
                if answer.code in _REFUSED:
                    order.code = RefusalCode.DONE.value  # nothing was moved, and nothing will be
                    self._papers.admin.remove(order)

        self._order(order.verb, arguments, heard)
        self._work.later(_PATIENCE_SECONDS, None, self._insist, order, arguments)

    def _advance(self) -> None:
        self._order("DAY-ADVANCE", {}, lambda _: None)

    def _block_card(self) -> None:
        self._block("CARD-BLOCK", "card", self._chance.choose(self._town.cards).name)

    def _restore_tries(self) -> None:
        self._order("CARD-TRIES", {"card": self._chance.choose(self._town.cards).name}, lambda _: None)

    def _block_terminal(self) -> None:
        self._block("TERMINAL-BLOCK", "terminal", self._chance.choose(self._town.tills).name)

    def _block(self, verb: str, what: str, who: str) -> None:
        self._blocked[verb, who] = None
        self._order(verb, {what: who}, lambda _: None)

    def _unblock(self) -> None:
        if self._blocked:
            self._undo(*self._chance.choose(list(self._blocked)))

    def _undo(self, verb: str, who: str) -> None:
        """Unblock until the answer says that it is done, or needs no doing."""
        if (verb, who) not in self._blocked:
            return

        def heard(answer: Answer) -> None:
            if isinstance(answer, AdminAnswer) and answer.code in (RefusalCode.DONE, RefusalCode.STATE):
                self._blocked.pop((verb, who), None)

        what = "card" if verb == "CARD-BLOCK" else "terminal"
        self._order(verb.replace("-BLOCK", "-UNBLOCK"), {what: who}, heard)
        self._work.later(_PATIENCE_SECONDS, None, self._undo, verb, who)

    def _order(self, verb: str, arguments: dict[str, str], heard: Callable[[Answer], None]) -> None:
        front = self._backend.front
        if front is None:
            return
        self._work.say("admin", verb, *arguments.values())
        command = AdminCommand(ADMIN_NAME, ADMIN_SERIAL, verb, arguments)
        front.submit([command]).addCallback(lambda answers: heard(answers[0]))
