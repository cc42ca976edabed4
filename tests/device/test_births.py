"""A terminal whose pair the backend makes (TR-17)."""

from __future__ import annotations

import stat

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from twisted.trial.unittest import SynchronousTestCase

from tests.device.network import NetworkCase
from tests.pki.registers import SmallPki
from trus.core import messages as core
from trus.core.messages import Answer, Request
from trus.device.conversation import PairDelivered
from trus.device.enrolment import NoIdentity, NotEnrolled, open_pair
from trus.device.home import DeviceHome
from trus.errors import IdentityRefused
from trus.values import DeviceRole


class BirthTests(NetworkCase):
    """Over TLS and a sealed session, to a backend that keeps what it makes."""

    def home(self) -> DeviceHome:
        return self.network.home(self.folder / "home")

    async def test_the_backends_pair_becomes_the_terminals_own(self) -> None:
        """TR-17: with its code alone a terminal gets pair and certificate, and is the terminal from then on."""
        home = self.home()
        born = home.key()
        await self.enrol(home, self.network.code(), pair_from_backend=True)
        holder = self.network.identities.verify(home.identity().chain, DeviceRole.POS)
        self.assertEqual((holder.name, holder.shop), ("T0000001", "CANTEEN1"))
        [kept] = self.network.escrow.pairs.values()
        self.assertEqual(kept.public_key(), home.key().public_key())
        self.assertNotEqual(born.public_key(), home.key().public_key())
        self.assertEqual(stat.S_IMODE((home.path / "key.pem").stat().st_mode), 0o600)
        client = self.client(home)
        terms = await client.start()
        self.assertEqual(terms.currency, "USD")
        await client.stop()

    async def test_nothing_of_the_pair_is_seen_on_the_way(self) -> None:
        """What the gateway forwards shows neither the code nor the passphrase, and no line says that a key is in it."""
        code = self.network.code()
        await self.enrol(self.home(), code, pair_from_backend=True)
        for line in self.network.heard:
            self.assertNotIn(code.encode(), line)
            self.assertNotIn(b"birth", line)

    async def test_a_lost_answer_costs_the_code(self) -> None:
        """A pair is handed over once: after a lost answer the code is used, and a new one brings another pair."""
        original = self.network._answer

        def lose(request: Request) -> Answer | None:
            answer = original(request)
            if isinstance(request, core.Enrol):
                self.network.mute = 1
            return answer

        home, code = self.home(), self.network.code()
        self.network._answer = lose  # type: ignore[method-assign]
        with self.assertRaises(NotEnrolled):
            await self.enrol(home, code, pair_from_backend=True)
        self.network._answer = original  # type: ignore[method-assign]
        self.network.mute = 0
        with self.assertRaisesRegex(NotEnrolled, "activation code cannot be used"):
            await self.enrol(home, code, pair_from_backend=True)
        self.assertFalse(home.enrolled)
        await self.enrol(home, self.network.code(), pair_from_backend=True)
        self.assertEqual((home.enrolled, len(self.network.escrow.pairs)), (True, 2))

    async def test_a_wrong_pair_is_not_kept(self) -> None:
        """Another terminal's pair, one that does not open, and what is no pair: refused, and nothing is written."""
        other = self.network.code("T0000009")
        made = self.network.identities.deliver(DeviceRole.POS, "T0000009", other)
        home = self.home()
        before = home.key().public_key()
        original = self.network._answer
        for p12, passphrase in ((b"garbage", made.passphrase), (made.p12, "x" * 32), (made.p12, made.passphrase)):

            def answer(request: Request, p12: bytes = p12, passphrase: str = passphrase) -> Answer | None:
                if isinstance(request, core.Enrol):
                    return core.PairMade(made.peer, p12, passphrase, self.network.business_date())
                return original(request)

            self.network._answer = answer  # type: ignore[method-assign]
            with self.assertRaises((NotEnrolled, IdentityRefused)):
                await self.enrol(home, self.network.code(), pair_from_backend=True)
            self.assertFalse(home.enrolled)
            self.assertEqual(home.key().public_key(), before)


class PairTests(SynchronousTestCase):
    """What a bundle may hold."""

    def test_only_a_p256_pair_with_its_certificate(self) -> None:
        """Another kind of key, a bundle without certificate, and garbage are refused."""
        pki = SmallPki()
        leaf = pki.authority.certificate
        cipher = BestAvailableEncryption(b"x" * 32)
        for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
            bundle = pkcs12.serialize_key_and_certificates(b"", key, None, [leaf], cipher)
            self.assertRaises(NotEnrolled, open_pair, bundle, "x" * 32)
        key = ec.generate_private_key(ec.SECP256R1())
        without = pkcs12.serialize_key_and_certificates(b"", key, None, None, cipher)
        self.assertRaises(NotEnrolled, open_pair, without, "x" * 32)
        self.assertRaises(NotEnrolled, open_pair, leaf.public_bytes(Encoding.DER), "x" * 32)

    def test_who_has_no_key_signs_nothing(self) -> None:
        """A terminal without a key is asked for no signature; its secrets are in no repr."""
        self.assertRaises(LookupError, NoIdentity().sign, b"")
        self.assertNotIn("sesame", repr(PairDelivered(b"", "sesame")))
