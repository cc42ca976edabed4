"""TR-15: a terminal renews its certificate by itself over its own session, and nobody notices."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.integration.network import Network, Town, demand
from trus.clock import SystemClock, SystemEntropy
from trus.device.home import DeviceHome
from trus.device.renewal import NEXT_CHAIN, NEXT_KEY, NotRenewed, Renewal, is_due, renew


class RenewalCase(TestCase):
    """A network whose policy lets a terminal renew as soon as it likes, or not for years."""

    timeout = 180
    #: How long before a certificate's end it may be renewed; it lives for ten days.
    window = "863999s"

    def setUp(self) -> None:
        self.network = Network(split=True)
        self.addCleanup(self.network.remove)
        policy = self.network.layout.root / "pki" / "policy.yaml"
        changed = yaml.safe_load(policy.read_text("utf-8")) or {}
        changed["profiles"] = [{"name": "pos-identity", "lifetime": "10d", "renewal": self.window}]
        policy.write_text(yaml.safe_dump(changed), "utf-8")
        self.network.start()

    async def begin(self) -> tuple[Town, DeviceHome]:
        town = await self.network.small_town(reactor)
        return town, await self.network.enrolled(reactor, town, "T0000001")

    async def renew(self, home: DeviceHome, *, same_key: bool = False) -> Renewal:
        await deferLater(reactor, 1.5)  # the window begins a second after the certificate
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.network.devices_port)
        clock, entropy = SystemClock(), SystemEntropy()
        return await renew(home, endpoint=endpoint, reactor=reactor, clock=clock, entropy=entropy, same_key=same_key)

    def leaf(self, home: DeviceHome) -> x509.Certificate:
        return x509.load_pem_x509_certificate((home.path / "chain.pem").read_bytes())

    async def states(self, town: Town) -> list[tuple[str, str]]:
        rows = (await demand(town.admin, "CERTIFICATES", device="T0000001")).rows
        return sorted((row["state"], row["reason"]) for row in rows)

    async def run_pos(self, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("trus")), "pos", "--home", str(home), *arguments]
        return await deferToThread(
            lambda: subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        )


class RenewalTests(RenewalCase):
    """The window is open."""

    @inlineCallbacks
    def test_a_new_key_and_a_purchase(self) -> Generator[Deferred[Any], Any, None]:
        """The terminal gets a certificate for a new key, the former one is superseded, and it pays as before."""
        yield Deferred.fromCoroutine(self._new_key())

    async def _new_key(self) -> None:
        town, home = await self.begin()
        before = self.leaf(home)
        self.assertEqual(await self.renew(home), Renewal.RENEWED)
        after = self.leaf(home)
        self.assertNotEqual(before.public_key(), after.public_key())
        self.assertEqual(await self.states(town), [("good", ""), ("revoked", "superseded")])
        self.assertEqual([name for name in (NEXT_KEY, NEXT_CHAIN) if (home.path / name).exists()], [])
        self.assertEqual(await self.renew(home, same_key=True), Renewal.RENEWED)
        self.assertEqual(self.leaf(home).public_key(), after.public_key())
        client = self.network.terminal(reactor, home)
        await client.start()
        card = town.cards[0]
        self.assertEqual((await client.purchase(100, card["track2"], card["pin"])).code, "00")
        await client.stop()
        await town.admin.close()

    @inlineCallbacks
    def test_a_terminal_at_work(self) -> Generator[Deferred[Any], Any, None]:
        """A session under the former certificate ends within seconds of the new one's first use; overlap till then."""
        yield Deferred.fromCoroutine(self._at_work())

    async def _at_work(self) -> None:
        town, home = await self.begin()
        client = self.network.terminal(reactor, home)
        await client.start()
        card = town.cards[0]
        self.assertEqual((await client.purchase(100, card["track2"], card["pin"])).code, "00")
        await self.renew(home)
        for _ in range(250):
            if not client.connected:
                break
            await deferLater(reactor, 0.02)
        self.assertFalse(client.connected)
        await client.stop()
        again = self.network.terminal(reactor, home)
        await again.start()
        self.assertEqual((await again.purchase(100, card["track2"], card["pin"])).code, "00")
        await again.stop()
        await town.admin.close()

    @inlineCallbacks
    def test_an_interrupted_renewal(self) -> Generator[Deferred[Any], Any, None]:
        """Wherever a renewal is cut off, calling it again finishes it with the same key and no further certificate."""
        yield Deferred.fromCoroutine(self._interrupted())

    async def _interrupted(self) -> None:
        town, home = await self.begin()
        old = {name: (home.path / name).read_bytes() for name in ("key.pem", "chain.pem")}
        await self.renew(home)
        new = {name: (home.path / name).read_bytes() for name in ("key.pem", "chain.pem")}
        # Cut off before anything was put into its place: the backend has confirmed already.
        for name, content in old.items():
            (home.path / name).write_bytes(content)
        (home.path / NEXT_KEY).write_bytes(new["key.pem"])
        (home.path / NEXT_CHAIN).write_bytes(new["chain.pem"])
        self.assertTrue(is_due(home, SystemClock().now()))
        self.assertEqual(await self.renew(home), Renewal.FINISHED)
        # Cut off between the key and the certificate.
        (home.path / "chain.pem").write_bytes(old["chain.pem"])
        (home.path / NEXT_CHAIN).write_bytes(new["chain.pem"])
        self.assertEqual(await self.renew(home), Renewal.FINISHED)
        self.assertEqual({name: (home.path / name).read_bytes() for name in new}, new)
        self.assertFalse(is_due(home, SystemClock().now()))
        self.assertEqual(len(await self.states(town)), 2)
        await town.admin.close()

    @inlineCallbacks
    def test_the_command(self) -> Generator[Deferred[Any], Any, None]:
        """`trus pos renew` renews, and the next command of the terminal uses the new certificate."""
        yield Deferred.fromCoroutine(self._command())

    async def _command(self) -> None:
        town, home = await self.begin()
        before = self.leaf(home)
        await deferLater(reactor, 1.5)
        done = await self.run_pos(home.path, "renew")
        self.assertEqual((done.returncode, "renewed" in done.stdout), (0, True), done.stderr)
        self.assertNotEqual(self.leaf(home).serial_number, before.serial_number)
        await town.admin.close()


class TooEarlyTests(RenewalCase):
    """The window is far away."""

    window = "1d"

    @inlineCallbacks
    def test_the_command(self) -> Generator[Deferred[Any], Any, None]:
        """Before its window a terminal is refused, keeps its certificate, and the refusal is on record."""
        yield Deferred.fromCoroutine(self._too_early())

    async def _too_early(self) -> None:
        town, home = await self.begin()
        before = self.leaf(home)
        done = await self.run_pos(home.path, "renew")
        self.assertEqual((done.returncode, "too early" in done.stdout), (3, True), done.stdout)
        self.assertEqual(self.leaf(home), before)
        try:
            await self.renew(home)
        except NotRenewed as problem:
            self.assertTrue(problem.too_early)
        self.assertEqual(await self.states(town), [("good", "")])
        await town.admin.close()
