"""Runs rounds: trade, a fault, healing, service back, rest, judgement; and stops at the first thing that does not hold.

The judge is trus.simulation.invariants, on what the terminals and their cashiers know for sure and on a
read-only dump of the ledger; the ledger's own audit proves the hash chain. In a round nobody's word is
taken: service is back when every terminal has sold something that it asked for after the healing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from tests.faults.house import House, Late, Shape
from tests.faults.injections import Blow, DieAtStep, Fault, Field
from tests.faults.tools import Tool
from trus.device.home import JOURNAL
from trus.device.journal import Asked
from trus.simulation.invariants import Finding, judge

#: I7: seconds from the healing until every terminal sells again.
BACK_WITHIN_SECONDS: Final = 30.0
#: Answers that every terminal must have between two rounds, so that a fault meets trade under way.
_ANSWERS_BETWEEN: Final = 3
_RESTART_WANTED: Final = "restart the ledger"


@attrs.frozen
class Round:
    """What one fault did: `purchases` were asked from its beginning until service was back after `recovery` seconds."""

    name: str
    kind: str
    detail: str
    step: str
    purchases: int
    recovery: float
    findings: tuple[Finding, ...]


@attrs.define
class Record:
    """All rounds, and how large the network was."""

    shape: Shape
    store: str
    disk: str
    rounds: list[Round] = attrs.field(factory=list)
    seconds: float = 0.0
    orders: int = 0
    approved: int = 0
    events: int = 0
    restarts: int = 0
    findings: list[Finding] = attrs.field(factory=list)

    @property
    def held(self) -> bool:
        """Whether everything held."""
        return not self.findings and not any(each.findings for each in self.rounds)


class Run:
    """One network, from its first process to its last audit."""

    def __init__(
        self,
        reactor: Any,
        shape: Shape,
        strace: Tool,
        faketime: Tool,
        *,
        small_disk: bool,
        back_within: float,
        say: Callable[[str], None],
    ) -> None:
        """`say` takes lines of progress."""
        self.house = House(reactor, shape, faketime, small_disk=small_disk)
        self.field = Field(self.house, random.Random(f"faults/{shape.seed}"), strace)
        disk = "a small disk in memory" if self.house.mounted else f"RLIMIT_FSIZE ({self.house.disk_missing})"
        self.record = Record(shape, self.house.store.name, disk)
        self._back_within = back_within
        self._say = say

    async def play(self, faults: Iterable[Fault], enough: Callable[[int], bool]) -> Record:
        """Run rounds until the faults are used up, `enough(rounds)` says so, or something does not hold."""
        began = time.monotonic()
        house = self.house
        try:
            await house.open()
            await self._service(began, 4 * self._back_within)
            for fault in faults:
                if enough(len(self.record.rounds)):
                    break
                await self._trade_a_little()
                done = await self._round(fault)
                self.record.rounds.append(done)
                self._tell(done)
                if done.findings:
                    break
            if self.record.held:
                self.record.findings += self._last_look()
        except Late as late:
            self.record.findings.append(Finding("I7", str(late)))
        finally:
            self.record.seconds = time.monotonic() - began
            self._count()
        return self.record

    async def _round(self, fault: Fault) -> Round:
        house, field = self.house, self.field
        field.began = time.monotonic()
        logs = len(house.backend.text())
        before = self._purchases()
        recovery, detail = -1.0, ""
        findings: list[Finding] = []
        try:
            blow: Blow = await fault.strike(field)
            detail = blow.detail
            findings += blow.findings
            if blow.restarted:
                logs = len(house.backend.text())
            recovery = await self._service(blow.healed_at, self._back_within, logs)
            purchases = self._purchases() - before
            await self._rest()
            findings += self._judge()
            house.trade()
        except Late as late:
            purchases = self._purchases() - before
            findings.append(Finding("I7", f"{fault.name}: {late}"))
        step = fault.step.name if isinstance(fault, DieAtStep) else ""
        return Round(fault.name, fault.kind, detail, step, purchases, recovery, tuple(findings))

    # ------------------------------------------------------------------------- the phases

    async def _trade_a_little(self) -> None:
        """Wait until trade is under way at every terminal."""
        house = self.house
        house.read()
        marks = {name: len(book.told) for name, book in house.books.items()}

        def going() -> bool:
            house.read()
            return all(len(book.told) >= marks[name] + _ANSWERS_BETWEEN for name, book in house.books.items())

        await house.until(going, 4 * self._back_within, "every terminal trades")

    async def _service(self, healed: float, within: float, logs: int = 0) -> float:
        """Wait until every terminal sells again; return how many seconds after `healed` that was.

        Does what people do meanwhile: what is dead is started, and a ledger that asks for a restart gets one.
        """
        house = self.house

        def back() -> bool:
            house.read()
            house.revive()
            nonlocal logs
            text = house.backend.text()
            if text.find(_RESTART_WANTED, logs) >= 0:
                logs = len(text)
                self.record.restarts += 1
                house.restart_core()
            return all(_sold_since(book.told, healed) for book in house.books.values())

        await house.until(back, within, "every terminal sells again")
        return (
            max(
                min(told for asked_at, told, asked, answer in book.told if _is_sale(healed, asked_at, asked, answer))
                for book in house.books.values()
            )
            - healed
        )

    async def _rest(self) -> None:
        """Wait until nothing is unfinished at any terminal, and its batch is closed."""
        house = self.house
        house.rest()
        started = [till.starts for till in house.tills]

        def resting() -> bool:
            nonlocal started
            house.revive()
            if [till.starts for till in house.tills] != started:
                started = [till.starts for till in house.tills]
                house.repeat_wish()
            return house.resting

        await house.until(resting, 2 * self._back_within, "every request is finished at every terminal")

    def _judge(self) -> list[Finding]:
        """Judge what is known by what the ledger holds."""
        house = self.house
        dump, findings = house.store.look()
        self.record.events = len(dump.events)
        for name, book in house.books.items():
            findings += [Finding("I2", each) for each in book.differing]
            book.differing.clear()
            if book.broken:
                findings.append(Finding("I4", f"{name} is out of order: {book.broken}"))
        return findings + judge(dump, house.papers)

    def _last_look(self) -> list[Finding]:
        """End every terminal, read its journal as a restart would, judge again, and run the network's own audit."""
        house = self.house
        for till in house.tills:
            till.kill()
        house.read()
        for name, book in house.books.items():
            book.reread(house.folder / "terminals" / name / JOURNAL)
        return house.store.prove()

    # ---------------------------------------------------------------------------- to tell

    def _purchases(self) -> int:
        self.house.read()
        return sum(each.asked is Asked.PURCHASE for each in self.house.papers.orders)

    def _count(self) -> None:
        self.house.read()
        orders = self.house.papers.orders
        self.record.orders = len(orders)
        self.record.approved = sum(each.answer is not None and each.answer.approved for each in orders)

    def _tell(self, done: Round) -> None:
        outcome = "held" if not done.findings else "DID NOT HOLD"
        back = f"back after {done.recovery:.1f} s" if done.recovery >= 0 else "not back"
        self._say(f"{len(self.record.rounds):4}  {outcome}  {done.name}: {done.detail}; {back}")


def _is_sale(since: float, asked_at: float, asked: Asked, answer: Any) -> bool:
    return asked_at >= since and asked is Asked.PURCHASE and bool(answer.approved)


def _sold_since(told: list[tuple[float, float, Asked, Any]], since: float) -> bool:
    return any(_is_sale(since, asked_at, asked, answer) for asked_at, _, asked, answer in reversed(told))
