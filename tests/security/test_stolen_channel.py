"""The channel certificate of all terminals is stolen: payments go on while the thief knocks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from typing import Any, Final

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase

from tests.integration.network import PROJECT, Network, demand

SECONDS: Final = 5.0
THIEVES: Final = 2


class FloodTests(TestCase):
    """On real processes."""

    timeout = 90

    def setUp(self) -> None:
        self.network = Network(split=True)
        self.addCleanup(self.network.remove)
        self.network.start()

    @inlineCallbacks
    def test_payments_go_on(self) -> Generator[Deferred[Any], Any, None]:
        """TR-12: who stole the channel certificate and floods the port with handshakes stops no payment."""
        yield Deferred.fromCoroutine(self._flooded())

    async def _flooded(self) -> None:
        town = await self.network.small_town(reactor, purse="1000.00")
        home = await self.network.enrolled(reactor, town, "T0000001")
        client = self.network.terminal(reactor, home)
        await client.start()
        pki = self.network.layout.pki
        words = [str(self.network.devices_port), str(pki / "pos.p12"), str(pki / "pos.pass"), str(SECONDS)]
        thieves = [self._thief(words) for _ in range(THIEVES)]
        card = town.cards[0]
        codes = []
        while any(thief.poll() is None for thief in thieves):
            codes.append((await client.purchase(1, card["track2"], card["pin"])).code)
        said = [thief.communicate()[0].split() for thief in thieves]
        self.assertEqual(set(codes), {"00"})
        self.assertGreater(len(codes), 10)
        self.assertGreater(sum(int(connections) for connections, _ in said), 20)
        shown = await demand(town.admin, "TRANSACTIONS", kind="purchase", limit="500")
        self.assertEqual({row["terminal"] for row in shown.rows}, {"T0000001"})
        await client.stop()
        await town.admin.close()
        # One line for thousands of refusals, and nothing that looks like a fault of ours.
        self.assertLess(self.network.logs().count("too-many"), 20)
        self.assertNotIn("Traceback", self.network.logs())
        self.assertNotIn("unexpected failure", self.network.logs())

    def _thief(self, words: list[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.security.thief", *words]
        thief = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        self.addCleanup(thief.kill)
        return thief
