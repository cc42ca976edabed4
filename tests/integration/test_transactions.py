"""Every kind of transaction on the real stack, and everything that no terminal may say."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator
from decimal import Decimal
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.integration.hand import Hand, rid
from tests.integration.network import Network, demand
from trus.clock import SystemClock
from trus.device.client import TerminalClient
from trus.device.home import DeviceHome
from trus.device.journal import FileJournal
from trus.device.orders import Answer
from trus.values import Why

#: A terminal that sells off-line and is killed as soon as that is durable.
_SOLD = """
import os, signal, sys
from pathlib import Path
from trus.clock import SystemClock, SystemEntropy
from trus.device.journal import FileJournal
from trus.device.orders import Order
from trus.device.terminal import Terminal
from trus.values import TerminalId

terminal = Terminal(
    TerminalId("T0000001"),
    journal=FileJournal(Path(sys.argv[1])),
    clock=SystemClock(),
    entropy=SystemEntropy(),
    encode_pin=lambda pin, number, key: b"",
)
terminal.advise(Order(400, "USD", sys.argv[2]))
terminal.drain()
os.kill(os.getpid(), signal.SIGKILL)
"""


def sell_and_be_killed(journal: Path, track2: str) -> int:
    """Let a terminal of its own process sell off-line; return how it ended."""
    return subprocess.run([sys.executable, "-c", _SOLD, str(journal), track2], check=False).returncode


class TransactionTests(TestCase):
    """Real terminals, gateway, backend, token and database."""

    timeout = 900

    @inlineCallbacks
    def test_every_kind(self) -> Generator[Deferred[Any], Any, None]:
        """Holds, completions, releases, refunds, voids, reversals, advices, PIN changes and batches end as they should,
        also in a terminal's journal; and nothing that a terminal may not say changes any balance."""
        yield Deferred.fromCoroutine(self._play())

    async def _play(self) -> None:
        self.network = network = Network()
        self.addCleanup(network.remove)
        config = network.layout.config
        text = config.read_text("utf-8")
        self.assertEqual(text.count("hold: 7d"), 1)
        config.write_text(text.replace("hold: 7d", "hold: 3s"), "utf-8")
        network.start()
        town = await network.small_town(reactor, purse="100.00")
        self.admin, self.card = town.admin, town.cards[0]
        home, other = [await network.enrolled(reactor, town, name) for name in ("T0000001", "T0000002")]
        self.till, self.other = [network.terminal(reactor, each) for each in (home, other)]
        for till in (self.till, self.other):
            await till.start()
        await self.money_that_moves()
        await self.money_set_aside()
        await self.another_pin()
        await self.batches()
        await self.other.stop()
        self.hand = await Hand(reactor, other, network.devices_port).open()
        await self.what_no_terminal_may_say()
        await self.stripes_that_nobody_read()
        self.hand.drop()
        await self.sold_and_killed(home)
        await self.till.stop()
        await self.admin.close()

    async def pay(self, amount: int, till: TerminalClient | None = None, **more: Any) -> Answer:
        return await (till or self.till).purchase(amount, self.card["track2"], self.card["pin"], **more)

    async def purse(self) -> str:
        return (await demand(self.admin, "BALANCES", company="ACME")).rows[0]["balance"]

    async def assert_purse(self, balance: str, answer: Answer | None = None, code: str = "00") -> None:
        if answer is not None:
            self.assertEqual(answer.code, code, answer)
        self.assertEqual(await self.purse(), balance)

    # -------------------------------------------------------------------------------- the scenes

    async def money_that_moves(self) -> None:
        """Purchases, refunds in parts to the exact remainder, a void, a reversal, an advice: the purse follows each."""
        first, second, third = await self.pay(1_000), await self.pay(1_100), await self.pay(1_200)
        await self.assert_purse("67.00", third)
        await self.assert_purse("70.33", await self.till.refund(333, first.rrn))
        await self.assert_purse("70.33", await self.other.refund(668, first.rrn), "13")
        await self.assert_purse("77.00", await self.other.refund(667, first.rrn))
        await self.assert_purse("77.00", await self.till.refund(1, first.rrn), "13")
        assert second.reference is not None and third.reference is not None
        await self.assert_purse("88.00", await self.till.void(second.reference))
        await self.assert_purse("88.00", await self.till.void(second.reference), "25")
        await self.assert_purse("100.00", await self.till.reverse(third.reference))
        await self.assert_purse("60.00", await self.till.advise(4_000, self.card["track2"]))
        await self.assert_purse("60.00", await self.till.advise(5_001, self.card["track2"]), "61")

    async def money_set_aside(self) -> None:
        """A pre-authorization is completed in part, released, or expires; after each, a completion gets 25."""
        held = await self.hold(3_000)
        self.assertEqual((await self.pay(3_001)).code, "51")
        await self.assert_purse("50.00", await self.till.capture(1_000, held.rrn))
        await self.assert_purse("50.00", await self.till.capture(1_000, held.rrn), "25")
        held = await self.hold(5_000)
        await self.assert_purse("50.00", await self.till.release(held.rrn))
        await self.assert_purse("50.00", await self.till.capture(1, held.rrn), "25")
        held = await self.hold(5_000)
        rows: list[dict[str, str]] = []
        for _ in range(600):
            rows = (await demand(self.admin, "TRANSACTIONS", kind="expiry")).rows
            if rows:
                break
            await deferLater(reactor, 0.1)
        self.assertEqual([row["amount"] for row in rows], ["50.00"])
        await self.assert_purse("50.00", await self.till.capture(1, held.rrn), "25")

    async def hold(self, amount: int) -> Answer:
        answer = await self.till.hold(amount, self.card["track2"], self.card["pin"])
        self.assertEqual(answer.code, "00")
        return answer

    async def another_pin(self) -> None:
        """A cardholder's new PIN counts at once; a locked one is given back its tries by an admin."""
        answer = await self.till.change_pin(self.card["track2"], self.card["pin"], "493817")
        self.assertEqual(answer.code, "00")
        codes = [(await self.pay(100)).code for _ in range(4)]
        self.assertEqual(codes, ["55", "55", "55", "75"])
        self.card = {**self.card, "pin": "493817"}
        self.assertEqual((await self.pay(100)).code, "75")
        cards = await demand(self.admin, "CARDS", company="ACME", employee="E0")
        await demand(self.admin, "CARD-TRIES", card=cards.rows[0]["card"])
        await self.assert_purse("49.00", await self.pay(100))

    async def batches(self) -> None:
        """Batches close in balance; one that lost a part of its journal is told item by item what is missing."""
        closed = await self.till.close_batch()
        self.assertEqual((closed.code, closed.balanced, closed.differing), ("00", True, 0))
        sold = await self.pay(200)
        memory = self.till._terminal._journal.memory
        memory.totals, memory.items = type(memory.totals)(), {}
        closed = await self.till.close_batch()
        self.assertEqual((closed.code, closed.balanced, closed.differing), ("00", False, 1))
        [difference] = closed.differences
        assert difference.host is not None
        self.assertEqual((difference.why, difference.terminal), (Why.MISSING_AT_TERMINAL, None))
        self.assertEqual((difference.host.rrn, difference.host.amount), (sold.rrn, 200))
        again = await self.till.close_batch()
        self.assertEqual((again.code, again.balanced), ("00", True))

    async def what_no_terminal_may_say(self) -> None:
        """Whatever is malformed, foreign, replayed or out of all bounds has its code, and moves nothing."""
        before = await self.books()
        track2, date = self.card["track2"], self.hand.date
        number = 500_000
        for field, value, code in (
            ("amount", "0.00", "13"),
            ("amount", "-1.00", ""),
            ("amount", "12.5", "30"),
            ("amount", "1e3", ""),
            ("amount", "1_000.00", ""),
            ("amount", "٣.٠٠", ""),
            ("amount", "10000000000000.00", ""),
            ("amount", "99999999999.00", "30"),
            ("currency", "EUR", "12"),
            ("currency", "XXX", "30"),
            ("stan", "٠٠٠٠٠١", ""),
            ("stan", "000000", "30"),
            ("date", "2020-01-01", "12"),
            ("date", "2099-12-31", "12"),
            ("date", "2026-13-41", ""),
            ("terminal", "T0000001", ""),
        ):
            number += 1
            clear = {"stan": f"{number:06d}", "amount": "1.00", "currency": "USD", "date": date, field: value}
            answer = await self.hand.say("PROCESS", clear, {"rid": rid(number), "track2": track2})
            if code:
                self.assertEqual((answer["head"], answer.get("code")), ("INFO RESULT", code), (field, value))
            else:
                self.assertNotEqual(answer.get("result"), "approved", (field, value))
                self.assertIn(answer.get("code"), {"30", "bad-field", "unknown-field", "malformed"}, (field, value))
        for verb, clear, sealed, code in self.linked(date):
            number += 1
            said = {"stan": f"{number:06d}", **clear, "date": date}
            answer = await self.hand.say(verb, said, {"rid": rid(number), **sealed})
            self.assertEqual(answer.get("code"), code, (verb, clear, sealed))
        self.assertEqual(await self.books(), before)

    async def stripes_that_nobody_read(self) -> None:
        """TR-5: a stripe that a terminal kept and plays again gets 34, and so does one that it leaves unnumbered."""
        today = SystemClock().now()
        policy = {"company": "ACME", "valid-from": today.date().isoformat()}
        await demand(self.admin, "POLICY-SET", **policy, **{"stripe-reads": "refuse", "pin-above": "5.00"})
        number = int(today.timestamp())
        answers = []
        readings = (number, number, 0, number + 1)
        for stan, reading in enumerate(readings, 600_000):
            read = {"read": f"{reading}"} if reading else {}
            clear = {"stan": f"{stan:06d}", "amount": "1.00", "currency": "USD", "date": self.hand.date}
            sealed = {"rid": rid(stan), "track2": self.card["track2"], "entry": "stripe", **read}
            answers.append(await self.hand.say("PROCESS", clear, sealed))
        self.assertEqual([answer["code"] for answer in answers], ["00", "34", "34", "00"])
        explained = await demand(self.admin, "EXPLAIN", rrn=answers[1]["rrn"])
        self.assertIn("used before", str(explained.rows))
        for _ in range(2):
            self.assertEqual((await self.pay(100)).code, "00")

    async def sold_and_killed(self, home: DeviceHome) -> None:
        """TR-2: a terminal that is killed (-9) after a sale off-line tells of it once; its journal shows no stripe."""
        await self.till.stop()
        before = await self.purse()
        journal = home.path / "journal"
        self.assertEqual(sell_and_be_killed(journal, self.card["track2"]), -signal.SIGKILL)
        self.assertNotIn(self.card["track2"].partition("=")[0].encode(), journal.read_bytes())
        for _ in range(2):
            self.till = self.network.terminal(reactor, home)
            await self.till.start()
            while self.till.unfinished:
                await deferLater(reactor, 0.05)
            self.assertEqual(Decimal(await self.purse()), Decimal(before) - 4)
            await self.till.stop()
        [sale] = [each for each in FileJournal(journal).memory.purchases.values() if each.settled.amount == 400]
        self.assertEqual((sale.opened.asked, sale.settled.code), ("advice", "00"))

    def linked(self, date: str) -> list[tuple[str, dict[str, str], dict[str, str], str]]:
        """Return requests about what is not there, is another's, or cannot be taken back."""
        usd = {"amount": "1.00", "currency": "USD"}
        unknown = {"original-stan": "999999", "original-date": date, "original-rid": rid(7)}
        return [
            ("REFUND", usd, {"original-rrn": "000000000000"}, "25"),
            ("REFUND", {**usd, "amount": "0.00"}, {"original-rrn": "000000000000"}, "13"),
            ("CAPTURE", usd, {"original-rrn": "000000000000"}, "25"),
            ("RELEASE", {}, {"original-rrn": "000000000000"}, "25"),
            ("VOID", usd, {**unknown, "reason": "cashier"}, "25"),
            ("CLOSE-BATCH", {"currency": "EUR"}, totals(), "12"),
        ]

    async def books(self) -> list[Any]:
        """Return every balance of the network as the console shows it."""
        return [dict(row) for row in (await demand(self.admin, "BALANCES")).rows]


def totals() -> dict[str, str]:
    return {"purchase-count": "0", "purchase-amount": "0.00", "reversal-count": "0", "reversal-amount": "0.00"}
