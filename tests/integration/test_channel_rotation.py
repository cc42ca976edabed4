"""TR-14: the channel certificate of all terminals is replaced while they sell: both are good, then the new one."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.integration.network import PROJECT, Network
from trus.cli.channels import RETIRING
from trus.clock import SystemClock, SystemEntropy
from trus.device.channel import ASKED, NEXT_CHANNEL, is_due, note_asked, renew_channel
from trus.device.home import DeviceHome

TRUS = str(Path(sys.executable).with_name("trus"))


class ChannelRotationTests(TestCase):
    """Gateway and backend in processes of their own, two terminals, one of which is away for long."""

    timeout = 400

    def setUp(self) -> None:
        self.network = Network(split=True)
        self.addCleanup(self.network.remove)
        self.network.start()
        self.pki = self.network.layout.pki

    async def trus(self, *arguments: str) -> str:
        """Run a command to its end; return what it printed."""
        out, err, code = await getProcessOutputAndValue(TRUS, arguments, env=dict(os.environ), path=str(PROJECT))
        self.assertEqual(code, 0, out + err)
        return str(out.decode())

    def certificates(self, *arguments: str) -> list[str]:
        return ["certificates", *arguments, "--config", str(self.network.layout.config)]

    async def until(self, happened: Callable[[], bool], seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not happened():
            self.assertLess(time.monotonic(), end, self.network.logs()[-3000:])
            await deferLater(reactor, 0.1)

    async def ask(self, home: DeviceHome) -> bool:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.network.devices_port)
        return await renew_channel(
            home, endpoint=endpoint, reactor=reactor, clock=SystemClock(), entropy=SystemEntropy()
        )

    async def sells(self, home: DeviceHome, card: dict[str, str]) -> str:
        client = self.network.terminal(reactor, home)
        await client.start()
        answer = await client.purchase(100, card["track2"], card["pin"])
        await client.stop()
        return answer.code

    @inlineCallbacks
    def test_overlap(self) -> Generator[Deferred[Any], Any, None]:
        """Old and new serve together; a terminal fetches the new one; when the time is over the old one is revoked."""
        yield Deferred.fromCoroutine(self._overlap())

    async def _overlap(self) -> None:
        town = await self.network.small_town(reactor)
        card = town.cards[0]
        home, away = [await self.network.enrolled(reactor, town, name) for name in ("T0000001", "T0000002")]
        old = home.credentials().chain[0]
        self.assertFalse(await self.ask(home))  # there is no other yet
        passphrase = (self.pki / "pos.pass").read_bytes()
        said = await self.trus(*self.certificates("renew", "pos", "--overlap", "30"))
        self.assertIn(f"{old.serial_number:x}, is good until", said)
        self.assertEqual((self.pki / "pos.pass").read_bytes(), passphrase)

        # Both are good: the one that fetched the new one, and the one that was not at work.
        self.assertTrue(await self.ask(home))
        new = home.credentials().chain[0]
        self.assertNotEqual(new.serial_number, old.serial_number)
        self.assertFalse(await self.ask(home))
        self.assertFalse((home.path / NEXT_CHANNEL).exists())
        self.assertEqual([await self.sells(each, card) for each in (home, away)], ["00", "00"])
        listed = json.loads(await self.trus(*self.certificates("list", "--json")))
        states = {row["serial"]: row["state"] for row in listed if row["name"] == "pos"}
        self.assertEqual(states, {f"{new.serial_number:x}": "in use", f"{old.serial_number:x}": "former"})

        # The time is over: the core puts the old one on the list, and the gateway refuses it, the new one never.
        file = self.pki / RETIRING
        entries = json.loads(file.read_bytes())
        entries[0]["until"] = "2026-01-01T00:00:00Z"
        file.write_text(json.dumps(entries))
        await self.until(lambda: f"{old.serial_number:x}) is revoked" in self.network.logs())
        crl = x509.load_pem_x509_crl((self.pki / "channel.crl").read_bytes())
        self.assertEqual([entry.serial_number for entry in crl], [old.serial_number])
        await self.until(lambda: "device port: certificates and lists were renewed" in self.network.logs())
        self.assertEqual(await self.sells(home, card), "00")
        refused = self.network.terminal(reactor, away)
        waiting = refused.start()
        await self.until(lambda: "channel-revoked" in self.network.logs())
        self.assertEqual(refused.sessions, 0)
        await refused.stop()
        waiting.addErrback(lambda _: None)
        await town.admin.close()
        said = await self.trus(*self.certificates("list"))
        self.assertIn("revoked", said)

    @inlineCallbacks
    def test_the_terminal_by_itself(self) -> Generator[Deferred[Any], Any, None]:
        """`trus pos` asks once a day with the next command that it runs, and `trus pos renew` at once."""
        yield Deferred.fromCoroutine(self._by_itself())

    async def _by_itself(self) -> None:
        town = await self.network.small_town(reactor)
        home = await self.network.enrolled(reactor, town, "T0000001")
        before = home.credentials().chain[0].serial_number
        self.assertTrue(is_due(home, SystemClock().now()))
        note_asked(home, SystemClock().now())
        self.assertFalse(is_due(home, SystemClock().now()))
        await self.trus(*self.certificates("renew", "pos"))
        card = self.network.folder / "card"
        card.write_text(town.cards[0]["track2"] + "\n")
        pin = self.network.folder / "pin"
        pin.write_text(town.cards[0]["pin"] + "\n")
        balance = ("pos", "--home", str(home.path), "balance", "--track2-file", str(card), "--pin-file", str(pin))
        self.assertNotIn("channel certificate", await self.trus(*balance))
        self.assertEqual(home.credentials().chain[0].serial_number, before)
        (home.path / ASKED).write_text("2026-01-01T00:00:00+00:00\n")
        # An interrupted exchange left half a file: it is fetched anew.
        (home.path / NEXT_CHANNEL).write_bytes(b"half")
        self.assertIn("The channel certificate was replaced", await self.trus(*balance))
        after = home.credentials().chain[0].serial_number
        self.assertNotEqual(after, before)
        self.assertFalse(is_due(home, SystemClock().now()))
        await self.trus(*self.certificates("renew", "pos", "--overlap", "1"))
        renewed = await getProcessOutputAndValue(
            TRUS, ["pos", "--home", str(home.path), "renew"], env=dict(os.environ), path=str(PROJECT)
        )
        self.assertIn(b"The channel certificate was replaced", renewed[0])
        self.assertNotEqual(home.credentials().chain[0].serial_number, after)
        await town.admin.close()
