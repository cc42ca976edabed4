"""TR-15: whoever is revoked, suspended or blocked loses the live session within five seconds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.integration.network import PROJECT, Network, Town, demand
from trus.device.client import TerminalClient

#: What the network promises.
SECONDS = 5.0

#: A second process that writes into the database of the deployment beside the running core. On this
#: engine trus itself would refuse that; on an engine of many writers it is the rule.
OTHER_PROCESS = """
import sys
from pathlib import Path
from trus.cli.compose import database_path
from trus.cli.keystore import open_token
from trus.hsm.datakeys import DataKeys
from trus.ledger.compose import FILE_KEY_LABEL
from trus.ledger.engine import open_engine
from trus.ledger.registry_identities import IdentityRegistry
from trus.settings.loading import load
backend = load(Path(sys.argv[1])).backend
with open_token(backend) as keys:
    file_key = DataKeys(keys).derive(FILE_KEY_LABEL)
    engine = open_engine(database_path(backend), lambda: file_key)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        registry = IdentityRegistry(connection)
        for row in registry.certificates_of("pos", sys.argv[2]):
            registry.set_certificate_state(row.serial, sys.argv[3], 1, "keyCompromise")
        connection.exec_driver_sql("COMMIT")
    engine.dispose()
"""


class StandingTests(TestCase):
    """Two terminals at work, gateway and backend in processes of their own."""

    timeout = 180

    def setUp(self) -> None:
        self.network = Network(split=True)
        self.addCleanup(self.network.remove)
        self.network.start()

    async def terminals(self, town: Town) -> list[TerminalClient]:
        clients = []
        for name in ("T0000001", "T0000002"):
            client = self.network.terminal(reactor, await self.network.enrolled(reactor, town, name))
            await client.start()
            clients.append(client)
        return clients

    async def until(self, happened: Callable[[], bool], seconds: float = SECONDS) -> float:
        """Wait until something has happened; return how long that took, in seconds."""
        began = time.monotonic()
        while not happened():
            self.assertLess(time.monotonic() - began, seconds)
            await deferLater(reactor, 0.02)
        return time.monotonic() - began

    async def stays(self, client: TerminalClient, sessions: int, seconds: float) -> None:
        """Wait, and find that the terminal made no new session meanwhile."""
        await deferLater(reactor, seconds)
        self.assertEqual((client.connected, client.sessions), (False, sessions))

    @inlineCallbacks
    def test_revoked_at_the_console(self) -> Generator[Deferred[Any], Any, None]:
        """A revoked terminal's session ends within 5 s, its ticket opens nothing, and its neighbour sells on."""
        yield Deferred.fromCoroutine(self._revoked())

    async def _revoked(self) -> None:
        town = await self.network.small_town(reactor)
        lost, other = await self.terminals(town)
        card = town.cards[0]
        self.assertEqual((await lost.purchase(100, card["track2"], card["pin"])).code, "00")
        await demand(town.admin, "REVOKE", terminal="T0000001", reason="lost")
        await self.until(lambda: not lost.connected)
        # The terminal comes back with its ticket, and is refused for its standing each time.
        await self.until(lambda: "handshake refused: revoked" in self.network.logs())
        await self.stays(lost, 1, 3.0)
        self.assertEqual(lost.why, "refused")
        self.assertEqual((other.connected, other.sessions), (True, 1))
        self.assertEqual((await other.purchase(100, card["track2"], card["pin"])).code, "00")
        for client in (lost, other):
            await client.stop()
        await town.admin.close()

    @inlineCallbacks
    def test_suspended_and_released(self) -> Generator[Deferred[Any], Any, None]:
        """A suspended terminal is out within 5 s and back by itself after its release, as if nothing had been."""
        yield Deferred.fromCoroutine(self._suspended())

    async def _suspended(self) -> None:
        town = await self.network.small_town(reactor)
        held, other = await self.terminals(town)
        card = town.cards[0]
        for stop, release, named in (
            ("CERTIFICATE-HOLD", "CERTIFICATE-RELEASE", {"device": "T0000001"}),
            ("TERMINAL-BLOCK", "TERMINAL-UNBLOCK", {"terminal": "T0000001"}),
        ):
            sessions = held.sessions
            await demand(town.admin, stop, **named)
            await self.until(lambda: not held.connected)
            await self.stays(held, sessions, 1.0)
            await demand(town.admin, release, **named)
            await self.until(lambda: held.connected, 20.0)
            self.assertEqual((await held.purchase(100, card["track2"], card["pin"])).code, "00")
        self.assertEqual(other.sessions, 1)
        for client in (held, other):
            await client.stop()
        await town.admin.close()

    def change_elsewhere(self, terminal: str, state: str) -> str:
        """Change the state of a terminal's certificates from a process of its own; return its complaints."""
        command = [sys.executable, "-c", OTHER_PROCESS, str(self.network.layout.config), terminal, state]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False).stderr

    @inlineCallbacks
    def test_changed_by_another_process(self) -> Generator[Deferred[Any], Any, None]:
        """It does not matter which process changed the register: the front hears of it within a second or two."""
        yield Deferred.fromCoroutine(self._changed_elsewhere())

    async def _changed_elsewhere(self) -> None:
        town = await self.network.small_town(reactor)
        lost, other = await self.terminals(town)
        said = await deferToThread(self.change_elsewhere, "T0000001", "revoked")
        self.assertEqual(said, "")
        await self.until(lambda: not lost.connected)
        self.assertIn("pos T0000001", self.network.logs())
        self.assertTrue(other.connected)
        for client in (lost, other):
            await client.stop()
        await town.admin.close()
