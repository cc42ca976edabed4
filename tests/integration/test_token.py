"""A token that goes away and a core that stands still, under a running network with a real terminal."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.integration.network import Network, Town, demand
from trus.admin.client import AdminClient
from trus.device.client import TerminalClient
from trus.device.requests import Timing


class TokenTroubleTests(TestCase):
    """TR-18: fail closed, say so, recover without a restart."""

    timeout = 180

    @inlineCallbacks
    def test_a_token_that_is_taken_away_and_brought_back(self):  # type: ignore[no-untyped-def]
        """Without the token purchases get 91 and HEALTH says why; with it back they are approved."""
        yield Deferred.fromCoroutine(self._with_network(self._take_away))

    @inlineCallbacks
    def test_a_core_that_stands_still(self):  # type: ignore[no-untyped-def]
        """While the core stands still nobody waits for it; what it does late is done once, and purchases go on."""
        yield Deferred.fromCoroutine(self._with_network(self._stand_still, answer_deadline="1s"))

    async def _with_network(
        self, story: Callable[[Network, Town, TerminalClient], Awaitable[None]], answer_deadline: str = "30s"
    ) -> None:
        network = Network()
        self.addCleanup(network.remove)
        text = network.layout.config.read_text()
        network.layout.config.write_text(
            text.replace("  token:\n", f"  core:\n    answer_deadline: {answer_deadline}\n  token:\n", 1)
        )
        network.start()
        town = await network.small_town(reactor)
        home = await network.enrolled(reactor, town, "T0000001")
        client = network.terminal(reactor, home, Timing(answer=4.0, give_up=6.0))
        await client.start()
        try:
            await self._buy(client, town, {"00"})
            await story(network, town, client)
        finally:
            await client.stop()
            await town.admin.close()
        self.assertNotIn("Traceback", network.logs())
        self.assertNotIn("starting it again", network.logs())

    async def _buy(self, client: TerminalClient, town: Town, codes: set[str]) -> str:
        card = town.cards[0]
        answer = await client.purchase(100, card["track2"], card["pin"])
        self.assertIn(answer.code, codes)
        return answer.code

    async def _until_approved(self, client: TerminalClient, town: Town) -> None:
        for _ in range(60):
            if await self._buy(client, town, {"00", "91", "96"}) == "00":
                return
            await deferLater(reactor, 0.5)
        self.fail("no purchase is approved any more")

    async def _health(self, admin: AdminClient) -> dict[str, str]:
        reply = await demand(admin, "HEALTH")
        return {row["part"]: row["state"] for row in reply.rows}

    async def _take_away(self, network: Network, town: Town, client: TerminalClient) -> None:
        tokens = network.layout.token / "tokens"
        self.assertEqual((await self._health(town.admin))["token"], "ok")
        tokens.rename(tokens.with_name("taken"))
        for _ in range(3):
            await self._buy(client, town, {"91"})
        health = await self._health(town.admin)
        self.assertRegex(health["token"], "token|PKCS#11 module")
        self.assertNotEqual(health["token"], "ok")
        self.assertEqual(health["database"], "ok")
        tokens.with_name("taken").rename(tokens)
        await self._until_approved(client, town)
        health = await self._health(town.admin)
        self.assertEqual((health["token"], health["token-recoveries"]), ("ok", "1"))
        log = network.logs()
        self.assertEqual(log.count("what needs the token gets code 91 until it works again"), 1)
        self.assertEqual(log.count("core: the token works again after"), 1)

    async def _stand_still(self, network: Network, town: Town, client: TerminalClient) -> None:
        core = _child_of(network.processes[0].popen.pid)
        os.kill(core, signal.SIGSTOP)
        try:
            first = await self._buy(client, town, {"96"})
            self.assertEqual(first, "96")
            await self._buy(client, town, {"91"})
        finally:
            os.kill(core, signal.SIGCONT)
        await self._until_approved(client, town)
        self.assertEqual(_child_of(network.processes[0].popen.pid), core)
        self.assertIn("the core has not answered a batch for 1 s; what waits gets code 91", network.logs())
        self.assertIn("the core answers again after", network.logs())
        await self._settled(town.admin)

    async def _settled(self, admin: AdminClient) -> None:
        """Wait until what was given up is taken back: the card has paid for the approved purchases alone."""
        for _ in range(40):
            rows = (await demand(admin, "TRANSACTIONS", limit="500")).rows
            approved = sum(row["kind"] == "purchase" and row["code"] == "00" for row in rows)
            undone = sum(row["kind"] == "reversal" and row["moved"] != "0.00" for row in rows)
            if approved - undone == 2:
                return
            await deferLater(reactor, 0.5)
        self.fail(f"{approved} purchases stand and {undone} were reversed, instead of 2 more")


def _child_of(pid: int) -> int:
    """Return the one child process of a process: a backend's core."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        [child] = file.read().split()
    return int(child)


__all__: list[Any] = ["TokenTroubleTests"]
