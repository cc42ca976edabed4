"""What an operator can get wrong and a machine can do: one clear sentence, nothing approved that is not stored."""

from __future__ import annotations

import resource
import shutil
import socket
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.integration.network import Network, Process, demand
from trus.device.requests import Timing


class StartTests(SynchronousTestCase):
    """A backend that cannot work does not start, and says why in one line."""

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)

    def start(self) -> str:
        """Start, expect a failure, and return what it said."""
        process = Process(self.network.layout.config, "failing")
        self.addCleanup(process.kill)
        self.assertNotEqual(process.wait(), 0)
        text = process.text()
        self.assertNotIn("Traceback", text)
        return text

    def test_a_wrong_token_pin(self) -> None:
        """A wrong PIN stops the start; the sentence says PIN and does not say which."""
        self.network.layout.pin_file.write_text("87654321\n")
        text = self.start()
        self.assertIn("PIN", text)
        self.assertNotIn("87654321", text)

    def test_a_missing_token(self) -> None:
        """A token that is gone stops the start."""
        shutil.rmtree(self.network.layout.token / "tokens")
        (self.network.layout.token / "tokens").mkdir(mode=0o700)
        self.assertIn("token", self.start())

    def test_a_database_of_another_token(self) -> None:
        """TR-13: a ledger under another token's key stops the start: it cannot be read."""
        other = Network()
        self.addCleanup(other.remove)
        shutil.copy(other.layout.database, self.network.layout.database)
        self.assertIn("does not open under any version of K_DB", self.start())

    def test_a_database_that_is_no_database(self) -> None:
        """A damaged file stops the start."""
        self.network.layout.database.write_bytes(b"\x00" * 8192)
        self.assertIn(str(self.network.layout.database), self.start())

    def test_a_port_that_is_taken(self) -> None:
        """A port that cannot be opened fails the start with the port's name and number."""
        for port in (self.network.devices_port, self.network.link_port):
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", port))
                taken.listen()
                self.assertIn(f"127.0.0.1:{port}", self.start())

    def test_a_configuration_with_many_mistakes(self) -> None:
        """Every mistake of a configuration is named at once, with its path."""
        text = self.network.layout.config.read_text()
        text = text.replace(f"port: {self.network.devices_port}", "port: many").replace("iin: ", "inn: ")
        self.network.layout.config.write_text(text)
        said = self.start()
        self.assertIn("gateway.devices.port", said)
        self.assertIn("backend.cards.inn", said)


class FullDiskTests(TestCase):
    """A disk that is full approves nothing, and says so."""

    timeout = 120

    @inlineCallbacks
    def test_a_full_disk(self) -> Generator[Deferred[Any], Any, None]:
        """From the moment on when nothing can be written, no purchase is approved; all approved ones are stored."""
        yield Deferred.fromCoroutine(self._fill())

    async def _fill(self) -> None:
        network = Network()
        self.addCleanup(network.remove)
        network.start()
        town = await network.small_town(reactor, purse="50000.00")
        home = await network.enrolled(reactor, town, "T0000001")
        await town.admin.close()
        network.stop()

        def limit() -> None:
            # Files of the whole deployment may not grow beyond this: the write-ahead log hits it first.
            resource.setrlimit(resource.RLIMIT_FSIZE, (320 << 10, resource.RLIM_INFINITY))

        process = Process(network.layout.config, "limited", limits=limit)
        network.processes = [process]
        process.wait_ready()
        client = network.terminal(reactor, home, Timing(answer=2.0, give_up=4.0))
        await client.start()
        card = town.cards[0]
        codes: list[str] = []
        approved: list[str] = []
        for number in range(2000):
            answer = await client.purchase(1 + number, card["track2"], card["pin"])
            codes.append(answer.code)
            if answer.code != "00":
                break
            approved.append(answer.rrn)
        self.assertIn(codes[-1], {"91", "96"})
        self.assertGreater(len(approved), 3)
        again = await client.purchase(1, card["track2"], card["pin"])
        self.assertNotEqual(again.code, "00")
        client_stopped = client.stop()
        await deferLater(reactor, 0.1)
        process.kill()
        await client_stopped
        self.assertNotIn("Traceback", process.text())
        self.assertNotIn("session ended: tag", process.text())
        network.start()
        admin = await network.admin(reactor)
        seen: set[str] = set()
        after = ""
        while True:
            page = await demand(
                admin, "TRANSACTIONS", kind="purchase", limit="500", **({"after": after} if after else {})
            )
            seen |= {row["rrn"] for row in page.rows}
            if len(page.rows) < 500:
                break
            after = page.rows[-1]["rrn"]
        self.assertEqual(set(approved) - seen, set())
        await admin.close()
