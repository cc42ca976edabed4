"""TR-15: the issuing authority changes, and is revoked, while a network takes payments."""

from __future__ import annotations

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

from tests.integration.network import PROJECT, Network, demand
from trus.certificates.chains import load_anchors, serial_text
from trus.clock import SystemClock, SystemEntropy
from trus.device.home import DeviceHome
from trus.device.renewal import renew

TRUS = str(Path(sys.executable).with_name("trus"))
OFFICERS = ("--officer", "Anna Kowalska", "--officer", "Boris")


class LiveCeremonyTests(TestCase):
    """Ceremonies beside a running gateway and backend; nothing is started again."""

    timeout = 240

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.network.start()
        self.layout = self.network.layout
        self.config = ("--config", str(self.layout.config))

    async def ceremony(self, *arguments: str) -> str:
        """Hold a ceremony by its command; return what it said."""
        command = ["ca", *arguments, *self.config, *OFFICERS]
        out, err, code = await getProcessOutputAndValue(TRUS, command, env=dict(os.environ), path=str(PROJECT))
        self.assertEqual(code, 0, err.decode())
        return str(out.decode())

    async def until(self, happened: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something has happened."""
        end = time.monotonic() + seconds
        while not happened():
            self.assertLess(time.monotonic(), end, self.network.logs()[-3000:])
            await deferLater(reactor, 0.05)

    def issuer_of(self, home: DeviceHome) -> x509.Certificate:
        """Return the authority that a terminal's chain names."""
        _, issuer = x509.load_pem_x509_certificates((home.path / "chain.pem").read_bytes())
        return issuer

    @inlineCallbacks
    def test_change_and_revocation(self) -> Generator[Deferred[Any], Any, None]:
        """A new authority issues at once; a revoked one's devices are out, renewed ones sell on: no restart."""
        yield Deferred.fromCoroutine(self._change_and_revoke())

    async def _change_and_revoke(self) -> None:
        town = await self.network.small_town(reactor)
        card = town.cards[0]
        homes = {name: await self.network.enrolled(reactor, town, name) for name in ("T0000001", "T0000002")}
        lost, kept = (self.network.terminal(reactor, home) for home in homes.values())
        for client in (lost, kept):
            await client.start()
        request, certificate = self.network.folder / "next.csr", self.network.folder / "next.pem"
        await self.ceremony("new-issuing", "--out", str(request))
        await self.ceremony("sign-issuing", str(request), "--out", str(certificate))
        await self.ceremony("rollover", str(certificate))
        await self.until(lambda: "issuing authority 2 issues from now on" in self.network.logs())

        # Who enrols now is certified by the new one; who was before goes on, and may renew at once.
        first, second = load_anchors(self.layout.issuing.read_bytes())
        newcomer = await self.network.enrolled(reactor, town, "T0000003")
        self.assertEqual(self.issuer_of(newcomer), second)
        self.assertEqual(self.issuer_of(homes["T0000002"]), first)
        self.assertEqual((lost.sessions, kept.sessions), (1, 1))
        self.assertEqual((await kept.purchase(100, card["track2"], card["pin"])).code, "00")
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.network.devices_port)
        await kept.stop()
        await renew(homes["T0000002"], endpoint=endpoint, reactor=reactor, clock=SystemClock(), entropy=SystemEntropy())
        self.assertEqual(self.issuer_of(homes["T0000002"]), second)
        kept = self.network.terminal(reactor, homes["T0000002"])
        await kept.start()
        self.assertEqual((await kept.purchase(100, card["track2"], card["pin"])).code, "00")

        # The root revokes the first one: what it issued is out, live session and ticket as well.
        await self.ceremony("crl", "--revoke", serial_text(first))
        await self.until(lambda: not lost.connected)
        await self.until(lambda: "handshake refused: revoked-authority" in self.network.logs())
        self.assertEqual(lost.sessions, 1)
        self.assertEqual((kept.connected, kept.sessions), (True, 1))
        self.assertEqual((await kept.purchase(100, card["track2"], card["pin"])).code, "00")

        # A list that nobody signed changes nothing, and the operator is told.
        self.layout.revocation_list("individual-root").write_bytes(b"no list")
        await self.until(lambda: "stay in use" in self.network.logs())
        self.assertTrue(kept.connected)
        health = {row["part"]: row["state"] for row in (await demand(town.admin, "HEALTH")).rows}
        self.assertEqual(health["token"], "ok")
        for client in (lost, kept):
            await client.stop()
        await town.admin.close()
