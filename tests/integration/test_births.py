"""A terminal whose pair the backend makes, end to end on real parts (TR-17)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import TestCase

from tests.integration.network import Network, demand
from trus.clock import SystemClock, SystemEntropy
from trus.device.enrolment import NotEnrolled, enrol
from trus.device.home import DeviceHome, TerminalSettings
from trus.pki.channel import GATEWAY_HOST
from trus.values import Result


class BirthTests(TestCase):
    """Gateway, backend, token and database as they are deployed."""

    timeout = 120

    def setUp(self) -> None:
        self.network = Network(False)
        self.addCleanup(self.network.remove)
        self.network.start()

    @inlineCallbacks
    def test_a_terminal_pays_with_a_pair_of_the_backends(self) -> Generator[Deferred[Any], Any, None]:
        """TR-15, TR-17: made in the token, kept wrapped, handed over once, sealed; and then a lunch is paid with it."""
        yield Deferred.fromCoroutine(self._pays())

    async def _pays(self) -> None:
        town = await self.network.small_town(reactor)
        reply = await demand(town.admin, "TERMINAL-ADD", id="T0000001", shop="BISTRO", model="VX")
        code = reply.rows[0]["activation-code"]
        pki = self.network.layout.pki
        home = DeviceHome.prepare(
            self.network.folder / "terminals" / "T0000001",
            TerminalSettings("T0000001", "127.0.0.1", self.network.devices_port, GATEWAY_HOST),
            anchor=(pki / "individual-ca.pem").read_bytes(),
            channel=(pki / "pos.p12").read_bytes(),
            passphrase=(pki / "pos.pass").read_bytes().strip(),
        )
        await self._enrol(home, code)
        with self.assertRaises(NotEnrolled):
            await self._enrol(home, code)
        client = self.network.terminal(reactor, home)
        await client.start()
        card = town.cards[0]
        paid = await client.purchase(1250, card["track2"], card["pin"])
        self.assertEqual((paid.result, paid.amount), (Result.APPROVED, 1250))
        await client.stop()
        shown = await demand(town.admin, "ENROLMENTS")
        self.assertEqual([(row["state"], row["birth"]) for row in shown.rows], [("refused", ""), ("issued", "backend")])
        [row] = (await demand(town.admin, "CERTIFICATES", device="T0000001")).rows
        self.assertEqual(row["state"], "good")
        await town.admin.close()
        self._no_key(home)

    async def _enrol(self, home: DeviceHome, code: str) -> None:
        await enrol(
            home,
            code,
            endpoint=TCP4ClientEndpoint(reactor, "127.0.0.1", self.network.devices_port),  # type: ignore[arg-type]
            reactor=reactor,  # type: ignore[arg-type]
            clock=SystemClock(),
            entropy=SystemEntropy(),
            pair_from_backend=True,
        )

    def _no_key(self, home: DeviceHome) -> None:
        """Nowhere in the deployment does the terminal's private key stand in the clear."""
        key = home.key()
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files = [path for path in self.network.layout.root.rglob("*") if path.is_file()]
        self.assertGreater(len(files), 30)
        for path in files:
            content = path.read_bytes()
            self.assertNotIn(scalar, content, path)
            self.assertNotIn(pkcs8, content, path)
