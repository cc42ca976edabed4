"""Whatever is killed in the middle, a request happens once or never, and its answer can be asked for again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.integration.hand import Hand, rid
from tests.integration.network import Network, Process, demand
from trus.admin.client import AdminClient
from trus.cards.numbers import CardNumber
from trus.cards.pin import Pin, seal_pin
from trus.device.home import DeviceHome
from trus.protocol.fields import format_octets

BACKEND, GATEWAY = 0, 1
#: What an answer says of a request, however often it is asked for.
FINAL = ("result", "code", "approval", "rrn", "amount", "currency")


def kill_whole(process: Process) -> None:
    """Kill a process and its children at once, as a machine that fails does, and wait until they are gone."""
    children = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == process.popen.pid:
                children.append(int(entry.name))
    process.popen.send_signal(signal.SIGKILL)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    process.popen.wait(60)


class ExactlyOnce(TestCase):
    """TR-11: gateway and backend as two real processes, killed at chosen moments."""

    timeout = 900

    @inlineCallbacks
    def test_exactly_once(self) -> Generator[Deferred[Any], Any, None]:
        """Repeats, tombstones, late requests and answers lost by a kill -9 of gateway, backend or both: nothing happens
        twice, and every answer stays what it was."""
        yield Deferred.fromCoroutine(self._play())

    async def _play(self) -> None:
        self.network = network = Network(split=True)
        self.addCleanup(network.remove)
        network.start()
        town = await network.small_town(reactor, purse="100.00")
        self.home = await network.enrolled(reactor, town, "T0000001")
        self.admin, self.town, self.stan, self.spent = town.admin, town, 0, 0
        self.hand = await self.session(self.home)
        await self.repeats()
        await self.tombstones()
        await self.pipelined()
        for killed, stored in (((BACKEND,), False), ((BACKEND,), True), ((GATEWAY,), True), ((BACKEND, GATEWAY), True)):
            await self.killed(killed, stored=stored)
        await self.holds()
        await self.late_answers()
        await self.expiring()
        await self.admin.close()
        self.hand.drop()

    # -------------------------------------------------------------------------------- the scenes

    async def repeats(self) -> None:
        """A repeat gets the stored answer; another rid, amount or kind under the same number gets 94."""
        number, first = await self.pay("1.00")
        self.assertEqual(first["code"], "00")
        for _ in range(2):
            self.assert_same(await self.ask(number, "1.00", repeat="yes"), first)
        self.assertEqual((await self.ask(number, "1.01"))["code"], "94")
        self.assertEqual((await self.ask(number, "1.00", name=number + 9000))["code"], "94")
        self.assertEqual((await self.reverse(number, "1.01"))["code"], "25")
        twice = [self.ask(self.next(), "2.00")]
        twice.append(self.ask(self.stan, "2.00", repeat="yes"))
        answers = [await each for each in twice]
        self.assert_same(*answers)
        self.spent += 300
        await self.assert_books("1.00", "2.00")

    async def tombstones(self) -> None:
        """A reversal before its original leaves a tombstone: the late original gets 68, the reversal the same again."""
        number = self.next()
        first = await self.reverse(number, "3.00")
        self.assertEqual((first["result"], first["code"]), ("reversed", "00"))
        self.assertEqual((await self.ask(number, "3.00", repeat="yes"))["code"], "68")
        self.assertEqual((await self.ask(number, "3.00", name=number + 9000))["code"], "94")
        again = await self.reverse(number, "3.00")
        self.assertEqual((again["result"], again["rrn"]), ("reversed", first["rrn"]))
        await self.assert_books()

    async def pipelined(self) -> None:
        """A reversal said before the answer came takes the purchase back; whoever asks for it then gets 68."""
        number = self.next()
        bought, undone = self.ask(number, "4.00"), self.reverse(number, "4.00")
        self.assertEqual((await bought)["code"], "00")
        self.assertEqual((await undone)["amount"], "4.00")
        self.assertEqual((await self.ask(number, "4.00", repeat="yes"))["code"], "68")
        await self.assert_books()

    async def killed(self, which: tuple[int, ...], *, stored: bool) -> None:
        """A purchase whose answer is lost with the processes: asked again, it was paid once."""
        number = self.next()
        amount = f"5.{number:02d}"
        lost = self.ask(number, amount)
        lost.addErrback(lambda _: None)
        if stored:
            await self.until_stored(amount)
        await self.fall(which)
        first = await self.ask(number, amount, repeat="yes")
        self.assertEqual(first["code"], "00")
        self.assert_same(await self.ask(number, amount, repeat="yes"), first)
        self.spent += 500 + number
        await self.assert_books(amount)

    async def holds(self) -> None:
        """What was set aside before a restart is completed after it, once."""
        number = self.next()
        held = await self.ask(number, "6.00", verb="PRE-AUTHORIZE")
        await self.fall((BACKEND,))
        done = self.next()
        fields = {"rid": rid(done), "original-rrn": held["rrn"]}
        paid = await self.hand.say("CAPTURE", self.clear(done, "2.50"), fields)
        self.assertEqual(paid["code"], "00")
        self.assert_same(await self.hand.say("CAPTURE", {**self.clear(done, "2.50"), "repeat": "yes"}, fields), paid)
        other = self.next()
        twice = await self.hand.say("CAPTURE", self.clear(other, "2.50"), {**fields, "rid": rid(other)})
        self.assertEqual(twice["code"], "25")
        self.spent += 250
        await self.assert_books()

    async def late_answers(self) -> None:
        """The backend stands still; the terminal gives up and takes the purchase back; then both answers come, late."""
        front = self.network.processes[BACKEND].popen
        number = self.next()
        front.send_signal(signal.SIGSTOP)
        try:
            bought, undone = self.ask(number, "7.00"), self.reverse(number, "7.00")
            await deferLater(reactor, 0.5)
            self.assertFalse(bought.called or undone.called, "somebody answered for a backend that stood still")
        finally:
            front.send_signal(signal.SIGCONT)
        self.assertEqual((await bought)["code"], "00")
        taken = await undone
        self.assertEqual((taken["result"], taken["amount"]), ("reversed", "7.00"))
        self.assertEqual((await self.ask(number, "7.00", repeat="yes"))["code"], "68")
        self.assertEqual((await self.reverse(number, "7.00"))["code"], "00")
        await self.assert_books()

    async def expiring(self) -> None:
        """Pre-authorizations that expire while they are being completed: each is paid, or gone (25), and never both."""
        file = self.network.configs[BACKEND]
        told = file.read_text(encoding="utf-8")
        self.assertIn("    hold: 7d\n", told)
        file.write_text(told.replace("    hold: 7d\n", "    hold: 2s\n"), encoding="utf-8")
        await self.fall((BACKEND,))
        held = [await self.ask(self.next(), "0.50", verb="PRE-AUTHORIZE") for _ in range(40)]
        self.assertEqual({each["code"] for each in held}, {"00"})
        codes: list[str] = []
        for hold in held:
            number = self.next()
            fields = {"rid": rid(number), "original-rrn": hold["rrn"]}
            codes.append((await self.hand.say("CAPTURE", self.clear(number, "0.50"), fields))["code"])
            if codes[-3:] == ["25"] * 3:
                break
            await deferLater(reactor, 0.25)
        paid = codes.count("00")
        self.assertEqual(codes, ["00"] * paid + ["25"] * (len(codes) - paid))
        self.assertTrue(0 < paid < len(codes), codes)
        self.spent += 50 * paid
        await self.assert_books()
        rest = 10_000 - self.spent
        self.assertEqual(
            (await self.pay(f"{rest // 100}.{rest % 100:02d}"))[1]["code"], "00", "something is still held"
        )

    # ---------------------------------------------------------------------------------- the tools

    async def fall(self, which: tuple[int, ...]) -> None:
        """Kill processes, start them again, and come back."""
        self.hand.drop()
        await self.admin.close()
        for place in which:
            kill_whole(self.network.processes[place])
        for place in which:
            config = self.network.configs[place]
            self.network.processes[place] = Process(config, config.stem, self.network.environment)
        for place in which:
            self.network.processes[place].wait_ready()
        self.admin, self.hand = await self.console(), await self.session(self.home)

    def next(self) -> int:
        self.stan += 1
        return self.stan

    async def session(self, home: DeviceHome) -> Hand:
        """Open a session, as soon as the gateway has a backend again."""
        for _ in range(600):
            hand = Hand(reactor, home, self.network.devices_port)
            try:
                return await hand.open()
            except Exception:  # noqa: BLE001 - the way is not there yet, in whatever way that shows
                await deferLater(reactor, 0.2)
        raise AssertionError("no session could be opened")

    async def console(self) -> AdminClient:
        """Log in, as soon as the gateway has a backend again."""
        for _ in range(600):
            try:
                return await self.network.admin(reactor)
            except Exception:  # noqa: BLE001 - as above
                await deferLater(reactor, 0.2)
        raise AssertionError("the console could not be reached")

    def clear(self, number: int, amount: str) -> dict[str, str]:
        return {"stan": f"{number:06d}", "amount": amount, "currency": "USD", "date": self.hand.date}

    async def pay(self, amount: str) -> tuple[int, dict[str, str]]:
        number = self.next()
        return number, await self.ask(number, amount)

    def ask(
        self, number: int, amount: str, *, name: int = 0, repeat: str = "", verb: str = "PROCESS"
    ) -> Deferred[dict[str, str]]:
        """Say a purchase of the first card under a number; `name` draws another rid."""
        card = self.town.cards[0]
        encrypt = Cipher(algorithms.AES(self.hand.pin_key), modes.ECB()).encryptor().update
        block = seal_pin(Pin(card["pin"]), CardNumber(card["track2"].partition("=")[0]), encrypt, b"12345678")
        clear = self.clear(number, amount) | ({"repeat": repeat} if repeat else {})
        sealed = {"rid": rid(name or number), "track2": card["track2"], "pin": format_octets(block), "format": "4"}
        return self.hand.say(verb, clear, sealed)

    def reverse(self, number: int, amount: str) -> Deferred[dict[str, str]]:
        own = self.next()
        original = {"original-stan": f"{number:06d}", "original-date": self.hand.date, "original-rid": rid(number)}
        return self.hand.say("REVERSE", self.clear(own, amount), {"rid": rid(own), **original, "reason": "timeout"})

    def assert_same(self, one: dict[str, str], other: dict[str, str]) -> None:
        self.assertEqual([one.get(name) for name in FINAL], [other.get(name) for name in FINAL])

    async def stored(self, amount: str) -> int:
        """Return how many purchases of an amount, which no other has, the ledger holds."""
        reply = await demand(self.admin, "TRANSACTIONS", terminal="T0000001", kind="purchase", limit="500")
        return [row["moved"] for row in reply.rows].count(amount)

    async def until_stored(self, amount: str) -> None:
        for _ in range(600):
            if await self.stored(amount):
                return
            await deferLater(reactor, 0.1)
        raise AssertionError(f"the purchase of {amount} never came")

    async def assert_books(self, *amounts: str) -> None:
        """The purse paid what was approved and not taken back, and each of these amounts once."""
        rows = (await demand(self.admin, "BALANCES", company="ACME")).rows
        whole, _, cents = rows[0]["balance"].partition(".")
        self.assertEqual(int(whole) * 100 + int(cents), 10_000 - self.spent, rows)
        for amount in amounts:
            self.assertEqual(await self.stored(amount), 1, amount)
