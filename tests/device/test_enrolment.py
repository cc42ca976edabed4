"""A terminal gets its certificate, and what its folder promises."""

from __future__ import annotations

import shutil
import stat
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.trial import unittest

from tests.device.acting import TRACK2
from tests.device.network import GATEWAY, PASSPHRASE, NetworkCase, SmallNetwork
from trus.cards.errors import CardDataRefused
from trus.cards.tracks import raw_track_two
from trus.core import messages as core
from trus.core.messages import Answer, Request
from trus.device.enrolment import NotEnrolled
from trus.device.home import DeviceHome, TerminalSettings
from trus.device.pinpad import pin_encoder, swiped
from trus.errors import ConfigurationError
from trus.values import ChannelRole, DeviceRole, TrackTwo


class Enrolling(NetworkCase):
    async def test_enrolled(self) -> None:
        """TR-15: a terminal's key is born in its home, and a code brings the certificate for it."""
        home = self.network.home(self.folder / "home")
        self.assertFalse(home.enrolled)
        await self.enrol(home, self.network.code())
        self.assertTrue(home.enrolled)
        holder = self.network.identities.verify(home.identity().chain, DeviceRole.POS)
        self.assertEqual((holder.name, holder.shop), ("T0000001", "CANTEEN1"))

    async def test_private(self) -> None:
        """TR-10: the key and the channel's bundle are readable by the terminal's user alone."""
        home = await self.enrolled()
        for path in home.path.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)
        self.assertEqual(stat.S_IMODE(home.path.stat().st_mode), 0o700)
        key = load_pem_private_key((home.path / "key.pem").read_bytes(), None)
        self.assertIsInstance(key, ec.EllipticCurvePrivateKey)

    async def test_lost_answer(self) -> None:
        """When the answer is lost, the same code brings the same certificate."""
        home = self.network.home(self.folder / "home")
        code = self.network.code()
        original = self.network._answer

        def lose(request: Request) -> Answer | None:
            answer = original(request)
            if isinstance(request, core.Enrol):
                self.network.mute = 1
            return answer

        self.network._answer = lose  # type: ignore[method-assign]
        with self.assertRaises(NotEnrolled):
            await self.enrol(home, code)
        self.assertFalse(home.enrolled)
        self.network._answer = original  # type: ignore[method-assign]
        self.network.mute = 0
        again = self.network.home(self.folder / "home")
        await self.enrol(again, code)
        self.assertTrue(again.enrolled)

    async def test_wrong_code(self) -> None:
        """A wrong code brings one clear sentence and no certificate."""
        home = self.network.home(self.folder / "home")
        self.network.code()
        with self.assertRaisesRegex(NotEnrolled, "activation code cannot be used"):
            await self.enrol(home, "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF")
        self.assertFalse(home.enrolled)

    async def test_foreign_backend(self) -> None:
        """TR-16: a backend that the provisioned anchor does not vouch for never sees the code."""
        other = SmallNetwork()
        home = self.network.home(self.folder / "home", anchor=other.anchor)
        with self.assertRaises(NotEnrolled):
            await self.enrol(home, self.network.code())
        self.assertFalse(home.enrolled)

    async def test_wrong_gateway(self) -> None:
        """TR-14: a gateway whose certificate bears another name is not talked to."""
        home = self.network.home(self.folder / "home", server_name="other.example")
        with self.assertRaisesRegex(NotEnrolled, "gateway-wrong-name"):
            await self.enrol(home, self.network.code())
        self.assertEqual(self.network.heard, [])

    async def test_wrong_channel(self) -> None:
        """TR-14: the channel certificate of another role opens nothing."""
        home = self.network.home(self.folder / "home", channel=self.network.channel_file(ChannelRole.WEBSITE))
        with self.assertRaises(NotEnrolled):
            await self.enrol(home, self.network.code())
        self.assertEqual(self.network.heard, [])

    async def test_nobody_listens(self) -> None:
        """When no gateway listens, the reason is one sentence."""
        home = self.network.home(self.folder / "home")
        endpoint = self.network.endpoint()
        await self.network.close()
        self.network.endpoint = lambda: endpoint  # type: ignore[method-assign]
        with self.assertRaisesRegex(NotEnrolled, "could not be reached through the gateway: .*refused"):
            await self.enrol(home, "AAAA-BBBB-CCCC-DDDD")

    async def test_twice(self) -> None:
        """An enrolled home is not enrolled over, nor given to another terminal."""
        await self.enrolled()
        with self.assertRaisesRegex(ConfigurationError, "enrolled terminal already"):
            self.network.home(self.folder / "T0000001")
        self.network.home(self.folder / "half", "T0000002")
        with self.assertRaisesRegex(ConfigurationError, "another terminal"):
            self.network.home(self.folder / "half", "T0000003")


class Homes(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.network = SmallNetwork()

    def test_checked_before_written(self) -> None:
        """What cannot work is refused before anything is written."""
        for changes in (
            {"anchor": b"no certificate"},
            {"channel": b"no bundle"},
            {"passphrase": b"wrong"},
        ):
            with self.assertRaises(ConfigurationError):
                self.network.home(self.folder / "home", **changes)
        for settings in (
            TerminalSettings("short", "127.0.0.1", 7001, GATEWAY),
            TerminalSettings("T0000001", "127.0.0.1", 0, GATEWAY),
            TerminalSettings("T0000001", "", 7001, GATEWAY),
        ):
            with self.assertRaises(ConfigurationError):
                DeviceHome.prepare(
                    self.folder / "home",
                    settings,
                    anchor=self.network.anchor,
                    channel=self.network.channel_file(),
                    passphrase=PASSPHRASE,
                )
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_loaded(self) -> None:
        """A home says the same when it is read again, and what is wrong with it in one sentence."""
        home = self.network.home(self.folder / "home")
        self.assertEqual(DeviceHome.load(home.path).settings, home.settings)
        with self.assertRaisesRegex(ConfigurationError, "enrol the terminal first"):
            home.identity()
        (home.path / "key.pem").write_text("damaged")
        with self.assertRaisesRegex(ConfigurationError, "no private key"):
            home.key()
        (home.path / "terminal.json").write_text('{"terminal": 5}')
        with self.assertRaisesRegex(ConfigurationError, "terminal.json"):
            DeviceHome.load(home.path)
        with self.assertRaisesRegex(ConfigurationError, "is no terminal"):
            DeviceHome.load(self.folder / "missing")

    def test_one_process(self) -> None:
        """Two processes are never the same terminal at once."""
        home = self.network.home(self.folder / "home")
        with home.locked(), self.assertRaisesRegex(ConfigurationError, "in use"), home.locked():
            pass
        with home.locked():
            pass

    def test_damaged(self) -> None:
        """Damaged files of a home are one sentence each, and a foreign certificate is not kept."""
        home = self.network.home(self.folder / "home")
        foreign = self.network.channel.certificate.public_bytes(Encoding.DER)
        with self.assertRaisesRegex(ConfigurationError, "another key"):
            home.keep_chain((foreign,))
        with self.assertRaisesRegex(ConfigurationError, "unreadable"):
            home.keep_chain((b"nothing",))
        (home.path / "chain.pem").write_text("nothing")
        with self.assertRaisesRegex(ConfigurationError, "no readable certificate"):
            home.identity()
        other = ec.generate_private_key(ec.SECP384R1())
        pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (home.path / "key.pem").write_bytes(pem)
        with self.assertRaisesRegex(ConfigurationError, "another kind"):
            home.key()

    def test_nowhere(self) -> None:
        """A home that cannot be made, locked or read is one sentence."""
        (self.folder / "file").write_text("")
        with self.assertRaisesRegex(ConfigurationError, "cannot be prepared"):
            self.network.home(self.folder / "file" / "home")
        missing = DeviceHome(self.folder / "missing", TerminalSettings("T0000001", "127.0.0.1", 1, GATEWAY))
        with self.assertRaisesRegex(ConfigurationError, "cannot be used"), missing.locked():
            pass


class Pinpads(unittest.SynchronousTestCase):
    def test_swiped(self) -> None:
        """A stripe is taken with sentinels and redundancy as readers give it, and without."""
        framed = raw_track_two(TrackTwo(TRACK2)).text
        for text in (TRACK2, f"{TRACK2}\n", f";{TRACK2}?", framed):
            self.assertEqual(swiped(text), TRACK2)
        for text in ("", ";123", f";{TRACK2}", framed[:-1] + chr(ord(framed[-1]) ^ 1), "9" * 40):
            self.assertRaises(CardDataRefused, swiped, text)

    def test_known_answer(self) -> None:
        """ISO 9564-1 format 4: the published block comes out for the published key, PIN and number."""

        class Fixed:
            def draw(self, count: int) -> bytes:
                return b"\xff" * count

        encode = pin_encoder(Fixed())
        block = encode("1234", "1234567890123456789", bytes.fromhex("00112233445566778899AABBCCDDEEFF"))
        self.assertEqual(block.hex().upper(), "28B41FDDD29B743E93124BD8E32D921E")
